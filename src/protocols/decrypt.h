// Public decryption (threshold-tfhe.md 7, security.md 4.6).
//
//   for ciphertext c:  sid_c = sid(request, kind 1, c);  ctx_c = SHAKE256("WITMASK1", key, format, type, v, SHA-256(content))
//   for its block q:   p_q = b - <a, key>;   c_q = p_q + mask(sid_c, ctx_c, draws 2q and 2q+1)
//   journal            (sid_0, all ctx) -> own message                      before the first share leaves
//   send to all        all ctx, all c_q                                     one message, session sid_0
//   open               all c_q at degree t, robust                          coefficients 1..3 are 0
//   decode, recombine  one plaintext per ciphertext
//
// The same request repeated sends the same message; other content under the same request id is refused (S7, S35, S41).
#pragma once

#include <memory>
#include <vector>

#include "crypto/ids.h"
#include "mpc/open.h"
#include "mpc/prss.h"
#include "protocols/key_shares.h"
#include "runtime/journal.h"
#include "runtime/router.h"
#include "tfhe/fhe_type.h"

namespace witan::protocols {

/// CiphertextFormat numbers of the API.
enum class CiphertextFormat : std::uint32_t {
  small_compressed = 0,
  small_expanded = 1,
  big_compressed = 2,
  big_expanded = 3
};

/// The key under which the squashed blocks of a format are encrypted.
tfhe::KeyName decryption_key(CiphertextFormat format);

/// The squashed blocks of one ciphertext, in order: each on its own, or as coefficients of GLWEs.
class SquashedBlocks {
 public:
  SquashedBlocks() = default;
  SquashedBlocks(std::vector<tfhe::Lwe<Z128>> lwes) : lwes_(std::move(lwes)) {}
  SquashedBlocks(std::vector<tfhe::PartialGlwe<Z128>> glwes) : glwes_(std::move(glwes)) {}

  std::size_t size() const;
  bool empty() const { return size() == 0; }
  void push_back(tfhe::Lwe<Z128> block);
  /// Empty for the other form.
  std::span<const tfhe::Lwe<Z128>> lwes() const { return lwes_; }
  std::span<const tfhe::PartialGlwe<Z128>> glwes() const { return glwes_; }

  /// Consecutive blocks that one kernel takes: below a millisecond, and of one GLWE.
  struct Piece {
    std::size_t first = 0, count = 0;
    std::size_t glwe = 0, first_in_glwe = 0;  // of GLWEs
  };
  std::vector<Piece> pieces() const;
  /// This party's shares of b - <a, key> of the blocks of a piece; see key_shares.h.
  Secret<std::vector<Share<Z128>>> partial_decrypt(const SharedKey& key, const Piece& piece) const;

 private:
  std::vector<tfhe::Lwe<Z128>> lwes_;
  std::vector<tfhe::PartialGlwe<Z128>> glwes_;  // one of the two is empty
};

/// One ciphertext, checked and ready: its squashed blocks, as many as the type has.
struct SquashedCiphertext {
  CiphertextFormat format = CiphertextFormat::big_compressed;
  tfhe::FheType type = tfhe::FheType::boolean;
  SquashedBlocks blocks;
  /// Big formats: SHA-256 of the bytes as received (v = 0). Small formats: of the squashed blocks (v = 1), so that a build
  /// with other rounding never reuses a mask; content_of_blocks() computes it.
  crypto::Digest content{};
  std::uint32_t v = 0;
};

/// SHA-256 over mask words and body of each block, u128 little endian, in order. Precondition: blocks on their own.
crypto::Digest content_of_blocks(const SquashedBlocks& blocks);

crypto::Digest mask_context(const KeyId& key, const SquashedCiphertext& ciphertext);

struct DecryptionJob {
  RequestId request;
  KeyId key;
  std::vector<SquashedCiphertext> ciphertexts;  // at most 65535
  /// Number of the request in this node's journal: what is sent is kept under it. The same whenever the request is repeated.
  std::uint64_t sequence = 0;
  /// What it is for: public_decryption, or key_confirmation (then `request` is what mpc.md 5.2 says).
  crypto::SessionKind kind = crypto::SessionKind::public_decryption;

