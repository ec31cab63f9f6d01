#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/ecdsa.h"
#include "crypto/ed25519.h"
#include "crypto/eip712.h"
#include "crypto/responses.h"
#include "crypto/separators.h"
#include "support/support.h"

namespace witan::crypto {
namespace {

using test::hex;

Digest digest_of(const nlohmann::json& value) {
  const Bytes raw = hex(value.get<std::string>());
  EXPECT_EQ(raw.size(), 32u);
  Digest out{};
  std::copy(raw.begin(), raw.end(), out.begin());
  return out;
}

Eip712Domain domain_of(const nlohmann::json& json) {
  Eip712Domain domain;
  domain.name = json.at("name");
  domain.version = json.at("version");
  store_be<std::uint64_t>(std::stoull(json.at("chainId").get<std::string>()), domain.chain_id.data() + 24);
  domain.verifying_contract = Address::parse(json.at("verifyingContract").get<std::string>()).value();
  if (json.contains("salt")) domain.salt = digest_of(json.at("salt"));
  return domain;
}

/// Node i of the vectors: SHAKE256("server" + i), 32 bytes.
SigningKey vector_node(int i) {
  return SigningKey::parse(shake256(as_bytes("server" + std::to_string(i)), 32)).value();
}

TEST(SigningKey, EncodingsAndSignaturesOfTheVectors) {
  const auto entries_of_file = test::read_json("responses/keys.json");
  for (const auto& entry : entries_of_file.at("keys")) {
    const auto key = SigningKey::parse(hex(entry.at("sk").get<std::string>())).value();
    const auto& point = key.verifying_key();
    EXPECT_EQ(to_hex(point.compressed()), entry.at("pk_sec1_compressed").get<std::string>());
    EXPECT_EQ(to_hex(point.uncompressed()), entry.at("pk_sec1_uncompressed").get<std::string>());
    EXPECT_EQ(to_hex(point.bincode()), entry.at("pk_bincode").get<std::string>());
    EXPECT_EQ(to_hex(point.stored()), entry.at("pk_safe").get<std::string>());
    EXPECT_EQ(to_hex(key.stored().reveal()), entry.at("sk_safe").get<std::string>());
    EXPECT_EQ(key.address().text(), entry.at("address").get<std::string>());
    EXPECT_EQ(SigningKey::parse_stored(hex(entry.at("sk_safe").get<std::string>())).value().address(), key.address());
    EXPECT_EQ(VerifyingKey::parse_stored(point.stored()).value(), point);
    EXPECT_EQ(VerifyingKey::parse_bincode(point.bincode()).value(), point);
    EXPECT_EQ(VerifyingKey::parse(point.uncompressed()).value(), point);

    const Bytes message = hex(entry.at("message").get<std::string>());
    ASSERT_EQ(entry.at("dsep").get<std::string>(), "SCHMTEST");
    const auto signature = key.sign_internal(Separator("SCHMTEST"), message);
    EXPECT_EQ(to_hex(signature), entry.at("ecdsa_internal").get<std::string>());
    EXPECT_TRUE(verify_internal(point, Separator("SCHMTEST"), message, signature));
    EXPECT_FALSE(verify_internal(point, Separator("SCHMTES2"), message, signature));

    const auto ed25519 = Ed25519Key::derive(key);
    EXPECT_EQ(to_hex(derived_seed(key, Scheme::ed25519).reveal()), entry.at("ed25519").at("seed").get<std::string>());
    EXPECT_EQ(to_hex(ed25519.public_key()), entry.at("ed25519").at("pk").get<std::string>());
    EXPECT_EQ(to_hex(ed25519.sign(Separator("SCHMTEST"), message)),
              entry.at("ed25519").at("signature").get<std::string>());
    EXPECT_EQ(to_hex(derived_seed(key, Scheme::mldsa44).reveal()), entry.at("mldsa44").at("seed").get<std::string>());
  }
}

TEST(SigningKey, RefusesWhatIsNoScalar) {
  EXPECT_EQ(SigningKey::parse(Bytes(32)).error().code, Code::invalid_argument);
  EXPECT_FALSE(SigningKey::parse(Bytes(31, 1)));
  EXPECT_FALSE(SigningKey::parse(Bytes(32, 0xff)));  // above the group order
  const Bytes stored = vector_node(0).stored().reveal();
  for (std::size_t cut = 0; cut < stored.size(); ++cut)
    EXPECT_FALSE(SigningKey::parse_stored(ByteView(stored).first(cut)));
  Bytes longer = stored;
  longer.push_back(0);
  EXPECT_FALSE(SigningKey::parse_stored(longer));
  EXPECT_FALSE(VerifyingKey::parse(Bytes(33, 5)));
}

TEST(SigningKey, GeneratedKeysDifferAndSign) {
  test::SeededRng rng("keys");
  const auto a = SigningKey::generate(rng), b = SigningKey::generate(rng);
  EXPECT_NE(a.address(), b.address());
  const Digest digest = sha256(as_bytes("digest"));
  EXPECT_EQ(recover_address(digest, a.sign_digest(digest)).value(), a.address());
}

TEST(Address, ChecksumIsEnforced) {
  // The examples of EIP-55.
  for (const char* good : {"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
                           "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"})
    EXPECT_EQ(Address::parse(good).value().text(), good);
  for (const char* bad :
       {"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg", ""})
    EXPECT_EQ(Address::parse(bad).error().code, Code::invalid_argument) << bad;
}

TEST(Recovery, RefusesMalleableAndMalformedSignatures) {
  const auto key = vector_node(0);
  const Digest digest = sha256(as_bytes("digest"));
  const auto good = key.sign_digest(digest);
  Bytes sig(good.begin(), good.end());
  EXPECT_TRUE(recover_address(digest, sig));
  for (const int v : {0, 1, 26, 29}) {
    Bytes bad = sig;
    bad[64] = static_cast<std::uint8_t>(v);
    EXPECT_FALSE(recover_address(digest, bad)) << v;
  }
  EXPECT_FALSE(recover_address(digest, ByteView(sig).first(64)));
  // s -> n - s, v flipped: the same key, but high s.
  const Bytes order = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
  Bytes high = sig;
  int borrow = 0;
  for (int i = 31; i >= 0; --i) {
    int d = order[static_cast<std::size_t>(i)] - sig[static_cast<std::size_t>(32 + i)] - borrow;
    borrow = d < 0;
    high[static_cast<std::size_t>(32 + i)] = static_cast<std::uint8_t>(d + (borrow ? 256 : 0));
  }
  high[64] = static_cast<std::uint8_t>(55 - high[64]);
  EXPECT_NE(recover_address(digest, high).error().message.find("high s"), std::string::npos);
}

// C2SP/wycheproof. A signature with high s is valid there and refused by us, for that reason alone.
TEST(VerifyDigest, AgreesWithWycheproof) {
  const Bytes half_order = hex("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");
  int accepted = 0, refused = 0, high = 0;
  const auto vectors = test::read_json("published/ecdsa_secp256k1_sha256_p1363.json");
  for (const auto& group : vectors.at("groups")) {
    const auto key = VerifyingKey::parse(hex(group.at("key").get<std::string>())).value();
    for (const auto& test : group.at("tests")) {
      const Digest digest = sha256(hex(test.at(1).get<std::string>()));
      const Bytes signature = hex(test.at(2).get<std::string>());
      const bool is_high = signature.size() == 64 && Bytes(signature.begin() + 32, signature.end()) > half_order;
      const bool expected = test.at(3) == "valid" && !is_high;
      EXPECT_EQ(verify_digest(key, digest, signature), expected) << test;
      if (test.at(3) == "valid" && is_high) ++high;
      ++(expected ? accepted : refused);
    }
  }
  EXPECT_EQ(accepted + refused, 252);
  EXPECT_GT(accepted, 50);
  EXPECT_GT(high, 0);
}

TEST(Eip712, TypesDomainsDigestsAndSignaturesOfTheVectors) {
  const auto vectors = test::read_json("responses/eip712.json");
  EXPECT_EQ(to_hex(domain_of(vectors.at("salted_domain").at("domain")).separator()),
            vectors.at("salted_domain").at("domain_separator").get<std::string>());
  int checked = 0;
  for (const auto& entry : vectors.at("cases")) {
    const std::string type = entry.at("type");
    const auto& message = entry.at("message");
    const auto bytes = [&](const char* name) { return hex(message.at(name).get<std::string>()); };
    const auto handles = [&](const char* name) {
      std::vector<Digest> out;
      for (const auto& handle : message.at(name)) out.push_back(handle_word(hex(handle.get<std::string>())).value());
      return out;
    };
    Digest hash{};
    if (type == "PublicDecryptVerification") {
      hash = public_decrypt_verification(handles("ctHandles"), bytes("decryptedResult"), bytes("extraData"));
    } else if (type == "UserDecryptResponseVerification") {
      hash = user_decrypt_response_verification(bytes("publicKey"), handles("ctHandles"), bytes("userDecryptedShare"),
                                                bytes("extraData"));
    } else if (type == "UserDecryptionLinker") {
      Address user;
      std::ranges::copy(bytes("userAddress"), user.bytes.begin());
      hash = user_decryption_linker(bytes("publicKey"), handles("handles"), user);
    } else if (type == "PrepKeygenVerification") {
      hash = prep_keygen_verification(digest_of(message.at("prepKeygenId")), bytes("extraData"));
    } else if (type == "KeygenVerification") {
      std::vector<TypedKeyDigest> digests;
      for (const auto& d : message.at("keyDigests"))
        digests.push_back({static_cast<KeyDigestType>(d.at("keyType").get<int>()), digest_of(d.at("digest"))});
      hash = keygen_verification(digest_of(message.at("prepKeygenId")), digest_of(message.at("keyId")), digests,
                                 bytes("extraData"));
    } else if (type == "CrsgenVerification") {
      const auto& bits = message.at("maxBitLength");
      hash = crsgen_verification(digest_of(message.at("crsId")),
                                 bits.is_number() ? bits.get<std::uint32_t>()
                                                  : static_cast<std::uint32_t>(std::stoul(bits.get<std::string>())),
                                 digest_of(message.at("crsDigest")), bytes("extraData"));
    } else {
      FAIL() << type;
    }
    const auto domain = domain_of(entry.at("domain"));
    EXPECT_EQ(to_hex(domain.separator()), entry.at("domain_separator").get<std::string>());
    EXPECT_EQ(to_hex(hash), entry.at("struct_hash").get<std::string>()) << type;
    const Digest digest = eip712_digest(domain, hash);
    EXPECT_EQ(to_hex(digest), entry.at("digest").get<std::string>()) << type;
    if (entry.contains("signature_of_node0")) {
      EXPECT_EQ(to_hex(vector_node(0).sign_digest(digest)), entry.at("signature_of_node0").get<std::string>());
      EXPECT_EQ(recover_address(digest, hex(entry.at("signature_of_node0").get<std::string>())).value().text(),
                entry.at("signer").get<std::string>());
    }
    ++checked;
  }
  EXPECT_EQ(checked, 16);
}

TEST(Eip712, HandlesArePaddedOnTheLeft) {
  EXPECT_EQ(to_hex(handle_word(Bytes{1, 2}).value()), std::string(60, '0') + "0102");
  EXPECT_EQ(handle_word(Bytes(33)).error().code, Code::invalid_argument);
}

TEST(PublicDecryption, PayloadsAndSignaturesOfTheVectors) {
  const auto vectors = test::read_json("responses/public_decrypt.json");
  PublicDecryptionContext context;
  context.domain = domain_of(vectors.at("domain"));
  for (const auto& handle : vectors.at("handles"))
    context.handles.push_back(handle_word(hex(handle.get<std::string>())).value());
  std::vector<Plaintext> plaintexts;
  for (const auto& p : vectors.at("plaintexts"))
    plaintexts.push_back({hex(p.at("bytes").get<std::string>()), p.at("fhe_type").is_number()
                                                                     ? p.at("fhe_type").get<int>()
                                                                     : std::stoi(p.at("fhe_type").get<std::string>())});
  EXPECT_EQ(to_hex(decrypted_result(plaintexts).value()), vectors.at("decrypted_result").get<std::string>());
  const std::string id = vectors.at("request_id");
  int checked = 0;
  for (const auto& run : vectors.at("runs")) {
    context.extra_data = hex(run.at("extra_data").get<std::string>());
    for (const auto& response : run.at("responses")) {
      const auto key = vector_node(response.at("party").get<int>() - 1);
      EXPECT_EQ(to_hex(public_decryption_payload(key.verifying_key(), plaintexts, id)),
                response.at("payload_bincode").get<std::string>());
      const auto signatures = sign_public_decryption(key, context, plaintexts, id).value();
      EXPECT_EQ(to_hex(signatures.internal), response.at("signature").get<std::string>());
      EXPECT_EQ(to_hex(signatures.external), response.at("external_signature").get<std::string>());
      EXPECT_TRUE(verify_public_decryption(key.verifying_key(), context, plaintexts, id, signatures.internal,
                                           signatures.external));
      auto other = context;
      other.extra_data.push_back(0);
      EXPECT_FALSE(verify_public_decryption(key.verifying_key(), other, plaintexts, id, signatures.internal,
                                            signatures.external));
      EXPECT_FALSE(verify_public_decryption(vector_node(12).verifying_key(), context, plaintexts, id,
                                            signatures.internal, signatures.external));
      ++checked;
    }
  }
  EXPECT_EQ(checked, 15);
}

// RFC 8032, 7.1, tests 1 and 3.
TEST(Ed25519, KnownAnswersOfRfc8032) {
  struct Row {
    const char *secret, *public_key, *message, *signature;
  };
  for (const Row& row : {Row{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                             "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                             "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
                             "cf9b46bd25bf5f0595bbe24"
                             "655141438e7a100b"},
                         Row{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                             "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                             "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
                             "84dc6594a7c15e9716ed28dc"
                             "027beceea1ec40a"}}) {
    Secret<ByteArray<32>> seed;
    const Bytes raw = hex(row.secret);
    std::copy(raw.begin(), raw.end(), seed.reveal_mutable().begin());
    const Ed25519Key key(std::move(seed));
    EXPECT_EQ(to_hex(key.public_key()), row.public_key);
    EXPECT_EQ(to_hex(key.sign_raw(hex(row.message))), row.signature);
    EXPECT_TRUE(verify_ed25519(key.public_key(), hex(row.message), hex(row.signature)));
    Bytes wrong = hex(row.signature);
    wrong[0] ^= 1;
    EXPECT_FALSE(verify_ed25519(key.public_key(), hex(row.message), wrong));
  }
}

}  // namespace
}  // namespace witan::crypto
