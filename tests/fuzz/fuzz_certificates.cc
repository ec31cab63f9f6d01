// Certificates: identity rule, chain, party CA.
#include "crypto/x509.h"
#include "fuzz/fuzz.h"

namespace witan::fuzz {

void fuzz_one(ByteView input) {
  const std::string pem(input.begin(), input.end());
  constexpr std::int64_t kNow = 1'760'000'000;
  const auto identity = crypto::certificate_identity(pem);
  if (identity) WITAN_CHECK(!identity->empty());
  static_cast<void>(crypto::certificate_der(pem));
  // Nothing chains to itself as a leaf of another one.
  static_cast<void>(crypto::verify_chain(
      pem, {.ca_pems = {pem}, .purpose = crypto::TlsPurpose::server, .now = kNow, .host = "localhost"}));
  static_cast<void>(crypto::verify_chain(
      pem, {.ca_pems = {pem}, .purpose = crypto::TlsPurpose::client, .now = kNow, .host = std::nullopt}));
}

}  // namespace witan::fuzz
