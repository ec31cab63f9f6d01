#include "tfhe/test_ciphertext.h"

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/separators.h"
#include "tfhe/evaluate.h"
#include "tfhe/expand.h"

namespace witan::tfhe {
namespace {

// About a millisecond each.
constexpr std::size_t kProductsPerPiece = std::size_t{1} << 21;      // of a key switch, words times digits
constexpr std::size_t kCoefficientsPerPiece = std::size_t{1} << 16;  // of rows that are expanded and transformed
constexpr std::size_t kRotatedPerPiece = 4;                          // LWEs, by the bits of such rows

const FheTypeInfo& type() {
  return info(FheType::uint64);
}

/// Bytes of a mask stream from a position on.
class CoinStream final : public Rng {
 public:
  explicit CoinStream(ByteView record) : CoinStream(crypto::derive_xof_stream(record)) {}
  void fill(MutableByteView out) override {
    stream_.read(position_, out);
    position_ += out.size();
  }

 private:
  explicit CoinStream(const crypto::XofStream& stream) : stream_(stream.key, stream.offset) {}
  crypto::AesStream stream_;
  u128 position_ = 0;
};

}  // namespace

Confirmed confirmed(ComponentKind kind) {
  switch (kind) {
    case ComponentKind::public_key:
    case ComponentKind::cast_ksk:
    case ComponentKind::bsk:
    case ComponentKind::ksk:
    case ComponentKind::sns_bsk:
      return Confirmed::by_both_forms;
    case ComponentKind::sns_compression_packing:
      return Confirmed::by_compressed_form;
    case ComponentKind::compression_packing:
    case ComponentKind::decompression_bsk:
    case ComponentKind::drift_zeros:
    case ComponentKind::sns_drift_zeros:
    case ComponentKind::rerandomization_key:
    case ComponentKind::rerandomization_ksk:
    case ComponentKind::oprf_bsk:
      return Confirmed::not_at_all;
  }
  return Confirmed::not_at_all;
}

namespace {

constexpr std::uint32_t kLayout = 1;

void append_words(Writer& out, const std::vector<u128>& words) {
  for (const u128 word : words) out.u128(word);
}

std::vector<u128> read_words(Reader& in, std::size_t count) {
  std::vector<u128> out(count);
  for (u128& word : out) word = in.u128();
  return out;
}

}  // namespace

Bytes TestCiphertext::encode() const {
  Writer out;
  out.u32(kLayout).u64(value).u64(expanded.size()).u64(compressed.size());
  for (const auto& lwe : expanded) append_words(out, lwe.data);
  for (const auto& glwe : compressed) append_words(out, glwe.data);
  return out.take();
}

Result<TestCiphertext> TestCiphertext::decode(ByteView record, const Params& params) {
  if (!params.sns || !params.sns_compression)
    return fail(Code::invalid_argument, "parameters {} do not squash", params.name);
  const auto blocks = static_cast<std::size_t>(type().packed_blocks);
  const std::size_t per_glwe = params.sns_compression->lwe_per_glwe, glwes = (blocks + per_glwe - 1) / per_glwe;
  Reader in(record);
  TestCiphertext out;
  if (in.u32() != kLayout) in.mark_failed();
  out.value = in.u64();
  if (in.u64() != blocks || in.u64() != glwes) in.mark_failed();
  for (std::size_t i = 0; i < blocks && !in.failed(); ++i)
    out.expanded.emplace_back().data = read_words(in, params.sns->dimension() + 1);
  for (std::size_t i = 0; i < glwes && !in.failed(); ++i) {
    const std::size_t bodies = std::min(per_glwe, blocks - i * per_glwe);
    out.compressed.push_back({read_words(in, params.sns_compression->dimension() + bodies),
                              params.sns_compression->glwe_dimension, params.sns_compression->polynomial_size});
  }
  WITAN_TRY(in.finish("a test ciphertext"));
  return out;
}

Result<TestList> make_test_list(const CompactPublicKey& public_key, const KeyId& key) {
  Bytes record;
  append(record, crypto::separators::kKeyConfirmation.view());
  append(record, key.view());
  CoinStream coins(record);
  TestList out;
  out.value = coins.next<u64>();
  WITAN_ASSIGN(const CompactValue value, compact_value(type().type, U256(out.value)));
  WITAN_ASSIGN(out.list, encrypt_compact_list(public_key, std::span(&value, 1), coins, ListPacking::single_blocks));
  return out;
}

// The pieces.

TestCiphertextMaker::KeySwitch::KeySwitch(const SeededKsk& ksk, std::vector<Lwe<u64>> lwes)
    : key(&ksk), in(std::move(lwes)) {
  for (const Lwe<u64>& lwe : in) {
    out.emplace_back(ksk.output_dimension);
    out.back().body() = lwe.body();
  }
}

bool TestCiphertextMaker::KeySwitch::advance() {
  const std::size_t levels = key->decomposition.level_count, words = key->data.size() / levels;
  const std::size_t products = levels * (key->output_dimension + 1) * in.size();  // of one word
  const std::size_t count = std::min(std::max<std::size_t>(kProductsPerPiece / products, 1), words - next);
  keyswitch_part(expand_part(*key, next, count), next, in, out);
  next += count;
  return next == words;
}

template <Word W>
TestCiphertextMaker::Bootstrap<W>::Bootstrap(const SeededBootstrapKey<W>& bootstrap, const std::vector<Lwe<u64>>& lwes,
                                             const Glwe<W>& table)
    : key(&bootstrap.bsk), accumulators(lwes.size(), table) {
  const ModulusSwitchKey switching = expand(bootstrap.modulus_switch);
  const int log_modulus = std::countr_zero(2 * table.polynomial_size);
  for (const Lwe<u64>& lwe : lwes) in.push_back(modulus_switch(switching, lwe, log_modulus));
  begin_rotation<W>(in, accumulators);
}

template <Word W>
bool TestCiphertextMaker::Bootstrap<W>::advance() {
  const std::size_t bits = key->input_dimension();
  if (!part) {
    const std::size_t columns = key->glwe_dimension + 1;
    const std::size_t coefficients = key->decomposition.level_count * columns * columns * key->polynomial_size;
    part.emplace(*key, next_bit,
                 std::min(std::max<std::size_t>(kCoefficientsPerPiece / coefficients, 1), bits - next_bit));
    next_lwe = 0;
    return false;
  }
  const std::size_t count = std::min(kRotatedPerPiece, in.size() - next_lwe);
  rotate_part<W>(*part, next_bit, std::span(in).subspan(next_lwe, count),
                 std::span(accumulators).subspan(next_lwe, count));
  next_lwe += count;
  if (next_lwe < in.size()) return false;
  next_bit += part->input_dimension();
  part.reset();
  return next_bit == bits;
}

template <Word W>
std::vector<Lwe<W>> TestCiphertextMaker::Bootstrap<W>::results() const {
  std::vector<Lwe<W>> out;
  for (const Glwe<W>& accumulator : accumulators) out.push_back(sample_extract(accumulator, 0));
  return out;
}

TestCiphertextMaker::Packing::Packing(const SeededSnsCompressionKey& compression, std::vector<Lwe<u128>> lwes)
    : key(&compression.packing), in(std::move(lwes)), lwe_per_glwe(compression.lwe_per_glwe) {
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (i % lwe_per_glwe == 0) out.emplace_back(key->glwe_dimension, key->polynomial_size);
    out.back().body()[i % lwe_per_glwe] = in[i].body();
  }
}

