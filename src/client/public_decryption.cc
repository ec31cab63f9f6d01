#include "client/public_decryption.h"

#include <algorithm>

namespace witan::client {

Result<Answer> verify_answer(const Question& question, const api::PublicDecryptionResponse& response,
                             const crypto::Address& expected_signer) {
  const auto bad = [](std::string what) { return fail(Code::invalid_argument, "{}", what); };
  if (!response.payload) return bad("the answer has no payload");
  const auto& payload = *response.payload;
  const std::string id = question.request.hex();
  if (payload.request_id != id) return bad("the answer is to another request");
  if (response.extra_data != question.signing.extra_data) return bad("the answer carries other extra data");
  WITAN_ASSIGN(const auto key, crypto::VerifyingKey::parse_bincode(payload.verification_key));
  if (key.address() != expected_signer)
    return bad(fmt::format("the answer is of {}, the party is {}", key.address().text(), expected_signer.text()));
  if (payload.plaintexts.size() != question.types.size())
    return bad(
        fmt::format("the answer has {} plaintexts, asked were {}", payload.plaintexts.size(), question.types.size()));
  std::vector<crypto::Plaintext> plaintexts;
  Answer out;
  for (std::size_t i = 0; i < question.types.size(); ++i) {
    const auto& plaintext = payload.plaintexts[i];
    const auto& info = tfhe::info(question.types[i]);
    if (plaintext.fhe_type != static_cast<std::int32_t>(question.types[i]) ||
        plaintext.bytes.size() != static_cast<std::size_t>(info.plaintext_bytes))
      return bad(fmt::format("plaintext {} is of type {} with {} bytes, expected {}", i, plaintext.fhe_type,
                             plaintext.bytes.size(), info.name));
    plaintexts.push_back({plaintext.bytes, plaintext.fhe_type});
    out.values.push_back(tfhe::U256::from_le_bytes(plaintext.bytes));
  }
  WITAN_TRY(crypto::verify_public_decryption(key, question.signing, plaintexts, id, response.signature,
                                             response.external_signature));
  out.external_signature = response.external_signature;
  out.signer = expected_signer;
  return out;
}

Result<Agreed> agree(const std::map<int, Answer>& answers, std::size_t needed) {
  for (const auto& [party, answer] : answers) {
    Agreed out{answer.values, {}};
    for (const auto& [other, theirs] : answers)
      if (theirs.values == answer.values) out.parties.push_back(other);
    if (out.parties.size() >= needed) return out;
  }
  return fail(Code::failed_precondition, "no {} parties give the same answer ({} answered)", needed, answers.size());
}

}  // namespace witan::client
