#include "mpc/broadcast_messages.h"

#include <algorithm>

#include "crypto/separators.h"

namespace witan::mpc::broadcast {
namespace {

template <class Value>
RoleSet roles_of(const std::map<Role, Value>& map) {
  RoleSet out;
  for (const auto& [role, value] : map) out.insert(role);
  return out;
}

RoleSet read_roles(Reader& in, RoleSet within) {
  const std::uint16_t bits = in.u16();
  RoleSet out;
  for (const Role role : within)
    if ((bits >> role.index()) & 1u) out.insert(role);
  if (out.bits() != bits) in.mark_failed();
  return out;
}

crypto::Shake256 begin(crypto::Separator separator, const Context& context) {
  Writer out;
  out.raw(context.session.bytes()).u32(context.first_step).u32(context.number).u16(context.active.bits());
  crypto::Shake256 hash(separator);
  hash.update(out.view());
  return hash;
}

}  // namespace

Signature sign(const crypto::SigningKey& key, const Digest& digest) {
  const crypto::ExternalSignature recoverable = key.sign_digest(digest);
  Signature out;
  std::copy_n(recoverable.begin(), out.size(), out.begin());
  return out;
}

Digest message_hash(ByteView message) {
  return crypto::tagged_hash(crypto::separators::kBroadcastMessage, message);
}

const Digest* SignedVector::at(Role sender) const {
  const auto found = hashes.find(sender);
  return found == hashes.end() ? nullptr : &found->second;
}

Bytes SignedVector::body() const {
  Writer out;
  out.u16(roles_of(hashes).bits());
  for (const auto& [sender, hash] : hashes) out.raw(hash);
  return out.take();
}

Digest SignedVector::digest(const Context& context) const {
  return begin(crypto::separators::kBroadcastVector, context).update(body()).finish();
}

Bytes SignedVector::encode() const {
  Bytes out = body();
  append(out, signature);
  return out;
}

SignedVector SignedVector::read(Reader& in, RoleSet active) {
  SignedVector out;
  for (const Role sender : read_roles(in, active)) out.hashes.emplace(sender, in.array<32>());
  out.signature = in.array<64>();
  return out;
}

Result<SignedVector> SignedVector::decode(ByteView bytes, RoleSet active) {
  Reader in(bytes);
  SignedVector out = read(in, active);
  WITAN_TRY(in.finish("vector of a broadcast"));
  return out;
}

Digest relay_digest(const Context& context, Role sender, const Digest& hash) {
  const ByteArray<1> role{static_cast<std::uint8_t>(sender.number())};
  return begin(crypto::separators::kBroadcastRelay, context).update(role).update(hash).finish();
}

const Digest* Evidence::hash(Role sender) const {
  return vectors.begin()->second.at(sender);
}

Bytes Evidence::encode() const {
  Writer out;
  out.u16(roles_of(vectors).bits());
  for (const auto& [signer, vector] : vectors) out.raw(vector.encode());
  out.u16(roles_of(relays).bits());
  for (const auto& [signer, signature] : relays) out.raw(signature);
  return out.take();
}

Result<Evidence> Evidence::decode(ByteView bytes, RoleSet active, Role sender) {
  Reader in(bytes);
  Evidence out;
  for (const Role signer : read_roles(in, active)) out.vectors.emplace(signer, SignedVector::read(in, active));
  for (const Role signer : read_roles(in, active)) out.relays.emplace(signer, in.array<64>());
  WITAN_TRY(in.finish("relay of a broadcast"));
  if (out.vectors.empty()) return fail(Code::invalid_argument, "a relay of a broadcast has no vector");
  const Digest* const first = out.hash(sender);
  for (const auto& [signer, vector] : out.vectors) {
    const Digest* const other = vector.at(sender);
    if (!same(other, first))
      return fail(
          Code::invalid_argument, "a certificate {} the message of party {}: the vector of party {} has {} hash",
          first ? "for" : "against", sender.number(), signer.number(), !other ? "no" : (first ? "another" : "a"));
  }
  if (!first && !out.relays.empty())
    return fail(Code::invalid_argument, "a certificate against the message of party {} has {} relay signatures",
                sender.number(), out.relays.size());
  return out;
}

}  // namespace witan::mpc::broadcast
