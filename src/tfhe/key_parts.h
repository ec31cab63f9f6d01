// Where each component's bodies lie in a key, for const and mutable access. Internal.
#pragma once

#include "tfhe/keygen.h"

namespace witan::tfhe {

/// The 64-bit bodies of a component of a server key (const or not); null for 128-bit components and the public key.
/// Precondition: the part exists.
template <class ServerKey>
auto* server_bodies_64(ServerKey& key, ComponentKind kind) {
  switch (kind) {
    case ComponentKind::compression_packing:
      return &key.compression.value().packing.data;
    case ComponentKind::decompression_bsk:
      return &key.decompression.value().bootstrap.bsk.data;
    case ComponentKind::bsk:
      return &key.bootstrap.bsk.data;
    case ComponentKind::drift_zeros:
      return &std::get<SeededDrift>(key.bootstrap.modulus_switch).zeros.data;
    case ComponentKind::sns_drift_zeros:
      return &std::get<SeededDrift>(key.sns.value().bootstrap.modulus_switch).zeros.data;
    case ComponentKind::cast_ksk:
      return &key.cast.value().ksk.data;
    case ComponentKind::rerandomization_key:
      return &std::get<SeededCompactKey>(key.rerandomization.value()).data;
    case ComponentKind::rerandomization_ksk:
      return &std::get<SeededLegacyRerandomization>(key.rerandomization.value()).dedicated.value().ksk.data;
    case ComponentKind::oprf_bsk:
      return &key.oprf.value().data;
    case ComponentKind::ksk:
      return &key.ksk.data;
    case ComponentKind::public_key:
    case ComponentKind::sns_bsk:
    case ComponentKind::sns_compression_packing:
      break;
  }
  return static_cast<decltype(&key.ksk.data)>(nullptr);
}

/// The 128-bit bodies; null for 64-bit components.
template <class ServerKey>
auto* server_bodies_128(ServerKey& key, ComponentKind kind) {
  using Pointer = decltype(&key.sns.value().bootstrap.bsk.data);
  if (kind == ComponentKind::sns_bsk) return &key.sns.value().bootstrap.bsk.data;
  if (kind == ComponentKind::sns_compression_packing) return &key.sns_compression.value().packing.data;
  return static_cast<Pointer>(nullptr);
}

}  // namespace witan::tfhe
