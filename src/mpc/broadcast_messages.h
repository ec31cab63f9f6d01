// What parties tell each other in a signed broadcast (mpc/broadcast.h): hashes, signatures, encodings. Little endian; a set of
// parties is a u16 with bit i-1 for party i, and what belongs to its members follows in the order of roles. So no party can stand
// in a set twice, and everything has one encoding.
#pragma once

#include <map>
#include <optional>

#include "base/codec.h"
#include "crypto/ecdsa.h"
#include "runtime/network.h"
#include "runtime/role_set.h"

namespace witan::mpc::broadcast {

using crypto::Digest;
using Signature = crypto::InternalSignature;
using runtime::RoleSet;
using runtime::Step;

/// What each signature covers besides its content.
struct Context {
  SessionId session;
  Step first_step = 0;  // of this broadcast
  std::uint32_t number = 0;
  RoleSet active;
};

Signature sign(const crypto::SigningKey& key, const Digest& digest);

/// H(m) = SHAKE256("BRACHABC" || m), 32 bytes.
Digest message_hash(ByteView message);

/// E_i: the hash of every sender's message that arrived in round 1; the others are not in `hashes`. Signed by party i.
struct SignedVector {
  std::map<Role, Digest> hashes;
  Signature signature{};

  /// Null if nothing came from that sender.
  const Digest* at(Role sender) const;
  /// Set of senders(2) || their hashes.
  Bytes body() const;
  /// SHAKE256("WITBCAST" || session(16) || first step(4) || number(4) || active(2) || body), 32 bytes: what is signed.
  Digest digest(const Context& context) const;
  /// body || signature(64), the message of round 2.
  Bytes encode() const;
  /// Error: data_loss (cut short, too long, names a party that is not active).
  static Result<SignedVector> decode(ByteView bytes, RoleSet active);
  /// The same in the middle of a message; failures stick to the reader.
  static SignedVector read(Reader& in, RoleSet active);

  friend bool operator==(const SignedVector&, const SignedVector&) = default;
};

/// Do two vectors say the same about a sender?
inline bool same(const Digest* a, const Digest* b) {
  return a && b ? *a == *b : a == b;
}

/// SHAKE256("WITRELAY" || session(16) || first step(4) || number(4) || active(2) || sender(1) || hash), 32 bytes: what a party
/// signs when it has extracted that hash.
Digest relay_digest(const Context& context, Role sender, const Digest& hash);

/// What shows that one hash of a sender's message is the only one with a certificate, and how many parties have said that
/// they know; or that no hash has one.
struct Evidence {
  std::map<Role, SignedVector> vectors;  // the certificate: by signer
  std::map<Role, Signature> relays;      // by signer; none with a certificate of absence

  /// The hash that all vectors have for the sender; null if they have none.
  const Digest* hash(Role sender) const;
  /// Signers(2) || their vectors || relay signers(2) || their signatures(64), a relay message.
  Bytes encode() const;
  /// Errors: data_loss (cut short, too long, a signer or sender that is not active); invalid_argument (no vector, vectors that
  /// do not all say the same about that sender, or relay signatures on no hash). Signatures and their numbers are the caller's to
  /// check.
  static Result<Evidence> decode(ByteView bytes, RoleSet active, Role sender);
};

}  // namespace witan::mpc::broadcast
