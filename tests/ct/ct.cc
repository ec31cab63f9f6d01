// Constant time (CONTRIBUTING.md): secrets are marked as undefined for valgrind's memcheck, which then reports every branch and
// every address that depends on them. Run as `valgrind witan_ct`; what is public again is said so by release().
//
//   witan_ct           every kernel that touches secrets: exit 0 if nothing was reported
//   witan_ct --leaky   twins of two of them that leak on purpose: exit 0 if each of them was reported
#include <fmt/core.h>
#include <valgrind/memcheck.h>

#include <cstring>
#include <functional>
#include <numeric>

#include "algebra/shamir.h"
#include "crypto/aes.h"
#include "crypto/ecdsa.h"
#include "crypto/ed25519.h"
#include "crypto/separators.h"
#include "mpc/bit_kernel.h"
#include "mpc/epoch_keys.h"
#include "mpc/prss.h"
#include "protocols/key_rows.h"
#include "support/support.h"
#include "tfhe/encrypt.h"
#include "tfhe/keygen.h"
#include "tfhe/poly.h"

namespace witan {
namespace {

using algebra::Gr;
using algebra::Share;
using algebra::Z128;
using algebra::Z64;

template <class T>
void poison(T* data, std::size_t count = 1) {
  static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(data, count * sizeof(T)));
}
template <class T>
void release(const T* data, std::size_t count = 1) {
  static_cast<void>(VALGRIND_MAKE_MEM_DEFINED(data, count * sizeof(T)));
}

/// Random bytes that nobody may look at.
class SecretRng final : public Rng {
 public:
  void fill(MutableByteView out) override {
    rng_.fill(out);
    poison(out.data(), out.size());
  }

 private:
  test::SeededRng rng_{"ct"};
};

SecretRng rng;
volatile std::uint8_t sink;

/// Uses a value, so that the compiler must compute it.
template <class T>
void use(const T& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  std::uint8_t sum = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) sum ^= bytes[i];
  sink = sum;
}

template <algebra::Word Z>
Gr<Z> secret_element() {
  return algebra::random_element<Z>(rng);
}

template <algebra::Word Z>
void ring() {
  Gr<Z> a = secret_element<Z>();
  const Gr<Z> b = secret_element<Z>();
  use(a * b);
  use(a += b);
  use(a -= b);
  ByteArray<Gr<Z>::kSizeBytes> bytes;
  a.encode(bytes.data());
  use(bytes);
}

template <algebra::Word Z>
void dealing() {
  for (const auto& share : algebra::deal<Z>(secret_element<Z>(), 4, 13, rng)) use(share.value);
}

void reduction() {
  use(reduce_mod_2_64(Share<Z128>{secret_element<Z128>()}).value);
}

const CommitteeSize kCommittee = CommitteeSize::make(4, 1).value();

mpc::SetKeys set_keys() {
  std::size_t count = 0;
  for (const auto set : mpc::key_sets(kCommittee)) count += set.contains(Role(2));
  std::vector<mpc::SetKey> keys(count);
  for (auto& key : keys) rng.fill(key);
  return {kCommittee, Role(2), Secret<std::vector<mpc::SetKey>>(std::move(keys))};
}

mpc::ZeroKeys zero_keys() {
  std::size_t count = 0;
  for (const auto set : mpc::zero_sets(kCommittee)) count += !set.contains(Role(2));
  std::vector<mpc::SetKey> keys(count);
  for (auto& key : keys) rng.fill(key);
  return {kCommittee, Role(2), Secret<std::vector<mpc::SetKey>>(std::move(keys))};
}

template <algebra::Word Z>
void prss() {
  const mpc::SetKeys keys = set_keys();
  const mpc::Prss<Z> prss(keys, SessionId{u128{5}});
  use(prss.random(3).value);
  use(prss.zero(3).value);
  use(prss.base(3).value);
}

void epoch_records() {
  std::vector<Share<Z64>> shares(mpc::zero_sets(kCommittee).size());
  for (auto& share : shares) share.value = secret_element<Z64>();
  const mpc::EpochKeys keys(set_keys(), zero_keys(), Secret(std::move(shares)));
  use(keys.encode().reveal()[40]);
}

/// Keys side by side: key schedule, blocks, streams, sums. Valgrind shows no VAES, so there are these two.
void aes_keys(mpc::AesTarget target) {
  mpc::choose_aes_target(target);
  std::vector<mpc::SetKey> secrets(7), blocks(7);
  for (auto& secret : secrets) rng.fill(secret);
  for (auto& block : blocks) rng.fill(block);
  const mpc::AesKeys keys(secrets);
  keys.encrypt_each(blocks);
  for (const auto& block : blocks) use(block);
  std::vector<u128> stream(9), sums(5 * keys.row_size());
  keys.encrypt_counters(3, 100, 7, stream);
  for (const auto& word : stream) use(word);
  keys.add_pairs(0, 111, sums);
  for (const auto& word : sums) use(word);
  mpc::choose_aes_target(std::nullopt);
}

