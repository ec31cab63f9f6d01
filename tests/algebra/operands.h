// Words that are hard for kernels: extreme ones, and single bits at the places where limbs meet.
#pragma once

#include <array>

#include "algebra/z.h"
#include "base/rng.h"

namespace witan::algebra::test {

enum class Kind { random, zero, ones, top_bit, lowest_bit, limb_edges };
inline constexpr Kind kKinds[] = {Kind::random,  Kind::zero,       Kind::ones,
                                  Kind::top_bit, Kind::lowest_bit, Kind::limb_edges};

inline Z128 word_of(Kind kind, Rng& rng) {
  const auto random = rng.next<Z128>();
  switch (kind) {
    case Kind::random:
      return random;
    case Kind::zero:
      return 0;
    case Kind::ones:
      return ~Z128{0};
    case Kind::top_bit:
      return Z128{1} << 127;
    case Kind::lowest_bit:
      return 1;
    case Kind::limb_edges: {  // one bit around the places where limbs of 52 and of 64 bits meet
      constexpr std::array kBits = {51, 52, 63, 64, 103, 104};
      return Z128{1} << kBits[static_cast<std::size_t>(random % kBits.size())];
    }
  }
  return 0;
}

}  // namespace witan::algebra::test
