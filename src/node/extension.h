// The one seam through which a test program adds what must never run in production: keys that somebody has seen,
// lies. `witan-node` passes no extension.
#pragma once

#include <memory>

#include "api/server.h"
#include "node/key_store.h"
#include "node/request_store.h"
#include "runtime/network.h"

namespace witan::node {

struct Core;

class Extension {
 public:
  virtual ~Extension() = default;

  virtual bool accepts(KeyOrigin origin) const = 0;

  /// Between the router and the transport; null: nothing is put there. `link` outlives what is returned.
  virtual std::unique_ptr<runtime::Link> wrap_link(runtime::Link& link) = 0;

  /// RPCs of the test service (service.md 5.8).
  virtual api::ExtraMethods methods(Core& core) = 0;

  /// A preprocessing or key generation that was pending when the node stopped.
  virtual runtime::Task<void> resume(Core& core, InterruptedRequest request) = 0;
};

}  // namespace witan::node
