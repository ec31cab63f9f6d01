// The local part of random bits (mpc.md 17.2), one thread, by ring, committee and instruction set. us_per_bit is the time of one bit in
// microseconds; aes_us is what its AES blocks alone take when they are encrypted as here, 64 counters under one key after the other,
// measured just after it (block/... has it as ns_per_block). A bit takes C(n-1,t) blocks for its base draw and one for every key z_E of
// the party for its part of a zero sharing, 4 coefficients for 4 bits: 3 + 3 = 6 at n = 4 and 495 + 51 = 546 at n = 13 (party 1; others
// hold 48 to 51 such keys), in both rings, since a word of 64 bits takes a block of its own too. At 4 rounds of AES per cycle (VAES) or 2
// (AES-NI) and 3.7 GHz a block takes 0.68 or 1.35 ns, so that 546 blocks take 0.37 or 0.74 us.
//
//   bit       prepare and scale: everything that the party computes by itself for a bit
//   prepare   base draws, zero sharings, squares: before the opening
//   scale     root, inverse, scaling: after it
//   noise     the same for a window of TUniform(42) noise, per bit
#include "../bench_rng.h"

#include <benchmark/benchmark.h>

#include <ctime>

#include "mpc/bit_kernel.h"

namespace witan::mpc {
namespace {

struct Target {
  std::string name;
  AesTarget aes;
  SumTarget sum;

  bool usable() const { return available(aes) && available(sum); }
  void choose() const {
    choose_aes_target(aes);
    choose_sum_target(sum);
  }
};
const std::vector<Target>& targets() {
  static const std::vector<Target> all = {
      {"VAES-512,VNNI", AesTarget::vaes512, SumTarget::avx512_vnni},
      {"VAES-256,AVX2", AesTarget::vaes256, SumTarget::avx2},
      {"AES-NI,AVX2", AesTarget::aes_ni, SumTarget::avx2},
      {"portable,scalar", AesTarget::portable, SumTarget::scalar},
  };
  return all;
}

/// Keys of party 1.
struct Keys {
  explicit Keys(int n) : committee(CommitteeSize::make(n, (n - 1) / 3).value()) {}
  SetKeys sets() const {
    std::vector<SetKey> keys;
    for (const PartySet set : key_sets(committee))
      if (set.contains(Role(1))) rng.fill(keys.emplace_back());
    return {committee, Role(1), Secret<std::vector<SetKey>>(std::move(keys))};
  }
  ZeroKeys zeros() const {
    std::vector<SetKey> keys;
    for (const PartySet excluded : zero_sets(committee))
      if (!excluded.contains(Role(1))) rng.fill(keys.emplace_back());
    return {committee, Role(1), Secret<std::vector<SetKey>>(std::move(keys))};
  }
  double blocks_per_bit() const { return static_cast<double>(sets().size() + zeros().size()); }

