#include "runtime/sim_adversary.h"

namespace witan::runtime::sim {

namespace {

/// Randomness that depends on what is sent and to whom (nothing: to all), so that a resent frame gets the same lie.
SimRng rng_for(std::uint64_t seed, const Frame& frame, std::optional<Role> receiver) {
  Bytes key;
  append(key, frame.session.bytes());
  append_le(key, frame.step);
  append_le(key, receiver ? receiver->number() : 0);
  return SimRng(seed, static_cast<std::uint64_t>(fingerprint(key)));
}

Bytes content(const Frame& frame) {
  return frame.payload ? *frame.payload : Bytes{};
}

Frame with(Frame frame, Bytes bytes) {
  frame.payload = make_payload(std::move(bytes));
  return frame;
}

Frame lie(Frame frame, SimRng& rng) {
  Bytes bytes = content(frame);
  const Bytes truth = bytes;
  if (bytes.empty()) bytes.resize(1);
  do rng.fill(bytes);
  while (bytes == truth);
  return with(std::move(frame), std::move(bytes));
}

/// A lie about data frames; the rest passes.
Corrupt on_data(std::function<std::vector<Frame>(Role, const Frame&)> corrupt) {
  return [corrupt = std::move(corrupt)](Role receiver, const Frame& frame) {
    return frame.kind == FrameKind::data ? corrupt(receiver, frame) : std::vector{frame};
  };
}

}  // namespace

Corrupt lie_randomly(std::uint64_t seed) {
  return on_data([seed](Role receiver, const Frame& frame) {
    SimRng rng = rng_for(seed, frame, receiver);
    return std::vector{lie(frame, rng)};
  });
}

Corrupt lie_equally(std::uint64_t seed) {
  return on_data([seed](Role, const Frame& frame) {
    SimRng rng = rng_for(seed, frame, std::nullopt);
    return std::vector{lie(frame, rng)};
  });
}

Corrupt equivocate(std::uint64_t seed) {
  return sometimes(0.5, seed, lie_equally(seed + 1));
}

Corrupt contradict_itself(std::uint64_t seed) {
  return on_data([seed](Role receiver, const Frame& frame) {
    SimRng rng = rng_for(seed, frame, receiver);
    const Frame other = lie(frame, rng);
    return rng.chance(0.5) ? std::vector{frame, other} : std::vector{other, frame};
  });
}

Corrupt mangle(std::uint64_t seed) {
  return on_data([seed](Role receiver, const Frame& frame) {
    SimRng rng = rng_for(seed, frame, receiver);
    Bytes bytes = content(frame);
    switch (rng.below(4)) {
      case 0:
        bytes.resize(rng.below(bytes.size() + 1));
        break;
      case 1:
        bytes.resize(bytes.size() + 1 + rng.below(64));
        break;
      case 2:
        bytes.clear();
        break;
      default:
        if (!bytes.empty()) bytes[rng.below(bytes.size())] ^= static_cast<std::uint8_t>(1u << rng.below(8));
    }
    return std::vector{with(frame, std::move(bytes))};
  });
}

Corrupt misplace(std::uint64_t seed) {
  return on_data([seed](Role receiver, const Frame& frame) {
    SimRng rng = rng_for(seed, frame, receiver);
    std::vector<Frame> out;
    Frame other = frame;
    other.step = frame.step + 1 + static_cast<Step>(rng.below(3));
    out.push_back(other);
    other.step = static_cast<Step>(rng.next64());
    out.push_back(other);
    other = frame;
    other.session = SessionId{rng.next<u128>()};
    out.push_back(other);
    out.push_back({FrameKind::unavailable, frame.session, frame.step, nullptr});
    if (rng.chance(0.5)) out.push_back(frame);
    return out;
  });
}

Corrupt sometimes(double probability, std::uint64_t seed, Corrupt lie_then) {
  return [=](Role receiver, const Frame& frame) {
    return rng_for(seed, frame, receiver).chance(probability) ? lie_then(receiver, frame) : std::vector{frame};
  };
}

Corrupt both(Corrupt first, Corrupt second) {
  return [=](Role receiver, const Frame& frame) {
    std::vector<Frame> out;
    for (const Frame& changed : first(receiver, frame))
      std::ranges::move(second(receiver, changed), std::back_inserter(out));
    return out;
  };
}

Corrupt flood(std::size_t count, std::uint64_t seed) {
  return on_data([=](Role receiver, const Frame& frame) {
    SimRng rng = rng_for(seed, frame, receiver);
    std::vector<Frame> out;
    for (std::size_t i = 0; i < count; ++i) {
      Frame invented = frame;
      invented.session = SessionId{rng.next<u128>()};
      invented.kind = rng.chance(0.5) ? FrameKind::data : FrameKind::resend_request;
      out.push_back(std::move(invented));
    }
    out.push_back(frame);
    return out;
  });
}

}  // namespace witan::runtime::sim
