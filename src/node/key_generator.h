// Keys that nobody has seen, made by the committee (service.md 5.1, threshold-tfhe.md 4): KeyGenPreproc makes material, KeyGen turns it into
// a key.
//
//   KeyGenPreproc   journal: id, what it is for
//                   parties with the same plan begin together         preprocessing_name(): others meet nobody
//                   protocols/preprocessing -> MaterialFile           synced before the request is done
//                   journal: result
//   KeyGen          journal: key id, request; material -> key id      one commit: the material's only use
//                   node/existing_key                                 UseExisting: secret keys of a key that is here
//                   protocols/key_generation                          asynchronous, up to t parties may be gone
//                   node/key_confirmation                             a key that fails is never published
//                   public objects                                    read back: they are what was confirmed
//                   shares, journal: result; then the material is erased
//
// A restart: a preprocessing goes on in another attempt, with the batches that are on the disk (protocols/attempts.h). A key generation is taken
// up again: the same session id, the same messages. Preprocessings begin by a common start (mpc/common_start.h); who restarts before it has
// begun one has no place in it, and says so.
//
// A full or failing disk: whatever has to be read or written waits for it (node/disk_wait.h) and loses nothing; the status says so. An end, by
// an error or AbortKeyGen: first the kernels that still write end (node/tracked_compute.h), then what they wrote is erased, then the outcome
// is recorded.
//
// At most one of each kind runs at once. Material of a preprocessing lies in `folder`/<preprocessing id>, as long as a key can still be made
// of it: at most `internal_config.unused_materials` of them.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/core.h"
#include "node/existing_key.h"
#include "node/key_requests.h"
#include "node/material.h"
#include "node/pace.h"
#include "protocols/key_generation.h"

namespace witan::node {

/// Journal table: preprocessing id -> key id that its material was given to, for ever.
inline constexpr const char* kMaterialUseTable = "key_material";

/// What a run is doing.
struct KeygenProgress {
  RequestKind kind = RequestKind::preprocessing;
  const char* stage = "";
  Pace pace;
  runtime::RoleSet excluded;   // from a preprocessing, for whatever reason
  runtime::RoleSet convicted;  // of having deviated: they are excluded, or their shares of a key are ignored
};

class KeyGenerator {
 public:
  KeyGenerator(Core& core, std::filesystem::path folder);
  ~KeyGenerator();

  /// Takes up what was pending when the node stopped: from here on it counts as running. Loop thread.
  void resume(InterruptedRequest request);
  /// Is it for resume()? Not what a dealer has begun, and nothing that cannot be read. Errors: those of the journal, except data_loss.
  Result<bool> owns(const InterruptedRequest& request) const;
  /// At the start: notes in the folder whose it is. Where that cannot be written, nothing is made, read or erased: whatever needs the folder
  /// tries it again first, and waits as for any disk. Error: failed_precondition (it is another party's).
  Status claim_folder();
  /// After the resume() of everything: erases the material that no key can be made of any more.
  runtime::Task<void> erase_unused();

  runtime::Task<Result<api::Empty>> preprocess(api::KeyGenPreprocRequest request);
  runtime::Task<Result<api::Empty>> generate(api::KeyGenRequest request);
  /// AbortKeyGen, by preprocessing id (service.md 4.4): ends once the outcome is in the journal. Ours: also erases material that no key has
  /// used. Errors: invalid_argument, not_found.
  runtime::Task<Result<api::Empty>> abort(api::IdRequest request);

  /// For people and the command line, while it runs: "stage=<word> ", Pace::text(), and "; waits for the disk: ..." while it does.
  std::optional<std::string> progress(RequestKind kind, const RawId& id) const;
  /// Of what runs: at most one of each kind.
  std::vector<KeygenProgress> progress() const;

 private:
  struct Run;
  struct PreprocessingRun;
  struct KeygenRun;
  template <class Running>
  KeygenProgress progress_of(RequestKind kind, Running& run) const;

  runtime::Task<void> work(std::shared_ptr<PreprocessingRun> run, PreprocessingFields fields,
                           RateLimiter::Permit permit);
  runtime::Task<Result<std::unique_ptr<MaterialFile>>> interrupted_material(PreprocessingRun& run,
                                                                            const PreprocessingFields& fields,
                                                                            const protocols::MaterialPlan& plan);
  runtime::Task<Status> make_material(PreprocessingRun& run, const PreprocessingFields& fields);
  /// `making`: make_key(), or what ends with it.
  runtime::Task<void> work(std::shared_ptr<KeygenRun> run, runtime::Task<Status> making, RateLimiter::Permit permit);
  runtime::Task<Status> make_key(KeygenRun& run, KeygenFields fields);
  runtime::Task<Status> confirm(KeygenRun& run, const KeygenFields& fields,
                                std::shared_ptr<const tfhe::CompressedKeySet> set,
                                std::shared_ptr<const protocols::KeyShares> shares);
  runtime::Task<Result<Bytes>> publish(KeygenRun& run, const KeygenFields& fields,
                                       std::shared_ptr<const tfhe::CompressedKeySet> set,
                                       std::shared_ptr<const protocols::KeyShares> shares,
                                       std::optional<ExistingKey> existing);
  runtime::Task<Status> remove_key(const KeyId& key);
  runtime::Task<void> resume_preprocessing(std::shared_ptr<PreprocessingRun> run,
                                           std::shared_ptr<PreprocessingRun> before, InterruptedRequest request);
  runtime::Task<void> resume_keygen(std::shared_ptr<KeygenRun> run, std::shared_ptr<KeygenRun> before,
                                    InterruptedRequest request);
  runtime::Task<Status> make_interrupted_key(KeygenRun& run, InterruptedRequest request);
  Result<KeygenFields> read_keygen(const InterruptedRequest& request) const;
  runtime::Task<Status> claimed();
  Result<bool> is_needed(const PreprocId& id) const;
  Result<std::vector<PreprocId>> unused() const;
  runtime::Task<void> erase(PreprocId id);
  template <class AnyRun>
  static void settled(std::shared_ptr<AnyRun>& running, const std::shared_ptr<AnyRun>& run);
  protocols::PreprocessingOptions preprocessing_options() const;

  Core& core_;
  const std::filesystem::path folder_;
  bool claimed_ = false;    // the folder
  bool accepting_ = false;  // the serial lock of KeyGen
  runtime::WaitList accepted_;
  // That run, or will when what was interrupted before them has ended.
  std::shared_ptr<PreprocessingRun> preprocessing_;
  std::shared_ptr<KeygenRun> keygen_;
};

}  // namespace witan::node
