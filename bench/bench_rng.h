// A generator for benchmarks: reproducible values; nothing here is secret.
#pragma once

#include "base/rng.h"

namespace witan {

class BenchRng final : public Rng {
 public:
  void fill(MutableByteView out) override {
    for (std::uint8_t& byte : out) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<std::uint8_t>(state_ >> 56);
    }
  }

 private:
  std::uint64_t state_ = 1;
};

}  // namespace witan