/// Random bits, noises, base draws and zero sharings; what was opened is public.
template <algebra::Word Z>
void random_bits(mpc::AesTarget aes, mpc::SumTarget sum) {
  mpc::choose_aes_target(aes);
  mpc::choose_sum_target(sum);
  const mpc::ZeroKeys zeros = zero_keys();
  const mpc::BitKernel<Z> kernel(set_keys(), zeros, SessionId{u128{5}});
  std::vector<Share<Z>> a(20), w(5), bits(20), noise(5);
  std::vector<mpc::BaseShare<Z>> base(3);
  std::vector<Z> opened(20);
  test::SeededRng open("opened words");
  for (Z& word : opened) word = open.next<Z>() & ~Z{1};
  use(kernel.prepare(7, a, w).has_value());
  use(kernel.base(7, base).has_value());
  use(kernel.zero(7, noise).has_value());
  for (const auto& draw : base) use(draw.value);
  for (const auto& share : w) use(share.value);
  for (const auto& share : noise) use(share.value);
  use(mpc::BitKernel<Z>::bits(a, std::span<const Z>(opened), bits).has_value());
  for (const auto& share : bits) use(share.value);
  use(mpc::packed_noises<Z>(a, opened, 3, std::span(noise).first(1)).has_value());
  use(noise[0].value);
  const mpc::ZeroSharings<Z> definition(zeros, SessionId{u128{5}});
  use(definition.at(3).value);
  mpc::choose_aes_target(std::nullopt);
  mpc::choose_sum_target(std::nullopt);
}

void masks() {
  const mpc::MaskGenerator generator(set_keys());
  const auto shares = generator.masks(SessionId{u128{5}}, crypto::Digest{1}, 0, 70).value();
  for (const auto& share : shares.reveal()) use(share.value);
}

protocols::KeyShares key_shares() {
  const auto params = tfhe::params_by_name("test").value();
  protocols::KeyShares out;
  for (std::size_t name = 0; name < tfhe::kKeyNames; ++name) {
    std::vector<Share<Z128>> shares(tfhe::key_bits(params, static_cast<tfhe::KeyName>(name)));
    for (auto& share : shares) share.value = secret_element<Z128>();
    out.keys[name] = protocols::SharedKey(shares);
  }
  return out;
}

void partial_decryption(algebra::DotTarget target) {
  algebra::choose_dot_target(target);
  const auto keys = key_shares();
  const auto& key = keys.of(tfhe::KeyName::sns);
  tfhe::Lwe<u128> ciphertext(key.size());
  test::SeededRng open("ciphertext");
  for (auto& word : ciphertext.mask()) word = open.next<u128>();
  use(partial_decrypt(key, std::span(&ciphertext, 1)).reveal()[0].value);
  algebra::choose_dot_target(std::nullopt);
}

void partial_decryption_of_glwes() {
  const auto keys = key_shares();
  const auto& params = tfhe::params_by_name("test").value();
  const auto& key = keys.of(tfhe::KeyName::sns_compression);
  constexpr std::size_t kBodies = 5;
  tfhe::PartialGlwe<u128> glwe{std::vector<u128>(key.size() + kBodies), params.sns_compression->glwe_dimension,
                               params.sns_compression->polynomial_size};
  test::SeededRng open("glwe");
  for (auto& word : glwe.data) word = open.next<u128>();
  for (const auto products : {protocols::GlweProducts::dot, protocols::GlweProducts::transform}) {
    const auto parts = partial_decrypt(key, glwe, 0, kBodies, products);
    for (const auto& part : parts.reveal()) use(part.value);
  }
}

void key_share_records() {
  const auto record = key_shares().encode();
  const auto again = protocols::KeyShares::decode(record.reveal(), tfhe::params_by_name("test").value()).value();
  use(again.of(tfhe::KeyName::sns).at(7).value);
}

void comparison() {
  ByteArray<32> a, b;
  rng.fill(a);
  rng.fill(b);
  bool equal = equal_constant_time(a, b);
  use(equal);
  release(&equal);
}

/// A key whose scalar is secret from now on.
crypto::SigningKey signing_key() {
  test::SeededRng open("signing key");
  auto key = crypto::SigningKey::generate(open);
  poison(const_cast<std::uint8_t*>(key.reveal().data()), key.reveal().size());
  return key;
}

