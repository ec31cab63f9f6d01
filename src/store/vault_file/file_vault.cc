#include "store/vault_file/file_vault.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "base/check.h"
#include "base/log.h"
#include "base/secret.h"
#include "store/vault_file/folder.h"

namespace witan::store {
namespace {

using runtime::ObjectName;

constexpr std::size_t kMaxTypeBytes = 40;
constexpr std::size_t kMaxPrefixComponentBytes = 64;
constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

Status check_type(const std::string& type) {
  if (!type.empty() && type.size() <= kMaxTypeBytes && std::ranges::all_of(type, is_alphanumeric)) return {};
  return fail(Code::invalid_argument, "'{}' is no object type: 1 to {} letters and digits",
              std::string_view(type).substr(0, kMaxPrefixComponentBytes), kMaxTypeBytes);
}

/// "PUB-p1" or "BACKUP/<id>" to its components.
Result<std::vector<std::string>> split_prefix(const std::string& prefix) {
  std::vector<std::string> components;
  for (std::size_t at = 0; at <= prefix.size();) {
    const std::size_t end = std::min(prefix.find('/', at), prefix.size());
    std::string part = prefix.substr(at, end - at);
    const auto allowed = [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; };
    if (part.empty() || part.size() > kMaxPrefixComponentBytes || part[0] == '.' || !std::ranges::all_of(part, allowed))
      return fail(Code::invalid_argument,
                  "vault prefix '{}': each component is 1 to {} of A-Z a-z 0-9 . _ - and does not begin with a dot",
                  prefix, kMaxPrefixComponentBytes);
    components.push_back(std::move(part));
    at = end + 1;
  }
  return components;
}

/// 64 lower-case hexadecimal digits; anything else in a folder is not ours.
std::optional<ByteArray<32>> parse_name(const std::string& name) {
  if (name.size() != 64) return std::nullopt;
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (!std::ranges::all_of(name, digit)) return std::nullopt;
  const auto bytes = from_hex(name);
  ByteArray<32> out;
  std::ranges::copy(*bytes, out.begin());
  return out;
}

/// ".<name>.partial.<pid>.<seq>"
bool is_partial(const std::string& name) {
  return name.starts_with('.') && name.find(".partial.") != std::string::npos;
}

std::string partial_name(const std::string& name) {
  static std::atomic<std::uint64_t> sequence = 0;
  return fmt::format(".{}.partial.{}.{}", name, ::getpid(), sequence.fetch_add(1));
}

}  // namespace

class FileVault::Impl {
 public:
  Impl(Folder base, std::filesystem::path path, FileVaultOptions options)
      : base_(std::move(base)), path_(std::move(path)), options_(std::move(options)) {}

  bool read_only() const { return options_.access == FileVaultOptions::Access::read_only; }
  bool is_private() const { return options_.visibility == FileVaultOptions::Visibility::private_objects; }
  mode_t file_mode() const { return is_private() ? 0600 : 0644; }
  mode_t folder_mode() const { return is_private() ? 0700 : 0755; }
  std::string text_of(const ObjectName& name) const { return (path_ / name.path()).native(); }

  Status check_writable(const ObjectName& name) const {
    if (!read_only()) return {};
    return fail(Code::failed_precondition, "{}: this vault was opened for reading only", text_of(name));
  }

  /// The folder of an object, made if it is missing; or not_found.
  Result<Folder> folder_of(const ObjectName& name, bool make) const {
    WITAN_TRY(check_type(name.type));
    WITAN_ASSIGN(Folder folder, make ? base_.make(name.type, folder_mode()) : base_.enter(name.type));
    if (!name.epoch) return folder;
    return make ? folder.make(name.epoch->hex(), folder_mode()) : folder.enter(name.epoch->hex());
  }

  /// Of all folders in which an entry may be new: an earlier try may have made them, and failed before it synced them.
  Status sync_folders(const ObjectName& name) const {
    WITAN_TRY(check_type(name.type));
    WITAN_TRY(base_.sync());
    WITAN_ASSIGN(const Folder folder, base_.enter(name.type));
    WITAN_TRY(folder.sync());
    if (!name.epoch) return {};
    WITAN_ASSIGN(const Folder inner, folder.enter(name.epoch->hex()));
    return inner.sync();
  }

  /// Removes the partial files that no living writer holds, in this folder and two levels below.
  void sweep(const Folder& folder, int levels_below) const {
    const auto entries = folder.entries();
    if (!entries) {
      log::warn("vault {}: cannot look for partial files: {}", path_.native(), entries.error().message);
      return;
    }
    for (const Folder::Entry& entry : *entries) {
      if (entry.is_folder && levels_below > 0 && !entry.name.starts_with('.')) {
        if (const auto inner = folder.enter(entry.name)) sweep(*inner, levels_below - 1);
      } else if (!entry.is_folder && is_partial(entry.name)) {
        remove_if_abandoned(folder, entry.name);
      }
    }
  }

