// The local part of protocol W (mpc.md 17.2, security.md 4.1, 4.3, 4.4): random bits, noises and products without triples. What two
// parties say to each other is not here.
//
// Element l of a session is opened at degree 2t and gives four bits:
//   a_j = sum over A of psi0(r_A, j) S_A(alpha), j = 4l .. 4l + 3             base draws of degree t
//   w_l = sum_{c<4} X^c (a_{4l+c}^2 + a_{4l+c}) + zero_l                       zero sharing number l of degree 2t
// and, from the opened words v_j (the coefficients of w_l), with the even root r of X^2 + X = v_j and u = (-1-2r)^-1,
//   share of the bit = u (a_j - r).
// Counters are the positions: base draw j, zero sharing l. A discarded element leaves a hole.
#pragma once

#include "mpc/stream_sums.h"
#include "mpc/zero_keys.h"

namespace witan::mpc {

/// Bits of one session: one block of every psi0 key each, and a block for each of the four coefficients of a zero sharing (S6).
inline constexpr std::uint64_t kMaxBitsPerSession = kMaxBlocksPerKey;
inline constexpr std::uint64_t kMaxElementsPerSession = kMaxBitsPerSession / 4;

/// The even root r of X^2 + X = v in the base ring, and u = (-1-2r)^-1. Public values. Precondition: v is even.
template <Word Z>
struct EvenRoot {
  Z root, scale;
};
EvenRoot<Z64> even_root(Z64 v);
EvenRoot<Z128> even_root(Z128 v);

/// One session of one party. Nothing changes after construction: threads may share it. The keys are wiped on destruction. No branch
/// and no address depends on a key or on a share.
template <Word Z>
class BitKernel {
 public:
  /// Precondition (checked): keys of one party.
  BitKernel(const SetKeys& keys, const ZeroKeys& zeros, SessionId session);

  /// The elements first .. first + count - 1: w[i] is element first + i, a[4i + c] its base draw number 4 (first + i) + c. Any
  /// piece may be made again, in other pieces: the values are the same. Precondition (checked): a.size() == 4 * w.size(). Error:
  /// invalid_argument beyond kMaxElementsPerSession.
  Status prepare(std::uint64_t first, std::span<Share<Z>> a, std::span<Share<Z>> w) const;

  /// Shares of the bits of elements that were opened: four bits per element, from its base draws. Public: `opened`. Precondition
  /// (checked): a.size() == bits.size() == 4 * opened.size(). Error: internal for an odd word, which no honest opening gives (S18).
  static Status bits(std::span<const Share<Z>> a, std::span<const Gr<Z>> opened, std::span<Share<Z>> bits);
  /// The same with the words one by one: any number of bits. Precondition (checked): a.size() == v.size() == bits.size().
  static Status bits(std::span<const Share<Z>> a, std::span<const Z> v, std::span<Share<Z>> bits);

  /// What slices of products are made of (mpc.md 17.2, "Products of key bits"): base draws first, first + 1, ... and zero sharings
  /// first, first + 1, ... of the session. Error: invalid_argument beyond kMaxBitsPerSession, kMaxElementsPerSession.
  Status base(std::uint64_t first, std::span<BaseShare<Z>> out) const;
  Status zero(std::uint64_t first, std::span<Share<Z>> out) const;

 private:
  using Scratch = StreamSums<Z>::Scratch;
  StreamSums<Z> base_, zeros_;
};

/// TUniform(bound_log2) noises from the base draws of bits and their opened words v: noise i takes the window of
/// bound_log2 + 2 bits that begins at i (bound_log2 + 2), whose last bit is the top one (mpc.md 11.3):
///   e = bit[T] - 2^b + sum_{j=1..b+1} bit[T-j] 2^(j-1),   each bit as u (a - r).
/// Preconditions (checked): a.size() == v.size() == out.size() * (bound_log2 + 2), 0 <= bound_log2 < 62. Error: internal for an odd
/// word (S18).
template <Word Z>
Status noises(std::span<const Share<Z>> a, std::span<const Z> v, int bound_log2, std::span<Share<Z>> out);

/// The same noises, four to an element: out[i] = sum_{c<4} X^c e_{4i+c}, as bodies of ciphertexts need them. Precondition (checked):
/// a.size() == v.size() == 4 * out.size() * (bound_log2 + 2).
template <Word Z>
Status packed_noises(std::span<const Share<Z>> a, std::span<const Z> v, int bound_log2, std::span<Share<Z>> out);

}  // namespace witan::mpc
