// How long a key generation will take, and what of a machine it needs, before anything starts: docs/key_generation.md has the model, its
// constants and how it compares with measurements. Bytes and rounds come from protocols/key_plan.h.
//
//   preprocessing   max(processor, network) + rounds * latency      exchanges run behind the decides of earlier batches
//   online          processor + network + rounds * latency
#pragma once

#include "protocols/key_plan.h"

namespace witan::protocols {

/// What one party has.
struct PartyMachine {
  double cores = 2;                       // for this party, like the ones that were measured
  double bandwidth_bytes_per_s = 1.25e9;  // sent, and received as much
  double latency_s = 0.0005;              // of a message, one way
};

struct PhaseEstimate {
  double processor_s = 0;  // of one core
  std::uint64_t sent_bytes = 0, rounds = 0;
  double wall_s = 0;
};

struct KeyGenerationEstimate {
  PhaseEstimate preprocessing, online;
  std::uint64_t memory_bytes = 0;     // at most, of the process
  std::uint64_t material_bytes = 0;   // on disk, from the preprocessing until the key is there
  std::uint64_t published_bytes = 0;  // on disk, for ever
};

/// Nobody faulty, nothing else on the machines. Openings: detected ones of mpc::variant_for, bodies directly.
KeyGenerationEstimate estimate(const KeyPlan& plan, CommitteeSize committee, const PartyMachine& machine);

}  // namespace witan::protocols
