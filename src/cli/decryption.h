// Asking a committee to decrypt, in parallel, and judging its answers.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/rng.h"
#include "cli/committee.h"
#include "client/public_decryption.h"
#include "coprocessor/coprocessor.h"

namespace witan::cli {

struct CiphertextInput {
  Bytes bytes;
  tfhe::FheType type = tfhe::FheType::boolean;
  coprocessor::Format format = coprocessor::Format::big_compressed;
  Bytes handle;  // at most 32 bytes
};

struct DecryptionOrder {
  KeyId key;
  RequestId request;
  std::vector<CiphertextInput> ciphertexts;
  crypto::Eip712Domain domain;
  Bytes extra_data;
  std::chrono::seconds timeout{60};
  std::vector<int> first;  // parties that get the request before the others
};

struct PartyAnswer {
  std::optional<api::PublicDecryptionResponse> response;
  std::optional<client::Answer> verified;
  std::string error;  // of the call, or of the verification
  double seconds = 0;
};

struct DecryptionReport {
  client::Agreed agreed;
  std::map<int, PartyAnswer> answers;
  std::vector<int> lied, silent;  // as the answering nodes saw it, or as they did not answer us
  std::vector<int> other;         // sent shares of other content, by their own word
  double seconds = 0;
};

/// The domain of the Gateway's Decryption contract in the examples (responses.md 4.1).
crypto::Eip712Domain example_domain();
api::Eip712DomainMsg to_message(const crypto::Eip712Domain& domain);

/// A new id of that type (service.md 2): random, but for its first byte.
template <class IdType>
IdType random_id(std::uint8_t type) {
  OsRng rng;
  auto bytes = rng.bytes<32>();
  bytes[0] = type;
  return IdType(bytes);
}
RequestId random_request_id();

/// Sends the request to every party, collects answers until the time is over or all have come, verifies them. Error: fewer
/// than 2t + 1 parties agree; the message says per party what happened.
Result<DecryptionReport> decrypt(const Committee& committee, const DecryptionOrder& order);

Result<Bytes> read_file(const std::filesystem::path& file);
Status write_file(const std::filesystem::path& file, ByteView content);
/// A published object of a key, from the first vault that has it with the digest of its name.
Result<Bytes> read_public_object(const Committee& committee, const std::string& type, const KeyId& key);

}  // namespace witan::cli
