// What one party holds of an epoch (mpc.md 8.2): the keys r_A of its sets, the keys z_E of the zero sharings that it takes part in,
// and its shares of all elements from which the z_E were made: a dispute about a zero sharing opens one of them (mpc.md 17.4).
#pragma once

#include "mpc/zero_keys.h"

namespace witan::mpc {

/// Robust key of a set: SHAKE256("AGREERND" || GRencode(element)), 16 bytes (mpc.md 7.2).
template <Word Z>
SetKey agreed_key(const Gr<Z>& element);

/// Secrets, wiped on destruction.
class EpochKeys {
 public:
  /// `zero_shares` by E, of all of them. Precondition (checked): keys of one party, as many shares as there are E.
  EpochKeys(SetKeys set_keys, ZeroKeys zero_keys, Secret<std::vector<Share<Z64>>> zero_shares);

  CommitteeSize committee() const { return set_keys_.committee(); }
  Role self() const { return set_keys_.self(); }
  const SetKeys& set_keys() const { return set_keys_; }

  const ZeroKeys& zero_keys() const { return zero_keys_; }
  /// Share of degree t of the element of the i-th E of zero_sets(committee()), whoever holds its key.
  const Share<Z64>& zero_share(std::size_t i) const { return zero_shares_.reveal()[i]; }

  EpochKeys duplicate() const { return {set_keys_.duplicate(), zero_keys_.duplicate(), zero_shares_.duplicate()}; }

  /// For the vault: n, t, role, keys r_A, keys z_E, shares.
  Secret<Bytes> encode() const;
  /// Error: data_loss.
  static Result<EpochKeys> decode(ByteView record);

 private:
  SetKeys set_keys_;
  ZeroKeys zero_keys_;
  Secret<std::vector<Share<Z64>>> zero_shares_;
};

}  // namespace witan::mpc
