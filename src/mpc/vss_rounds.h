// Verifiable secret sharing between its messages (mpc.md 7.3; the coroutine is in mpc/vss.h): what a party says in each broadcast,
// and what everybody concludes. Conclusions are functions of broadcast outcomes alone, hence the same at all honest parties.
//
// A block is `secrets` elements: one value for each secret of a dealer. A conflict in one secret is a conflict for the whole block.
#pragma once

#include <vector>

#include "mpc/bivariate.h"
#include "mpc/sync_run.h"

namespace witan::mpc::vss {

using runtime::RoleSet;

template <Word Z>
struct Shape {
  CommitteeSize committee;
  std::size_t secrets;  // of each dealer

  std::size_t parties() const { return static_cast<std::size_t>(committee.parties()); }
  std::size_t block_bytes() const { return secrets * Gr<Z>::kSizeBytes; }
  std::size_t slices_bytes() const { return Slices<Z>::encoded_bytes(committee.threshold(), secrets); }
  /// Of R1: the slices of the receiver, then the sender's pads r_ij, a block for each dealer.
  std::size_t deal_bytes() const { return slices_bytes() + parties() * block_bytes(); }
  /// Of R2: for every dealer and every other party j the block a_ij, then b_ij.
  std::size_t points_bytes() const { return parties() * (parties() - 1) * 2 * block_bytes(); }
};

/// What one party holds after R1.
template <Word Z>
struct Held {
  using Pads = Secret<std::vector<Gr<Z>>>;  // dealer, secret
  std::vector<Slices<Z>> slices;            // by dealer; zero where nothing usable came
  std::vector<Pads> sent, received;         // by peer: r_ij for j, r_ji from j
};

/// R2: the masked points of one dealer, all blocks of this party.
template <Word Z>
Bytes masked_points(const Shape<Z>& shape, Role self, const Held<Z>& held, Role dealer);

/// a_ij of i = row is not b_ji of j = column: F_row(alpha_column) and G_column(alpha_row), both F(alpha_column, alpha_row), differ.
struct Conflict {
  Role dealer, row, column;
  friend bool operator==(const Conflict&, const Conflict&) = default;
  /// Who broadcasts the block in R3.
  RoleSet witnesses() const { return {dealer, row, column}; }
};

/// Those of one dealer between active parties. Messages of active parties have points_bytes().
template <Word Z>
std::vector<Conflict> conflicts_of(const Shape<Z>& shape, const BroadcastOutcome& points, RoleSet active, Role dealer);

/// R3: this party's block for a conflict that it witnesses. `own` is its dealing.
template <Word Z>
Bytes testimony(const Held<Z>& held, const Dealing<Z>& own, Role self, const Conflict& conflict);
/// Its whole message, by role.
template <Word Z>
std::vector<std::size_t> testimony_bytes(const Shape<Z>& shape, std::span<const Conflict> conflicts);

/// A dealer and the parties that hold something else than it says.
struct Complaint {
  Role dealer;
  RoleSet unhappy;
  friend bool operator==(const Complaint&, const Complaint&) = default;
};

/// Who differs from the dealer, of each active dealer with a conflict; by dealer. The block of a party that is not active any more is
/// read as zero.
template <Word Z>
std::vector<Complaint> complaints_of(const Shape<Z>& shape, std::span<const Conflict> conflicts,
                                     const BroadcastOutcome& testimonies, RoleSet active);

/// R4: what this party says about one complaint. The dealer: F_i of the unhappy, in order; a party that is happy: G_self(alpha_i) of
/// the unhappy; an unhappy one: nothing.
template <Word Z>
Bytes answer(const Held<Z>& held, const Dealing<Z>& own, Role self, const Complaint& complaint);
/// The whole message about all complaints, by role.
template <Word Z>
std::vector<std::size_t> answer_bytes(const Shape<Z>& shape, std::span<const Complaint> complaints);

/// What came of one complaint.
template <Word Z>
struct Repair {
  std::vector<std::vector<Share<Z>>> shares;  // F_i(0) of the unhappy, in order
  int fewest_agreeing = 0;  // parties that agree with F_i, the dealer included; the least over the unhappy
};

/// Of the complaint at position `which`, whose dealer is active. Answers of parties that are not active agree with nothing.
template <Word Z>
Repair<Z> repair(const Shape<Z>& shape, std::span<const Complaint> complaints, std::size_t which,
                 const BroadcastOutcome& answers, RoleSet active);

/// Active parties whose broadcast came to nothing or has another size than expected, which is given by role.
std::vector<Exclusion> misshapen(const BroadcastOutcome& outcome, RoleSet active, std::span<const std::size_t> expected,
                                 std::uint32_t broadcast);

}  // namespace witan::mpc::vss