std::span<const Lwe<u128>> TestCiphertextMaker::Packing::of_glwe(std::size_t number) const {
  const std::size_t first = number * lwe_per_glwe;
  return std::span(in).subspan(first, std::min(lwe_per_glwe, in.size() - first));
}

bool TestCiphertextMaker::Packing::advance() {
  const std::size_t levels = key->decomposition.level_count, words = key->data.size() / key->polynomial_size / levels;
  const std::size_t coefficients = levels * (key->glwe_dimension + 1) * key->polynomial_size;  // of one word
  const std::size_t count = std::min(std::max<std::size_t>(kCoefficientsPerPiece / coefficients, 1), words - next);
  for (std::size_t g = 0; g < out.size(); ++g) {
    std::vector<const Lwe<u128>*> lwes;
    for (const Lwe<u128>& lwe : of_glwe(g)) lwes.push_back(&lwe);
    pack_part<u128>(*key, next, count, lwes, out[g]);
  }
  next += count;
  return next == words;
}

// The way.

namespace {

std::vector<Lwe<u64>> elements_of(const CompactList& list) {
  std::vector<Lwe<u64>> out;
  for (std::size_t i = 0; i < list.ciphertext_count; ++i) out.push_back(compact_list_element(list, i));
  return out;
}

/// Low + 4 * high of 2-bit blocks (threshold-tfhe.md 6.2, step 1).
std::vector<Lwe<u64>> pairs_of(const std::vector<Lwe<u64>>& blocks, u64 message_modulus) {
  std::vector<Lwe<u64>> out;
  for (std::size_t i = 0; i + 1 < blocks.size(); i += 2) {
    out.push_back(blocks[i]);
    for (std::size_t j = 0; j < out.back().data.size(); ++j)
      out.back().data[j] += message_modulus * blocks[i + 1].data[j];
  }
  return out;
}

Status has_everything(const CompressedServerKey& key) {
  const auto missing = [](std::string_view part) {
    return fail(Code::failed_precondition, "the key set has no {}: its key cannot be confirmed", part);
  };
  if (!key.cast) return missing("casting key");
  if (!key.sns) return missing("Switch-and-Squash key");
  if (!key.sns_compression) return missing("Switch-and-Squash compression key");
  if (key.order != PbsOrder::keyswitch_bootstrap || key.cast->destination != KeyChoice::small)
    return fail(Code::failed_precondition,
                "the key set bootstraps first or casts to the big key: such a key cannot be confirmed");
  if (key.space != PlaintextSpace{4, 4})
    return fail(Code::failed_precondition, "the key set has moduli {} and {}, expected 4 and 4",
                key.space.message_modulus, key.space.carry_modulus);
  return {};
}

}  // namespace

