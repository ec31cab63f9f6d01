// Ring, decoder and openings. Items are ring elements (values of an opening). Lower bounds on one core with one 64-bit
// multiplication per cycle: a product in GR(2^128,4) is 16 products of words of 128 bits, 48 multiplications, 16 ns at 3 GHz;
// in GR(2^64,4) a third of that. An opening of a value takes (m - t) * (t + 1) products, m = shares: 9 at (4,1) with 4
// shares gives 6, 45 at (13,4) with 13.
#include "../bench_rng.h"

#include <benchmark/benchmark.h>

#include "algebra/decode.h"

namespace witan::algebra {
namespace {

template <Word Z>
struct Batch {
  Batch(CommitteeSize committee, std::size_t rows) {
    BenchRng rng;
    for (int i = 1; i <= committee.parties(); ++i) roles.push_back(Role(i));
    words.resize(roles.size());
    for (std::size_t row = 0; row < rows; ++row) {
      const auto shares = deal<Z>(random_element<Z>(rng), committee.threshold(), committee.parties(), rng);
      for (std::size_t i = 0; i < words.size(); ++i) words[i].push_back(shares[i].value);
    }
    views.assign(words.begin(), words.end());
  }
  std::vector<Role> roles;
  std::vector<std::vector<Gr<Z>>> words;
  std::vector<std::span<const Gr<Z>>> views;
};

CommitteeSize committee_of(benchmark::State& state) {
  const auto n = static_cast<int>(state.range(0));
  return CommitteeSize::make(n, (n - 1) / 3).value();
}

template <class Z>
void BM_Multiply(benchmark::State& state) {
  BenchRng rng;
  auto a = random_element<Z>(rng);
  const auto b = random_element<Z>(rng);
  for (auto _ : state) benchmark::DoNotOptimize(a = a * b);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Multiply<Z64>);
BENCHMARK(BM_Multiply<Z128>);

template <class Z>
void BM_Inverse(benchmark::State& state) {
  BenchRng rng;
  auto a = random_element<Z>(rng) + random_element<Z>(rng);
  a.c[0] |= 1;
  for (auto _ : state) benchmark::DoNotOptimize(a = inverse(a));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Inverse<Z64>);
BENCHMARK(BM_Inverse<Z128>);

/// t liars.
template <class Z>
void BM_DecodeReference(benchmark::State& state) {
  const auto committee = committee_of(state);
  const Batch<Z> batch(committee, 1);
  std::vector<Gr<Z>> word;
  for (const auto& shares : batch.words) word.push_back(shares[0]);
  const auto t = static_cast<std::size_t>(committee.threshold());
  for (std::size_t i = 0; i < t; ++i) word[2 * i] += Gr<Z>::one();
  for (auto _ : state) benchmark::DoNotOptimize(decode_reference<Z>(committee, batch.roles, word, t));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_DecodeReference<Z64>)->Arg(4)->Arg(13);
BENCHMARK(BM_DecodeReference<Z128>)->Arg(4)->Arg(13);

/// Arguments: parties, values, liars among them.
template <class Z>
void BM_OpenBatch(benchmark::State& state) {
  const auto committee = committee_of(state);
  Batch<Z> batch(committee, static_cast<std::size_t>(state.range(1)));
  for (std::size_t liar = 0; liar < static_cast<std::size_t>(state.range(2)); ++liar)
    for (auto& share : batch.words[2 * liar]) share += Gr<Z>::one();
  for (auto _ : state) {
    const auto opened = open_batch<Z>(committee, batch.roles, batch.views);
    if (!opened) state.SkipWithError("not opened");
    benchmark::DoNotOptimize(opened);
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}
BENCHMARK(BM_OpenBatch<Z64>)->Args({4, 1024, 0})->Args({13, 1024, 0});
BENCHMARK(BM_OpenBatch<Z128>)
    ->Args({4, 1, 0})
    ->Args({4, 1024, 0})
    ->Args({4, 1024, 1})
    ->Args({13, 1, 0})
    ->Args({13, 1024, 0})
    ->Args({13, 1024, 4});

}  // namespace
}  // namespace witan::algebra
