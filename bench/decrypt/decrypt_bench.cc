// The kernels of a public decryption at the sizes of the default parameters, one thread, by instruction set. us_per_block is the time
// of one packed block in microseconds; roof_us is what the busiest unit alone takes for it at 3.7 GHz:
//
//   partial   dot: entries x 4 products; scalar 3 multiplications of 64 bits each, one per cycle (73,728 cycles for 6144 entries);
//             AVX2 one of them, while the vector units do the rest (24,576); with limbs of 52 bits 9 multiply-adds of 512 bits for
//             8 products, one per cycle (27,648)
//             transform, per GLWE: 6 x 6 transforms forward and 4 x 6 backward of 1024 residues, 5120 butterflies each of 9
//             operations on doubles, two vectors of them per cycle (AVX2), or one (AVX-512 of this kind of core)
//   mask      per block 2 C(n-1,t) AES blocks of 10 rounds, 2 rounds per cycle with AES-NI, 4 with VAES; and C(n-1,t) entries of dot.
//             128 blocks, so that the keys, which each ciphertext needs once (mask_keys), do not count
//   opening   2t + 1 shares: t are predicted and one secret computed, each of t + 1 products in GR(2^128,4), 48 multiplications
//   context   SHA-256 of the bytes; a chain of 64 rounds per 64 bytes, so bound by the latency of the SHA extensions
//
// decrypt is the sum of the first three with mask keys, for the blocks of one BigCompressed ciphertext (16 are a Uint64, 64 a
// Uint256). Targets of the project per block: 35 us at n = 13, 30 us at n = 4; mask keys 50 us per ciphertext at n = 13.
#include "../bench_rng.h"

#include <benchmark/benchmark.h>

#include "algebra/decode.h"
#include "protocols/decrypt.h"

namespace witan::protocols {
namespace {

constexpr double kClockHz = 3.7e9;

/// One choice for each kernel that has one.
struct Target {
  std::string name;
  mpc::AesTarget aes;
  algebra::DotTarget dot;
  std::string vectors;  // of Highway; empty: the best

  bool available() const { return witan::mpc::available(aes) && witan::algebra::available(dot) && vector_id() >= 0; }
  tfhe::i64 vector_id() const {
    if (vectors.empty()) return 0;
    for (const auto& target : tfhe::vector_targets())
      if (target.name == vectors) return target.id;
    return -1;
  }
  void choose() const {
    mpc::choose_aes_target(aes);
    algebra::choose_dot_target(dot);
    tfhe::choose_vector_target(vector_id());
  }
};

const std::vector<Target>& targets() {
  using algebra::DotTarget;
  using mpc::AesTarget;
  static const std::vector<Target> all = {
      {"VAES-512,IFMA", AesTarget::vaes512, DotTarget::avx512_ifma, ""},
      {"VAES-256,AVX2", AesTarget::vaes256, DotTarget::avx2, "AVX2"},
      {"AES-NI,AVX2", AesTarget::aes_ni, DotTarget::avx2, "AVX2"},
      {"portable,scalar", AesTarget::portable, DotTarget::scalar, "AVX2"},
  };
  return all;
}

double aes_cycles(mpc::AesTarget target, double blocks) {
  switch (target) {
    case mpc::AesTarget::vaes512:
    case mpc::AesTarget::vaes256:
      return 10 * blocks / 4;
    case mpc::AesTarget::aes_ni:
      return 10 * blocks / 2;
    case mpc::AesTarget::portable:
      break;
  }
  return 0;  // as many as its logic takes; it is no fast path
}

double dot_cycles(algebra::DotTarget target, double entries) {
  switch (target) {
    case algebra::DotTarget::scalar:
      return 12 * entries;
    case algebra::DotTarget::avx2:
      return 4 * entries;
    case algebra::DotTarget::avx512_ifma:
      break;
  }
  return 36 * entries / 8;
}

double opening_cycles(int t) {
  return (t + 1) * (t + 1) * 48;
}

void report(benchmark::State& state, std::size_t blocks, double roof_cycles_per_block) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(blocks));
  state.counters["us_per_block"] = benchmark::Counter(
      static_cast<double>(blocks) * 1e-6, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  if (roof_cycles_per_block > 0) state.counters["roof_us"] = roof_cycles_per_block / kClockHz * 1e6;
}

std::vector<Share<Z128>> shares(std::size_t count) {
  BenchRng rng;
  std::vector<Share<Z128>> out(count);
  for (auto& share : out) share.value = algebra::random_element<Z128>(rng);
  return out;
}

/// C-bar: k = 6, N = 1024.
SharedKey compression_key() {
  return SharedKey(shares(6144));
}
tfhe::PartialGlwe<Z128> glwe(std::size_t bodies) {
  BenchRng rng;
  tfhe::PartialGlwe<Z128> out{std::vector<Z128>(6144 + bodies), 6, 1024};
  rng.fill({reinterpret_cast<std::uint8_t*>(out.data.data()), out.data.size() * sizeof(Z128)});
  return out;
}

mpc::SetKeys set_keys(int n) {
  BenchRng rng;
  const auto committee = CommitteeSize::make(n, (n - 1) / 3).value();
  std::vector<mpc::SetKey> keys;
  for (const mpc::PartySet set : mpc::key_sets(committee))
    if (set.contains(Role(1))) rng.fill(keys.emplace_back());
  return {committee, Role(1), Secret<std::vector<mpc::SetKey>>(std::move(keys))};
}

/// Shares of the first 2t + 1 parties, as a party accepts them.
struct Messages {
  Messages(CommitteeSize size, std::size_t values) : committee(size) {
    BenchRng rng;
    words.resize(static_cast<std::size_t>(2 * size.threshold() + 1));
    for (std::size_t i = 0; i < words.size(); ++i) roles.push_back(Role(static_cast<int>(i) + 1));
    for (std::size_t row = 0; row < values; ++row) {
      const auto dealt =
          algebra::deal<Z128>(Gr<Z128>::from_base(rng.next<Z128>()), size.threshold(), size.parties(), rng);
      for (std::size_t i = 0; i < words.size(); ++i) words[i].push_back(dealt[i].value);
    }
    views.assign(words.begin(), words.end());
  }
  void open() const { benchmark::DoNotOptimize(algebra::open_batch<Z128>(committee, roles, views)); }

