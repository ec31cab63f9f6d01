#include "store/vault_file/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

namespace witan::store {
namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

std::unexpected<Error> system_failure(const char* action, std::string_view name, int error = errno) {
  const Code code = error == ENOENT ? Code::not_found : error == EEXIST ? Code::already_exists : Code::unavailable;
  return fail(code, "cannot {} {}: {}", action, name, std::generic_category().message(error));
}

template <class Call>
auto retry_interrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Status File::write(ByteView data) {
  while (!data.empty()) {
    const ssize_t count = retry_interrupted([&] { return ::write(fd_.get(), data.data(), data.size()); });
    if (count < 0) return system_failure("write", "the file");
    data = data.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::size_t> File::read(MutableByteView out) {
  const ssize_t count = retry_interrupted([&] { return ::read(fd_.get(), out.data(), out.size()); });
  if (count < 0) return system_failure("read", "the file");
  return static_cast<std::size_t>(count);
}

Result<std::uint64_t> File::size_bytes() const {
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) return system_failure("examine", "the file");
  if (!S_ISREG(info.st_mode)) return fail(Code::data_loss, "it is not a regular file");
  return static_cast<std::uint64_t>(info.st_size);
}

Status File::sync() {
  if (::fsync(fd_.get()) != 0) return system_failure("sync", "the file");
  return {};
}

bool File::try_lock() const {
  return ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0;
}

Result<Folder> Folder::open_path(const std::filesystem::path& path) {
  Descriptor fd(::open(path.empty() ? "." : path.c_str(), kFolderFlags));
  if (fd.get() < 0) return system_failure("open the folder", path.native());
  return Folder(std::move(fd));
}

Result<Folder> Folder::make_path(const std::filesystem::path& path, mode_t mode) {
  auto there = open_path(path);
  if (there || there.error().code != Code::not_found) return there;
  const std::filesystem::path clean = path.has_filename() ? path : path.parent_path();
  const std::filesystem::path parent = clean.has_parent_path() ? clean.parent_path() : std::filesystem::path(".");
  constexpr mode_t kParentMode = 0755;
  WITAN_ASSIGN(const Folder folder, make_path(parent, kParentMode));
  return folder.make(clean.filename().native(), mode);
}

Result<Folder> Folder::enter(const std::string& name) const {
  Descriptor fd(::openat(fd_.get(), name.c_str(), kFolderFlags | O_NOFOLLOW));
  if (fd.get() < 0) return system_failure("open the folder", name);
  return Folder(std::move(fd));
}

Result<Folder> Folder::make(const std::string& name, mode_t mode) const {
  auto there = enter(name);
  if (there || there.error().code != Code::not_found) return there;
  if (::mkdirat(fd_.get(), name.c_str(), mode) != 0) {
    if (errno != EEXIST) return system_failure("make the folder", name);  // EEXIST: somebody was faster
    return enter(name);
  }
  WITAN_ASSIGN(Folder made, enter(name));
  if (::fchmod(made.fd_.get(), mode) != 0) return system_failure("set the mode of", name);  // whatever the umask is
  WITAN_TRY(sync());
  return made;
}

Result<File> Folder::create(const std::string& name, mode_t mode) const {
  Descriptor fd(::openat(fd_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (fd.get() < 0) return system_failure("create", name);
  if (::fchmod(fd.get(), mode) != 0) return system_failure("set the mode of", name);
  return File(std::move(fd));
}

Result<File> Folder::open_for_reading(const std::string& name) const {
  // O_NONBLOCK: opening a FIFO must not wait; it has no meaning for regular files.
  Descriptor fd(::openat(fd_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (fd.get() < 0) return system_failure("open", name);
  return File(std::move(fd));
}

Result<bool> Folder::has(const std::string& name) const {
  struct stat info{};
  if (::fstatat(fd_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  return system_failure("examine", name);
}

Status Folder::remove(const std::string& name) const {
  if (::unlinkat(fd_.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  return system_failure("remove", name);
}

Status Folder::rename_new(const std::string& from, const std::string& to) const {
  if (::renameat2(fd_.get(), from.c_str(), fd_.get(), to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == ENOENT) return fail(Code::unavailable, "cannot create {}: its partial file was removed", to);
  if (errno != EINVAL && errno != ENOSYS) return system_failure("create", to);
  // A file system without RENAME_NOREPLACE: a second name that must be new, then away with the first.
  if (::linkat(fd_.get(), from.c_str(), fd_.get(), to.c_str(), 0) != 0) return system_failure("create", to);
  return remove(from);
}

Result<std::vector<Folder::Entry>> Folder::entries() const {
  const int fd = ::openat(fd_.get(), ".", kFolderFlags);  // its own position
  if (fd < 0) return system_failure("list", "the folder");
  const std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })> dir(::fdopendir(fd));
  if (!dir) {
    ::close(fd);
    return system_failure("list", "the folder");
  }
  std::vector<Entry> out;
  const auto next = [&] {
    errno = 0;  // the only sign of an error at the end
    return ::readdir(dir.get());
  };
  while (const dirent* entry = next()) {
    const std::string name = entry->d_name;
    struct stat info{};
    if (name == "." || name == "..") continue;
    if (::fstatat(fd_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;  // removed meanwhile
    if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)) out.push_back({name, S_ISDIR(info.st_mode)});
  }
  if (errno != 0) return system_failure("list", "the folder");
  return out;
}

Status Folder::sync() const {
  if (::fsync(fd_.get()) != 0) return system_failure("sync", "the folder");
  return {};
}

Status Folder::check_writable() const {
  if (::faccessat(fd_.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) return system_failure("write into", "the folder");
  return {};
}

Result<bool> Folder::narrow(mode_t mode) const {
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) return system_failure("examine", "the folder");
  if ((info.st_mode & 0777 & ~mode) == 0) return false;
  if (::fchmod(fd_.get(), info.st_mode & mode) != 0) return system_failure("set the mode of", "the folder");
  return true;
}

}  // namespace witan::store
