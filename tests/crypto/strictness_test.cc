// What must be refused although a library in use, left to its defaults, would accept it.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "crypto/aes_stream.h"
#include "crypto/ed25519.h"
#include "crypto/ids.h"
#include "crypto/responses.h"
#include "crypto/separators.h"
#include "support/support.h"

namespace witan::crypto {
namespace {

using test::hex;

SigningKey key_of(std::string_view label) {
  return SigningKey::parse(shake256(as_bytes(label), 32)).value();
}

ByteArray<16> shake_key() {
  ByteArray<16> out;
  std::ranges::copy(shake256(as_bytes("stream"), out.size()), out.begin());
  return out;
}

ByteArray<32> array_of(std::string_view text) {
  const Bytes raw = hex(text);
  ByteArray<32> out{};
  std::copy_n(raw.begin(), 32, out.begin());
  return out;
}

// The points of order 1, 2, 4 and 8 and the encodings of them that are not reduced (RFC 8032, 5.1.3). R = neutral element
// and S = 0 satisfy the equation of RFC 8032 under such a key for at least one message in eight.
TEST(Ed25519, RefusesKeysOfSmallOrderForEveryMessage) {
  constexpr const char* kSmallOrder[] = {"0000000000000000000000000000000000000000000000000000000000000000",
                                         "0100000000000000000000000000000000000000000000000000000000000000",
                                         "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                                         "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                                         "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                         "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                         "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
  Bytes signature(64);
  signature[0] = 1;
  for (const char* text : kSmallOrder) {
    for (const int sign : {0x00, 0x80}) {
      auto key = array_of(text);
      key[31] = static_cast<std::uint8_t>(key[31] | sign);
      for (std::uint8_t i = 0; i < 64; ++i) EXPECT_FALSE(verify_ed25519(key, Bytes{i}, signature)) << text << int{i};
    }
  }
}

TEST(Ed25519, RefusesSOutsideOfItsRangeAndWrongLengths) {
  const auto key = Ed25519Key::derive(key_of("strict"));
  const Bytes message{1, 2, 3};
  const auto good = key.sign_raw(message);
  ASSERT_TRUE(verify_ed25519(key.public_key(), message, good));
  // S + L, with L = 2^252 + 27742317777372353535851937790883648493.
  const Bytes order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  Bytes shifted(good.begin(), good.end());
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += shifted[32 + i] + order[i];
    shifted[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(verify_ed25519(key.public_key(), message, shifted));
  EXPECT_FALSE(verify_ed25519(key.public_key(), message, ByteView(good).first(63)));
  Bytes longer(good.begin(), good.end());
  longer.push_back(0);
  EXPECT_FALSE(verify_ed25519(key.public_key(), message, longer));
  EXPECT_FALSE(verify_ed25519(key.public_key(), message, {}));
}

TEST(VerifyingKey, RefusesHybridPointsAndPointsOffTheCurve) {
  const auto key = key_of("point").verifying_key();
  const auto point = key.uncompressed();
  for (const int first : {0, 2, 3, 5, 6, 7}) {  // SEC1 6 and 7: hybrid, a second text for the same key
    auto other = point;
    other[0] = static_cast<std::uint8_t>(first);
    EXPECT_EQ(VerifyingKey::parse(other).error().code, Code::invalid_argument) << first;
  }
  auto off = point;
  off[64] ^= 1;
  EXPECT_FALSE(VerifyingKey::parse(off));
  for (std::size_t size = 0; size < 65; ++size) {
    if (size != 33) {
      EXPECT_FALSE(VerifyingKey::parse(ByteView(point).first(size))) << size;
    }
  }
}

TEST(VerifyingKey, ParsersRefuseEveryPrefixAndEveryAddition) {
  const auto key = key_of("parsers").verifying_key();
  const auto refuses_cuts = [](const Bytes& good, auto parse) {
    ASSERT_TRUE(parse(good));
    for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_FALSE(parse(ByteView(good).first(cut))) << cut;
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_FALSE(parse(longer));
  };
  refuses_cuts(key.bincode(), [](ByteView v) { return VerifyingKey::parse_bincode(v).has_value(); });
  refuses_cuts(key.stored(), [](ByteView v) { return VerifyingKey::parse_stored(v).has_value(); });
  Bytes version = key.stored();
  version[version.size() - 45] = 1;
  EXPECT_FALSE(VerifyingKey::parse_stored(version));
  EXPECT_FALSE(VerifyingKey::parse_stored(key_of("parsers").stored().reveal()));  // the private type
  Bytes huge = key.bincode();
  std::fill_n(huge.begin(), 8, std::uint8_t{0xff});
  EXPECT_FALSE(VerifyingKey::parse_bincode(huge));
}

TEST(SigningKey, BincodeOfTheVectors) {
  const auto vectors = test::read_json("responses/keys.json");
  for (const auto& entry : vectors.at("keys")) {
    const Bytes bincode = hex(entry.at("sk_bincode").get<std::string>());
    const auto key = SigningKey::parse_bincode(bincode).value();
    EXPECT_EQ(key.address().text(), entry.at("address").get<std::string>());
    EXPECT_EQ(to_hex(key.bincode().reveal()), to_hex(bincode));
    for (std::size_t cut = 0; cut < bincode.size(); ++cut)
      EXPECT_FALSE(SigningKey::parse_bincode(ByteView(bincode).first(cut)));
  }
}

TEST(DecryptedResult, TakesTheEightTypesAtTheirLengthsAlone) {
  struct Row {
    std::int32_t type;
    std::size_t size;
  };
  for (const Row& row : {Row{0, 1}, Row{2, 1}, Row{3, 2}, Row{4, 4}, Row{5, 8}, Row{6, 16}, Row{7, 20}, Row{8, 32}}) {
    const Bytes ones(row.size, 1);
    const auto word = decrypted_result({{ones, row.type}});
    ASSERT_TRUE(word) << row.type;
    EXPECT_EQ(to_hex(*word), std::string(64 - 2 * row.size, '0') + to_hex(ones));
    for (const std::size_t wrong : {std::size_t{0}, row.size - 1, row.size + 1})
      EXPECT_EQ(decrypted_result({{Bytes(wrong, 1), row.type}}).error().code, Code::invalid_argument) << row.type;
  }
  EXPECT_FALSE(decrypted_result({{Bytes{2}, 0}}));  // a Bool is 0 or 1
  for (const std::int32_t type : {-1, 1, 9, 10, 11, 12, 83, 1 << 30})
    EXPECT_EQ(decrypted_result({{Bytes{1}, type}}).error().code, Code::invalid_argument) << type;
}

// tests/data/responses/peer-oracle.json: bodies without the envelope.
TEST(SignedPayloads, EqualTheOracle) {
  const auto vectors = test::read_json("responses/peer-oracle.json");
  int seen = 0;
  for (const auto& entry : vectors) {
    const std::string file = entry.at("file");
    const Bytes body = hex(entry.at("bytes").get<std::string>());
    const auto id = [&](std::size_t at) { return array_of(to_hex(ByteView(body).subspan(at, 32))); };
    if (file == "prep_keygen_signed_payload") {
      EXPECT_EQ(to_hex(prep_keygen_signed_payload(id(4), Bytes{1, 2, 3, 4})),
                to_hex(safe_serialize("PrepKeygenSignedPayload", body)));
      ++seen;
    } else if (file == "keygen_signed_payload") {
      Digest a{}, b{};
      a.fill(0xaa);
      b.fill(0xbb);
      const std::vector<TypedKeyDigest> digests{{KeyDigestType::public_key, b}, {KeyDigestType::server_key, a}};
      EXPECT_EQ(to_hex(keygen_signed_payload(id(4), id(36), digests, Bytes{5, 6, 7, 8})),
                to_hex(safe_serialize("KeygenSignedPayload", body)));
      ++seen;
    } else if (file == "crs_signed_payload") {
      Digest digest{};
      digest.fill(0xcc);
      EXPECT_EQ(to_hex(crs_signed_payload(id(4), 2048, digest, Bytes{9, 10, 11, 12})),
                to_hex(safe_serialize("CrsSignedPayload", body)));
      ++seen;
    }
  }
  EXPECT_EQ(seen, 3);
}

// No published vector: the encoding of responses.md 4.2 written out, with the type hash computed here.
TEST(Eip712, DecompressionUpgradeKeyIsEncodedAsTheSpecificationSays) {
  Digest digest{};
  digest.fill(0xdd);
  for (const Bytes& extra : {Bytes{}, Bytes{0}, Bytes(65, 2)}) {
    Bytes words;
    append(words,
           keccak256(as_bytes("FheDecompressionUpgradeKey(bytes decompressionUpgradeKeyDigest,bytes extraData)")));
    append(words, keccak256(digest));
    append(words, keccak256(extra));
    EXPECT_EQ(to_hex(fhe_decompression_upgrade_key(digest, extra)), to_hex(keccak256(words)));
  }
}

// tests/data/mpc/hash.json.
TEST(SessionId, MatchesTheMpcVectors) {
  const auto vectors = test::read_json("mpc/hash.json");
  for (const auto& entry : vectors.at("session_id_from_request_id")) {
    ByteArray<16> raw;
    store_le(session_id(array_of(entry.at("id").get<std::string>()), entry.at("counter").get<std::uint64_t>()).value,
             raw.data());
    EXPECT_EQ(to_hex(raw), entry.at("sid_le").get<std::string>());
  }
  EXPECT_EQ(vectors.at("session_id_from_request_id").size(), 4u);
}

TEST(AesStream, ThreadsReadDisjointRangesOfOneStream) {
  constexpr std::size_t kThreads = 4, kPart = 64 * 1024 + 5, kPiece = 1000;
  const AesStream stream(shake_key(), 77);
  Bytes expected(kThreads * kPart), got(expected.size());
  AesStream(shake_key(), 77).read(3, expected);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t at = t * kPart; at < (t + 1) * kPart; at += kPiece)
          stream.read(3 + at, MutableByteView(got).subspan(at, std::min(kPiece, (t + 1) * kPart - at)));
      });
  }
  EXPECT_EQ(got, expected);
}

}  // namespace
}  // namespace witan::crypto
