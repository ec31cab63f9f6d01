// How elements are opened at degree 2t (mpc.md 17.5).
#pragma once

#include <cstdint>

#include "base/ids.h"

namespace witan::mpc {

/// W1: every share to everybody, n-1 elements sent per element, one round. W2: in two phases with groups of n-t elements,
/// 2(n-1)/(n-t) elements, two rounds.
enum class OpeningVariant : std::uint8_t { w1, w2 };

/// W2 where it halves the traffic or better: from (7,2) on.
constexpr OpeningVariant variant_for(CommitteeSize committee) {
  return committee.parties() - committee.threshold() > 4 ? OpeningVariant::w2 : OpeningVariant::w1;
}

}  // namespace witan::mpc
