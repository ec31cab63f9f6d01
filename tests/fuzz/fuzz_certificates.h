// The party of the target `certificates`: always the same keys, so that inputs keep their meaning.
#pragma once

#include "base/check.h"
#include "crypto/x509.h"
#include "support/support.h"

namespace witan::fuzz {

/// First byte of an input: what the rest is.
enum class CertificateInput : std::uint8_t {
  text,         // PEM
  der,          // put into PEM
  to_sign,      // DER, signed again by the party's CA, so that what was changed is judged and not its signature
  private_key,  // PEM, of the party's leaf?
  count,
};

inline constexpr crypto::UnixSeconds kFuzzNow = 1'760'000'000;
inline constexpr std::string_view kFuzzIdentity = "party-1.example";

struct FuzzParty {
  crypto::SigningKey key;
  std::string ca_pem;
  crypto::TlsLeaf leaf;
};

inline const FuzzParty& fuzz_party() {
  static const FuzzParty party = [] {
    test::SeededRng rng("fuzzed certificates");
    auto key = crypto::SigningKey::generate(rng);
    std::string ca = crypto::make_party_ca(key, kFuzzIdentity, true, kFuzzNow, rng).value();
    crypto::TlsLeaf leaf =
        crypto::make_tls_leaf(key, kFuzzIdentity, {"localhost"}, kFuzzNow - 86400, kFuzzNow + 86400, rng).value();
    return FuzzParty{std::move(key), std::move(ca), std::move(leaf)};
  }();
  return party;
}

}  // namespace witan::fuzz
