#include "mpc/calls.h"

#include <algorithm>

#include "crypto/separators.h"
#include "mpc/broadcast_messages.h"

namespace witan::mpc {

Calls::Calls(Signatories signatories, Bytes attempt, runtime::RoleSet callers)
    : signatories_(std::move(signatories)), attempt_(std::move(attempt)), callers_(callers) {}

runtime::RoleSet Calls::known() const {
  runtime::RoleSet out;
  for (const auto& [caller, signature] : known_) out.insert(caller);
  return out;
}

crypto::Digest Calls::digest(Role caller) const {
  Writer out;
  out.raw(attempt_).u8(static_cast<std::uint8_t>(caller.number()));
  return crypto::tagged_hash(crypto::separators::kCall, out.view());
}

Calls::Signature Calls::sign() const {
  const auto self = std::ranges::find(signatories_.keys, signatories_.own->verifying_key());
  const Role caller(static_cast<int>(self - signatories_.keys.begin()) + 1);
  return broadcast::sign(*signatories_.own, digest(caller));
}

bool Calls::take(Role caller, ByteView signature) {
  // Valid or not does not depend on what is known already: parties that know different calls must judge a report alike.
  if (!callers_.contains(caller)) return false;
  Signature own;
  if (signature.size() != own.size() ||
      !crypto::verify_digest(signatories_.keys[caller.index()], digest(caller), signature))
    return false;
  std::ranges::copy(signature, own.begin());
  known_.emplace(caller, own);
  return true;
}

Bytes Calls::encode() const {
  if (known_.empty()) return {};
  Writer out;
  out.u16(known().bits());
  for (const auto& [caller, signature] : known_) out.raw(signature);
  return out.take();
}

void Calls::take_all(const Calls& other) {
  for (const auto& [caller, signature] : other.known_)
    if (callers_.contains(caller)) known_.emplace(caller, signature);
}

std::optional<runtime::RoleSet> Calls::take_all(ByteView encoded) {
  Reader in(encoded);
  const std::uint16_t bits = in.u16();
  runtime::RoleSet out;
  for (const Role caller : callers_)
    if (bits >> caller.index() & 1u) out.insert(caller);
  if (out.bits() != bits || bits == 0) return std::nullopt;
  for (const Role caller : out)
    if (!take(caller, in.raw(std::tuple_size_v<Signature>))) return std::nullopt;
  if (!in.finish("calls")) return std::nullopt;
  return out;
}

}  // namespace witan::mpc
