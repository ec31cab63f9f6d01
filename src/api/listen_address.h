// Where a server listens. Private to this folder.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace witan::api {

/// "host:port", with brackets around an IPv6 address. invalid_argument for an empty host or one with a '/'.
Result<std::string> listen_address(const std::string& host, std::uint16_t port);

/// Binds and closes a socket, because gRPC does not tell why it could not listen. Errors: unavailable (port in use, address
/// not of this machine, no such name), with the system's reason.
Status check_can_listen(const std::string& host, std::uint16_t port);

}  // namespace witan::api
