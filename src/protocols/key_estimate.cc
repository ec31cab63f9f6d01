#include "protocols/key_estimate.h"

#include <algorithm>
#include <cmath>

#include "mpc/zero_sets.h"
#include "protocols/key_generation.h"

namespace witan::protocols {
namespace {

// Measured, in seconds on one core (docs/key_generation.md).
constexpr double kPerBit64 = 0.0104e-6, kPerBit128 = 0.0288e-6;  // random bits, but AES
constexpr double kPerBlock = 0.00058e-6;                         // of AES, with its multiplications
constexpr double kPerByteSent = 5.6e-9;                          // sent and received, encrypted, checked and hashed
constexpr double kPerBatch = 0.004, kPerBatchAndPair = 0.0003;   // kernels and messages; signatures of a decide
constexpr double kPerBodyElement = 0.16e-6, kPerBodyShare = 0.05e-6;  // rows and their products; a share that is opened
constexpr double kPerPublishedByte = 5e-9;                            // written and hashed
constexpr double kBase = 64e6;                                        // bytes of a node that does nothing
constexpr double kCopiesOfABatch = 5;                                 // copies of a batch besides shares of all parties

constexpr double kCopiesOfAKey = 3.3;  // as opened, as sent, and what others send early

double choose(int n, int k) {
  double out = 1;
  for (int i = 1; i <= k; ++i) out = out * (n - k + i) / i;
  return std::round(out);
}

/// AES blocks of one bit, at the party that has most: one of every key of its base draws, and of every key of the zero sharings, four
/// coefficients for four bits.
double blocks_per_bit(CommitteeSize committee) {
  const auto zeros = mpc::zero_sets(committee);
  std::ptrdiff_t most = 0;
  for (int party = 1; party <= committee.parties(); ++party)
    most = std::max(most, std::ranges::count_if(
                              zeros, [party](mpc::PartySet excluded) { return !excluded.contains(Role(party)); }));
  return choose(committee.parties() - 1, committee.threshold()) + static_cast<double>(most);
}

}  // namespace

KeyGenerationEstimate estimate(const KeyPlan& plan, CommitteeSize committee, const PartyMachine& machine) {
  const auto variant = mpc::variant_for(committee);
  const KeyGenerationCost cost = cost_of(plan, committee, variant, BodyOpeningKind::direct);
  const KeyMaterial layout(plan);
  const double n = committee.parties(), batches = static_cast<double>(batches_of(layout.orders));
  const auto amount = [](std::uint64_t count) { return static_cast<double>(count); };

  KeyGenerationEstimate out;
  std::uint64_t largest_element = 0;
  for (const MaterialOrder& order : layout.orders) {
    out.material_bytes += order.units() * order.unit_bytes();
    largest_element = std::max<std::uint64_t>(largest_element, static_cast<std::uint64_t>(order.word_bits) / 2);
  }
  for (const ComponentPlan& part : plan.components)
    out.published_bytes += part.noises() * static_cast<std::uint64_t>(part.component.word_bits / 8);

  PhaseEstimate& first = out.preprocessing;
  first.sent_bytes = cost.bits_bytes + cost.products_bytes;
  first.rounds = cost.preprocessing_rounds;
  const double products64 = amount(plan.products(Ring::gr64)), products128 = amount(plan.products(Ring::gr128));
  const double per_block = kPerBlock * blocks_per_bit(committee);
  first.processor_s = (amount(plan.bits(Ring::gr64)) + products64) * (kPerBit64 + per_block) +
                      (amount(plan.bits(Ring::gr128)) + products128) * (kPerBit128 + per_block) +
                      amount(first.sent_bytes) * kPerByteSent + batches * (kPerBatch + kPerBatchAndPair * n * n);
  first.wall_s = std::max(first.processor_s / machine.cores, amount(first.sent_bytes) / machine.bandwidth_bytes_per_s) +
                 amount(first.rounds) * machine.latency_s;

  PhaseEstimate& second = out.online;
  second.sent_bytes = cost.differences_bytes + cost.bodies_bytes;
  second.rounds = cost.online_rounds;
  const double elements = amount(plan.elements(Ring::gr64) + plan.elements(Ring::gr128));
  second.processor_s = elements * (kPerBodyElement + n * kPerBodyShare) + amount(second.sent_bytes) * kPerByteSent +
                       amount(out.published_bytes) * kPerPublishedByte;
  second.wall_s = second.processor_s / machine.cores + amount(second.sent_bytes) / machine.bandwidth_bytes_per_s +
                  amount(second.rounds) * machine.latency_s;

  // Batches that are exchanged, and as many whose values are stored. Then the bodies.
  double all_elements = 0;
  for (const MaterialOrder& order : layout.orders) all_elements += amount(order.elements());
  const double held = std::min(all_elements, 2.0 * kBatchesAtOnce * kBatchElements);
  const double making = held * amount(largest_element) * (n + kCopiesOfABatch);
  const double opening = kCopiesOfAKey * amount(out.published_bytes) + amount(plan.products(Ring::gr64)) * 8 +
                         amount(plan.products(Ring::gr128)) * 16;
  out.memory_bytes = static_cast<std::uint64_t>(kBase + std::max(making, opening));
  return out;
}

}  // namespace witan::protocols
