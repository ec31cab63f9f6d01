// Definitions of BasicPublicDecryption, for decrypt.cc and for tests with other rules.
#pragma once

#include "base/codec.h"
#include "base/log.h"
#include "crypto/separators.h"
#include "mpc/open_impl.h"
#include "protocols/decrypt.h"

namespace witan::protocols {

using runtime::ok;
using runtime::Task;

template <class Rules>
BasicPublicDecryption<Rules>::BasicPublicDecryption(DecryptionParty party, DecryptionJob job)
    : party_(std::move(party)), job_(std::make_shared<const DecryptionJob>(std::move(job))) {
  WITAN_CHECK(!job_->ciphertexts.empty() && job_->ciphertexts.size() <= 0xffff);
  crypto::Shake256 all(crypto::separators::kSessionContent);
  for (const SquashedCiphertext& ciphertext : job_->ciphertexts) {
    contexts_.push_back(mask_context(job_->key, ciphertext));
    all.update(contexts_.back());
  }
  contexts_digest_ = all.finish();
  session_id_ = job_->session_of(0);
}

/// Partial decryptions plus masks, in pieces that keep the pool responsive. What is not masked stays inside of a kernel.
template <class Rules>
Task<Result<typename BasicPublicDecryption<Rules>::Shares>> BasicPublicDecryption<Rules>::masked_shares() {
  Shares out;
  for (std::size_t c = 0; c < job_->ciphertexts.size(); ++c) {
    const SessionId session = job_->session_of(c);
    const crypto::Digest context = Rules::mask_bound_to_content ? contexts_[c] : crypto::Digest{};
    for (const SquashedBlocks::Piece& piece : job_->ciphertexts[c].blocks.pieces()) {
      auto kernel = [job = job_, keys = party_.keys, generator = party_.masks, session, context, c,
                     piece]() -> Result<Shares> {
        WITAN_ASSIGN(const auto masks, generator->masks(session, context, piece.first, piece.count));
        const SquashedCiphertext& ciphertext = job->ciphertexts[c];
        const auto parts = ciphertext.blocks.partial_decrypt(keys->of(decryption_key(ciphertext.format)), piece);
        Shares shares;
        shares.reserve(piece.count);
        for (std::size_t q = 0; q < piece.count; ++q) shares.push_back(parts.reveal()[q] + masks.reveal()[q]);
        return shares;
      };
      const Shares shares = co_await ok(co_await party_.compute(party_.work, std::move(kernel)));
      out.insert(out.end(), shares.begin(), shares.end());
    }
  }
  co_return out;
}

template <class Rules>
Bytes BasicPublicDecryption<Rules>::message_of(const Shares& shares) const {
  Bytes out;
  for (const crypto::Digest& context : contexts_) append(out, context);
  mpc::append_shares<Z128>(out, shares);
  return out;
}

/// While the disk is full it is tried again.
template <class Rules>
Task<Status> BasicPublicDecryption<Rules>::commit(std::function<std::vector<runtime::Change>()> changes,
                                                  runtime::Instant deadline) {
  using std::chrono::seconds;
  const auto may_pass = [](Code code) { return code == Code::unavailable || code == Code::resource_exhausted; };
  runtime::Loop& loop = party_.compute.loop();
  Status committed = co_await party_.journal.commit(changes());
  for (auto pause = seconds(1); !committed && may_pass(committed.error().code) && loop.after(pause) < deadline;
       pause = std::min(2 * pause, seconds(30))) {
    log::warn("request {}: what it would send cannot be recorded, next try in {} s: {}", job_->request.hex(),
              pause.count(), committed.error().message);
    co_await loop.sleep_for(pause);
    committed = co_await party_.journal.commit(changes());
  }
  co_return committed;
}

/// Binds the session to its content, durably, together with the node's own changes, or finds it bound to the same.
template <class Rules>
Task<Status> BasicPublicDecryption<Rules>::bind(const Bytes& message, runtime::Instant deadline) {
  const auto id = session_id_.bytes();
  const Bytes key(id.begin(), id.end());
  const Bytes place = runtime::number_key(job_->sequence);
  const auto also = [this] { return party_.binding ? party_.binding->changes() : std::vector<runtime::Change>{}; };
  const auto all = [&] {
    std::vector<runtime::Change> out = also();
    const SessionRecord record{contexts_digest_, job_->sequence};
    out.push_back({runtime::Change::Kind::put_new, kSessionsTable, key, record.encode()});
    out.push_back({runtime::Change::Kind::put, kSentTable, place, message});
    return out;
  };
  Status committed = co_await commit(all, deadline);
  if (!committed && committed.error().code == Code::already_exists) {
    const auto stored = co_await ok(party_.journal.get(kSessionsTable, key));
    if (!stored) co_return committed;  // it was one of the node's changes
    const SessionRecord earlier = co_await ok(SessionRecord::decode(*stored));
    if (earlier.contexts != contexts_digest_)
      co_return fail(
          Code::already_exists,
          "session {} of request {} was used for other ciphertexts or another key; an id names one content for ever",
          session_id_.hex(), job_->request.hex());
    const auto sent = co_await ok(party_.journal.get(kSentTable, runtime::number_key(earlier.sequence)));
    if (sent && *sent != message)
      co_return fail(Code::internal, "session {} would send another message than before; nothing is sent",
                     session_id_.hex());
    committed = Status{};
    if (party_.binding) committed = co_await commit(also, deadline);
  }
  if (party_.binding) party_.binding->committed = committed.has_value();
  co_return committed;
}

template <class Rules>
Result<Decrypted> BasicPublicDecryption<Rules>::decode(const std::vector<Gr<Z128>>& opened) const {
  Decrypted out;
  std::size_t at = 0;
  for (const SquashedCiphertext& ciphertext : job_->ciphertexts) {
    std::vector<std::uint8_t> pairs;
    for (std::size_t q = 0; q < ciphertext.blocks.size(); ++q, ++at) {
      if (Rules::check_base_ring && !opened[at].in_base_ring())
        return fail(Code::internal,
                    "block {} of an opened ciphertext is not in the base ring; the shares are of another key", q);
      pairs.push_back(tfhe::decode_pair(opened[at].c[0]));
    }
    WITAN_ASSIGN(const tfhe::U256 value, tfhe::recombine(ciphertext.type, pairs));
    out.plaintexts.push_back(value.to_le_bytes(static_cast<std::size_t>(tfhe::info(ciphertext.type).plaintext_bytes)));
  }
  out.blocks = at;
  return out;
}

template <class Rules>
Task<Result<Decrypted>> BasicPublicDecryption<Rules>::run(runtime::Instant deadline) {
  return run(deadline, {});
}

template <class Rules>
Task<Result<Decrypted>> BasicPublicDecryption<Rules>::run(runtime::Duration patience) {
  return run(party_.compute.loop().after(patience), patience);
}

template <class Rules>
Task<Result<Decrypted>> BasicPublicDecryption<Rules>::run(runtime::Instant deadline,
                                                          std::optional<runtime::Duration> once_sent) {
  struct Drop {
    ~Drop() {
      job.reset();
      party.keys.reset();
      party.masks.reset();
    }
    std::shared_ptr<const DecryptionJob>& job;
    DecryptionParty& party;
  } drop{job_, party_};  // late shares are checked without ciphertexts and keys
  Shares shares = co_await ok(co_await masked_shares());
  Bytes message = message_of(shares);
  if (message.size() > runtime::kMaxPayloadBytes)
    co_return fail(Code::invalid_argument, "the shares of the request take {} bytes, the limit is {}", message.size(),
                   runtime::kMaxPayloadBytes);
  if (Rules::journal_before_sending) co_await ok(co_await bind(message, deadline));

  Bytes header(message.begin(),
               message.begin() + static_cast<std::ptrdiff_t>(contexts_.size() * sizeof(crypto::Digest)));
  session_ = co_await ok(party_.router.open(session_id_, {.resend_after = party_.resend_after,
                                                          .max_payload_bytes = message.size() + 4096,
                                                          .max_steps = 2,
                                                          .reopen = true}));
  opening_ = std::make_unique<mpc::RobustOpening<Z128, Rules>>(*session_, party_.compute, kDecryptShares,
                                                               std::move(header), std::move(shares), party_.work);
  co_await ok(session_->send_all(kDecryptShares, runtime::make_payload(std::move(message))));
  sent_at_ = party_.compute.loop().now();
  if (once_sent) deadline = party_.compute.loop().after(*once_sent);
  const auto opened = co_await ok(co_await opening_->accept(deadline));
  co_return decode(opened);
}

template <class Rules>
Task<void> BasicPublicDecryption<Rules>::watch_late(runtime::Instant until, std::function<void(Role)> on_lie) {
  co_await opening_->watch_late(until, std::move(on_lie));
}

template <class Rules>
mpc::OpeningReport BasicPublicDecryption<Rules>::report() const {
  return opening_ ? opening_->report() : mpc::OpeningReport{};
}

}  // namespace witan::protocols
