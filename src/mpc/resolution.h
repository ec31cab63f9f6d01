// Who deviated at one index of an opening at degree 2t? (mpc.md 17.4 "reveal" and "resolve", security.md 4.2.) Pure: what the
// parties broadcast goes in, who lied and what the shares should have been comes out.
//
// The PRF values at the index become public. That is allowed for disposable material alone, whose type says so (S22): random bits
// and slices of random products, never an element that depends on a key or on stored noise.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mpc/prss.h"
#include "mpc/zero_keys.h"
#include "runtime/role_set.h"

namespace witan::mpc {

/// A batch of elements that are opened at degree 2t and may be revealed and thrown away. Element l is
///   content_l (degree 2t, made of base draws) + zero sharing number l.
template <Word Z>
class Disposable {
 public:
  virtual ~Disposable() = default;
  virtual std::size_t elements() const = 0;
  /// This party's shares of the elements first, first + 1, ... Called by several threads, for disjoint ranges.
  virtual Status prepare(std::size_t first, std::span<Share<Z>> out) = 0;
  /// Counters of the base draws that the element is made of.
  virtual std::vector<std::uint64_t> counters(std::size_t element) const = 0;
  /// A party's share of the content, from its shares of those draws.
  virtual Gr<Z> content(std::size_t element, std::span<const Gr<Z>> draws) const = 0;
};

/// What one party shows of an index; in the order of its sets A, of its sets E, and of the elements.
template <Word Z>
struct Revealed {
  std::vector<Gr<Z>> shares;  // by element
  std::vector<Z> draws;       // psi0 values: by A, by element, by counter
  std::vector<Gr<Z>> zeros;   // chi values: by E, by element, by e = 1 .. 2t - |E|
  Bytes encode() const;
};

template <Word Z>
class Resolution {
 public:
  /// `elements`: those of the index (W1: one, W2: a group).
  Resolution(const Disposable<Z>& batch, CommitteeSize committee, std::vector<std::size_t> elements);

  /// What this party has to show. `shares`: of the elements, as it sent them.
  Revealed<Z> reveal(const SetKeys& sets, const ZeroKeys& zeros, SessionId session,
                     std::span<const Share<Z>> shares) const;
  /// Size of what that party shows.
  std::size_t size_bytes(Role party) const;
  /// Takes what a party has broadcast. Error: invalid_argument for another size; the party has shown nothing then.
  Status take(Role party, ByteView broadcast);

  /// Sets E whose holders claim different things: their elements have to be opened.
  std::vector<std::size_t> disputed_zero_sets() const;  // positions in zero_sets()
  /// The key of such a set, from its opened element.
  void zero_key(std::size_t zero_set, const SetKey& key, SessionId session);

  /// After all of these: decides what the draws were. What follows needs it.
  void settle();
  /// Parties whose claims or shares are wrong, and why.
  struct Liar {
    Role party;
    std::string reason;
  };
  std::vector<Liar> liars() const;
  /// The share that a party should have sent of elements[position].
  Gr<Z> true_share(Role party, std::size_t position) const;

 private:
  std::size_t chi_count(std::size_t zero_set) const;
  std::vector<std::size_t> sets_of(Role party) const;
  std::vector<std::size_t> zero_sets_of(Role party) const;

  const Disposable<Z>& batch_;
  const CommitteeSize committee_;
  const std::vector<std::size_t> elements_;
  std::vector<std::vector<std::uint64_t>> counters_;  // by element
  std::size_t draws_ = 0;                             // counters of all elements
  const std::vector<PartySet> sets_, zero_sets_;

  std::vector<std::vector<std::pair<Role, std::vector<Z>>>> draw_claims_;      // by A
  std::vector<std::vector<std::pair<Role, std::vector<Gr<Z>>>>> zero_claims_;  // by E
  std::map<Role, std::vector<Gr<Z>>> shares_;
  std::map<std::size_t, std::vector<Gr<Z>>> opened_zeros_;  // by E: what its key says
  std::vector<std::vector<Z>> draw_truth_;                  // by A
  std::vector<std::vector<Gr<Z>>> zero_truth_;              // by E
};

}  // namespace witan::mpc
