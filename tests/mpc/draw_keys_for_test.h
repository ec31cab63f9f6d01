// The set-up of an epoch by a dealer, for tests of what comes after it.
#pragma once

#include "crypto/ecdsa.h"
#include "mpc/detected_opening.h"
#include "mpc/set_keys_for_test.h"
#include "runtime/sim.h"

namespace witan::mpc::test {

/// Set keys, zero keys with shares of their elements, and signing keys of all parties.
struct DealtEpoch {
  DealtEpoch(CommitteeSize committee, std::uint64_t seed) {
    runtime::sim::SimRng rng(seed, 23);
    const auto parties = static_cast<std::size_t>(committee.parties());
    const std::vector<SetKeys> sets = make_set_keys(committee, fmt::format("dealt {}", seed));
    std::vector<std::vector<SetKey>> zero_keys(parties);
    std::vector<std::vector<Share<Z64>>> shares(parties);
    for (const PartySet excluded : zero_sets(committee)) {
      const auto element = algebra::random_element<Z64>(rng);
      const auto dealt = algebra::deal<Z64>(element, committee.threshold(), committee.parties(), rng);
      for (std::size_t i = 0; i < parties; ++i) {
        shares[i].push_back(dealt[i]);
        if (!excluded.contains(Role(static_cast<int>(i) + 1))) zero_keys[i].push_back(agreed_key(element));
      }
    }
    for (std::size_t i = 0; i < parties; ++i) {
      const Role role(static_cast<int>(i) + 1);
      keys_.emplace_back(sets[i].duplicate(), ZeroKeys(committee, role, Secret(std::move(zero_keys[i]))),
                         Secret(std::move(shares[i])));
      ByteArray<32> scalar{};
      scalar[31] = static_cast<std::uint8_t>(i + 1);
      signers_.push_back(crypto::SigningKey::parse(scalar).value());
    }
  }
  const EpochKeys& keys(Role role) const { return keys_[role.index()]; }
  Signatories signatories(Role role) const {
    Signatories out{&signers_[role.index()], {}};
    for (const auto& signer : signers_) out.keys.push_back(signer.verifying_key());
    return out;
  }

 private:
  std::vector<EpochKeys> keys_;
  std::vector<crypto::SigningKey> signers_;
};

}  // namespace witan::mpc::test
