// Requests of a node and their results ("meta stores", service.md 4), backed by the journal.
//
//   absent --insert, take_up--> pending --finish--> done(result)   an id is used for ever: the journal keeps its record also
//                                  \------fail----> failed(error)  after its result was evicted
//   done(preprocessing) --insert_keygen, discard--> deleted
//   failed(decryption) --insert, take_up with the same content--> pending
//
// Journal tables:
//   requests         kind(1) || id(32) -> open, failed, deleted or evicted; content digest, sequence, error (512 bytes); for ever
//                    (some 60 bytes without an error)
//   request_bodies   sequence -> what is needed to do the request again, while it is pending
//   request_results  sequence -> the result, until it is evicted or used; or that it is awaited
// What grows at random places is written once for a request; everything else is written and erased at the ends of its table. So an
// open request is
//   done                    if it has a result
//   failed, to be repeated  if its result is awaited: it was taken up for a caller who waits, and then the node stopped
//   pending                 if it has a body
//   evicted                 if it has nothing of these
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/rng.h"
#include "runtime/event.h"
#include "runtime/journal.h"

namespace witan::node {

enum class RequestKind : std::uint8_t { preprocessing = 1, keygen = 2, public_decryption = 3, epoch = 4 };
const char* to_string(RequestKind kind);

enum class RequestState : std::uint8_t { pending = 1, done = 2, failed = 3, deleted = 4, evicted = 5 };

using RawId = ByteArray<32>;

/// Hash of ids that clients choose: the upper half of the sum, modulo 2^64, of 32-bit words times secret 64-bit numbers (multilinear
/// hashing: two different ids fall together with probability 2^-32), so that nobody can choose ids that fall together.
class IdHash {
 public:
  IdHash() = default;
  explicit IdHash(Rng& rng) {
    for (std::uint64_t& factor : factors_) factor = rng.next<std::uint64_t>();
  }
  std::size_t operator()(const RawId& id) const { return of(0, id); }
  std::size_t operator()(const std::pair<RequestKind, RawId>& key) const {
    return of(static_cast<std::uint64_t>(key.first), key.second);
  }

 private:
  std::size_t of(std::uint64_t kind, const RawId& id) const {
    std::uint64_t sum = kind * factors_[8];
    for (std::size_t i = 0; i < 8; ++i) sum += load_le<std::uint32_t>(id.data() + 4 * i) * factors_[i];
    return sum >> 32;
  }
  /// Of tests that do not care.
  std::array<std::uint64_t, 9> factors_ = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
                                           0xd6e8feb86659fd93, 0xa0761d6478bd642f, 0xe7037ed1a0b428db,
                                           0x8ebc6af09c88c6e3, 0x589965cc75374cc3, 0x1d8e4e27c47d124f};
};

/// A request that was pending when the node stopped.
struct InterruptedRequest {
  RequestKind kind;
  RawId id;
  Bytes body;
};

struct RequestSummary {
  RawId id;
  RequestState state;
  std::string error;  // of a failed one
};

/// Tables whose keys are sequences (runtime::number_key).
inline constexpr const char* kBodiesTable = "request_bodies";
inline constexpr const char* kResultsTable = "request_results";

struct StoreLimits {
  std::size_t dec_capacity = 10000;  // decryptions kept for polling, pending and finished ones
  std::size_t min_dec_cache = 6000;  // of them, finished ones that a new request never evicts
  IdHash hash{};
};

/// Further changes of a commit, as they are at its time.
using Extra = std::function<std::vector<runtime::Change>()>;

/// What else leaves the journal together with the result of an evicted decryption.
using OnEvict = std::function<std::vector<runtime::Change>(std::uint64_t sequence)>;

class RequestStore {
 public:
  /// A request that is pending in memory and on its way into the journal.
  class Insertion {
   public:
    /// To be committed all together; further tries repeat them.
    const std::vector<runtime::Change>& changes() const { return changes_; }
    std::uint64_t sequence() const;

   private:
    friend class RequestStore;
    struct State;
    std::vector<runtime::Change> changes_;
    std::shared_ptr<State> state_;
  };

  RequestStore(runtime::Journal& journal, runtime::Loop& loop, StoreLimits limits);

  void set_on_evict(OnEvict hook) { on_evict_ = std::move(hook); }

  /// Reads the journal. Returns what was pending, oldest first.
  Result<std::vector<InterruptedRequest>> load();

  /// Records a new request as pending, durably, together with `extra`. Errors: already_exists (the id was used; for a
  /// failed decryption only if the content differs), resource_exhausted (full of pending decryptions), unavailable (it was taken
  /// up for another caller and its outcome is open: nothing may be promised of it).
  runtime::Task<Status> insert(RequestKind kind, RawId id, ByteArray<32> content_digest, Bytes body,
                               std::vector<runtime::Change> extra = {});
  /// Records a new key generation as pending and its preprocessing as used, in one commit, together with `extra`. Errors: those of insert()
  /// and of check_usable(), and then nothing has changed.
  runtime::Task<Status> insert_keygen(RawId key, ByteArray<32> content_digest, Bytes body, RawId preprocessing,
                                      std::vector<runtime::Change> extra);

