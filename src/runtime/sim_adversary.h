// Lies for sim::Faults::corrupt. Each takes a seed, so that a run stays reproducible.
#pragma once

#include "runtime/sim.h"

namespace witan::runtime::sim {

/// Random other bytes of the same length, independent for each receiver.
Corrupt lie_randomly(std::uint64_t seed);
/// The same wrong bytes for all receivers.
Corrupt lie_equally(std::uint64_t seed);
/// Truth for some receivers (a random half, fixed per session and step), a lie for the others.
Corrupt equivocate(std::uint64_t seed);
/// Both the truth and a lie to everybody, in random order.
Corrupt contradict_itself(std::uint64_t seed);
/// Truncated, extended, empty, or one bit flipped.
Corrupt mangle(std::uint64_t seed);
/// The right payloads under wrong sessions and steps, sometimes besides the right frame.
Corrupt misplace(std::uint64_t seed);
/// `lie` with the probability, the truth otherwise.
Corrupt sometimes(double probability, std::uint64_t seed, Corrupt lie);
/// `first`, and then `second` on what came of it: two lies at once.
Corrupt both(Corrupt first, Corrupt second);
/// Floods each receiver with `count` frames of invented sessions per frame of its own.
Corrupt flood(std::size_t count, std::uint64_t seed);

}  // namespace witan::runtime::sim
