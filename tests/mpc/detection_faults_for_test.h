// Lies in an opening at degree 2t: in each of its messages, alone and together.
#pragma once

#include "base/codec.h"
#include "mpc/detected_opening.h"
#include "mpc/draw_keys_for_test.h"
#include "mpc/sync_world.h"
#include "runtime/sim_adversary.h"

namespace witan::mpc::test {

using runtime::Frame;
using runtime::FrameKind;
using runtime::RoleSet;
using runtime::Step;
using runtime::sim::Corrupt;
using runtime::sim::SimRng;

enum class Part { phase_1, phase_2, fetched, zero_shares, broadcasts };
inline Part part_of(Step step) {
  if (step >= kDecideBroadcasts) return Part::broadcasts;
  if (step >= kZeroShares) return Part::zero_shares;
  if (step >= kFetch) return Part::fetched;
  return step >= kPhase2 ? Part::phase_2 : Part::phase_1;
}

inline Corrupt only(std::function<bool(const Frame&)> when, Corrupt lie) {
  return [when = std::move(when), lie = std::move(lie)](Role receiver, const Frame& frame) {
    return frame.kind == FrameKind::data && frame.payload && when(frame) ? lie(receiver, frame) : std::vector{frame};
  };
}
inline Corrupt only(Part part, Corrupt lie) {
  return only([part](const Frame& frame) { return part_of(frame.step) == part; }, std::move(lie));
}
inline Corrupt only_value(std::function<bool(std::size_t)> size, Corrupt lie) {
  return only(
      [size = std::move(size)](const Frame& frame) {
        return part_of(frame.step) == Part::broadcasts && (frame.step - kDecideBroadcasts) % kBroadcastSteps == 0 &&
               size(frame.payload->size());
      },
      std::move(lie));
}
inline bool is_report(std::size_t size) {
  return size == 33 || size == 12;
}
inline bool is_reveal(std::size_t size) {
  return size > 33;
}
inline bool is_accusation(std::size_t size) {
  return size == 2;
}

/// The same payload to all.
inline Corrupt say(Bytes bytes) {
  return [bytes = std::move(bytes)](Role, const Frame& frame) {
    Frame out = frame;
    out.payload = runtime::make_payload(bytes);
    return std::vector{out};
  };
}
/// One bit of the payload is wrong, the same for all.
inline Corrupt flip_a_bit(std::uint64_t seed) {
  return [seed](Role, const Frame& frame) {
    SimRng rng(seed, frame.step);
    Frame out = frame;
    Bytes bytes = *frame.payload;
    if (!bytes.empty()) bytes[rng.below(bytes.size())] ^= static_cast<std::uint8_t>(1u << rng.below(8));
    out.payload = runtime::make_payload(std::move(bytes));
    return std::vector{out};
  };
}
/// The first share that a reveal shows is wrong, the same for all.
inline Corrupt flip_first_bit() {
  return [](Role, const Frame& frame) {
    Bytes bytes = *frame.payload;
    bytes.at(0) ^= 1;
    return std::vector{with_bytes(frame, std::move(bytes))};
  };
}
/// A lie for some receivers alone.
inline Corrupt towards(RoleSet victims, Corrupt lie) {
  return [victims, lie = std::move(lie)](Role receiver, const Frame& frame) {
    return victims.contains(receiver) ? lie(receiver, frame) : std::vector{frame};
  };
}
inline Corrupt never_sends() {
  return [](Role, const Frame&) { return std::vector<Frame>{}; };
}
inline Corrupt chain(std::vector<Corrupt> lies) {
  Corrupt out = [](Role, const Frame& frame) { return std::vector{frame}; };
  for (Corrupt& lie : lies) out = runtime::sim::both(std::move(out), std::move(lie));
  return out;
}

inline Bytes bad_report(std::uint64_t row, std::uint8_t phase, RoleSet silent = {}) {
  Writer out;
  out.u8(0).u64(row).u8(phase).u16(silent.bits());
  return out.take();
}
inline Bytes accusation(std::uint16_t bits) {
  Writer out;
  out.u16(bits);
  return out.take();
}

inline RoleSet random_set(CommitteeSize committee, SimRng& rng) {
  RoleSet out;
  for (const Role role : RoleSet::all(committee))
    if (rng.chance(0.4)) out.insert(role);
  return out;
}

/// What one corrupt party does: some of the lies that the dispute path has an answer to, and some that nothing expects.
inline Corrupt draw_lie(CommitteeSize committee, std::size_t rows, OpeningVariant variant, SimRng& rng) {
  using namespace runtime::sim;
  const std::uint64_t seed = rng.next64();
  const RoleSet victims = random_set(committee, rng);
  std::vector<Corrupt> lies;
  const auto maybe = [&](double probability, auto&& make) {
    if (rng.chance(probability)) lies.push_back(make());
  };
  maybe(0.5, [&] { return only(Part::phase_1, towards(victims, flip_a_bit(seed))); });
  maybe(0.2, [&] { return only(Part::phase_1, towards(random_set(committee, rng), never_sends())); });
  maybe(0.4, [&] { return only(Part::phase_2, towards(random_set(committee, rng), flip_a_bit(seed + 1))); });
  maybe(0.1, [&] { return only(Part::phase_2, towards(random_set(committee, rng), mangle(seed + 2))); });
  maybe(0.3, [&] { return only(Part::fetched, lie_randomly(seed + 3)); });
  maybe(0.3, [&] { return only(Part::zero_shares, lie_randomly(seed + 4)); });
  maybe(0.3, [&] {
    return only_value(
        is_report,
        say(bad_report(rng.below(rows), static_cast<std::uint8_t>(variant == OpeningVariant::w2 ? 1 + rng.below(2) : 1),
                       rng.chance(0.3) ? random_set(committee, rng) : RoleSet{})));
  });
  maybe(0.3, [&] { return only_value(is_reveal, flip_a_bit(seed + 5)); });
  maybe(0.1, [&] { return only_value(is_reveal, lie_equally(seed + 6)); });
  maybe(0.2, [&] { return only_value(is_reveal, flip_first_bit()); });
  maybe(0.2, [&] { return only_value(is_accusation, say(Bytes{1})); });
  maybe(0.4, [&] { return only_value(is_accusation, say(accusation(static_cast<std::uint16_t>(rng.next64())))); });
  maybe(0.1, [&] { return only(Part::broadcasts, sometimes(0.3, seed, lie_randomly(seed + 7))); });
  maybe(0.1, [&] { return only(Part::broadcasts, towards(victims, never_sends())); });
  return chain(std::move(lies));
}

/// Adds an element to each row of phase 1, the same for all receivers.
template <Word Z>
Corrupt add_to_rows(Gr<Z> error) {
  return only(Part::phase_1, [error](Role, const Frame& frame) {
    Bytes bytes = *frame.payload;
    for (std::size_t at = 0; at + Gr<Z>::kSizeBytes <= bytes.size(); at += Gr<Z>::kSizeBytes)
      (Gr<Z>::decode(bytes.data() + at) + error).encode(bytes.data() + at);
    return std::vector{with_bytes(frame, std::move(bytes))};
  });
}

/// What t liars together add to their shares of degree 2t so that the word is one position away from another codeword: values of
/// c * prod over the other 2t parties of (X - alpha_j), j not the victim. Words of this sort are in miscorrection_2t.json: a decoder
/// takes the victim for the liar.
template <Word Z>
std::map<Role, Gr<Z>> towards_another_codeword(CommitteeSize committee, RoleSet liars, Role victim, SimRng& rng) {
  const Gr<Z> factor = algebra::random_element<Z>(rng);
  RoleSet roots = RoleSet::all(committee) - liars;
  roots.erase(victim);
  std::map<Role, Gr<Z>> out;
  for (const Role liar : liars) {
    Gr<Z> value = factor;
    for (const Role root : roots)
      value = value * (algebra::evaluation_point<Z>(liar) - algebra::evaluation_point<Z>(root));
    out.emplace(liar, value);
  }
  return out;
}

/// Ways to be faulty in openings at degree 2t.
inline constexpr std::string_view kDetectionStrategies[] = {
    "adversary lies in some messages",
    "adversary silent",
    "adversary silent from any frame on",
    "adversary all liars: a word near another codeword",
    "adversary bad zero sharing",
    "adversary bad set key",
    "adversary delays up to the deadline",
    "adversary crash",
    "adversary floods",
    "adversary wrong shares",
};

/// Which of its keys a faulty party has changed.
enum class Bad : std::uint8_t { zero_key, set_key };
using BadKeys = std::map<Role, Bad>;
inline EpochKeys keys_of(const DealtEpoch& epoch, Role role, const BadKeys& bad) {
  const auto found = bad.find(role);
  if (found == bad.end()) return epoch.keys(role).duplicate();
  return found->second == Bad::zero_key ? epoch.with_bad_zero_key(role) : epoch.with_bad_set_key(role);
}

/// Faults of t parties in openings of elements of GR(2^k,4), Z having k bits, strategy after strategy, seed by seed. Returned: who runs the
/// protocol with a bad key. `rows`: in one batch. The world counts them.
template <Word Z>
BadKeys draw_detection_faults(runtime::sim::World& world, SimRng& rng, std::uint64_t run_seed, std::size_t rows,
                              const DetectionOptions& options) {
  const CommitteeSize committee = world.committee();
  std::vector<Role> parties;
  for (const Role role : RoleSet::all(committee)) parties.push_back(role);
  std::vector<Role> liars;
  const auto draw = [&] {
    const auto pick = rng.below(parties.size());
    const Role out = parties[pick];
    parties.erase(parties.begin() + static_cast<std::ptrdiff_t>(pick));
    return out;
  };
  RoleSet all_liars;
  for (int k = 0; k < committee.threshold(); ++k) all_liars.insert(liars.emplace_back(draw()));
  const auto errors = towards_another_codeword<Z>(committee, all_liars, parties[rng.below(parties.size())], rng);
  BadKeys bad_keys;
  const std::size_t first = run_seed % std::size(kDetectionStrategies);
  for (std::size_t k = 0; k < liars.size(); ++k) {
    auto& faults = world.faults(liars[k]);
    faults.byzantine = true;
    faults.rushing = rng.chance(0.5);
    const std::uint64_t seed = rng.next64();
    const std::size_t drawn = rng.below(std::size(kDetectionStrategies));
    const std::size_t strategy = k == 0 || first == 3 ? first : drawn == 3 ? 0 : drawn;
    world.count(kDetectionStrategies[strategy]);
    switch (strategy) {
      case 0:
        faults.corrupt = draw_lie(committee, rows, options.variant, rng);
        break;
      case 1:
        faults.silent = true;
        break;
      case 2:
        faults.corrupt = silent_after(rng.below(static_cast<std::uint64_t>(20 * committee.parties())));
        break;
      case 3:
        faults.corrupt = add_to_rows<Z>(errors.at(liars[k]));
        break;
      case 4:
        bad_keys.emplace(liars[k], Bad::zero_key);
        break;
      case 5:
        bad_keys.emplace(liars[k], Bad::set_key);
        break;
      case 6:
        faults.rushing = false;
        faults.slow = std::max(runtime::Duration{}, options.delay + std::chrono::milliseconds(rng.below(40)) -
                                                        std::chrono::milliseconds(30));
        break;
      case 7:
        faults.crashes = {{1 + rng.below(static_cast<std::uint64_t>(60 * committee.parties())), std::chrono::hours(1)}};
        break;
      case 8:
        faults.corrupt = flood_ahead(seed);
        break;
      default:
        faults.corrupt = only(Part::phase_1, towards(random_set(committee, rng), runtime::sim::lie_randomly(seed)));
        break;
    }
  }
  return bad_keys;
}

}  // namespace witan::mpc::test
