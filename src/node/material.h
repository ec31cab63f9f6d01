// The material of one preprocessing in a file of its own (protocols/preprocessing.h): noises, bits and slices, 0.62 GB with the default
// parameters, written as it is made, read in the order of consumption, erased when its key generation has ended. Shares alone: the file
// is private to the node (0600, in a folder of mode 0700).
//
//   header    magic, layout, preprocessing id, attempt, hash of the plan
//   record    magic, order, first unit, units, session, size of the content, hash of all that, header and content; content
//   drop      magic, order, first unit, units, hash         the records of these units before it do not count
//   ...
//   end       magic, number of records, content(), hash of the records' hashes in the order of the file
//
// A record is on the disk when its put() ends, and so is everything before it; the end when complete() ends. A file without its end is an
// interrupted preprocessing, which may go on. Content is compared with its hash whenever it is read.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "crypto/hash.h"
#include "node/disk_wait.h"
#include "protocols/preprocessing.h"
#include "runtime/compute.h"

namespace witan::node {

/// Loop thread only; the disk is read and written by bulk kernels of the pool. Destroyed, it leaves the file as it is.
class MaterialFile final : public protocols::MaterialStore, public protocols::MaterialSource {
 public:
  /// Makes the folder and notes in its file `owner` whose it is. Parties name their files alike, and each erases what its journal does not
  /// know. Errors: failed_precondition (it is another one's), otherwise what the system says.
  static Status claim_folder(const std::filesystem::path& folder, std::string_view owner);
  /// A new file for that plan. Makes the folder. Errors: already_exists, unavailable (disk).
  static runtime::Task<Result<std::unique_ptr<MaterialFile>>> create(runtime::Compute& compute,
                                                                     std::filesystem::path folder, PreprocId id,
                                                                     std::uint16_t attempt,
                                                                     protocols::MaterialPlan plan);
  /// What is expected of a file: that it is complete, or that it may also be what an interrupted preprocessing has left. Of that, what is
  /// cut short behind the last whole piece is given up.
  enum class State : std::uint8_t { complete, interrupted };
  /// Made for the same plan. Errors: not_found; data_loss naming the file and what is wrong with it; unavailable (disk).
  static runtime::Task<Result<std::unique_ptr<MaterialFile>>> open(runtime::Compute& compute,
                                                                   std::filesystem::path folder, PreprocId id,
                                                                   protocols::MaterialPlan plan,
                                                                   State state = State::complete);
  ~MaterialFile() override;

  /// Preconditions (checked): units of the plan, each once unless they were dropped; not complete. Error: unavailable (disk full, ...):
  /// nothing of it counts, and it may be put again.
  runtime::Task<Status> put(std::size_t order, std::uint64_t first, SessionId session, Secret<Bytes> content) override;
  runtime::Task<Status> put_shared(std::size_t order, std::uint64_t first, SessionId session,
                                   std::shared_ptr<const Secret<Bytes>> content);
  /// Precondition (checked): not complete. Errors: data_loss (a record has other units too); unavailable: to be called again.
  runtime::Task<Status> drop(std::size_t order, protocols::UnitRange units) override;
  /// After the last put(): writes the end and waits until all of it is on disk. `content` names what was made. Errors: internal (units
  /// are missing); unavailable: to be called again.
  runtime::Task<Status> complete(const crypto::Digest& content);
  bool is_complete() const { return complete_; }
  /// Of a complete one.
  const crypto::Digest& content() const { return content_; }

  /// Errors: not_found; data_loss naming file and place, what was found and expected; unavailable.
  runtime::Task<Result<Secret<Bytes>>> get(std::size_t order, std::uint64_t first, std::uint64_t count) override;
  Result<SessionId> session(std::size_t order) const override;

  /// Of the preprocessing that has made it.
  std::uint16_t attempt() const { return attempt_; }
  std::uint64_t size_bytes() const;

 private:
  struct Record {
    std::uint64_t units = 0, content_bytes = 0;
    std::uint64_t offset = 0;  // of the content
    SessionId session{};
    crypto::Digest hash{};
  };
  class Descriptor;
  struct Place;
  MaterialFile(runtime::Compute& compute, std::filesystem::path file, PreprocId id, std::uint16_t attempt,
               protocols::MaterialPlan plan, std::shared_ptr<Descriptor> descriptor);

  static Result<std::unique_ptr<MaterialFile>> create_now(runtime::Compute& compute,
                                                          const std::filesystem::path& folder, const PreprocId& id,
                                                          std::uint16_t attempt, protocols::MaterialPlan plan);
  static Result<std::unique_ptr<MaterialFile>> open_now(runtime::Compute& compute, const std::filesystem::path& folder,
                                                        const PreprocId& id, protocols::MaterialPlan plan, State state);
  Bytes header() const;
  Bytes drop_record(std::size_t order, protocols::UnitRange units) const;
  Bytes record_head(std::size_t order, std::uint64_t first, const Record& record) const;
  Bytes end() const;
  Status read_index(State state);
  Result<std::uint64_t> read_piece(std::uint64_t at, std::uint64_t size);
  Status add(std::size_t order, std::uint64_t first, const Record& record);
  Status remove(std::size_t order, protocols::UnitRange units);
  Status check_whole() const;

  runtime::Compute& compute_;
  const std::filesystem::path file_;
  const PreprocId id_;
  std::uint16_t attempt_;
  const protocols::MaterialPlan plan_;
  std::shared_ptr<Descriptor> descriptor_;
  std::vector<std::map<std::uint64_t, Record>> records_;        // by order and first unit
  std::vector<std::pair<std::size_t, std::uint64_t>> in_file_;  // order, first unit: as they lie in the file
  crypto::Digest content_{};
  bool complete_ = false;
};

/// Material whose reads and writes wait for the disk. Both outlive it.
class PatientMaterial final : public protocols::MaterialStore, public protocols::MaterialSource {
 public:
  PatientMaterial(MaterialFile& file, DiskWait& wait) : file_(file), wait_(wait) {}
  runtime::Task<Status> put(std::size_t order, std::uint64_t first, SessionId session, Secret<Bytes> content) override;
  runtime::Task<Status> drop(std::size_t order, protocols::UnitRange units) override;
  runtime::Task<Result<Secret<Bytes>>> get(std::size_t order, std::uint64_t first, std::uint64_t count) override;
  Result<SessionId> session(std::size_t order) const override { return file_.session(order); }

 private:
  MaterialFile& file_;
  DiskWait& wait_;
};

/// Bytes of so many units from `first` on: a bit order may end within its last unit.
std::uint64_t material_bytes(const protocols::MaterialOrder& order, std::uint64_t first, std::uint64_t units);

/// What is kept in a folder, by preprocessing. Not there: nothing.
Result<std::vector<PreprocId>> list_material(const std::filesystem::path& folder);

/// MaterialFile::claim_folder(), for whoever needs the folder after the start. Errors: failed_precondition (it is another one's), unavailable
/// (with what to do).
runtime::Task<Status> claim_material(runtime::Compute& compute, std::filesystem::path folder, std::string owner);

/// Overwrites the file with zeros, as far as the file system writes in place, and removes it. Success if it is not there.
runtime::Task<Status> erase_material(runtime::Compute& compute, std::filesystem::path folder, PreprocId id);

}  // namespace witan::node
