// A vault in a folder (service.md 8.1, 8.2): `<root>/<prefix>/<Type>/[<epoch>/]<id>`.
//
// An object appears under its name complete or not at all: it is written to `.<id>.partial.<pid>.<seq>` in the same
// folder, synced, renamed without overwriting, and the folder is synced. Partial files that no living process writes are
// removed when the vault is opened. Names that begin with a dot, and names that are no ids, are not listed.
#pragma once

#include <filesystem>
#include <memory>

#include "runtime/vault.h"

namespace witan::store {

struct FileVaultOptions {
  std::filesystem::path root;
  std::string prefix;  // e.g. "PUB-p1"; components [A-Za-z0-9._-]{1,64} separated by '/', none beginning with a dot

  enum class Visibility {
    public_objects,   // files 0644, folders 0755: strangers read them
    private_objects,  // files 0600, folders 0700: shares and secret keys; a wider mode of the vault's
                      // folder found at open is narrowed
  } visibility = Visibility::private_objects;

  enum class Access {
    read_write,  // creates the folders, sweeps partial files
    read_only,   // touches nothing; create and erase give failed_precondition
  } access = Access::read_write;
};

/// Any thread may use it; a writer or reader belongs to one thread at a time and may outlive the vault. Calls block on the
/// disk.
class FileVault final : public runtime::Vault {
 public:
  /// Errors: invalid_argument (prefix), not_found (read_only and no such folder), unavailable (cannot be created, read or
  /// written; names the folder and the system's reason).
  static Result<std::unique_ptr<FileVault>> open(FileVaultOptions options);
  ~FileVault() override;

  /// Errors of a writer: resource_exhausted above kMaxObjectBytes, already_exists, unavailable (disk full, read-only file
  /// system, ...). Pieces are gathered in a buffer of 256 KiB, which is wiped.
  Result<std::unique_ptr<runtime::ObjectWriter>> create(const runtime::ObjectName& name) override;
  Result<std::unique_ptr<runtime::ObjectReader>> open(const runtime::ObjectName& name) const override;
  Result<bool> exists(const runtime::ObjectName& name) const override;
  Result<std::vector<runtime::ObjectName>> list(const std::string& type) const override;
  /// Removes the name. Whether the disk forgets the content is up to the disk.
  Status erase(const runtime::ObjectName& name) override;
  Status sync(const runtime::ObjectName& name) override;
  std::string describe() const override;

 private:
  class Impl;
  explicit FileVault(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::store
