// Keys of tfhe-rs mean what layer tfhe takes them for: parameters, seeds, positions, and every kind of row decrypted.
#include <gtest/gtest.h>

#include <algorithm>

#include "tfhe/expand.h"
#include "tfhe/keygen.h"
#include "tfhe_rs/tfhe_rs_testing.h"

namespace witan::tfhe_rs {
namespace {

using tfhe::ComponentKind;
using tfhe::KeyName;
using tfhe::RowShape;

TEST(ClientKey, ParametersAreThoseOfTheTable) {
  for (const auto& [file, name] : {std::pair{"tfhe/native-1.7.0/test/client_key.bin", "test"},
                                   {"tfhe/native-1.7.0/default/client_key.bin", "default"},
                                   {"tfhe/synthetic/kms_test_client_key.bin", "test"},
                                   {"tfhe/synthetic/default_client_key.bin", "default"}}) {
    const auto key = read_client_key(test::read_data(file)).value();
    const auto params = tfhe::params_by_name(name).value();
    EXPECT_TRUE(key.params.same_values(params)) << file;
    EXPECT_TRUE(key.keys.check(params)) << file;
    EXPECT_EQ(key.tag.size(), 32u) << file;
  }
}

// sns_keys.json: the same keys, taken out of the file by the Rust program that made it.
TEST(ClientKey, SquashedNoiseKeysAreThoseOfTheGenerator) {
  const std::string text = test::read_json("tfhe/native-1.7.0/sns_keys.json").dump();
  for (const std::string set : {"test", "default"}) {
    const auto key = read_client_key(test::read_data("tfhe/native-1.7.0/" + set + "/client_key.bin")).value();
    const auto bits = key.keys.bits(KeyName::sns);
    Bytes packed(bits.size() / 8);
    for (std::size_t i = 0; i < bits.size(); ++i)
      packed[i / 8] = static_cast<std::uint8_t>(packed[i / 8] | bits[i] << (i % 8));
    EXPECT_NE(text.find(to_hex(packed)), std::string::npos) << set;
  }
}

TEST(PublicKey, NativeOneIsTheExpandedOneOfItsKeySet) {
  for (const auto& [set_file, key_file] :
       {std::pair{"tfhe/native-1.7.0/test/compressed_xof_key_set.bin", "tfhe/native-1.7.0/test/compact_public_key.bin"},
        {"tfhe/synthetic/kms_test_compressed_xof_key_set.bin", "tfhe/synthetic/kms_test_compact_public_key.bin"}}) {
    const auto set = read_key_set(test::read_data(set_file)).value();
    EXPECT_EQ(to_bytes(tfhe::public_key_of(set), 1u), test::read_data(key_file)) << key_file;
  }
}

// decompress() of the package, for seeds of 1.3 and 1.7.
TEST(PublicKey, ExpandsAsThePackageExpandsIt) {
  for (const std::string folder :
       {"tfhe/1.3.0/kms_test/", "tfhe/1.3.0/default/", "tfhe/1.7.0/kms_test/", "tfhe/1.7.0/default/"}) {
    const auto seeded =
        read_compressed_public_key(test::read_data(folder + "compressed_compact_public_key.bin"), Trailing::reject)
            .value();
    const auto plain =
        read_public_key(test::read_data(folder + "compressed_compact_public_key.decompressed.bin"), Trailing::reject)
            .value();
    EXPECT_EQ(tfhe::expand(seeded.key, seeded.tag), plain) << folder;
  }
}

TEST(KeySet, FieldsAreThoseOfTheSpecification) {
  const auto native = read_key_set(test::read_data("tfhe/native-1.7.0/test/compressed_xof_key_set.bin")).value();
  const Status good = tfhe::check(native);
  EXPECT_TRUE(good) << good.error().message;
  EXPECT_EQ(native.server_key.max_degree, 12u);
  EXPECT_FALSE(native.starts_at_second_byte);
  EXPECT_EQ(native.public_key.tag, native.server_key.tag);
  const auto synthetic = read_key_set(test::read_data("tfhe/synthetic/kms_test_compressed_xof_key_set.bin")).value();
  EXPECT_TRUE(tfhe::check(synthetic));
  EXPECT_EQ(synthetic.server_key.max_degree, 15u);
  EXPECT_EQ(synthetic.seed, tfhe::key_set_seed(load_le<u128>(test::hex("000102030405060708090a0b0c0d0e0f").data())));
}

/// Gives pieces of changing sizes, up to a place where it ends or fails.
class PieceSource final : public Source {
 public:
  PieceSource(ByteView bytes, std::size_t piece, std::size_t end, bool fails = false)
      : bytes_(bytes), piece_(piece), end_(end), fails_(fails) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  Result<std::size_t> read(MutableByteView out) override {
    if (at_ == end_ && fails_) return fail(Code::unavailable, "the disk is gone");
    const std::size_t size = std::min({out.size(), piece_ + at_ % 3, end_ - at_});
    std::ranges::copy(bytes_.subspan(at_, size), out.begin());
    at_ += size;
    return size;
  }
  std::size_t read_bytes() const { return at_; }

