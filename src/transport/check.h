// What a configuration must satisfy before anything is opened.
#pragma once

#include "transport/verifier.h"

namespace witan::transport {

/// The trust roots of a configuration. Errors: invalid_argument naming the peer or the certificate and what is wrong with it.
Result<TrustRoots> check_config(const Config& config);

}  // namespace witan::transport
