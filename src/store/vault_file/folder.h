// Files and folders by descriptor (openat and its like), so that a symbolic link below the vault's root leads nowhere.
// Private to this folder. Errors: not_found, already_exists, unavailable with the system's text.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace witan::store {

/// An open descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

class File {
 public:
  explicit File(Descriptor fd) : fd_(std::move(fd)) {}
  Status write(ByteView data);
  Result<std::size_t> read(MutableByteView out);
  Result<std::uint64_t> size_bytes() const;  // data_loss if it is not a regular file
  Status sync();
  /// An exclusive lock that ends with the descriptor; false if another descriptor holds it.
  bool try_lock() const;

 private:
  Descriptor fd_;
};

class Folder {
 public:
  struct Entry {
    std::string name;
    bool is_folder;
  };

  static Result<Folder> open_path(const std::filesystem::path& path);
  /// Makes what is missing of the path (the parents with the umask's mode, the last with `mode`).
  static Result<Folder> make_path(const std::filesystem::path& path, mode_t mode);

  Result<Folder> enter(const std::string& name) const;
  /// enter(), after making and syncing it if it is missing.
  Result<Folder> make(const std::string& name, mode_t mode) const;
  Result<File> create(const std::string& name, mode_t mode) const;
  Result<File> open_for_reading(const std::string& name) const;
  Result<bool> has(const std::string& name) const;
  Status remove(const std::string& name) const;  // success if it is not there
  /// already_exists if there is a file of the new name; atomic.
  Status rename_new(const std::string& from, const std::string& to) const;
  Result<std::vector<Entry>> entries() const;
  Status sync() const;
  Status check_writable() const;
  /// Takes away the permissions outside `mode`; true if there were any.
  Result<bool> narrow(mode_t mode) const;

 private:
  explicit Folder(Descriptor fd) : fd_(std::move(fd)) {}
  Descriptor fd_;
};

}  // namespace witan::store