 private:
  ByteView bytes_;
  std::size_t piece_, end_, at_ = 0;
  bool fails_;
};

TEST(KeySet, AStreamGivesWhatItsBytesGive) {
  const Bytes bytes = test::read_data("tfhe/native-1.7.0/test/compressed_xof_key_set.bin");
  const auto expected = read_key_set(bytes).value();
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{4096}, std::size_t{65535}, bytes.size()}) {
    PieceSource source(bytes, piece, bytes.size());
    const auto set = stream_key_set(source);
    ASSERT_TRUE(set) << set.error().message;
    EXPECT_TRUE(*set == expected) << piece;
    EXPECT_EQ(source.read_bytes(), bytes.size());
  }
}

TEST(KeySet, AStreamThatEndsOrFailsIsRefusedWhereverItDoes) {
  const Bytes bytes = test::read_data("tfhe/native-1.7.0/test/compressed_xof_key_set.bin");
  for (std::size_t end = 0; end < bytes.size(); end += bytes.size() / 97 + 1) {
    PieceSource short_one(bytes, 1000, end);
    const auto cut = stream_key_set(short_one);
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, Code::invalid_argument);
    EXPECT_NE(cut.error().message.find("cut short"), std::string::npos) << cut.error().message;
    PieceSource failing(bytes, 1000, end, true);
    const auto failed = stream_key_set(failing);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Code::unavailable);
  }
  Bytes longer = bytes;
  longer.push_back(0);
  PieceSource source(longer, 1000, longer.size());
  const auto refused = stream_key_set(source);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, read_key_set(longer).error().message);
}

const tfhe::MaskOrigin& origin_of(const tfhe::CompressedKeySet& set, ComponentKind kind) {
  const tfhe::CompressedServerKey& key = set.server_key;
  switch (kind) {
    case ComponentKind::public_key:
      return set.public_key.key.origin;
    case ComponentKind::compression_packing:
      return key.compression.value().packing.origin;
    case ComponentKind::decompression_bsk:
      return key.decompression.value().bootstrap.bsk.origin;
    case ComponentKind::ksk:
      return key.ksk.origin;
    case ComponentKind::bsk:
      return key.bootstrap.bsk.origin;
    case ComponentKind::drift_zeros:
      return std::get<tfhe::SeededDrift>(key.bootstrap.modulus_switch).zeros.origin;
    case ComponentKind::sns_bsk:
      return key.sns.value().bootstrap.bsk.origin;
    case ComponentKind::sns_drift_zeros:
      return std::get<tfhe::SeededDrift>(key.sns.value().bootstrap.modulus_switch).zeros.origin;
    case ComponentKind::cast_ksk:
      return key.cast.value().ksk.origin;
    case ComponentKind::rerandomization_key:
      return std::get<tfhe::SeededCompactKey>(key.rerandomization.value()).origin;
    case ComponentKind::rerandomization_ksk:
      return std::get<tfhe::SeededLegacyRerandomization>(key.rerandomization.value()).dedicated.value().ksk.origin;
    case ComponentKind::sns_compression_packing:
      return key.sns_compression.value().packing.origin;
    case ComponentKind::oprf_bsk:
      return key.oprf.value().origin;
  }
  throw std::logic_error("no such component");
}

/// The key that a GLWE or compact-key row is under, as k polynomials of N; reversed for compact keys (B = A rev(s) + e).
tfhe::GlweSecretKey glwe_key(const tfhe::Component& component, std::span<const std::uint8_t> bits) {
  tfhe::Bits copy(bits.begin(), bits.end());
  if (component.shape == RowShape::compact_key) std::ranges::reverse(copy);
  return {Secret<tfhe::Bits>(std::move(copy)), component.polynomial_size};
}

/// Largest |phase - message| over the coefficients of one expanded row.
template <tfhe::Word W>
tfhe::SignedWord<W> row_noise(const tfhe::Component& component, const tfhe::SecretKeySet& keys, std::vector<W> row,
                              const std::optional<tfhe::RowMessage>& message) {
  const auto under = keys.bits(component.under);
  std::vector<W> phase;
  if (component.shape == RowShape::lwe) {
    tfhe::Lwe<W> lwe;
    lwe.data = std::move(row);
    phase = {tfhe::phase(lwe, under)};
  } else {
    tfhe::Glwe<W> glwe(component.glwe_dimension, component.polynomial_size);
    glwe.data = std::move(row);
    phase = tfhe::phase(glwe, glwe_key(component, under));
  }
  if (message) {
    const W scaled = W{keys.bits(component.input.value())[message->input_coefficient]} << message->scale_log2;
    if (message->key_polynomial) {
      for (std::size_t i = 0; i < phase.size(); ++i)
        if (under[*message->key_polynomial * component.polynomial_size + i]) phase[i] += scaled;
    } else {
      phase[0] -= scaled;
    }
  }
  tfhe::SignedWord<W> worst = 0;
  for (const W value : phase) {
    const auto noise = static_cast<tfhe::SignedWord<W>>(value);
    worst = std::max(worst, noise < 0 ? -noise : noise);
  }
  return worst;
}

