// What a client does with the answers to a public decryption (responses.md 5): checks every signature, counts equal answers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/ids.h"
#include "crypto/responses.h"
#include "tfhe/fhe_type.h"

namespace witan::client {

/// What was asked, as far as answers depend on it.
struct Question {
  RequestId request;
  crypto::PublicDecryptionContext signing;  // domain, handles, extra data
  std::vector<tfhe::FheType> types;
};

/// An answer whose two signatures are those of the party that was asked.
struct Answer {
  std::vector<tfhe::U256> values;
  Bytes external_signature;
  crypto::Address signer;
};

/// Errors: invalid_argument, saying what is wrong with the answer.
Result<Answer> verify_answer(const Question& question, const api::PublicDecryptionResponse& response,
                             const crypto::Address& expected_signer);

/// The values that at least `needed` parties agree on, and who they are. Error: failed_precondition.
struct Agreed {
  std::vector<tfhe::U256> values;
  std::vector<int> parties;  // in ascending order
};
Result<Agreed> agree(const std::map<int, Answer>& answers, std::size_t needed);

}  // namespace witan::client