void signing() {
  const auto key = signing_key();
  use(key.sign_internal(crypto::separators::kPublicDecryption, ByteArray<5>{1, 2, 3}));
  use(key.sign_digest(crypto::Digest{9}));
}

void stored_signing_key() {
  const auto key = signing_key();
  use(key.stored().reveal()[20]);
}

void derived_keys() {
  const auto key = signing_key();
  const auto seed = crypto::derived_seed(key, crypto::Scheme::ed25519);
  use(seed.reveal());
}

void aes() {
  ByteArray<16> key;
  rng.fill(key);
  const crypto::Aes128 aes(key);
  ByteArray<64> blocks{};
  aes.encrypt(blocks);
  use(blocks);
}

template <class W>
void products() {
  constexpr std::size_t kSize = 128;
  std::vector<W> accumulator(kSize), public_words(kSize), secret_words(kSize);
  test::SeededRng open("words");
  for (auto& word : public_words) word = open.next<W>();
  for (auto& word : secret_words) word = rng.next<W>();
  std::vector<std::uint8_t> bits(kSize);
  rng.fill(bits);
  for (auto& bit : bits) bit &= 1;
  tfhe::add_binary_product<W>(accumulator, public_words, bits);
  tfhe::add_product<W>(accumulator, public_words, secret_words);
  use(std::accumulate(accumulator.begin(), accumulator.end(), W{0}));
}

void noise() {
  tfhe::RngNoise source(rng);
  std::vector<tfhe::i64> samples(50);
  for (const int bound : {0, 17, 42}) {
    source.fill(tfhe::TUniform{static_cast<std::uint32_t>(bound)}, samples);
    use(std::accumulate(samples.begin(), samples.end(), tfhe::i64{0}));
  }
}

/// Secret keys and one row of every component of a key set.
void key_rows() {
  const auto params = tfhe::params_by_name("test").value();
  const auto keys = tfhe::generate_secret_keys(params, rng);
  tfhe::RngNoise source(rng);
  for (const auto& component : tfhe::key_components(params)) {
    const tfhe::MaskReader mask(
        {tfhe::key_set_seed(u128{5}), tfhe::StreamPosition::from_bytes(component.stream_offset_bytes)});
    const auto one_row = [&]<class W>(W) {
      std::vector<W> body(component.body_words());
      const tfhe::KeyFactor<W> factor(component, keys.bits(component.under));
      tfhe::generate_bodies<W>(component, keys, factor, mask, source, 0, 1, body);
      use(body[0]);
    };
    if (component.word_bits == 64)
      one_row(tfhe::u64{});
    else
      one_row(u128{});
  }
}

template <algebra::Word Z>
std::vector<Share<Z>> secret_shares(std::size_t count) {
  std::vector<Share<Z>> out(count);
  for (auto& share : out) share.value = secret_element<Z>();
  return out;
}

/// Shares of the first bodies of every component, by transforms and (with the toy parameters) by Karatsuba.
void shares_of_bodies() {
  for (const char* name : {"test", "witan_toy_a"}) {
    for (const auto& component : tfhe::key_components(tfhe::params_by_name(name).value())) {
      const auto one_element = [&]<class Z>(Z) {
        const protocols::RowRange rows{0, component.shape == tfhe::RowShape::lwe ? 4u : 1u};
        const std::size_t levels = component.decomposition.level_count,
                          inputs = protocols::inputs_of(component, rows).count,
                          rows_per_level = component.shape == tfhe::RowShape::ggsw ? component.glwe_dimension + 1 : 1;
        const protocols::BodyRows<Z> kernel(
            component, tfhe::MaskReader({tfhe::key_set_seed(u128{5}), {}}), secret_shares<Z>(component.mask_words()),
            secret_shares<Z>(component.input ? component.rows / (levels * rows_per_level) : 0));
        const auto noises = secret_shares<Z>(protocols::elements_of(component, rows).count),
                   products = secret_shares<Z>(inputs * component.mask_words() / 4);
        use(kernel.compute(rows, {noises, products}).reveal()[0].value);
      };
      if (component.word_bits == 64)
        one_element(Z64{});
      else
        one_element(Z128{});
    }
  }
}

