// Public decryption as a node does it: check, record, squash if needed, run the protocol, sign, record the result
// (docs/architecture.md, "The life of one public decryption").
#pragma once

#include <unordered_map>

#include "node/block_counter.h"
#include "node/core.h"
#include "node/patience.h"
#include "node/validation.h"

namespace witan::node {

/// What a node has seen of its peers in one decryption; kept beside the result, in memory.
struct DecryptionNotes {
  mpc::OpeningReport report;
};

class PublicDecryptor {
 public:
  explicit PublicDecryptor(Core& core);

  /// PublicDecrypt: returns once the request is durably recorded, then works on in the background.
  runtime::Task<Status> accept(api::PublicDecryptionRequest request);
  /// PublicDecryptSync: begins the work for a caller who waits for the result. A request that is known already, with this
  /// content, is fine. A crash before the first share is sent forgets the request.
  runtime::Task<Status> take_up_or_known(api::PublicDecryptionRequest request);
  /// A request that was pending when the node stopped.
  void resume(const InterruptedRequest& request);
  /// GetPublicDecryptionResult.
  runtime::Task<Result<api::PublicDecryptionResponse>> result(RequestId id, runtime::Instant deadline,
                                                              std::stop_token gone);

  /// Who lied or was silent, if this process has done the decryption.
  const DecryptionNotes* notes(const RequestId& id) const;
  /// By this process.
  std::uint64_t blocks_decrypted() const { return blocks_decrypted_; }

 private:
  using Request = std::shared_ptr<const api::PublicDecryptionRequest>;
  struct Checked {
    DecryptionFields fields;
    Admission::Permit admission;
    Admission::Permit squashings;  // until all of it is squashed
    MemoryBudget::Permit memory;   // for the ciphertexts
    std::vector<ParsedCiphertext> ciphertexts;
    crypto::Digest content{};  // of the whole request, each ciphertext by the digest of its bytes
    std::optional<RequestStore::Insertion> insertion;
    std::shared_ptr<protocols::Binding> binding;
  };
  enum class Accepted : std::uint8_t { recorded, known };
  enum class Caller : std::uint8_t { polls, waits };
  runtime::Task<Result<Accepted>> record(api::PublicDecryptionRequest request, Caller caller);
  enum class Source : std::uint8_t { client, journal };
  runtime::Task<Result<Checked>> check(Request request, Source source);
  runtime::Task<Status> parse(Request request, std::shared_ptr<const tfhe::Params> params, Checked& checked);
  runtime::Task<void> work(Checked checked, RateLimiter::Permit permit, bool resumed);
  runtime::Task<void> resume_one(InterruptedRequest request);
  runtime::Task<Result<protocols::SquashedCiphertext>> squash(ParsedCiphertext parsed, const KeyRecord& record);
  runtime::Task<Result<Bytes>> sign(const DecryptionFields& fields, protocols::Decrypted decrypted);
  runtime::Task<Result<Bytes>> decrypt(Checked& checked, std::unique_ptr<protocols::PublicDecryption>& running,
                                       bool resumed, bool& counted);
  void keep_notes(const RequestId& id, const mpc::OpeningReport& report);

  Core& core_;
  std::unordered_map<RawId, DecryptionNotes, IdHash> notes_;
  std::vector<RawId> notes_order_;
  BlockCounter blocks_;
  std::uint64_t blocks_decrypted_ = 0;
  Patience patience_;
};

}  // namespace witan::node
