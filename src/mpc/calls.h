// Calls for the next attempt of a preprocessing (protocols/attempts.h): "party j waits for attempt a". Signed, so that whoever has one can
// show it to others.
#pragma once

#include <map>

#include "base/codec.h"
#include "crypto/ecdsa.h"
#include "mpc/broadcast.h"

namespace witan::mpc {

/// Calls for one attempt, as far as this party knows them. All of them are valid.
class Calls {
 public:
  using Signature = crypto::InternalSignature;

  /// `attempt`: the bytes that name it, whatever else they name. Calls of others than `callers` are not valid.
  Calls(Signatories signatories, Bytes attempt, runtime::RoleSet callers);

  runtime::RoleSet callers() const { return callers_; }
  runtime::RoleSet known() const;
  Signature sign() const;
  /// False if it is not valid, whatever is known already. The first valid one of a party is kept.
  bool take(Role caller, ByteView signature);
  /// Those of `other`, for the same attempt, that are valid here.
  void take_all(const Calls& other);

  /// The known ones: callers(2) || their signatures(64). Nothing at all if there are none.
  Bytes encode() const;
  static constexpr std::size_t kMaxBytes = 2 + 64 * Role::kMax;
  /// Takes what another party has encoded. Nullopt: malformed, or one of them is not valid; those before it have been taken.
  std::optional<runtime::RoleSet> take_all(ByteView encoded);

 private:
  /// SHAKE256("WITCALL_" || attempt || caller(1)), 32 bytes: what is signed.
  crypto::Digest digest(Role caller) const;

  const Signatories signatories_;
  const Bytes attempt_;
  const runtime::RoleSet callers_;
  std::map<Role, Signature> known_;
};

}  // namespace witan::mpc
