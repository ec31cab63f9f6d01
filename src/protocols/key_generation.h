// The online phase of a key generation (threshold-tfhe.md 4.5, security.md 4.5): asynchronous, everything at degree t.
//
//   journal       (session -> digest)                            before the first message; it names the material's only use (S33)
//   agree         D = H(session, preprocessing, key, parameters, configuration) to all; go on after n-t equal ones     (S32)
//   keys          shares of the secret keys from the bits that were made, or those of a key set that exists
//   open          one random element: the public seed;  all differences eps, rho of the slices, each once              (S21)
//   body          shares of the rows of every component from keys, noises, products (protocols/key_rows.h)
//   open          chunk by chunk, four bodies per element, in the ring of the component                                 (R1, S20)
//   assemble      the key set, the same bytes at every party
//
// Given the material every message is determined: a party that restarts runs it again under the same session id and says the same.
#pragma once

#include <memory>
#include <optional>

#include "mpc/epoch_keys.h"
#include "mpc/open.h"
#include "protocols/key_assembly.h"
#include "protocols/key_plan.h"
#include "protocols/key_rows.h"
#include "protocols/preprocessing.h"
#include "runtime/journal.h"
#include "runtime/router.h"

namespace witan::protocols {

/// The plan of a key generation as orders to preprocessing, and which order is for what.
struct KeyMaterial {
  explicit KeyMaterial(const KeyPlan& plan);
  MaterialPlan orders;
  std::optional<std::size_t> bits;               // of all new keys, one after the other
  std::vector<std::size_t> noises;               // by component
  std::vector<std::vector<std::size_t>> slices;  // by component
};

struct KeyGenerationJob {
  KeyId key;
  PreprocId preprocessing;
  crypto::Digest material{};  // Preprocessing::content(): parties with other material take no part
  KeyPlan plan;               // of the material
  /// Which secret keys are made of it. The others are those of KeyGenerationParty::existing; bits that the material has for them are left.
  KeySource source = KeySource::all_new;
  /// What else all parties must agree on: configuration, referenced keys and epochs.
  crypto::Digest configuration{};
  tfhe::KeySetOptions options;
};

/// What a node lends. All outlive the generation.
struct KeyGenerationParty {
  runtime::Router& router;
  runtime::Journal& journal;
  runtime::Compute& compute;
  const mpc::EpochKeys& keys;
  MaterialSource& material;
  /// Of generations that do not make all keys: shares from the same epoch, of the same parameters.
  std::shared_ptr<const KeyShares> existing = nullptr;
};

struct GeneratedKey {
  KeyShares shares;
  tfhe::CompressedKeySet set;
};

struct KeyGenerationProgress {
  std::uint64_t elements_done = 0, elements = 0;  // of bodies
};

inline constexpr const char* kKeyGenerationsTable = "keygen_sessions";  // sid (16 bytes) -> D, for ever
inline constexpr runtime::Step kKeyAgree = 0, kKeySeed = 1, kKeyDifferences64 = 2, kKeyBodies = 16;

/// Rules of the protocol; tests replace single ones and must then see a violation (see mpc::OpeningRules).
struct KeyGenerationRules : mpc::OpeningRules {
  static constexpr bool agree_first = true;
  static constexpr bool journal_before_sending = true;
};

template <class Rules = KeyGenerationRules>
class BasicKeyGeneration {
 public:
  /// Preconditions (checked): the material has bits for every key that is made; `existing` has shares of every other one.
  BasicKeyGeneration(KeyGenerationParty party, KeyGenerationJob job);
  ~BasicKeyGeneration();

  SessionId session_id() const { return session_id_; }
  /// The protocol. Errors: already_exists (the session is bound to something else, or is running); aborted (more than t parties have
  /// another configuration, or lie); deadline_exceeded; internal (what was opened is no key set); those of journal and material. Once.
  /// `patience`: how long it waits for parties that make the same key, from when its session is bound; and then for each opening.
  runtime::Task<Result<GeneratedKey>> run(runtime::Duration patience);

  KeyGenerationProgress progress() const { return progress_; }
  /// Parties that lied in an opening, or have another configuration.
  runtime::RoleSet liars() const { return liars_; }

 private:
  template <class Z>
  struct LoadedSlice;
  template <class Z>
  using Slices = std::vector<std::shared_ptr<LoadedSlice<Z>>>;
  template <class Z>
  struct Chunk;

  crypto::Digest digest() const;
  runtime::Task<Result<bool>> bind();
  runtime::Task<Status> agree();
  runtime::Task<Status> take_keys();
  void check_keys() const;
  void take_existing_keys();
  template <class Z>
  runtime::Task<Result<Slices<Z>>> load_slices(std::size_t component);
  template <class Z>
  runtime::Task<Status> load_all_slices(std::vector<Share<Z>>& differences);
  template <class Z>
  Status take_differences(std::span<const Gr<Z>> opened);
  runtime::Task<Result<u128>> open_seed_and_differences();
  template <class Z>
  runtime::Task<Result<std::vector<Gr<Z>>>> open(runtime::Step step, std::vector<Share<Z>> shares);
  template <class Z>
  runtime::Task<Status> bodies(std::size_t component);
  template <class Z>
  runtime::Task<Result<std::vector<Gr<Z>>>> chunk(std::size_t component, RowRange rows,
                                                  std::shared_ptr<const BodyRows<Z>> kernel, runtime::Step step);

  KeyGenerationParty party_;
  const KeyGenerationJob job_;
  const KeyMaterial layout_;
  const SessionId session_id_;
  std::optional<runtime::Session> session_;
  KeyShares shares_;
  std::vector<Slices<Z64>> slices_64_;    // by component
  std::vector<Slices<Z128>> slices_128_;  // by component
  std::unique_ptr<KeySetAssembly> assembly_;
  runtime::Step next_step_ = kKeyBodies;
  KeyGenerationProgress progress_;
  runtime::RoleSet liars_;
  runtime::Duration patience_{};
};

using KeyGeneration = BasicKeyGeneration<>;

}  // namespace witan::protocols
