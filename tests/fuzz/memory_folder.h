// A folder in memory for targets that read files: one for each process.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "base/check.h"

namespace witan::fuzz {

inline const std::filesystem::path& memory_folder() {
  static const auto path = [] {
    std::string name = "/dev/shm/witan-fuzz-XXXXXX";
    WITAN_CHECK(mkdtemp(name.data()) != nullptr);
    return std::filesystem::path(name);
  }();
  return path;
}

inline void write_file(const std::filesystem::path& file, ByteView content) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
}

}  // namespace witan::fuzz