/// Every row, or about `samples` of them spread over the component, is within its noise bound.
template <tfhe::Word W>
void expect_rows(const tfhe::Component& component, const tfhe::CompressedKeySet& set, const tfhe::SecretKeySet& keys,
                 std::size_t samples) {
  const auto& bodies = tfhe::component_bodies<W>(set, component.kind);
  ASSERT_EQ(bodies.size(), component.rows * component.body_words()) << to_string(component.kind);
  const tfhe::MaskReader mask(origin_of(set, component.kind));
  // Odd, so that samples meet every level and row of a GGSW of the Test parameters.
  const std::size_t step = std::max<std::size_t>(1, component.rows / samples) | 1;
  for (std::size_t r = 0; r < component.rows; r += step) {
    std::vector<W> row(component.mask_words() + component.body_words());
    tfhe::expand_rows<W>(mask, component.mask_words(), component.body_words(), bodies, r, row);
    const auto noise = row_noise(component, keys, std::move(row), tfhe::row_message(component, r));
    ASSERT_LE(noise, tfhe::SignedWord<W>{1} << component.noise.bound_log2) << to_string(component.kind) << " row " << r;
  }
}

std::size_t expect_all_rows(const tfhe::CompressedKeySet& set, const ClientKeyObject& client, std::size_t samples) {
  std::size_t seen = 0;
  for (const auto& component : tfhe::key_components(client.params)) {
    if (component.kind == ComponentKind::public_key && set.public_key.key.data.empty()) continue;
    if (component.word_bits == 64)
      expect_rows<u64>(component, set, client.keys, samples);
    else
      expect_rows<u128>(component, set, client.keys, samples);
    ++seen;
  }
  return seen;
}

// All 12 objects of key sets that share one stream, at the positions of tfhe-formats.md 10.3.
TEST(KeySetRows, DecryptWithinTheirBoundsAtTheirPositions) {
  for (const auto& [set_file, key_file] :
       {std::pair{"tfhe/native-1.7.0/test/compressed_xof_key_set.bin", "tfhe/native-1.7.0/test/client_key.bin"},
        {"tfhe/synthetic/kms_test_compressed_xof_key_set.bin", "tfhe/synthetic/kms_test_client_key.bin"}}) {
    const auto set = read_key_set(test::read_data(set_file)).value();
    const auto client = read_client_key(test::read_data(key_file)).value();
    EXPECT_EQ(expect_all_rows(set, client, 64), 12u);
    for (const auto& component : tfhe::key_components(client.params)) {
      const tfhe::MaskOrigin expected{set.seed, tfhe::StreamPosition::from_bytes(component.stream_offset_bytes)};
      EXPECT_EQ(origin_of(set, component.kind), expected) << to_string(component.kind);
    }
  }
}

// Several levels and GLWE dimensions above 1 everywhere, legacy re-randomisation: pins level, row and polynomial orders.
TEST(ServerKeyRows, OfTheMultiVectorDecryptWithinTheirBounds) {
  const auto client = read_client_key(test::read_data("tfhe/1.7.0/multi/client_key.bin")).value();
  tfhe::CompressedKeySet set;
  set.server_key =
      read_server_key(test::read_data("tfhe/1.7.0/multi/compressed_server_key.bin"), Trailing::reject).value();
  const Status good = tfhe::check(set.server_key);
  EXPECT_TRUE(good) << good.error().message;
  EXPECT_EQ(expect_all_rows(set, client, 1'000'000), 9u);
}

// Made by the package from the Test parameters, in the form of 1.7 and in that of 1.3 (seeds of tag 0).
TEST(ServerKeyRows, OfTheWasmPackageDecryptWithinTheirBounds) {
  for (const std::string folder : {"tfhe/1.7.0/kms_test/", "tfhe/1.3.0/kms_test/"}) {
    const auto client = read_client_key(test::read_data(folder + "client_key.bin")).value();
    tfhe::CompressedKeySet set;
    set.server_key = read_server_key(test::read_data(folder + "compressed_server_key.bin"), Trailing::reject).value();
    EXPECT_TRUE(tfhe::check(set.server_key)) << folder;
    EXPECT_GE(expect_all_rows(set, client, 64), 9u) << folder;
  }
}

}  // namespace
}  // namespace witan::tfhe_rs