  CommitteeSize committee;
  mutable BenchRng rng;
};

double thread_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

/// The best of several.
double ns_per_block() {
  SetKey key{};
  const AesKeys keys(std::span(&key, 1));
  std::array<u128, sums::kCounters> blocks;
  double best = 1e9;
  for (int attempt = 0; attempt < 20; ++attempt) {
    constexpr int kRuns = 200;
    const double begun = thread_ns();
    for (std::uint64_t i = 0; i < kRuns; ++i) {
      keys.encrypt_counters(0, blocks.size() * i, 0, blocks);
      benchmark::DoNotOptimize(blocks);
    }
    best = std::min(best, (thread_ns() - begun) / (kRuns * static_cast<double>(blocks.size())));
  }
  return best;
}

void report(benchmark::State& state, std::size_t bits, double blocks_per_bit) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(bits));
  state.counters["us_per_bit"] = benchmark::Counter(
      static_cast<double>(bits) * 1e-6, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  if (blocks_per_bit > 0) state.counters["aes_us"] = blocks_per_bit * ns_per_block() * 1e-3;
}

void block(benchmark::State& state, const Target& target) {
  target.choose();
  SetKey key{};
  const AesKeys keys(std::span(&key, 1));
  std::array<u128, sums::kCounters> blocks;
  std::uint64_t first = 0;
  for (auto _ : state) {
    keys.encrypt_counters(0, first += blocks.size(), 0, blocks);
    benchmark::DoNotOptimize(blocks);
  }
  state.counters["ns_per_block"] = benchmark::Counter(
      1e-9 * sums::kCounters, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

constexpr std::size_t kElements = 1024;  // of a kernel in the compute pool

/// Words as an opening gives them.
template <Word Z>
std::vector<Gr<Z>> opened_words() {
  BenchRng rng;
  std::vector<Gr<Z>> out(kElements);
  for (auto& element : out) {
    element = algebra::random_element<Z>(rng);
    for (Z& word : element.c) word &= ~Z{1};
  }
  return out;
}

template <Word Z>
void prepare(benchmark::State& state, const Target& target, int n, bool with_scaling) {
  target.choose();
  const Keys keys(n);
  const BitKernel<Z> kernel(keys.sets(), keys.zeros(), {1});
  const auto opened = opened_words<Z>();
  std::vector<Share<Z>> a(4 * kElements), w(kElements), bits(4 * kElements);
  std::uint64_t first = 0;
  for (auto _ : state) {
    if (!kernel.prepare(first, a, w)) return state.SkipWithError("a session is over");
    benchmark::DoNotOptimize(w.data());
    first = (first + kElements) % kMaxElementsPerSession;
    if (with_scaling && !BitKernel<Z>::bits(a, opened, bits)) return state.SkipWithError("an odd word");
    benchmark::DoNotOptimize(bits.data());
  }
  report(state, 4 * kElements, keys.blocks_per_bit());
}

template <Word Z>
void scale(benchmark::State& state) {
  const auto opened = opened_words<Z>();
  std::vector<Share<Z>> a(4 * kElements), bits(4 * kElements);
  for (auto _ : state) {
    if (!BitKernel<Z>::bits(a, opened, bits)) return state.SkipWithError("an odd word");
    benchmark::DoNotOptimize(bits.data());
  }
  report(state, 4 * kElements, 0);
}

template <Word Z>
void noise(benchmark::State& state) {
  constexpr int kBoundLog2 = 42;
  constexpr std::size_t kNoises = 64;
  BenchRng rng;
  std::vector<Share<Z>> a(kNoises * (kBoundLog2 + 2)), out(kNoises / 4);
  std::vector<Z> v(a.size());
  for (Z& word : v) word = rng.next<Z>() & ~Z{1};
  for (auto _ : state) {
    if (!packed_noises<Z>(a, v, kBoundLog2, out)) return state.SkipWithError("an odd word");
    benchmark::DoNotOptimize(out.data());
  }
  report(state, a.size(), 0);
}

template <class Body>
void add(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMicrosecond);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const Target& target : targets()) {
    if (!target.usable()) continue;
    const std::string of = "/" + target.name;
    const bool both = target.sum == SumTarget::avx512_vnni;
    add("block" + of, [&target](benchmark::State& state) { block(state, target); });
    for (const int n : {4, 13}) {
      if (target.aes == AesTarget::portable && n > 4) continue;  // 0.3 ms per bit
      const auto both_rings = [&](const char* name, bool with_scaling) {
        const std::string parties = "/n=" + std::to_string(n) + of;
        add(name + std::string("/k=64") + parties,
            [&target, n, with_scaling](benchmark::State& state) { prepare<Z64>(state, target, n, with_scaling); });
        add(name + std::string("/k=128") + parties,
            [&target, n, with_scaling](benchmark::State& state) { prepare<Z128>(state, target, n, with_scaling); });
      };
      both_rings("bit", true);
      if (both) both_rings("prepare", false);
    }
  }
  add("scale/k=64", scale<Z64>);
  add("scale/k=128", scale<Z128>);
  add("noise/k=64", noise<Z64>);
  add("noise/k=128", noise<Z128>);
  return true;
}();

}  // namespace
}  // namespace witan::mpc
