// The offline phase of a key generation (threshold-tfhe.md 4.2, 4.6; mpc.md 17.2): random bits, noises and slices of random products by
// protocol W, in batches. Each batch is a session of its own. A decide is about several: a group. The groups form one sequence.
//
//   for each group, two of them at once:     exchange of its batches     (mpc/detected_opening.h)
//   group after group:                       decide
//   behind the next decide:                  make shares from what was opened; store them
//   units that a dispute has spoiled         are made again in a group at the end, from fresh draws (S19, S31)
//
// *Groups* follow from the plan, the sizes in PreprocessingOptions, what an attempt begins with and the outcomes of its decides, which are equal at
// all honest parties (DecideLimit). A batch is exchanged, decided, stored and counted as if it were alone; what is used or opened is
// behind the decide of its group. Batches of a group are finished one after the other in the order of the plan, so an attempt may go on behind any
// of them. A decide takes two delays of the network, however many batches it is about (W2: three, because of its second phase). It
// comes behind the exchange of the next group, unless that is slower.
//
// *Time.* Before this party enters the decide of group g + 1 it waits for the exchange of that group, begun when g - 1 was decided, and
// until group g - 1 is stored. Neither is behind the other: the exchange begins whether g - 1 is stored or not. mpc::Patience has room for
// the longer of the two, fetching included. So a party that lacks values, or is slow to store them by up to `delay`, is not late.
//
// The exchange of the second group of an attempt begins when that of the first has ended, or a delay after it: the shares of two groups, 2 *
// decide_bytes to each of n - 1 parties with W1, would otherwise go through the network at once when nothing hides them.
//
// *Memory.* Two groups are being exchanged or decided, and two more are opened, of which the messages are gone: see estimate().
//
// A party that restarts calls for another attempt, in which it takes part again (protocols/attempts.h): the others leave theirs at the next
// decide, and all go on with the batches that it has. Units of later batches are dropped, and made again from fresh draws.
//
// What is made is cut into units, so that nothing depends on how it was batched:
//   bits     four bits                                  one element of protocol W
//   noises   four noises, packed by monomials           bound_log2 + 2 elements
//   slice    all its products                           inputs * outputs / 4 elements; a spoiled slice is made again as a whole
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "crypto/ids.h"
#include "mpc/bit_batch.h"
#include "mpc/detected_opening.h"
#include "mpc/product_slice.h"
#include "protocols/attempts.h"

namespace witan::protocols {

/// One kind of material that a key generation consumes, in the order in which it is made.
struct MaterialOrder {
  enum class Kind : std::uint8_t { bits, noises, slice };
  Kind kind = Kind::bits;
  int word_bits = 128;                  // the ring: GR(2^64,4) or GR(2^128,4)
  std::uint64_t count = 0;              // bits, resp. noises
  int bound_log2 = 0;                   // noises are TUniform(bound_log2)
  std::size_t inputs = 0, outputs = 0;  // of a slice: outputs a multiple of four, at most mpc::kMaxSliceOutputs

  /// Random bits that it takes: none for a slice.
  std::uint64_t bits() const;
  std::uint64_t units() const;
  std::size_t unit_bytes() const;  // as stored
  /// Random bits that a unit takes; the last unit of an order may take fewer.
  std::size_t bits_per_unit() const;
  std::uint64_t bits_of(std::span<const UnitRange> ranges) const;
  /// Elements of protocol W.
  std::uint64_t elements_of(std::span<const UnitRange> ranges) const;
  std::uint64_t elements() const;
  /// Of a batch of about so many elements; at least one.
  std::uint64_t units_per_batch(std::size_t batch_elements) const;
};
using MaterialPlan = std::vector<MaterialOrder>;

/// Sessions of bits and noises are numbered from 0, those of slices from here (mpc.md 17.2).
inline constexpr std::uint32_t kFirstSliceNumber = 1u << 15, kEndOfSliceNumbers = 1u << 16;

/// Elements in one batch, and bytes of opened elements in one decide, unless somebody says otherwise: three batches of GR(2^128,4), six
/// of GR(2^64,4).
inline constexpr std::size_t kBatchElements = 1u << 17, kDecideBytes = 24u << 20;
/// Groups whose exchange has begun and has not been decided.
inline constexpr std::size_t kGroupsExchanged = 2;
/// What a router should park of one sender (RouterLimits): whoever begins later than others, after a restart too, parks what they send of
/// their groups, beside what is left of those of the attempt before. What it refuses comes when it is awaited and asked for.
/// Frames have 1 KiB each beside their shares.
inline constexpr std::size_t kParkedBytes = 2 * kGroupsExchanged * kDecideBytes + (4u << 20);

/// Which batches are decided together: those of one ring one after the other, up to so many bytes of opened elements.
class DecideLimit {
 public:
  explicit DecideLimit(std::size_t bytes) : limit_(bytes) {}
  /// Takes the next batch. True if it begins another group.
  bool begins(int word_bits, std::uint64_t elements);
  /// The next batch begins another group.
  void close() { word_bits_ = 0; }