  Result<std::vector<ObjectName>> list(const std::string& type) const {
    WITAN_TRY(check_type(type));
    std::vector<ObjectName> out;
    auto folder = base_.enter(type);
    if (!folder && folder.error().code == Code::not_found) return out;
    if (!folder) return fail(std::move(folder).error());
    WITAN_TRY(list_folder(*folder, type, std::nullopt, out));
    std::ranges::sort(out);
    return out;
  }

  const Folder& base() const { return base_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  static void remove_if_abandoned(const Folder& folder, const std::string& name) {
    const auto file = folder.open_for_reading(name);
    if (!file || !file->try_lock()) return;  // gone, or being written
    if (Status removed = folder.remove(name); removed)
      log::info("vault: removed {}, left by an interrupted write", name);
  }

  static Status list_folder(const Folder& folder, const std::string& type, std::optional<EpochId> epoch,
                            std::vector<ObjectName>& out) {
    WITAN_ASSIGN(const auto entries, folder.entries());
    for (const Folder::Entry& entry : entries) {
      const auto id = parse_name(entry.name);
      if (!id) {
        if (!entry.name.starts_with('.')) log::warn("vault: {} has no name of an object; ignored", entry.name);
      } else if (!entry.is_folder) {
        out.push_back({type, epoch, *id});
      } else if (!epoch) {
        WITAN_ASSIGN(const Folder inner, folder.enter(entry.name));
        WITAN_TRY(list_folder(inner, type, EpochId(*id), out));
      }
    }
    return {};
  }

  Folder base_;
  std::filesystem::path path_;
  FileVaultOptions options_;
};

namespace {

/// Writes into a partial file, on which it holds a lock: the sign for sweepers that somebody is still writing.
class FileWriter final : public runtime::ObjectWriter {
 public:
  static Result<std::unique_ptr<FileWriter>> create(Folder folder, std::string name, std::string text, mode_t mode) {
    for (int attempt = 0; attempt < 3; ++attempt) {
      std::string partial = partial_name(name);
      auto file = folder.create(partial, mode);
      if (!file) return fail(std::move(file).error().within(text));
      // A sweeper may have come between creation and lock; then the name is gone, or soon will be.
      if (!file->try_lock()) continue;
      WITAN_ASSIGN(const bool still_there, folder.has(partial));
      if (!still_there) continue;
      return std::unique_ptr<FileWriter>(
          new FileWriter(std::move(folder), *std::move(file), std::move(name), std::move(partial), std::move(text)));
    }
    return fail(Code::unavailable, "{}: another process removes every partial file of this vault at once", text);
  }

  ~FileWriter() override {
    if (!finished_) drop();
    wipe(buffer_.data(), buffer_.size());
  }

  Status write(ByteView piece) override {
    WITAN_CHECK(!finished_);
    if (failure_) return fail(*failure_);
    if (piece.size() > runtime::Vault::kMaxObjectBytes - size_bytes_)
      return failed(Error{Code::resource_exhausted,
                          fmt::format("{}: an object has at most {} bytes", text_, runtime::Vault::kMaxObjectBytes)});
    size_bytes_ += piece.size();
    if (piece.size() > buffer_.size() - used_) {
      if (Status flushed = flush(); !flushed) return flushed;
    }
    if (piece.size() >= buffer_.size()) return write_through(piece);
    std::ranges::copy(piece, buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += piece.size();
    return {};
  }

  Status finish() override {
    WITAN_CHECK(!finished_);
    if (failure_) return fail(*failure_);
    if (Status flushed = flush(); !flushed) return flushed;
    Status published = file_.sync();
    if (published) published = folder_.rename_new(partial_, name_);
    if (!published) return failed(std::move(published).error().within(text_));
    finished_ = true;
    if (Status synced = folder_.sync(); !synced) return failed(std::move(synced).error().within(text_));
    return {};
  }

 private:
  FileWriter(Folder folder, File file, std::string name, std::string partial, std::string text)
      : folder_(std::move(folder)),
        file_(std::move(file)),
        name_(std::move(name)),
        partial_(std::move(partial)),
        text_(std::move(text)),
        buffer_(kBufferBytes) {}

  Status flush() {
    const std::size_t used = std::exchange(used_, 0);
    return used == 0 ? Status{} : write_through(ByteView(buffer_).first(used));
  }
  Status write_through(ByteView piece) {
    Status written = file_.write(piece);
    return written ? written : failed(std::move(written).error().within(text_));
  }
  /// Every later call fails in the same way; what was written goes at once, so that a full disk gets its space back.
  Status failed(Error error) {
    failure_ = std::move(error);
    if (!finished_) drop();
    return fail(*failure_);
  }
  void drop() {
    if (partial_.empty()) return;
    if (Status removed = folder_.remove(partial_); !removed)
      log::warn("vault: cannot remove {}: {}", partial_, removed.error().message);
    partial_.clear();
  }

  Folder folder_;
  File file_;
  std::string name_, partial_, text_;
  Bytes buffer_;
  std::size_t used_ = 0;
  std::uint64_t size_bytes_ = 0;
  bool finished_ = false;
  std::optional<Error> failure_;
};

class FileReader final : public runtime::ObjectReader {
 public:
  FileReader(File file, std::uint64_t size_bytes, std::string text)
      : file_(std::move(file)), size_bytes_(size_bytes), text_(std::move(text)) {}
  std::uint64_t size_bytes() const override { return size_bytes_; }
  Result<std::size_t> read(MutableByteView out) override {
    auto count = file_.read(out);
    if (!count) return fail(std::move(count).error().within(text_));
    return count;
  }

