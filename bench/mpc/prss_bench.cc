// Decryption masks of one ciphertext. Items are blocks. Lower bound at n = 13: a mask takes 2 * 495 AES blocks of 10 rounds and
// 495 * 4 products of 128-bit words. At two AES instructions of 128 or one of 512 bits per cycle that is 4950 or 2475 cycles, at one
// multiplication of 64 bits or one multiply-add of 512 bits per cycle 1980 or 2232. By instruction set: bench/decrypt.
#include <benchmark/benchmark.h>

#include "mpc/prss.h"

namespace witan::mpc {
namespace {

SetKeys keys_of(int n) {
  const auto committee = CommitteeSize::make(n, (n - 1) / 3).value();
  std::vector<SetKey> keys;
  for (const PartySet set : key_sets(committee)) {
    SetKey key{};
    store_le<std::uint64_t>(set.bits(), key.data());
    if (set.contains(Role(1))) keys.push_back(key);
  }
  return {committee, Role(1), Secret<std::vector<SetKey>>(std::move(keys))};
}

/// Arguments: parties, blocks of the ciphertext.
void BM_Masks(benchmark::State& state) {
  const MaskGenerator generator(keys_of(static_cast<int>(state.range(0))));
  crypto::Digest context{};
  const auto blocks = static_cast<std::size_t>(state.range(1));
  for (auto _ : state) {
    ++context[0];
    benchmark::DoNotOptimize(generator.masks({1}, context, 0, blocks));
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}
BENCHMARK(BM_Masks)->Args({4, 1})->Args({4, 128})->Args({13, 1})->Args({13, 32})->Args({13, 128});

/// Arguments: parties.
void BM_RandomSharing(benchmark::State& state) {
  const Prss<Z128> prss(keys_of(static_cast<int>(state.range(0))), {1});
  std::uint64_t counter = 0;
  for (auto _ : state) benchmark::DoNotOptimize(prss.random(counter++));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RandomSharing)->Arg(4)->Arg(13);

}  // namespace
}  // namespace witan::mpc
