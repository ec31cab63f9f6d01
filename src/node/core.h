// What the services of a node share. All members outlive the services; loop thread only.
#pragma once

#include "api/types.h"
#include "crypto/ecdsa.h"
#include "mpc/broadcast.h"
#include "node/admission.h"
#include "node/config.h"
#include "node/epochs.h"
#include "node/extension.h"
#include "node/memory_budget.h"
#include "node/rate_limiter.h"
#include "runtime/compute.h"
#include "runtime/router.h"
#include "runtime/scope.h"

namespace witan::node {

struct Core {
  const Config& config;
  runtime::Loop& loop;
  runtime::Compute& compute;
  runtime::Journal& journal;
  runtime::Vault& private_vault;
  runtime::Vault& public_vault;
  Rng& rng;
  const crypto::SigningKey& signing_key;
  const mpc::Signatories& signatories;  // that key, and those of all parties, from their CA certificates
  runtime::Router& router;
  RequestStore& requests;
  KeyStore& keys;
  EpochStore& epochs;
  RateLimiter& limiter;
  MemoryBudget& memory;       // of ciphertexts being worked on
  Admission& admission;       // of decryptions
  Admission& squashings;      // of blocks of Small ciphertexts
  runtime::TaskScope& scope;  // background work of requests
  Extension* extension;       // null in production

  bool accepts(KeyOrigin origin) const {
    return origin == KeyOrigin::generated || (extension && extension->accepts(origin));
  }
};

}  // namespace witan::node
