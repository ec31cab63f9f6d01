#include "tfhe/params.h"

#include <array>
#include <bit>

namespace witan::tfhe {

template <Word W>
int delta_log2(const PlaintextSpace& space) {
  return kWordBits<W> - 1 - std::countr_zero(space.size());
}
template int delta_log2<u64>(const PlaintextSpace&);
template int delta_log2<u128>(const PlaintextSpace&);

namespace {

constexpr PlaintextSpace kTwoTwo{4, 4};  // 2 message bits, 2 carry bits
constexpr PlaintextSpace kOneOne{2, 2};

struct ComputeRow {
  std::size_t lwe;
  std::uint32_t lwe_noise;
  std::size_t k, n;
  std::uint32_t glwe_noise;
  Decomposition pbs, keyswitch;
};

ComputeParams compute(const ComputeRow& row, PlaintextSpace space, u64 max_noise_level, double log2_p_fail,
                      KeyChoice choice, ModulusSwitch modulus_switch) {
  return {.lwe_dimension = row.lwe,
          .glwe_dimension = row.k,
          .polynomial_size = row.n,
          .lwe_noise = {row.lwe_noise},
          .glwe_noise = {row.glwe_noise},
          .pbs = row.pbs,
          .keyswitch = row.keyswitch,
          .space = space,
          .max_noise_level = max_noise_level,
          .log2_p_fail = log2_p_fail,
          .encryption_key = choice,
          .modulus_switch = modulus_switch};
}

CompactKeyParams pke(std::size_t dimension, std::uint32_t noise, PlaintextSpace space, ZkScheme zk) {
  return {.lwe_dimension = dimension, .noise = {noise}, .space = space, .expansion = RequiresCasting{}, .zk = zk};
}

// Only the production set and the sets of tests compress; the others are rows of published benchmarks.
Params default_set() {
  return {
      .name = "default",
      .compute =
          compute({918, 45, 1, 2048, 17, {23, 1}, {4, 4}}, kTwoTwo, 5, -129.581, KeyChoice::big, CenteredMeanSwitch{}),
      .pke = pke(2048, 17, kTwoTwo, ZkScheme::v2),
      .cast = KeySwitchParams{{4, 4}, KeyChoice::small},
      .compression = CompressionParams{.packing = {4, 3},
                                       .blind_rotation = {23, 1},
                                       .glwe_dimension = 4,
                                       .polynomial_size = 256,
                                       .lwe_per_glwe = 256,
                                       .storage_log_modulus = 12,
                                       .noise = {43}},
      .sns = SnsParams{2, 2048, {30}, {24, 3}, CenteredMeanSwitch{}, kTwoTwo},
      .sns_compression = SnsCompressionParams{{41, 2}, 6, 1024, 128, {3}, kTwoTwo},
      .rerandomization = DerivedRerandomization{},
      .oprf = true,
      .hamming = std::nullopt,
  };
}

constexpr DriftSwitch kTestComputeDrift{10, 288230376151711744.0, 9.75539320076416, 1.92631390716519e-10};
constexpr DriftSwitch kTestSnsDrift{8, 288230376151711744.0, 9.2, 2.182718682903484e-224};

Params test_set() {
  return {
      .name = "test",
      .compute = compute({1, 0, 1, 256, 0, {24, 1}, {37, 1}}, kTwoTwo, 5, -64, KeyChoice::big, kTestComputeDrift),
      .pke = pke(512, 0, kTwoTwo, ZkScheme::v2),
      .cast = KeySwitchParams{{37, 1}, KeyChoice::small},
      .compression = CompressionParams{.packing = {27, 1},
                                       .blind_rotation = {24, 1},
                                       .glwe_dimension = 1,
                                       .polynomial_size = 256,
                                       .lwe_per_glwe = 256,
                                       .storage_log_modulus = 9,
                                       .noise = {0}},
      .sns = SnsParams{1, 256, {0}, {33, 2}, kTestSnsDrift, kTwoTwo},
      .sns_compression = SnsCompressionParams{{61, 1}, 1, 256, 128, {3}, kTwoTwo},
      .rerandomization = DerivedRerandomization{},
      .oprf = true,
      .hamming = std::nullopt,
  };
}

// All key sizes distinct, so that a resharing cannot mix two keys up unnoticed.
Params test_reshare_set() {
  Params params = test_set();
  params.name = "test_reshare";
  params.pke->lwe_dimension = 32;
  params.compression->polynomial_size = 128;
  params.compression->lwe_per_glwe = 128;
  params.sns->glwe_dimension = 2;
  params.sns_compression->polynomial_size = 64;
  params.sns_compression->lwe_per_glwe = 64;
  return params;
}

Params nigel_set() {
  return {
      .name = "nigel",
      .compute =
          compute({928, 44, 1, 2048, 16, {21, 1}, {5, 3}}, kTwoTwo, 5, -64.0629, KeyChoice::big, CenteredMeanSwitch{}),
      .pke = pke(1024, 42, kTwoTwo, ZkScheme::v1),
      .cast = KeySwitchParams{{17, 1}, KeyChoice::big},
      .compression = std::nullopt,
      .sns = SnsParams{2, 2048, {27}, {24, 3}, CenteredMeanSwitch{}, kTwoTwo},
      .sns_compression = std::nullopt,
      .rerandomization = LegacyRerandomization{{{17, 1}, KeyChoice::big}},
      .oprf = true,
      .hamming = std::nullopt,
  };
}

struct NistRow {
  std::string_view name;
  ComputeRow compute;
  PlaintextSpace space;
  KeyChoice choice;
  KeySwitchParams cast;
  std::size_t sns_k, sns_n;
  double pmax;
};

Params nist_set(const NistRow& row) {
  const bool legacy = row.choice == KeyChoice::big;
  return {
      .name = std::string(row.name),
      .compute = compute(row.compute, row.space, row.space == kTwoTwo ? 5 : 2, -128, row.choice, CenteredMeanSwitch{}),
      .pke = pke(2048, 16, row.space, ZkScheme::v2),
      .cast = row.cast,
      .compression = std::nullopt,
      .sns = SnsParams{row.sns_k, row.sns_n, {27}, {24, 3}, CenteredMeanSwitch{}, row.space},
      .sns_compression = std::nullopt,
      .rerandomization = legacy ? std::optional<Rerandomization>(LegacyRerandomization{row.cast}) : std::nullopt,
      .oprf = true,
      .hamming = HammingBound{row.pmax, -80},
  };
}

constexpr NistRow kNistP8Lwe{"nist_p8_lwe",
                             {848, 46, 4, 512, 16, {19, 1}, {3, 5}},
                             kOneOne,
                             KeyChoice::small,
                             {{3, 5}, KeyChoice::small},
                             4,
                             1024,
                             0.798};
constexpr NistRow kNistP32Lwe{"nist_p32_lwe",
                              {1004, 42, 1, 2048, 16, {23, 1}, {3, 7}},
                              kTwoTwo,
                              KeyChoice::small,
                              {{3, 6}, KeyChoice::small},
                              2,
                              2048,
                              0.8044};
constexpr NistRow kNistP8Fglwe{"nist_p8_fglwe",
                               {729, 49, 2, 1024, 16, {22, 1}, {3, 4}},
                               kOneOne,
                               KeyChoice::big,
                               {{18, 1}, KeyChoice::big},
                               4,
                               1024,
                               0.5022};
constexpr NistRow kNistP32Fglwe{"nist_p32_fglwe",
                                {886, 45, 1, 2048, 16, {23, 1}, {4, 4}},
                                kTwoTwo,
                                KeyChoice::big,
                                {{18, 1}, KeyChoice::big},
                                2,
                                2048,
                                0.7499};

// Several levels and k > 1 everywhere, tiny polynomials: for the algebra only.
Params toy_a_set() {
  return {
      .name = "witan_toy_a",
      .compute = compute({4, 6, 2, 16, 4, {10, 2}, {4, 3}}, kTwoTwo, 5, 0, KeyChoice::big, CenteredMeanSwitch{}),
      .pke = pke(16, 4, kTwoTwo, ZkScheme::v2),
      .cast = KeySwitchParams{{4, 3}, KeyChoice::small},
      .compression = CompressionParams{.packing = {4, 2},
                                       .blind_rotation = {12, 1},
                                       .glwe_dimension = 2,
                                       .polynomial_size = 8,
                                       .lwe_per_glwe = 8,
                                       .storage_log_modulus = 12,
                                       .noise = {5}},
      .sns = SnsParams{2, 32, {8}, {24, 3}, CenteredMeanSwitch{}, kTwoTwo},
      .sns_compression = SnsCompressionParams{{41, 2}, 2, 16, 16, {3}, kTwoTwo},
      .rerandomization = DerivedRerandomization{},
      .oprf = true,
      .hamming = std::nullopt,
  };
}

// Small but functional: every operation decrypts to the right value.
Params toy_b_set() {
  return {
      .name = "witan_toy_b",
      .compute = compute({8, 10, 1, 256, 4, {23, 1}, {4, 4}}, kTwoTwo, 5, -64, KeyChoice::big, CenteredMeanSwitch{}),
      .pke = pke(64, 4, kTwoTwo, ZkScheme::v2),
      .cast = KeySwitchParams{{4, 4}, KeyChoice::small},
      .compression = CompressionParams{.packing = {4, 3},
                                       .blind_rotation = {23, 1},
                                       .glwe_dimension = 1,
                                       .polynomial_size = 64,
                                       .lwe_per_glwe = 64,
                                       .storage_log_modulus = 12,
                                       .noise = {4}},
      .sns = SnsParams{1, 256, {6}, {24, 3}, CenteredMeanSwitch{}, kTwoTwo},
      .sns_compression = SnsCompressionParams{{41, 2}, 2, 32, 32, {3}, kTwoTwo},
      .rerandomization = DerivedRerandomization{},
      .oprf = true,
      .hamming = std::nullopt,
  };
}

struct NamedSet {
  std::string_view name;
  Params (*make)();
};
constexpr std::array<NamedSet, 10> kSets{{
    {"default", default_set},
    {"test", test_set},
    {"test_reshare", test_reshare_set},
    {"nigel", nigel_set},
    {"nist_p8_lwe", [] { return nist_set(kNistP8Lwe); }},
    {"nist_p32_lwe", [] { return nist_set(kNistP32Lwe); }},
    {"nist_p8_fglwe", [] { return nist_set(kNistP8Fglwe); }},
    {"nist_p32_fglwe", [] { return nist_set(kNistP32Fglwe); }},
    {"witan_toy_a", toy_a_set},
    {"witan_toy_b", toy_b_set},
}};
constexpr auto kNames = [] {
  std::array<std::string_view, kSets.size()> names;
  for (std::size_t i = 0; i < kSets.size(); ++i) names[i] = kSets[i].name;
  return names;
}();

}  // namespace

Result<Params> params_by_name(std::string_view name) {
  for (const NamedSet& set : kSets)
    if (set.name == name) return set.make();
  std::string known;
  for (const std::string_view other : kNames) known += fmt::format("{}{}", known.empty() ? "" : ", ", other);
  return fail(Code::not_found, "no parameter set is called '{}'; there are {}", name, known);
}

std::span<const std::string_view> params_names() {
  return kNames;
}

Params params_of(FheParameter parameter) {
  return parameter == FheParameter::default_set ? default_set() : test_set();
}

CompactKeyParams Params::derived_rerandomization_key() const {
  return {.lwe_dimension = compute.big_dimension(),
          .noise = compute.glwe_noise,
          .space = compute.space,
          .expansion = NoCasting{pbs_order(compute.encryption_key)},
          .zk = ZkScheme::none};
}

bool Params::same_values(const Params& other) const {
  return compute == other.compute && pke == other.pke && cast == other.cast && compression == other.compression &&
         sns == other.sns && sns_compression == other.sns_compression && rerandomization == other.rerandomization &&
         oprf == other.oprf && hamming == other.hamming;
}

namespace {

// Bounds that no set of ours comes near; they keep the sizes computed from hostile parameters within 64 bits.
constexpr std::size_t kMaxDimension = 1 << 16;
constexpr std::size_t kMaxGlweDimension = 16;
constexpr std::size_t kMaxZeros = 1 << 16;

Status check_dimension(std::string_view what, std::size_t value, std::size_t max) {
  if (value < 1 || value > max) return fail(Code::invalid_argument, "{} is {}, expected 1 to {}", what, value, max);
  return {};
}
Status check_glwe(std::string_view what, std::size_t glwe_dimension, std::size_t polynomial_size) {
  WITAN_TRY(check_dimension(fmt::format("GLWE dimension of {}", what), glwe_dimension, kMaxGlweDimension));
  WITAN_TRY(check_dimension(fmt::format("polynomial size of {}", what), polynomial_size, kMaxDimension));
  if (polynomial_size < 8 || !std::has_single_bit(polynomial_size))
    return fail(Code::invalid_argument, "polynomial size of {} is {}, expected a power of two from 8 on", what,
                polynomial_size);
  return {};
}
Status check_decomposition(std::string_view what, const Decomposition& d, std::uint32_t word_bits) {
  if (d.base_log < 1 || d.base_log > 62 || d.level_count < 1 || d.level_count >= word_bits ||
      d.base_log * d.level_count >= word_bits)
    return fail(Code::invalid_argument, "{} has {} levels of {} bits, which do not fit below {} bits", what,
                d.level_count, d.base_log, word_bits);
  return {};
}
Status check_noise(std::string_view what, const TUniform& noise) {
  if (noise.bound_log2 > 61)
    return fail(Code::invalid_argument, "{} noise is TUniform({}), expected at most 61", what, noise.bound_log2);
  return {};
}
Status check_space(std::string_view what, const PlaintextSpace& space) {
  const auto fits = [](u64 modulus) { return modulus >= 2 && modulus <= 256 && std::has_single_bit(modulus); };
  if (!fits(space.message_modulus) || !fits(space.carry_modulus))
    return fail(Code::invalid_argument, "{} has message modulus {} and carry modulus {}, expected powers of two", what,
                space.message_modulus, space.carry_modulus);
  return {};
}
Status check_switch(std::string_view what, const ModulusSwitch& modulus_switch) {
  const auto* drift = std::get_if<DriftSwitch>(&modulus_switch);
  if (drift && (drift->zeros_count < 1 || drift->zeros_count > kMaxZeros || !(drift->bound > 0) ||
                !(drift->r_sigma_factor > 0) || !(drift->input_variance >= 0)))
    return fail(Code::invalid_argument, "drift technique of {} has values out of range", what);
  return {};
}

Status check_compute(const ComputeParams& c) {
  WITAN_TRY(check_dimension("LWE dimension", c.lwe_dimension, kMaxDimension));
  WITAN_TRY(check_glwe("the compute key", c.glwe_dimension, c.polynomial_size));
  WITAN_TRY(check_noise("LWE", c.lwe_noise));
  WITAN_TRY(check_noise("GLWE", c.glwe_noise));
  WITAN_TRY(check_decomposition("the bootstrap key", c.pbs, 64));
  WITAN_TRY(check_decomposition("the key switching key", c.keyswitch, 64));
  WITAN_TRY(check_space("the compute key", c.space));
  return check_switch("the bootstrap", c.modulus_switch);
}

Status check_pke(const CompactKeyParams& p, const KeySwitchParams& cast) {
  WITAN_TRY(check_dimension("dimension of the public key", p.lwe_dimension, kMaxDimension));
  if (!std::has_single_bit(p.lwe_dimension))
    return fail(Code::invalid_argument, "dimension of the public key is {}, expected a power of two", p.lwe_dimension);
  WITAN_TRY(check_noise("public key", p.noise));
  WITAN_TRY(check_space("the public key", p.space));
  return check_decomposition("the casting key", cast.decomposition, 64);
}

Status check_compression(const CompressionParams& c) {
  WITAN_TRY(check_glwe("the compression key", c.glwe_dimension, c.polynomial_size));
  WITAN_TRY(check_decomposition("the packing key", c.packing, 64));
  WITAN_TRY(check_decomposition("the decompression key", c.blind_rotation, 64));
  WITAN_TRY(check_noise("packing key", c.noise));
  WITAN_TRY(check_dimension("ciphertexts per GLWE", c.lwe_per_glwe, c.polynomial_size));
  return check_dimension("storage modulus, log2,", c.storage_log_modulus, 64);
}

Status check_sns(const SnsParams& s) {
  WITAN_TRY(check_glwe("the SnS key", s.glwe_dimension, s.polynomial_size));
  WITAN_TRY(check_decomposition("the SnS bootstrap key", s.decomposition, 128));
  WITAN_TRY(check_noise("SnS", s.noise));
  WITAN_TRY(check_space("the SnS key", s.space));
  return check_switch("SnS", s.modulus_switch);
}

Status check_sns_compression(const SnsCompressionParams& s) {
  WITAN_TRY(check_glwe("the SnS compression key", s.glwe_dimension, s.polynomial_size));
  WITAN_TRY(check_decomposition("the SnS packing key", s.packing, 128));
  WITAN_TRY(check_noise("SnS packing key", s.noise));
  WITAN_TRY(check_space("the SnS compression key", s.space));
  return check_dimension("squashed ciphertexts per GLWE", s.lwe_per_glwe, s.polynomial_size);
}

}  // namespace

Status Params::validate() const {
  WITAN_TRY(check_compute(compute));
  if (pke.has_value() != cast.has_value())
    return fail(Code::invalid_argument, "a public key and a casting key need each other");
  if (pke) WITAN_TRY(check_pke(*pke, *cast));
  if (compression) WITAN_TRY(check_compression(*compression));
  if (sns) WITAN_TRY(check_sns(*sns));
  if (sns_compression && !sns) return fail(Code::invalid_argument, "SnS compression without SnS");
  if (sns_compression) WITAN_TRY(check_sns_compression(*sns_compression));
  if (rerandomization) {
    const auto* legacy = std::get_if<LegacyRerandomization>(&*rerandomization);
    if (legacy && !pke) return fail(Code::invalid_argument, "legacy re-randomisation without a public key");
    if (legacy) WITAN_TRY(check_decomposition("the re-randomisation key", legacy->keyswitch.decomposition, 64));
  }
  if (hamming && !(hamming->pmax > 0.5 && hamming->pmax <= 1))
    return fail(Code::invalid_argument, "Hamming bound pmax is {}, expected above 0.5 and at most 1", hamming->pmax);
  return {};
}

}  // namespace witan::tfhe