 private:
  const std::uint64_t limit_;
  int word_bits_ = 0;
  std::uint64_t bytes_ = 0;
};

/// Batches of a plan, and groups of them, when nothing is spoiled.
struct BatchCount {
  std::uint64_t batches = 0, decides = 0;
};
BatchCount batches_of(const MaterialPlan& plan, std::size_t batch_elements = kBatchElements,
                      std::size_t decide_bytes = kDecideBytes);

/// Where the material goes; private and durable, also across restarts. Units are stored once, unless they are dropped.
///   bits     Share<Z> of each bit            noises   Share<Z> of sum_c X^c e_{4u+c}
///   slice    the opened elements, from which mpc::ProductSlice makes the products, for the session given
class MaterialStore {
 public:
  virtual ~MaterialStore() = default;
  /// The units first, first + 1, ... of an order, unit_bytes() each (the last one of an order may be shorter). Durable when it ends.
  virtual runtime::Task<Status> put(std::size_t order, std::uint64_t first, SessionId session,
                                    Secret<Bytes> content) = 0;
  /// Forgets those of the units that are there.
  virtual runtime::Task<Status> drop(std::size_t order, UnitRange units) = 0;
};

/// What was stored.
class MaterialSource {
 public:
  virtual ~MaterialSource() = default;
  /// The units first .. first + count - 1. Errors: not_found, those of the medium.
  virtual runtime::Task<Result<Secret<Bytes>>> get(std::size_t order, std::uint64_t first, std::uint64_t count) = 0;
  /// Of a slice.
  virtual Result<SessionId> session(std::size_t order) const = 0;
};

/// Equal at all parties, but for `wait`.
struct PreprocessingOptions {
  mpc::OpeningVariant variant = mpc::OpeningVariant::w1;
  /// Elements in one batch; a slice is one batch whatever its size.
  std::size_t batch_elements = kBatchElements;
  /// Bytes of opened elements in one decide; one batch whatever its size.
  std::size_t decide_bytes = kDecideBytes;
  std::size_t chunk_rows = 1u << 14;
  runtime::Duration delay = std::chrono::seconds(3);  // see mpc::DetectionOptions
  /// How long a party waits for others to begin another attempt. A running one ends at its next decide.
  runtime::Duration wait = std::chrono::minutes(30);
};

/// Names the sessions of a preprocessing: who is asked for it under the same id, but makes or decides batches in another way, meets nobody.
crypto::Digest preprocessing_name(const PreprocId& id, const PreprocessingOptions& options);

struct PreprocessingProgress {
  std::uint64_t elements_done = 0, elements = 0;
  std::uint64_t batches_done = 0, batches = 0;
};

template <class Rules = mpc::DetectionRules>
class BasicPreprocessing {
 public:
  /// `id`: the preprocessing's; `attempt`: the caller's (mpc.md 5.2), the same after a restart. Preconditions (checked): a plan that
  /// fits the session numbers of mpc.md 17.2.
  BasicPreprocessing(PreprocessingParty party, PreprocId id, std::uint16_t attempt, MaterialPlan plan,
                     MaterialStore& store, PreprocessingOptions options);
  ~BasicPreprocessing();

  /// The protocol. After a restart: with the same store, goes on in another attempt. Errors: aborted (more than t parties, or this one,
  /// excluded, or the others have finished without it); deadline_exceeded (no further attempt begins); already_exists (a session was
  /// used before); data_loss (the journal has another plan); those of store and journal; cancelled. Once.
  runtime::Task<Status> run();
  /// After run(): names the material; parties go together into a key generation if it is equal.
  const crypto::Digest& content() const { return attempts_.content(); }

  PreprocessingProgress progress() const { return progress_; }
  /// Of the last attempt.
  const mpc::Disputes& disputes() const { return disputes_; }
  std::uint16_t attempt() const { return attempts_.number(); }
  const mpc::DetectionReport& report() const { return report_; }

 private:
  struct Group;
  template <class Z>
  struct BatchOf;
  template <class Z>
  struct GroupOf;

  Status check_batches() const;
  std::vector<UnitRange> missing(std::size_t order) const;
  runtime::Task<Status> drop_missing();
  void plan_attempt();
  void plan_order(std::size_t order);
  void plan_batch(std::size_t order, std::vector<UnitRange> units);
  std::unique_ptr<Group> make_group(std::size_t index);
  runtime::Task<Status> run_attempt();
  runtime::Task<Status> stored(Group& group);
  runtime::Task<Status> next_attempt();

  PreprocessingParty party_;
  const PreprocId id_;
  Attempts attempts_;
  const MaterialPlan plan_;
  MaterialStore& store_;
  const PreprocessingOptions options_;

  struct Planned {
    std::size_t order;
    std::vector<UnitRange> units;  // ascending
    std::uint16_t session_number;
  };
  std::vector<std::vector<Planned>> groups_;
  DecideLimit limit_;
  std::array<std::uint32_t, 2> next_bits_{0, 0}, next_slice_{kFirstSliceNumber, kFirstSliceNumber};  // by ring
  mpc::Disputes disputes_;
  runtime::RoleSet callers_;  // who ended the attempt
  mpc::DetectionReport report_;
  PreprocessingProgress progress_;
};

using Preprocessing = BasicPreprocessing<>;

}  // namespace witan::protocols
