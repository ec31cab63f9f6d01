// The families of zero sharings at degree 2t (mpc.md 17.3, security.md F3): a key z_E is held by the parties outside E. With
// |E| = 2t - 1 one ring element per key is drawn, and far fewer keys are needed than there are sets of n - t parties: 4, 14, 41 and
// 108 for (4,1), (7,2), (10,3), (13,4) instead of t times 4, 21, 120, 715.
//
// What makes a family right: for every set T of at most t parties the keys with T inside E, which nobody in T holds, span all
// polynomials that the mask must cover (rule S2; mpc/zero_sets_test.cc recomputes it). For some T exactly t keys are unknown, so
// no key may be lost, dropped or shared between uses.
#pragma once

#include <vector>

#include "mpc/prss.h"

namespace witan::mpc {

/// E of the zero-sharing family of a committee (mpc.md 17.3), in the order of the set-up (mpc.md 8.2): the E's, as sets of
/// excluded parties. Empty when the committee has no family: there is one for each n = 4..15 with t = floor((n-1)/3), the largest
/// possible; a committee that wants a smaller t refuses preprocessing.
std::vector<PartySet> zero_sets(CommitteeSize committee);

/// The parties outside E, who hold z_E.
PartySet holders(CommitteeSize committee, PartySet excluded);

}  // namespace witan::mpc
