// Randomness as a parameter. Production code gets the operating system's (OsRng) from its main(); tests seed their own.
#pragma once

#include "base/bytes.h"

namespace witan {

class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(MutableByteView out) = 0;

  template <class UInt>
  UInt next() {
    ByteArray<sizeof(UInt)> raw;
    fill(raw);
    return load_le<UInt>(raw.data());
  }
  template <std::size_t N>
  ByteArray<N> bytes() {
    ByteArray<N> out;
    fill(out);
    return out;
  }
};

/// getrandom(2). Ends the process if the system has no randomness.
class OsRng final : public Rng {
 public:
  void fill(MutableByteView out) override;
};

}  // namespace witan
