// The methods of a KmsHandler as a table of bytes-to-bytes methods. Private to this folder.
#pragma once

#include "api/server.h"

namespace witan::api {

/// Full method name to method. The handler must outlive the table's calls.
ExtraMethods methods_of(KmsHandler& handler);

/// Does a request of this method bring ciphertexts?
bool brings_ciphertexts(const std::string& method);

}  // namespace witan::api