  /// Of the masks of ciphertext `index`; the messages have that of ciphertext 0. All ciphertexts of a confirmation share one: their
  /// contexts differ.
  SessionId session_of(std::size_t index) const;
};

/// What a node records together with the session, at once or not at all.
struct Binding {
  std::function<std::vector<runtime::Change>()> changes;  // as they are when they are committed
  bool committed = false;
};

/// What a node lends to a decryption. All outlive it; keys and masks are let go when it has ended, however that is.
struct DecryptionParty {
  runtime::Router& router;
  runtime::Journal& journal;
  runtime::Compute& compute;
  std::shared_ptr<const KeyShares> keys;
  std::shared_ptr<const mpc::MaskGenerator> masks;
  runtime::Duration resend_after = std::chrono::milliseconds(500);
  std::shared_ptr<Binding> binding = nullptr;  // optional
  runtime::Work work = runtime::Work::urgent;  // class of the kernels
};

struct Decrypted {
  std::vector<Bytes> plaintexts;  // little endian, as long as each type, in request order
  std::size_t blocks = 0;         // opened (S40)
};

inline constexpr runtime::Step kDecryptShares = 1;
inline constexpr const char* kSessionsTable = "sessions";  // sid (16 bytes) -> SessionRecord, for ever
/// Sequence (runtime::number_key) -> the own message, as long as the request's result is kept.
inline constexpr const char* kSentTable = "sent";

/// What a session is bound to: the digest of its mask contexts. And where its message is.
struct SessionRecord {
  crypto::Digest contexts{};
  std::uint64_t sequence = 0;

  Bytes encode() const;
  static Result<SessionRecord> decode(ByteView record);
};

/// Removes what was sent for a request: nobody can ask for it afterwards. What its session is bound to stays.
runtime::Change forget_message(std::uint64_t sequence);

/// Rules of the protocol; tests replace single ones and must then see a violation (see mpc::OpeningRules).
struct DecryptionRules : mpc::OpeningRules {
  static constexpr bool journal_before_sending = true;
  static constexpr bool mask_bound_to_content = true;
  static constexpr bool check_base_ring = true;
};

template <class Rules = DecryptionRules>
class BasicPublicDecryption {
 public:
  BasicPublicDecryption(DecryptionParty party, DecryptionJob job);

  SessionId session_id() const { return session_id_; }
  const crypto::Digest& contexts_digest() const { return contexts_digest_; }

  /// The protocol. Errors: already_exists (the session is bound to other content, or is running); deadline_exceeded and
  /// aborted as RobustOpening::accept; internal (an opened value is not in the base ring); unavailable (journal). Once.
  runtime::Task<Result<Decrypted>> run(runtime::Instant deadline);
  /// The same for whom no caller waits: `patience` to record what it sends, and then, anew, to hear the others.
  runtime::Task<Result<Decrypted>> run(runtime::Duration patience);

  /// After run() succeeded: names parties whose late message is a lie, until the deadline.
  runtime::Task<void> watch_late(runtime::Instant until, std::function<void(Role)> on_lie);

  /// Meaningful once run() has begun to collect.
  mpc::OpeningReport report() const;
  /// When the own shares left; nothing before that.
  std::optional<runtime::Instant> sent_at() const { return sent_at_; }

 private:
  using Shares = std::vector<Share<Z128>>;
  runtime::Task<Result<Shares>> masked_shares();
  runtime::Task<Result<Decrypted>> run(runtime::Instant deadline, std::optional<runtime::Duration> once_sent);
  runtime::Task<Status> bind(const Bytes& message, runtime::Instant deadline);
  runtime::Task<Status> commit(std::function<std::vector<runtime::Change>()> changes, runtime::Instant deadline);
  Bytes message_of(const Shares& shares) const;
  Result<Decrypted> decode(const std::vector<Gr<Z128>>& opened) const;

  DecryptionParty party_;
  std::optional<runtime::Instant> sent_at_;
  std::shared_ptr<const DecryptionJob> job_;
  std::vector<crypto::Digest> contexts_;
  SessionId session_id_;
  crypto::Digest contexts_digest_;
  std::optional<runtime::Session> session_;
  std::unique_ptr<mpc::RobustOpening<Z128, Rules>> opening_;
};

using PublicDecryption = BasicPublicDecryption<>;

/// Answers peers that ask for messages of sessions which this process has not open: from the journal.
class JournalSentStore final : public runtime::SentStore {
 public:
  explicit JournalSentStore(const runtime::Journal& journal) : journal_(journal) {}
  runtime::Task<runtime::SentLookup> find(SessionId session, runtime::Step step, Role to) override;

 private:
  const runtime::Journal& journal_;
};

}  // namespace witan::protocols
