// Pseudo-random secret sharing (mpc.md 8): every set A of n-t parties owns a 128-bit key; sharings of random elements, of
// zero at degree 2t and of bounded masks are derived from these keys without communication.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "algebra/dot_product.h"
#include "algebra/integer_set_polynomial.h"
#include "algebra/shamir.h"
#include "base/ids.h"
#include "base/secret.h"
#include "crypto/aes.h"
#include "crypto/hash.h"
#include "mpc/prss_aes.h"

namespace witan::mpc {

using algebra::Gr;
using algebra::Share;
using algebra::Word;
using algebra::Z128;
using algebra::Z64;

/// A set of parties; bit i - 1 stands for role i.
class PartySet {
 public:
  constexpr explicit PartySet(std::uint16_t bits = 0) : bits_(bits) {}
  constexpr bool contains(Role role) const { return bits_ >> role.index() & 1; }
  constexpr std::uint16_t bits() const { return bits_; }
  /// In ascending order.
  std::vector<Role> members() const;
  /// The parties of the committee that are not in the set.
  std::vector<Role> outside(CommitteeSize committee) const;
  friend auto operator<=>(const PartySet&, const PartySet&) = default;

 private:
  std::uint16_t bits_;
};

/// All sets of n-t parties, in lexicographic order of their member lists (mpc.md 7.2).
std::vector<PartySet> key_sets(CommitteeSize committee);

/// The keys that one party holds: those of the C(n-1,t) sets that it is in. Wiped on destruction.
class SetKeys {
 public:
  /// `keys` by position among the sets that contain `self`, in the order of key_sets(). Precondition: as many as sets.
  SetKeys(CommitteeSize committee, Role self, Secret<std::vector<SetKey>> keys);

  CommitteeSize committee() const { return committee_; }
  Role self() const { return self_; }
  std::span<const PartySet> sets() const { return sets_; }
  /// Key of sets()[i].
  const SetKey& key(std::size_t i) const { return keys_.reveal()[i]; }
  std::size_t size() const { return sets_.size(); }
  SetKeys duplicate() const { return {committee_, self_, keys_.duplicate()}; }

 private:
  CommitteeSize committee_;
  Role self_;
  std::vector<PartySet> sets_;
  Secret<std::vector<SetKey>> keys_;
};

/// Purposes of the keys derived from a set key for one session (mpc.md 8.3).
enum class PrfPurpose : std::uint8_t { psi = 0, chi = 1, psi0 = 3, chi_zero = 4 };

/// K(r, sid, purpose): SHAKE256("WITPRSS1" || r || sid || purpose), 16 bytes.
SetKey prf_key(const SetKey& key, SessionId session, PrfPurpose purpose);
/// M(r): SHAKE256("WITPRSS2" || r), 16 bytes; once per set and epoch.
SetKey mask_base_key(const SetKey& key);

/// Blocks that one derived AES key may produce (security.md S6).
inline constexpr std::uint64_t kMaxBlocksPerKey = std::uint64_t{1} << 28;

/// The PRF of one derived key: AES of (counter, index i at byte 14, j at byte 13), byte 15 zero. Each thread makes its own.
class Prf {
 public:
  explicit Prf(const SetKey& derived) : aes_(derived) {}
  /// psi0: one word. Precondition: counter below 2^64 (the format allows 2^104).
  template <Word Z>
  Z word(std::uint64_t counter) const;
  /// psi (j = 0) and chi (j >= 1): one ring element.
  template <Word Z>
  Gr<Z> element(std::uint64_t counter, std::uint8_t j) const;

 private:
  crypto::Aes128 aes_;
};

/// That of K(key, session, purpose), whose bytes are wiped.
Prf session_prf(const SetKey& key, SessionId session, PrfPurpose purpose);

/// A party's share of degree t of a uniform word of the base ring (security.md 3.3, "base"). It hides a secret of the base ring and
/// nothing more, since it leaves three coefficients open: hence a type of its own, which is no Share and turns into none (S8). Masks of
/// shares and of ring elements take Prss::random.
template <Word Z>
struct BaseShare {
  Gr<Z> value;
};

/// Random sharings of degree t and zero sharings of degree 2t of one session, by their definitions. Each counter is used once. Each
/// thread makes its own. Bulk material comes from BitKernel (mpc/bit_kernel.h).
template <Word Z>
class Prss {
 public:
  Prss(const SetKeys& keys, SessionId session);
  /// PRSS.Next: a sharing of a uniform element.
  Share<Z> random(std::uint64_t counter) const;
  /// PRZS.Next: a sharing of zero of degree 2t.
  Share<Z> zero(std::uint64_t counter) const;
  /// psi0 times S_A (mpc.md 17.2): a sharing of a uniform word of the base ring.
  BaseShare<Z> base(std::uint64_t counter) const;

 private:
  struct OneSet {
    Prf psi, chi, psi0;
    Gr<Z> polynomial;                          // f_A at the own point
    algebra::IntegerSetValue base_polynomial;  // S_A there
  };
  std::vector<OneSet> sets_;
  std::vector<Gr<Z>> powers_;  // alpha, ..., alpha^t
};

/// Bound of one draw: Bd1 = 2^70 * 2^40 (mpc.md 8.5, threshold-tfhe.md 7.2).
inline constexpr int kMaskBoundLog2 = 110;

/// K_phi of every set: CBC-MAC of h1 || h2 under M, with h1 || h2 = SHAKE256("WITMASK2" || sid || context), 32 bytes.
ByteArray<32> mask_key_input(SessionId session, const crypto::Digest& context);
Secret<std::vector<SetKey>> mask_keys(const AesKeys& base_keys, const ByteArray<32>& input);
/// phi from an AES output: -2^110 + (block mod 2^111).
constexpr Z128 mask_draw(Z128 block) {
  return (block & ((Z128{1} << (kMaskBoundLog2 + 1)) - 1)) - (Z128{1} << kMaskBoundLog2);
}

/// Noise flooding of decryptions: masks whose secrets are small integers, |secret| <= 2 C(n,t) 2^110. They use f_A (f_A(0) =
/// 1), never the values of algebra/integer_set_polynomial.h, whose type does not multiply a draw (security.md S9). Nothing
/// changes after construction: threads may share it.
///
/// With the masked blocks of a set as numbers below 2^111, the share of a block is the dot product of all f_A with the sums of
/// two such numbers, minus 2^111 times the sum of all f_A.
class MaskGenerator {
 public:
  explicit MaskGenerator(const SetKeys& keys);

  /// This party's shares of the masks of the blocks first .. first + count - 1 of one ciphertext: block q is the sum of the
  /// draws 2q and 2q + 1 of every set, under a key bound to the session and to the mask context (threshold-tfhe.md 7.2). The
  /// same arguments give the same shares, also in other pieces. Error: invalid_argument for a block from
  /// kMaxBlocksPerKey / 2 on (S6).
  Result<Secret<std::vector<Share<Z128>>>> masks(SessionId session, const crypto::Digest& context, std::size_t first,
                                                 std::size_t count) const;

 private:
  AesKeys base_keys_;               // M(r), by set
  algebra::DotVector polynomials_;  // f_A at the own point, by set
  Gr<Z128> offset_;                 // their sum, times 2^111
};

}  // namespace witan::mpc
