// Kernels at the sizes of the default parameter set, one thread. Roofline to compare with (engineering.md 6 and 7, exact
// multi-prime transform, one core at 3.2 GHz): product public x secret 131 us (128 bits, N = 2048), 37 us (128 bits,
// N = 1024), 96 us (64 bits, N = 2048); one step of Switch-and-Squash 353 us; a default key set 4.7 s.
#include "../bench_rng.h"

#include <benchmark/benchmark.h>

#include "tfhe/bootstrap.h"
#include "tfhe/encrypt.h"
#include "tfhe/keygen.h"
#include "tfhe/packing.h"

namespace witan::tfhe {
namespace {

template <Word W>
std::vector<W> words(std::size_t n) {
  BenchRng rng;
  std::vector<W> out(n);
  rng.fill({reinterpret_cast<std::uint8_t*>(out.data()), n * sizeof(W)});
  return out;
}

template <Word W>
void binary_product(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const auto a = words<W>(n);
  std::vector<W> accumulator(n);
  std::vector<std::uint8_t> bits(n);
  for (std::size_t i = 0; i < n; ++i) bits[i] = i * i % 3 == 1;
  for (auto _ : state) {
    add_binary_product<W>(accumulator, a, bits);
    benchmark::DoNotOptimize(accumulator.data());
  }
}
BENCHMARK(binary_product<u64>)->Arg(256)->Arg(2048)->Unit(benchmark::kMicrosecond);
BENCHMARK(binary_product<u128>)->Arg(1024)->Arg(2048)->Unit(benchmark::kMicrosecond);

template <Word W>
void full_product(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const auto a = words<W>(n), b = words<W>(n);
  std::vector<W> accumulator(n);
  for (auto _ : state) {
    add_product<W>(accumulator, a, b);
    benchmark::DoNotOptimize(accumulator.data());
  }
}
BENCHMARK(full_product<u64>)->Arg(256)->Arg(2048)->Unit(benchmark::kMicrosecond);
BENCHMARK(full_product<u128>)->Arg(1024)->Arg(2048)->Unit(benchmark::kMicrosecond);

/// One step of a blind rotation: decomposition, (k+1) l rows times k+1 columns.
template <Word W>
void cmux(benchmark::State& state, std::size_t k, std::size_t n, Decomposition d) {
  const SeededBsk<W> bsk{.data = words<W>(d.level_count * (k + 1) * n),
                         .decomposition = d,
                         .glwe_dimension = k,
                         .polynomial_size = n,
                         .origin = {}};
  const BlindRotationKey<W> key(bsk);
  Glwe<W> accumulator(k, n), difference(k, n);
  difference.data = words<W>(difference.data.size());
  for (auto _ : state) {
    key.external_product_add(0, difference, accumulator);
    benchmark::DoNotOptimize(accumulator.data.data());
  }
}
void pbs_step_default(benchmark::State& state) {
  cmux<u64>(state, 1, 2048, {23, 1});
}
void sns_step_default(benchmark::State& state) {
  cmux<u128>(state, 2, 2048, {24, 3});
}
void sns_step_test(benchmark::State& state) {
  cmux<u128>(state, 1, 256, {33, 2});
}
BENCHMARK(pbs_step_default)->Unit(benchmark::kMicrosecond);
BENCHMARK(sns_step_default)->Unit(benchmark::kMicrosecond);
BENCHMARK(sns_step_test)->Unit(benchmark::kMicrosecond);

/// Rows of the default key set, component by component; component_s is what the whole component takes at this rate.
void keygen_rows(benchmark::State& state) {
  static const Params params = params_of(FheParameter::default_set);
  BenchRng rng;
  static const SecretKeySet keys = generate_secret_keys(params, rng);
  const Component c = key_components(params)[static_cast<std::size_t>(state.range(0))];
  const MaskReader mask({key_set_seed(1), StreamPosition::from_bytes(c.stream_offset_bytes)});
  RngNoise noise(rng);
  const auto rows = [&]<class W>(W) {
    const KeyFactor<W> factor(c, keys.bits(c.under));
    std::vector<W> body(c.body_words());
    for (auto _ : state) generate_bodies<W>(c, keys, factor, mask, noise, 0, 1, body);
  };
  if (c.word_bits == 64)
    rows(u64{});
  else
    rows(u128{});
  state.SetLabel(to_string(c.kind));
  state.counters["component_s"] = benchmark::Counter(
      1 / static_cast<double>(c.rows), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(keygen_rows)->DenseRange(0, 9)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace witan::tfhe
