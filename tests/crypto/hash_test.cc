#include "crypto/hash.h"

#include <gtest/gtest.h>

#include <string>

#include "crypto/ids.h"
#include "crypto/separators.h"
#include "support/support.h"

namespace witan::crypto {
namespace {

using test::hex;

Bytes text(std::string_view s) {
  const ByteView view = as_bytes(s);
  return Bytes(view.begin(), view.end());
}

TEST(Sha2, KnownAnswersOfFips180) {
  EXPECT_EQ(to_hex(sha256(text(""))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256(text("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256(text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(
      to_hex(sha512(text("abc"))),
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e"
      "2a9ac94fa54ca49f");
}

TEST(Sha3, KnownAnswersOfFips202) {
  EXPECT_EQ(to_hex(sha3_256(text(""))), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
  EXPECT_EQ(to_hex(sha3_256(text("abc"))), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
  EXPECT_EQ(to_hex(shake128({}, 32)), "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26");
  EXPECT_EQ(to_hex(shake256({}, 64)),
            "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762fd75dc4ddd8c0f200cb05019d67b592f6fc821c4947"
            "9ab4864"
            "0292eacb3b7c4be");
  // NIST's SHAKE sample with 1600 bits 0xa3.
  EXPECT_EQ(to_hex(shake256(Bytes(200, 0xa3), 32)), "cd8a920ed141aa0407a22d59288652e9d9f1a7ee0c1e7c1ca699424da84a904d");
}

TEST(Keccak, KnownAnswersOfTheOriginalPadding) {
  EXPECT_EQ(to_hex(keccak256({})), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  EXPECT_EQ(to_hex(keccak256(text("abc"))), "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
  EXPECT_EQ(to_hex(keccak256(text("The quick brown fox jumps over the lazy dog"))),
            "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15");
}

TEST(Incremental, EqualsOneShotForEverySplit) {
  test::SeededRng rng("split");
  Bytes data(300);
  rng.fill(data);
  for (std::size_t cut = 0; cut <= data.size(); cut += 7) {
    const ByteView view(data);
    EXPECT_EQ(Sha256().update(view.first(cut)).update(view.subspan(cut)).finish(), sha256(data));
    Bytes out(99);
    Shake256 shake;
    shake.update(view.first(cut)).update(view.subspan(cut)).finish(out);
    EXPECT_EQ(out, shake256(data, 99));
  }
}

TEST(TaggedHash, MatchesTheResponseVectors) {
  const auto vectors = test::read_json("responses/hashes.json");
  int seen = 0;
  for (const auto& entry : vectors.at("element")) {
    const std::string separator = entry.at("dsep");
    const Bytes message = hex(entry.at("msg").get<std::string>());
    const Bytes expected = hex(entry.at("digest").get<std::string>());
    if (separator == "PDAT_KEY") {
      EXPECT_EQ(to_hex(tagged_hash(separators::kKeyObject, message)), to_hex(expected));
      ++seen;
    }
    if (separator == "PDAT_CRS") {
      EXPECT_EQ(to_hex(tagged_hash(separators::kCrsObject, message)), to_hex(expected));
      ++seen;
    }
    if (separator == "_HANDLE_") {
      EXPECT_EQ(to_hex(tagged_hash(separators::kHandle, message)), to_hex(expected));
      ++seen;
    }
    if (separator == "SIGNCRYP") {
      EXPECT_EQ(to_hex(tagged_hash(Separator("SIGNCRYP"), message)), to_hex(expected));
      ++seen;
    }
  }
  EXPECT_EQ(seen, 4);
  for (const auto& entry : vectors.at("list")) {
    const std::string separator = entry.at("dsep");
    std::vector<Bytes> items;
    for (const auto& item : entry.at("items")) items.push_back(hex(item.get<std::string>()));
    const std::vector<ByteView> views(items.begin(), items.end());
    const auto size = entry.at("n").get<std::size_t>();
    const std::string expected = entry.at("digest");
    if (separator == "SIGKDGST") {
      EXPECT_EQ(to_hex(list_hash(separators::kSchemeDigest, views, size)), expected);
      ++seen;
    }
    if (separator == "SESSN_ID") {
      EXPECT_EQ(to_hex(list_hash(separators::kSessionId, views, size)), expected);
      ++seen;
    }
    if (separator == "TESTTEST") {
      EXPECT_EQ(to_hex(list_hash(Separator("TESTTEST"), views, size)), expected);
      ++seen;
    }
  }
  EXPECT_EQ(seen, 7);
  for (const auto& entry : vectors.at("derive_request_id"))
    EXPECT_EQ(to_hex(derive_request_id(entry.at("name").get<std::string>())), entry.at("id").get<std::string>());
}

TEST(ObjectDigest, MatchesTheServiceVectors) {
  const auto entries_of_file = test::read_json("service/digests.json");
  for (const auto& entry : entries_of_file) {
    Bytes data(entry.at("len").get<std::size_t>());
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i);
    EXPECT_EQ(to_hex(tagged_hash(separators::kKeyObject, data)), entry.at("PDAT_KEY").get<std::string>());
    EXPECT_EQ(to_hex(tagged_hash(separators::kCrsObject, data)), entry.at("PDAT_CRS").get<std::string>());
  }
}

TEST(SessionId, MatchesTheServiceVectors) {
  const auto vectors = test::read_json("service/ids.json");
  for (const auto& entry : vectors.at("session_ids")) {
    const auto id = RequestId::parse(entry.at("id").get<std::string>()).value();
    EXPECT_EQ(session_id(id.bytes(), entry.at("ctr").get<std::uint64_t>()).hex(),
              entry.at("digest16").get<std::string>());
  }
  for (const auto& entry : vectors.at("session_uses")) {
    const auto id = RequestId::parse(entry.at("id").get<std::string>()).value();
    const auto session = session_id(id.bytes(), static_cast<SessionKind>(entry.at("kind").get<int>()),
                                    entry.at("attempt").get<std::uint16_t>(), entry.at("number").get<std::uint16_t>());
    EXPECT_EQ(session.hex(), entry.at("digest16").get<std::string>()) << entry;
  }
  EXPECT_EQ(signing_key_id().hex(), "60b7070add74be3827160aa635fb255eeeeb88586c4debf7ab1134ddceb4beee");
  for (const auto& entry : vectors.at("derive_request_id"))
    EXPECT_EQ(to_hex(derive_request_id(entry.at("name").get<std::string>())), entry.at("id").get<std::string>());
}

}  // namespace
}  // namespace witan::crypto