 private:
  File file_;
  std::uint64_t size_bytes_;
  std::string text_;
};

/// The root may hold vaults of both kinds; what is private begins below the prefix.
constexpr mode_t kRootMode = 0755;

/// `<root>/<prefix>`, made where allowed.
Result<Folder> open_base(const FileVaultOptions& options, const std::vector<std::string>& prefix, mode_t mode) {
  const bool make = options.access == FileVaultOptions::Access::read_write;
  WITAN_ASSIGN(Folder folder, make ? Folder::make_path(options.root, kRootMode) : Folder::open_path(options.root));
  for (const std::string& component : prefix) {
    WITAN_ASSIGN(folder, make ? folder.make(component, mode) : folder.enter(component));
  }
  if (make) WITAN_TRY(folder.check_writable());
  return folder;
}

}  // namespace

FileVault::FileVault(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileVault::~FileVault() = default;

Result<std::unique_ptr<FileVault>> FileVault::open(FileVaultOptions options) {
  WITAN_ASSIGN(const auto prefix, split_prefix(options.prefix));
  const std::filesystem::path path = options.root / options.prefix;
  const bool is_private = options.visibility == FileVaultOptions::Visibility::private_objects;
  auto base = open_base(options, prefix, is_private ? 0700 : 0755);
  if (!base) return fail(std::move(base).error().within(fmt::format("vault {}", path.native())));
  const bool writes = options.access == FileVaultOptions::Access::read_write;
  if (is_private && writes) {
    const auto narrowed = base->narrow(0700);
    if (!narrowed) return fail(narrowed.error());
    if (*narrowed) log::warn("private vault {} was open to other users; its mode is 700 now", path.native());
  }
  auto impl = std::make_unique<Impl>(*std::move(base), path, std::move(options));
  if (writes) impl->sweep(impl->base(), 2);
  return std::unique_ptr<FileVault>(new FileVault(std::move(impl)));
}

Result<std::unique_ptr<runtime::ObjectWriter>> FileVault::create(const ObjectName& name) {
  WITAN_TRY(impl_->check_writable(name));
  WITAN_ASSIGN(Folder folder, impl_->folder_of(name, true));
  const std::string file_name = to_hex(name.id), text = impl_->text_of(name);
  WITAN_ASSIGN(const bool there, folder.has(file_name));
  if (there) return fail(Code::already_exists, "{} exists; objects of a vault are never overwritten", text);
  WITAN_ASSIGN(auto writer, FileWriter::create(std::move(folder), file_name, text, impl_->file_mode()));
  return writer;
}

Result<std::unique_ptr<runtime::ObjectReader>> FileVault::open(const ObjectName& name) const {
  const std::string text = impl_->text_of(name);
  auto opened = [&]() -> Result<std::unique_ptr<runtime::ObjectReader>> {
    WITAN_ASSIGN(const Folder folder, impl_->folder_of(name, false));
    WITAN_ASSIGN(File file, folder.open_for_reading(to_hex(name.id)));
    WITAN_ASSIGN(const std::uint64_t size, file.size_bytes());
    if (size > kMaxObjectBytes)
      return fail(Code::data_loss, "it has {} bytes, an object has at most {}", size, kMaxObjectBytes);
    return std::make_unique<FileReader>(std::move(file), size, text);
  }();
  if (!opened) return fail(std::move(opened).error().within(text));
  return opened;
}

Result<bool> FileVault::exists(const ObjectName& name) const {
  const auto folder = impl_->folder_of(name, false);
  if (!folder && folder.error().code == Code::not_found) return false;
  if (!folder) return fail(folder.error());
  return folder->has(to_hex(name.id));
}

Result<std::vector<ObjectName>> FileVault::list(const std::string& type) const {
  return impl_->list(type);
}

Status FileVault::erase(const ObjectName& name) {
  WITAN_TRY(impl_->check_writable(name));
  const auto folder = impl_->folder_of(name, false);
  if (!folder && folder.error().code == Code::not_found) return {};
  if (!folder) return fail(folder.error());
  Status done = folder->remove(to_hex(name.id));
  if (done) done = folder->sync();
  if (!done) return fail(std::move(done).error().within(impl_->text_of(name)));
  return {};
}

Status FileVault::sync(const ObjectName& name) {
  WITAN_TRY(impl_->check_writable(name));
  Status done = impl_->sync_folders(name);
  if (!done) return fail(std::move(done).error().within(impl_->text_of(name)));
  return {};
}

std::string FileVault::describe() const {
  return fmt::format("{} file vault at {}{}", impl_->is_private() ? "private" : "public", impl_->path().native(),
                     impl_->read_only() ? " (read only)" : "");
}

}  // namespace witan::store
