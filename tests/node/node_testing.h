// Shared by the tests of this layer: a folder that goes away with the test, vaults in it, and short names for errors.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/error.h"
#include "store/vault_file/file_vault.h"
#include "support/support.h"

namespace witan::node::test {

using witan::test::SeededRng;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "witan-node-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::unique_ptr<store::FileVault> private_vault() const {
    return open("PRIV", store::FileVaultOptions::Visibility::private_objects);
  }
  std::unique_ptr<store::FileVault> public_vault() const {
    return open("PUB", store::FileVaultOptions::Visibility::public_objects);
  }

 private:
  std::unique_ptr<store::FileVault> open(const char* prefix, store::FileVaultOptions::Visibility visibility) const {
    return store::FileVault::open({.root = path_, .prefix = prefix, .visibility = visibility}).value();
  }
  std::filesystem::path path_;
};

/// A file system that takes no more: files of this process have at most so many bytes.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &old_), 0);
    set(bytes);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;
  ~SmallFiles() { set(old_.rlim_cur); }

 private:
  void set(rlim_t bytes) {
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  rlimit old_{};
};

inline void write_file(const std::filesystem::path& file, ByteView content) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  ASSERT_TRUE(out.flush());
}

/// "INVALID_ARGUMENT: message" of an error, "OK" of a success: one matcher sees code and text.
template <class T>
std::string said(const Result<T>& result) {
  return result ? "OK" : std::string(to_string(result.error().code)) + ": " + result.error().message;
}

}  // namespace witan::node::test
