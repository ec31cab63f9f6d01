// Structs against the wire vectors, and the limits of the decoder.
#include "api/codec.h"

#include <gmock/gmock.h>

#include "kms.v1.pb.h"
#include "metastore-status.v1.pb.h"
#include "support/support.h"

namespace witan::api {
namespace {

using ::testing::HasSubstr;

std::map<std::string, std::string> wire_vectors() {
  std::map<std::string, std::string> out;
  const auto vectors = witan::test::read_json("service/proto_wire.json");
  for (const auto& vector : vectors.at("messages")) out[vector.at("message")] = vector.at("wire");
  return out;
}

template <class Message>
std::string through_struct(const std::string& wire) {
  const auto message = decode<Message>(witan::test::hex(wire));
  return message ? to_hex(encode(*message)) : message.error().message;
}

TEST(CodecTest, EveryFieldOfEveryMessageSurvivesTheStruct) {
  // Each vector fills every field with a value that is not the default, so a forgotten field changes the bytes.
  const auto wire = wire_vectors();
  const std::map<std::string, std::string (*)(const std::string&)> messages{
      {"kms.v1.Empty", through_struct<Empty>},
      {"kms.v1.RequestId", through_struct<IdRequest>},
      {"kms.v1.PublicDecryptionRequest", through_struct<PublicDecryptionRequest>},
      {"kms.v1.PublicDecryptionResponse", through_struct<PublicDecryptionResponse>},
      {"kms.v1.KeyGenPreprocRequest", through_struct<KeyGenPreprocRequest>},
      {"kms.v1.PartialKeyGenPreprocRequest", through_struct<PartialKeyGenPreprocRequest>},
      {"kms.v1.KeyGenPreprocResult", through_struct<KeyGenPreprocResult>},
      {"kms.v1.KeyGenRequest", through_struct<KeyGenRequest>},
      {"kms.v1.KeyGenResult", through_struct<KeyGenResult>},
      {"kms.v1.NewMpcEpochRequest", through_struct<NewMpcEpochRequest>},
      {"kms.v1.EpochResultResponse", through_struct<EpochResultResponse>},
      {"kms.v1.DestroyMpcEpochRequest", through_struct<DestroyMpcEpochRequest>},
      {"kms.v1.KeyMaterialAvailabilityResponse", through_struct<KeyMaterialAvailabilityResponse>},
      {"kms.v1.HealthStatusResponse", through_struct<HealthStatusResponse>},
      {"metastore_status.v1.GetRequestStatusesRequest", through_struct<GetRequestStatusesRequest>},
      {"metastore_status.v1.GetRequestStatusesResponse", through_struct<GetRequestStatusesResponse>},
      {"metastore_status.v1.ListRequestsRequest", through_struct<ListRequestsRequest>},
      {"metastore_status.v1.ListRequestsResponse", through_struct<ListRequestsResponse>},
      {"metastore_status.v1.GetMetaStoreInfoResponse", through_struct<GetMetaStoreInfoResponse>}};
  for (const auto& [name, convert] : messages) EXPECT_EQ(convert(wire.at(name)), wire.at(name)) << name;
}

TEST(CodecTest, ValuesArriveInTheFieldsOfTheirNames) {
  const auto request =
      decode<PublicDecryptionRequest>(witan::test::hex(wire_vectors().at("kms.v1.PublicDecryptionRequest"))).value();
  const auto value = [] {
    const auto vectors = witan::test::read_json("service/proto_wire.json");
    for (const auto& vector : vectors.at("messages"))
      if (vector.at("message") == "kms.v1.PublicDecryptionRequest") return vector.at("value");
    return nlohmann::json();
  }();
  EXPECT_EQ(request.request_id, value.at("request_id").at("request_id").get<std::string>());
  EXPECT_EQ(request.key_id, value.at("key_id").at("request_id").get<std::string>());
  EXPECT_EQ(request.context_id, value.at("context_id").at("request_id").get<std::string>());
  EXPECT_EQ(request.epoch_id, value.at("epoch_id").at("request_id").get<std::string>());
  EXPECT_EQ(to_hex(request.extra_data), value.at("extra_data").at("hex").get<std::string>());
  ASSERT_EQ(request.ciphertexts.size(), 2u);
  const auto& second = value.at("ciphertexts").at(1);
  EXPECT_EQ(to_hex(request.ciphertexts[1].ciphertext), second.at("ciphertext").at("hex").get<std::string>());
  EXPECT_EQ(request.ciphertexts[1].fhe_type, second.at("fhe_type").get<int>());
  EXPECT_EQ(to_hex(request.ciphertexts[1].external_handle), second.at("external_handle").at("hex").get<std::string>());
  EXPECT_EQ(request.ciphertexts[1].ciphertext_format, CiphertextFormat::big_expanded);
  ASSERT_TRUE(request.domain && request.domain->salt);
  EXPECT_EQ(request.domain->verifying_contract, value.at("domain").at("verifying_contract").get<std::string>());
  ASSERT_EQ(request.signing_schemes.size(), 2u);
  EXPECT_EQ(request.signing_schemes[0], SigningScheme::mldsa87);
}

TEST(CodecTest, WhatIsNotThereStaysVisiblyNotThere) {
  const auto request = decode<KeyGenRequest>({}).value();
  EXPECT_EQ(request, KeyGenRequest{});
  EXPECT_FALSE(request.request_id || request.params || request.domain || request.keyset_config);
  EXPECT_TRUE(encode(KeyGenRequest{}).empty());
  KeyGenRequest set;
  set.request_id = "";  // a sub-message without content is not the same as none
  set.params = FheParameter::default_params;
  const auto back = decode<KeyGenRequest>(encode(set)).value();
  EXPECT_EQ(back, set);
  EXPECT_TRUE(back.request_id && back.params);
}

TEST(CodecTest, NumbersWithoutAnEnumeratorAreKept) {
  PublicDecryptionRequest request;
  request.ciphertexts.resize(1);
  request.ciphertexts[0].fhe_type = -7;
  request.ciphertexts[0].ciphertext_format = Open<CiphertextFormat>(99);
  request.signing_schemes = {Open<SigningScheme>(5), Open<SigningScheme>(-1), SigningScheme::ed25519};
  EXPECT_EQ(decode<PublicDecryptionRequest>(encode(request)).value(), request);
}

TEST(CodecTest, UnknownFieldsAreIgnored) {
  Bytes wire = encode(IdRequest{"abc"});
  append(wire, witan::test::hex("f806012a03616263"));  // fields 111 (varint) and 5 (bytes)
  EXPECT_EQ(decode<IdRequest>(wire).value(), IdRequest{"abc"});
  wire = encode(PublicDecryptionRequest{.request_id = "abc",
                                        .ciphertexts = {},
                                        .key_id = {},
                                        .domain = {},
                                        .extra_data = {},
                                        .context_id = {},
                                        .epoch_id = {},
                                        .signing_schemes = {}});
  append(wire, witan::test::hex("f80601"));
  EXPECT_EQ(decode<PublicDecryptionRequest>(wire).value().request_id, "abc");
}

TEST(CodecTest, BytesThatAreNoMessageAreInvalidArgument) {
  for (const char* bad : {"0a", "0a05616263", "ff", "ffffffffffffffffffffff01", "0b0c", "00", "0fffff", "12020a05",
                          "0a020a02", "0a0280", "6a"}) {
    const auto message = decode<PublicDecryptionRequest>(witan::test::hex(bad));
    ASSERT_FALSE(message) << bad;
    EXPECT_EQ(message.error().code, Code::invalid_argument) << bad;
    EXPECT_THAT(message.error().message, HasSubstr("kms.v1.PublicDecryptionRequest")) << bad;
  }
  EXPECT_FALSE(decode<IdRequest>(witan::test::hex("0a02c328"))) << "an id that is not UTF-8";
}

TEST(CodecTest, EveryTruncationOfARequestIsRefusedOrShorter) {
  const Bytes wire = witan::test::hex(wire_vectors().at("kms.v1.PublicDecryptionRequest"));
  const auto whole = decode<PublicDecryptionRequest>(wire).value();
  for (std::size_t size = 0; size < wire.size(); ++size) {
    const auto part = decode<PublicDecryptionRequest>(ByteView(wire).first(size));
    if (part) EXPECT_NE(*part, whole) << size;
  }
}

/// `count` times the same bytes.
Bytes repeated(std::size_t count, std::string_view hex_text) {
  const Bytes once = witan::test::hex(hex_text);
  Bytes out;
  out.reserve(count * once.size());
  for (std::size_t i = 0; i < count; ++i) append(out, once);
  return out;
}

TEST(CodecTest, SmallBytesCannotBecomeLargeObjects) {
  EXPECT_EQ(decode<PublicDecryptionRequest>(repeated(kMaxCiphertexts, "1200")).value().ciphertexts.size(),
            kMaxCiphertexts);
  struct Case {
    const char* what;
    Bytes wire;
    const char* reason;
  };
  Bytes many_fields = witan::test::hex("12a806");  // one ciphertext of 808 bytes
  append(many_fields, repeated(404, "f001"));      // ... each two of them an unknown field: tag, then half of the next
  Bytes packed_schemes = witan::test::hex("4280808001");  // 2 MiB of signing schemes
  packed_schemes.resize(packed_schemes.size() + (2u << 20));
  const Case cases[] = {
      {"empty ciphertexts", repeated(kMaxCiphertexts + 1, "1200"), "more than 65535 elements"},
      {"signing schemes one by one", repeated(kMaxSmallMessageBytes / 2 + 1, "4000"), "other than 2"},
      {"packed signing schemes", packed_schemes, "other than 2"},
      {"unknown fields", repeated(kMaxSmallMessageBytes, "f80601"), "other than 2"},
      {"unknown fields in a ciphertext", many_fields, "more than 16 fields"},
  };
  for (const auto& [what, wire, reason] : cases) {
    const auto message = decode<PublicDecryptionRequest>(wire);
    ASSERT_FALSE(message) << what;
    EXPECT_EQ(message.error().code, Code::invalid_argument) << what;
    EXPECT_THAT(message.error().message, HasSubstr(reason)) << what;
  }
  const auto epoch = decode<NewMpcEpochRequest>(Bytes(kMaxSmallMessageBytes + 1));
  ASSERT_FALSE(epoch);
  EXPECT_THAT(epoch.error().message, HasSubstr("at most 1048576"));
}

TEST(CodecTest, ALargeCiphertextIsNoSmallField) {
  PublicDecryptionRequest request;
  request.ciphertexts.resize(3);
  for (auto& ciphertext : request.ciphertexts) ciphertext.ciphertext = Bytes(5u << 20, 0xab);
  EXPECT_EQ(decode<PublicDecryptionRequest>(encode(request)).value(), request);
}

}  // namespace
}  // namespace witan::api