/// What is opened of a slice of products, and the products after that.
template <algebra::Word Z>
void products_of_key_bits() {
  constexpr std::size_t kInputs = 3, kOutputs = 8;
  const auto x = secret_shares<Z>(kInputs), y = secret_shares<Z>(kOutputs),
             z = secret_shares<Z>(kInputs * kOutputs / 4);
  const protocols::SliceShares<Z> slice{x, y, z};
  const auto differences =
      protocols::difference_shares<Z>(secret_shares<Z>(kInputs), secret_shares<Z>(kOutputs), slice);
  for (const auto& share : differences.reveal()) use(share.value);
  std::vector<Share<Z>> out(kInputs * kOutputs / 4);
  protocols::multiply_slice<Z>(slice, {.eps = {1, 2, 3}, .rho = {Gr<Z>::one(), Gr<Z>{{4, 5, 6, 7}}}}, 0, kInputs, out,
                               kOutputs / 4);
  for (const auto& share : out) use(share.value);
}

// Twins that leak.

void leaky_comparison() {
  ByteArray<32> a, b;
  rng.fill(a);
  rng.fill(b);
  std::size_t i = 0;
  while (i < a.size() && a[i] == b[i]) ++i;
  use(i);
}

void leaky_table() {
  static const auto table = [] {
    ByteArray<256> out;
    std::iota(out.begin(), out.end(), std::uint8_t{0});
    return out;
  }();
  ByteArray<1> secret;
  rng.fill(secret);
  use(table[secret[0]]);
}

struct Case {
  const char* name;
  std::function<void()> run;
  unsigned public_branches = 0;  // reports that are expected: they depend on what is public
};

/// libsecp256k1 branches on whether nonce and signature came out valid, and our code on its result and on the finished
/// signature; the library is built without the marks that would say so. Two signatures.
constexpr unsigned kSigningBranches = 7;

/// Reports of memcheck while it runs.
unsigned reports_of(const Case& each) {
  const auto before = VALGRIND_COUNT_ERRORS;
  each.run();
  return static_cast<unsigned>(VALGRIND_COUNT_ERRORS - before);
}

int run(bool leaky) {
  if (RUNNING_ON_VALGRIND == 0) {
    fmt::print(stderr, "run this under valgrind: valgrind witan_ct\n");
    return 2;
  }
  const std::vector<Case> kernels = {
      {"ring 64", ring<Z64>},
      {"ring 128", ring<Z128>},
      {"dealing 64", dealing<Z64>},
      {"dealing 128", dealing<Z128>},
      {"reduction of shares", reduction},
      {"prss 64", prss<Z64>},
      {"prss 128", prss<Z128>},
      {"records of epochs", epoch_records},
      {"AES under many keys, portable", [] { aes_keys(mpc::AesTarget::portable); }},
      {"AES under many keys, AES-NI", [] { aes_keys(mpc::AesTarget::aes_ni); }},
      {"random bits 64, scalar", [] { random_bits<Z64>(mpc::AesTarget::portable, mpc::SumTarget::scalar); }},
      {"random bits 64, AVX2", [] { random_bits<Z64>(mpc::AesTarget::aes_ni, mpc::SumTarget::avx2); }},
      {"random bits 128, scalar", [] { random_bits<Z128>(mpc::AesTarget::portable, mpc::SumTarget::scalar); }},
      {"random bits 128, AVX2", [] { random_bits<Z128>(mpc::AesTarget::aes_ni, mpc::SumTarget::avx2); }},
      {"mask keys and masks", masks},
      {"partial decryption, scalar", [] { partial_decryption(algebra::DotTarget::scalar); }},
      {"partial decryption, AVX2", [] { partial_decryption(algebra::DotTarget::avx2); }},
      {"partial decryption of GLWEs", partial_decryption_of_glwes},
      {"records of key shares", key_share_records},
      {"comparison", comparison},
      {"ECDSA, both forms", signing, kSigningBranches},
      {"record of the signing key", stored_signing_key},
      {"derived keys", derived_keys},
      {"AES key schedule and blocks", aes},
      {"products 64", products<tfhe::u64>},
      {"products 128", products<u128>},
      {"noise", noise},
      {"secret keys and rows of key sets", key_rows},
      {"shares of bodies", shares_of_bodies},
      {"products of key bits 64", products_of_key_bits<Z64>},
      {"products of key bits 128", products_of_key_bits<Z128>},
  };
  const std::vector<Case> twins = {{"leaky comparison", leaky_comparison}, {"leaky table", leaky_table}};
  int failed = 0;
  for (const Case& each : leaky ? twins : kernels) {
    const unsigned reports = reports_of(each);
    const bool good = leaky ? reports > 0 : reports == each.public_branches;
    failed += !good;
    fmt::print("{} {}: {} reports\n", good ? "ok  " : "FAIL", each.name, reports);
    std::fflush(stdout);
  }
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace witan

int main(int argc, char** argv) {
  return witan::run(argc > 1 && std::strcmp(argv[1], "--leaky") == 0);
}
