// How much memory the code under test takes. Linking this replaces operator new and delete of the test program.
#pragma once

#include <cstddef>

namespace witan::test {

/// Counts what operator new hands out in all threads. One at a time.
class MemoryMeter {
 public:
  MemoryMeter();
  /// The most that was in use at once since construction, and what is in use now, both above the level at construction.
  std::size_t peak_bytes() const;
  std::size_t held_bytes() const;

 private:
  std::size_t level_;
};

}  // namespace witan::test