  CommitteeSize committee;
  std::vector<Role> roles;
  std::vector<std::vector<Gr<Z128>>> words;
  std::vector<std::span<const Gr<Z128>>> views;
};

void partial_decryption_of_glwe(benchmark::State& state, const Target& target, std::size_t blocks,
                                std::optional<GlweProducts> products) {
  target.choose();
  const SharedKey key = compression_key();
  const auto ciphertext = glwe(blocks);
  for (auto _ : state) benchmark::DoNotOptimize(partial_decrypt(key, ciphertext, 0, blocks, products));
  const bool dot = products.value_or(cheaper_products(key, ciphertext, blocks)) == GlweProducts::dot;
  report(state, blocks, dot ? dot_cycles(target.dot, 6144) : 60 * 5120 * 9 / 8.0 / static_cast<double>(blocks));
}

void partial_decryption_of_lwes(benchmark::State& state, const Target& target, std::size_t blocks) {
  target.choose();
  const SharedKey key(shares(4096));  // S-bar: k = 2, N = 2048
  BenchRng rng;
  std::vector<tfhe::Lwe<Z128>> lwes(blocks, tfhe::Lwe<Z128>(4096));
  for (auto& lwe : lwes) rng.fill({reinterpret_cast<std::uint8_t*>(lwe.data.data()), lwe.data.size() * sizeof(Z128)});
  for (auto _ : state) benchmark::DoNotOptimize(partial_decrypt(key, lwes));
  report(state, blocks, dot_cycles(target.dot, 4096));
}

void masks(benchmark::State& state, const Target& target, int n, std::size_t blocks) {
  target.choose();
  const auto keys = set_keys(n);
  const mpc::MaskGenerator generator(keys);
  crypto::Digest context{};
  for (auto _ : state) {
    ++context[0];
    benchmark::DoNotOptimize(generator.masks({1}, context, 0, blocks));
  }
  const auto sets = static_cast<double>(keys.size());
  report(state, blocks, aes_cycles(target.aes, 2 * sets) + dot_cycles(target.dot, sets));
}

/// Once per ciphertext.
void mask_keys(benchmark::State& state, const Target& target, int n) {
  target.choose();
  const auto keys = set_keys(n);
  std::vector<mpc::SetKey> bases;
  for (std::size_t i = 0; i < keys.size(); ++i) bases.push_back(keys.key(i));
  const mpc::AesKeys base_keys(bases);
  crypto::Digest context{};
  for (auto _ : state) {
    ++context[0];
    const auto derived = mpc::mask_keys(base_keys, mpc::mask_key_input({1}, context));
    benchmark::DoNotOptimize(mpc::AesKeys(derived.reveal()));
  }
}

void opening(benchmark::State& state, int n, std::size_t blocks) {
  const auto committee = CommitteeSize::make(n, (n - 1) / 3).value();
  const Messages messages(committee, blocks);
  for (auto _ : state) messages.open();
  report(state, blocks, opening_cycles(committee.threshold()));
}

/// Everything of one ciphertext.
void all_parts(benchmark::State& state, const Target& target, int n, std::size_t blocks) {
  target.choose();
  const auto committee = CommitteeSize::make(n, (n - 1) / 3).value();
  const SharedKey key = compression_key();
  const auto ciphertext = glwe(blocks);
  const auto keys = set_keys(n);
  const mpc::MaskGenerator generator(keys);
  const Messages messages(committee, blocks);
  crypto::Digest context{};
  for (auto _ : state) {
    ++context[0];
    const auto mask = generator.masks({1}, context, 0, blocks);
    const auto parts = partial_decrypt(key, ciphertext, 0, blocks);
    std::vector<Share<Z128>> sums;
    for (std::size_t q = 0; q < blocks; ++q) sums.push_back(parts.reveal()[q] + mask->reveal()[q]);
    benchmark::DoNotOptimize(sums);
    messages.open();
  }
  report(state, blocks, 0);
}

/// The digest of the bytes as received, which the mask context contains, of a list of 16 blocks.
void context_digest(benchmark::State& state) {
  const auto ciphertext = glwe(16);
  const ByteView bytes(reinterpret_cast<const std::uint8_t*>(ciphertext.data.data()), ciphertext.data.size() * 16);
  SquashedCiphertext squashed;
  for (auto _ : state) {
    squashed.content = crypto::sha256(bytes);
    benchmark::DoNotOptimize(mask_context(KeyId(ByteArray<32>{1}), squashed));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}

template <class Body>
void add(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMicrosecond);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const Target& target : targets()) {
    if (!target.available()) continue;
    const std::string of = "/" + target.name;
    for (const int n : {4, 7, 13}) {
      const std::string parties = "/n=" + std::to_string(n);
      for (const std::size_t blocks : {1u, 16u, 64u}) {
        if (blocks != 16 && (n == 7 || target.aes == mpc::AesTarget::portable)) continue;
        add("decrypt/blocks=" + std::to_string(blocks) + parties + of,
            [&target, n, blocks](benchmark::State& state) { all_parts(state, target, n, blocks); });
      }
      add("mask/blocks=128" + parties + of, [&target, n](benchmark::State& state) { masks(state, target, n, 128); });
      add("mask_keys" + parties + of, [&target, n](benchmark::State& state) { mask_keys(state, target, n); });
    }
    if (target.aes == mpc::AesTarget::aes_ni) continue;  // the rest is that of VAES-256
    for (const std::size_t blocks : {1u, 16u})
      add("partial_lwe_4096/blocks=" + std::to_string(blocks) + of,
          [&target, blocks](benchmark::State& state) { partial_decryption_of_lwes(state, target, blocks); });
    // A transform costs the same for any number of blocks, a dot product nearly the same per block: where they meet follows.
    for (const auto& [blocks, products] : {std::pair{1u, GlweProducts::dot},
                                           {16u, GlweProducts::dot},
                                           {16u, GlweProducts::transform},
                                           {64u, GlweProducts::transform}}) {
      const char* const kind = products == GlweProducts::dot ? "/dot" : "/transform";
      add("partial_glwe_6144/blocks=" + std::to_string(blocks) + kind + of,
          [&target, blocks, products](benchmark::State& state) {
            partial_decryption_of_glwe(state, target, blocks, products);
          });
    }
  }
  for (const int n : {4, 7, 13})
    for (const std::size_t blocks : {1u, 16u})
      add("opening/blocks=" + std::to_string(blocks) + "/n=" + std::to_string(n),
          [n, blocks](benchmark::State& state) { opening(state, n, blocks); });
  add("context_digest", context_digest);
  return true;
}();

}  // namespace
}  // namespace witan::protocols
