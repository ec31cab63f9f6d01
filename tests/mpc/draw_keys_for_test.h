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
  /// Keys of that party of which one z_E, or one r_A, is another than those of the other holders.
  EpochKeys with_bad_zero_key(Role role) const {
    const EpochKeys& good = keys(role);
    std::vector<SetKey> zeros;
    for (std::size_t i = 0; i < good.zero_keys().size(); ++i) zeros.push_back(good.zero_keys().key(i));
    zeros.front()[3] ^= 1;
    return {good.set_keys().duplicate(), ZeroKeys(good.committee(), role, Secret(std::move(zeros))), zero_shares(good)};
  }
  EpochKeys with_bad_set_key(Role role) const {
    const EpochKeys& good = keys(role);
    std::vector<SetKey> sets;
    for (std::size_t i = 0; i < good.set_keys().size(); ++i) sets.push_back(good.set_keys().key(i));
    sets.front()[3] ^= 1;
    return {SetKeys(good.committee(), role, Secret(std::move(sets))), good.zero_keys().duplicate(), zero_shares(good)};
  }
  Signatories signatories(Role role) const {
    Signatories out{&signers_[role.index()], {}};
    for (const auto& signer : signers_) out.keys.push_back(signer.verifying_key());
    return out;
  }

 private:
  static Secret<std::vector<Share<Z64>>> zero_shares(const EpochKeys& keys) {
    std::vector<Share<Z64>> out;
    for (std::size_t i = 0; i < zero_sets(keys.committee()).size(); ++i) out.push_back(keys.zero_share(i));
    return Secret(std::move(out));
  }

  std::vector<EpochKeys> keys_;
  std::vector<crypto::SigningKey> signers_;
};

}  // namespace witan::mpc::test
