// The offline phase of a key generation (threshold-tfhe.md 4.2, 4.6; mpc.md 17.2): random bits, noises and slices of random products by
// protocol W, in batches. Each batch is a session of its own; their decides form one sequence.
//
//   for each batch, a few of them at once:   exchange                    (mpc/detected_opening.h)
//   in order:                                decide
//   behind that, a few of them at once:      make shares from what was opened; store them
//   units that a dispute has spoiled         are made again in a batch at the end, from fresh draws (S19, S31)
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
#include <string>
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

/// Elements in one batch, and batches under way at once, unless somebody says otherwise.
inline constexpr std::size_t kBatchElements = 1u << 17, kBatchesAtOnce = 3;

/// Batches of a plan, when nothing is spoiled. Each is decided on its own, one after the other.
std::uint64_t batches_of(const MaterialPlan& plan, std::size_t batch_elements = kBatchElements);

/// In a fixed form, for hashes.
Bytes encode(const MaterialPlan& plan);

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

struct PreprocessingOptions {
  mpc::OpeningVariant variant = mpc::OpeningVariant::w1;
  /// Of what is not for a key generation as it is: parts of its name.
  std::string purpose = {};
  /// Elements in one batch; a slice is one batch whatever its size.
  std::size_t batch_elements = kBatchElements;
  /// Batches under way at once.
  std::size_t batches_at_once = kBatchesAtOnce;
  std::size_t chunk_rows = 1u << 14;
  runtime::Duration delay = std::chrono::seconds(3);  // see mpc::DetectionOptions
  /// How long a party waits for others to begin another attempt. A running one ends at its next decide.
  runtime::Duration wait = std::chrono::minutes(30);
};

/// What a preprocessing is of: whose name is equal makes the same material in the same batches, under the same keys. All session ids of a
/// preprocessing are made of it, those of its common start too, so none stands for two contents (S5), whatever parties were asked for
/// under one request id.
crypto::Digest preprocessing_name(const PreprocId& id, CommitteeSize committee, const EpochId& epoch,
                                  const MaterialPlan& plan, const PreprocessingOptions& options);

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
  /// Of the attempt that has begun last: its number and the disputes in it change together.
  const mpc::Disputes& disputes() const { return disputes_; }
  std::uint16_t attempt() const { return attempt_; }
  const mpc::DetectionReport& report() const { return report_; }

 private:
  struct Batch;
  template <class Z>
  struct BatchOf;

  Status check_batches() const;
  std::vector<UnitRange> missing(std::size_t order) const;
  runtime::Task<Status> drop_missing();
  void plan_attempt();
  void plan_order(std::size_t order);
  void plan_batch(std::size_t order, std::vector<UnitRange> units);
  std::unique_ptr<Batch> make(std::size_t index);
  runtime::Task<Status> run_attempt();
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
  std::vector<Planned> batches_;
  std::array<std::uint32_t, 2> next_bits_{0, 0}, next_slice_{kFirstSliceNumber, kFirstSliceNumber};  // by ring
  mpc::Disputes disputes_;
  std::uint16_t attempt_ = 0;
  runtime::RoleSet callers_;  // who ended the attempt
  mpc::DetectionReport report_;
  PreprocessingProgress progress_;
};

using Preprocessing = BasicPreprocessing<>;

}  // namespace witan::protocols