Result<TestCiphertextMaker> TestCiphertextMaker::begin(std::shared_ptr<const CompressedKeySet> set, const KeyId& key) {
  WITAN_TRY(check(*set));
  WITAN_TRY(has_everything(set->server_key));
  WITAN_ASSIGN(const TestList test, make_test_list(public_key_of(*set), key));
  return TestCiphertextMaker(std::move(set), test);
}

TestCiphertextMaker::TestCiphertextMaker(std::shared_ptr<const CompressedKeySet> set, const TestList& test)
    : set_(std::move(set)), work_(KeySwitch(set_->server_key.cast->ksk, elements_of(test.list))) {
  out_.value = test.value;
}

void TestCiphertextMaker::next() {
  WITAN_CHECK(!done_);
  if (std::visit([](auto& work) { return work.advance(); }, work_)) begin_next_stage();
}

void TestCiphertextMaker::begin_next_stage() {
  const CompressedServerKey& key = set_->server_key;
  switch (stage_) {
    case Stage::cast: {
      const auto& bsk = key.bootstrap.bsk;
      const auto table = lookup_table<u64>(bsk.glwe_dimension, bsk.polynomial_size, key.space.size(), [&](u64 x) {
        return x % key.space.message_modulus << delta_log2<u64>(key.space);
      });
      work_ = Bootstrap<u64>(key.bootstrap, std::get<KeySwitch>(work_).out, table);
      stage_ = Stage::bootstrap;
      return;
    }
    case Stage::bootstrap:
      work_ = KeySwitch(key.ksk, pairs_of(std::get<Bootstrap<u64>>(work_).results(), key.space.message_modulus));
      stage_ = Stage::keyswitch;
      return;
    case Stage::keyswitch: {
      const auto& bsk = key.sns->bootstrap.bsk;
      const auto table = lookup_table<u128>(bsk.glwe_dimension, bsk.polynomial_size, key.sns->space.size(),
                                            [&](u64 x) { return u128{x} << delta_log2<u128>(key.sns->space); });
      work_ = Bootstrap<u128>(key.sns->bootstrap, std::get<KeySwitch>(work_).out, table);
      stage_ = Stage::squash;
      return;
    }
    case Stage::squash:
      out_.expanded = std::get<Bootstrap<u128>>(work_).results();
      work_ = Packing(*key.sns_compression, out_.expanded);
      stage_ = Stage::pack;
      return;
    case Stage::pack: {
      Packing& packing = std::get<Packing>(work_);
      for (std::size_t g = 0; g < packing.out.size(); ++g) {
        Glwe<u128>& glwe = packing.out[g];
        const std::size_t k = glwe.glwe_dimension(), n = glwe.polynomial_size;
        glwe.data.resize(k * n + packing.of_glwe(g).size());
        out_.compressed.push_back({std::move(glwe.data), k, n});
      }
      done_ = true;
      return;
    }
  }
}

TestCiphertext TestCiphertextMaker::take() {
  WITAN_CHECK(done_);
  return std::move(out_);
}

}  // namespace witan::tfhe
