#include "client/public_decryption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "support/support.h"

namespace witan::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

crypto::SigningKey key_of(int party) {
  test::SeededRng rng(static_cast<std::uint64_t>(party));
  return crypto::SigningKey::generate(rng);
}

Question question() {
  ByteArray<32> id{1};
  id[31] = 9;
  Question out{RequestId(id), {}, {tfhe::FheType::boolean, tfhe::FheType::uint64}};
  out.signing.domain.name = "Decryption";
  out.signing.domain.version = "1";
  out.signing.domain.chain_id[31] = 7;
  out.signing.handles = {crypto::Digest{1}, crypto::Digest{2}};
  out.signing.extra_data = {2, 3};
  return out;
}

/// What an honest party answers with these values.
api::PublicDecryptionResponse answer_of(const crypto::SigningKey& key, const Question& asked,
                                        const std::vector<tfhe::U256>& values) {
  std::vector<crypto::Plaintext> plaintexts;
  api::PublicDecryptionResponsePayload payload;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto size = static_cast<std::size_t>(tfhe::info(asked.types[i]).plaintext_bytes);
    const auto type = static_cast<std::int32_t>(asked.types[i]);
    plaintexts.push_back({values[i].to_le_bytes(size), type});
    payload.plaintexts.push_back({values[i].to_le_bytes(size), type});
  }
  const auto signatures = crypto::sign_public_decryption(key, asked.signing, plaintexts, asked.request.hex()).value();
  payload.verification_key = key.verifying_key().bincode();
  payload.request_id = asked.request.hex();
  api::PublicDecryptionResponse out;
  out.signature.assign(signatures.internal.begin(), signatures.internal.end());
  out.external_signature.assign(signatures.external.begin(), signatures.external.end());
  out.extra_data = asked.signing.extra_data;
  out.payload = std::move(payload);
  return out;
}

const std::vector<tfhe::U256> kValues = {tfhe::U256(1), tfhe::U256(0x0123456789abcdef)};

TEST(VerifyAnswer, AcceptsWhatAPartySigned) {
  const auto key = key_of(1);
  const auto answer = verify_answer(question(), answer_of(key, question(), kValues), key.address());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->values, kValues);
  EXPECT_EQ(answer->signer, key.address());
  EXPECT_EQ(answer->external_signature.size(), 65u);
}

// One thing wrong at a time, in the answer or in what was asked.
TEST(VerifyAnswer, RefusesWhateverDiffers) {
  const auto key = key_of(1), stranger = key_of(2);
  using Spoil = std::function<void(api::PublicDecryptionResponse&)>;
  const std::pair<Spoil, const char*> answers[] = {
      {[](auto& a) { a.payload.reset(); }, "no payload"},
      {[](auto& a) { a.payload->request_id->back() ^= 1; }, "another request"},
      {[](auto& a) { a.extra_data.push_back(0); }, "other extra data"},
      {[&](auto& a) { a = answer_of(stranger, question(), kValues); }, "the party is"},
      {[&](auto& a) { a.payload->verification_key = stranger.verifying_key().bincode(); }, "the party is"},
      {[](auto& a) { a.payload->verification_key.pop_back(); }, ""},
      {[](auto& a) { a.payload->plaintexts.pop_back(); }, "1 plaintexts, asked were 2"},
      {[](auto& a) { a.payload->plaintexts.push_back(a.payload->plaintexts[0]); }, "3 plaintexts"},
      {[](auto& a) { a.payload->plaintexts[1].fhe_type = 4; }, "plaintext 1 is of type 4"},
      {[](auto& a) { a.payload->plaintexts[1].bytes.pop_back(); }, "with 7 bytes"},
      {[](auto& a) { a.payload->plaintexts[1].bytes[3] ^= 1; }, "signature"},
      {[](auto& a) { a.payload->plaintexts[0].bytes[0] = 0; }, "signature"},
      {[](auto& a) { a.signature[5] ^= 1; }, "signature"},
      {[](auto& a) { a.signature.clear(); }, "signature"},
      {[](auto& a) { a.external_signature[5] ^= 1; }, "signature"},
      {[](auto& a) { a.external_signature[64] ^= 7; }, ""},
      {[](auto& a) { a.external_signature.clear(); }, "signature"},
      {[&](auto& a) { a.signature = answer_of(stranger, question(), kValues).signature; }, "signature"},
      {[&](auto& a) { a.external_signature = answer_of(stranger, question(), kValues).external_signature; }, ""},
  };
  for (const auto& [spoil, message] : answers) {
    auto answer = answer_of(key, question(), kValues);
    spoil(answer);
    const auto verified = verify_answer(question(), answer, key.address());
    ASSERT_FALSE(verified) << message;
    EXPECT_EQ(verified.error().code, Code::invalid_argument);
    EXPECT_THAT(verified.error().message, HasSubstr(message));
  }
  const std::function<void(Question&)> questions[] = {
      [](auto& q) { q.signing.handles[1][0] ^= 1; },
      [](auto& q) { std::swap(q.signing.handles[0], q.signing.handles[1]); },
      [](auto& q) { q.signing.domain.chain_id[31] ^= 1; },
      [](auto& q) { q.signing.domain.verifying_contract.bytes[0] ^= 1; },
      [](auto& q) { q.signing.domain.name += "x"; },
      [](auto& q) { q.signing.domain.salt = ByteArray<32>{}; },
  };
  for (const auto& change : questions) {
    Question other = question();
    change(other);
    EXPECT_FALSE(verify_answer(other, answer_of(key, question(), kValues), key.address()));
  }
}

Answer with(std::uint64_t value) {
  return {{tfhe::U256(value)}, {}, {}};
}

TEST(Agree, NeedsSoManyEqualAnswers) {
  std::map<int, Answer> answers = {{1, with(5)}, {2, with(6)}, {4, with(5)}};
  const auto too_few = agree(answers, 3);
  ASSERT_FALSE(too_few);
  EXPECT_EQ(too_few.error().code, Code::failed_precondition);
  EXPECT_THAT(too_few.error().message, HasSubstr("no 3 parties give the same answer (3 answered)"));
  answers.emplace(3, with(5));
  const auto agreed = agree(answers, 3);
  ASSERT_TRUE(agreed);
  EXPECT_EQ(agreed->values, std::vector{tfhe::U256(5)});
  EXPECT_THAT(agreed->parties, ElementsAre(1, 3, 4));
  EXPECT_FALSE(agree({}, 1));
}

}  // namespace
}  // namespace witan::client