  /// Takes a decryption up for a caller who waits. Nothing is recorded yet: the changes belong into the first commit of the work,
  /// and then into recorded() or withdraw(). Errors: as insert().
  Result<Insertion> take_up(RawId id, ByteArray<32> content_digest);
  /// The changes were committed: the outcome is recorded as usual.
  void recorded(const Insertion& insertion);
  /// They were not, and will not be: the request is as before, and who waits for it gets this error.
  void withdraw(const Insertion& insertion, Error error);

  /// Records the outcome, durably, together with what `extra` gives at each try, and wakes whoever waits. While the disk is
  /// full the request stays pending and this is tried again. Other errors of the journal are returned, and the request stays
  /// pending.
  runtime::Task<Status> finish(RequestKind kind, RawId id, Bytes result, Extra extra = {});
  /// Of the error's text at most 512 bytes are kept.
  runtime::Task<Status> fail_request(RequestKind kind, RawId id, Error error, Extra extra = {});

  /// Is it a finished preprocessing that no key has used? Errors: not_found (absent, used), unavailable (still running), the
  /// error it failed with (aborted or internal).
  Status check_usable(RawId preprocessing) const;
  /// Marks it as used, though no key is made of it. Errors: those of check_usable.
  runtime::Task<Status> discard(RawId preprocessing);

  /// The result, after waiting for a pending one until the deadline, or until stop is requested because nobody waits for the
  /// answer any more. Errors as service.md 4.2: not_found (absent, deleted, evicted), unavailable (still pending), aborted or
  /// internal (failed).
  runtime::Task<Result<Bytes>> result(RequestKind kind, RawId id, runtime::Instant deadline, std::stop_token gone = {});

  /// Was this id used for this content? Also of evicted requests.
  Result<bool> same_content(RequestKind kind, RawId id, const ByteArray<32>& content_digest) const;
  std::optional<RequestState> state(RequestKind kind, RawId id) const;
  /// Of a request in memory: its number in the journal, the same for ever. Precondition: it is there.
  std::uint64_t sequence(RequestKind kind, RawId id) const;
  std::optional<RequestSummary> summary(RequestKind kind, RawId id) const;
  /// Those in memory, in the order of their ids.
  std::vector<RequestSummary> list(RequestKind kind) const;
  std::size_t count(RequestKind kind) const;
  /// Of decryptions in memory; count() looks at all requests, this at none.
  struct Decryptions {
    std::size_t pending = 0, finished = 0;
  };
  Decryptions decryptions() const {
    return {decryptions_ - finished_decryptions_.size(), finished_decryptions_.size()};
  }
  std::size_t capacity(RequestKind kind) const;  // 0: unlimited

 private:
  /// Who waits for an outcome.
  struct Waiters {
    std::set<std::shared_ptr<runtime::Event>> events;
    std::optional<Error> withdrawn;
    void wake_all() const {
      for (const auto& event : events) event->set();
    }
  };
  struct Entry {
    RequestState state = RequestState::pending;
    ByteArray<32> content_digest{};
    std::uint64_t sequence = 0;
    std::uint64_t age = 0;  // counts how requests came in this process; a repeated one comes anew
    Bytes result;
    std::optional<Error> error;
    bool has_body = false;             // it can be done again without its caller
    bool settling = false;             // a change of it is on the way to the disk
    std::shared_ptr<Waiters> waiters;  // while pending
  };
  using Key = std::pair<RequestKind, RawId>;

  static Bytes journal_key(const Key& key);
  static Bytes encode(const Entry& entry);
  static Result<Entry> decode(ByteView record);
  using BySequence = std::map<std::uint64_t, Bytes>;
  Status for_each_sequence(const char* table, const std::function<void(std::uint64_t, ByteView)>& visit) const;
  Result<bool> settle_loaded(const Key& key, Entry& entry, BySequence& results, BySequence& bodies) const;
  Status load_requests(BySequence results, BySequence& bodies);
  Result<Insertion> prepare(const Key& key, ByteArray<32> content_digest, bool has_body);
  runtime::Task<Status> settle(Key key, RequestState state, Bytes result, std::optional<Error> error, Extra extra);
  Result<std::vector<runtime::Change>> begin_use(const RawId& preprocessing);
  void end_use(const RawId& preprocessing, bool committed);
  Result<std::optional<Key>> make_room();
  void evicted(const Key& key, bool committed);
  Result<std::optional<Entry>> find(const Key& key) const;

  runtime::Journal& journal_;
  runtime::Loop& loop_;
  StoreLimits limits_;
  OnEvict on_evict_ = [](std::uint64_t) { return std::vector<runtime::Change>{}; };
  std::uint64_t next_sequence_ = 1;
  std::unordered_map<Key, Entry, IdHash> entries_;       // pending, and finished ones that can be polled
  std::map<std::uint64_t, RawId> finished_decryptions_;  // by Entry::age: the oldest is evicted first
  std::uint64_t next_age_ = 1;
  std::size_t decryptions_ = 0;
};

struct RequestStore::Insertion::State {
  Key key;
  std::uint64_t sequence = 0;
  std::optional<Key> leaving;    // evicted for it
  std::optional<Entry> earlier;  // failed, done again
};
inline std::uint64_t RequestStore::Insertion::sequence() const {
  return state_->sequence;
}

}  // namespace witan::node
