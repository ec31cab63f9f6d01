// Lies in an opening at degree 2t: in each of its messages, alone and together.
#pragma once

#include "base/codec.h"
#include "mpc/detected_opening.h"
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
/// A hash for each batch, or the first bad index.
inline bool is_report(std::size_t size) {
  return size % 32 == 1 || size == 12;
}
inline bool is_reveal(std::size_t size) {
  return size > 33 && !is_report(size);
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
  maybe(0.4, [&] { return only_value(is_accusation, say(accusation(static_cast<std::uint16_t>(rng.next64())))); });
  maybe(0.1, [&] { return only(Part::broadcasts, sometimes(0.3, seed, lie_randomly(seed + 7))); });
  maybe(0.1, [&] { return only(Part::broadcasts, towards(victims, never_sends())); });
  return chain(std::move(lies));
}

}  // namespace witan::mpc::test
