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

/// A decryption that this process has worked on, told when its outcome is recorded.
struct DecryptionOutcome {
  tfhe::FheType type;         // of the first ciphertext
  std::optional<Code> error;  // nothing: success
  runtime::Duration took{};   // from its acceptance, or the restart
};

/// What a party was seen to do in decryptions, once for each.
enum class DecryptionFault : std::uint8_t { wrong_shares, other_content };

/// Who counts what a decryptor does. Loop thread.
class DecryptionObserver {
 public:
  virtual ~DecryptionObserver() = default;
  virtual void decryption_ended(const DecryptionOutcome& outcome) = 0;
  virtual void fault_seen(Role party, DecryptionFault fault) = 0;
};

class PublicDecryptor {
 public:
  /// `observer` may be null.
  PublicDecryptor(Core& core, DecryptionObserver* observer);

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
  /// With a key, in all processes of this node (security.md 5, S40). Error: data_loss.
  Result<std::uint64_t> blocks_decrypted(const KeyRecord& key) const { return blocks_.total(key.key, key.epoch); }

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
  void count(const DecryptionFields& fields, std::optional<Code> error, runtime::Instant begun) const;
  void keep_notes(const RequestId& id, const mpc::OpeningReport& report);

  Core& core_;
  DecryptionObserver* const observer_;
  std::unordered_map<RawId, DecryptionNotes, IdHash> notes_;
  std::vector<RawId> notes_order_;
  BlockCounter blocks_;
  std::uint64_t blocks_decrypted_ = 0;
  Patience patience_;
};

}  // namespace witan::node
