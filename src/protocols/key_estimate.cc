#include "protocols/key_estimate.h"

#include <algorithm>
#include <cmath>

#include "protocols/key_generation.h"

namespace witan::protocols {
namespace {

// Measured, in seconds on one core (docs/key_generation.md).
constexpr double kPerBit64 = 0.0104e-6, kPerBit128 = 0.0288e-6;  // random bits, but AES
constexpr double kPerBlock = 0.00058e-6;                         // of AES, with its multiplications
constexpr double kPerByteSent = 5.6e-9;                          // sent and received, encrypted, checked and hashed
constexpr double kPerBatch = 0.004, kPerDecideAndPair = 0.0003;  // kernels and messages; signatures
constexpr double kPerBodyElement = 0.16e-6, kPerBodyShare = 0.05e-6;  // rows and their products; a share that is opened
constexpr double kPerPublishedByte = 5e-9;                            // written and hashed
constexpr double kBase = 64e6;                                        // bytes of a node that does nothing
constexpr double kDraws = 4,
                 kCopies = 3;  // of a group, as often as it is large: base draws; values, own shares, what was sent

constexpr double kCopiesOfAKey = 3.3;  // as opened, as sent, and what others send early

double choose(int n, int k) {
  double out = 1;
  for (int i = 1; i <= k; ++i) out = out * (n - k + i) / i;
  return std::round(out);
}

/// AES blocks of one bit: its base draw, and its zero sharing, which comes from a small family of sets.
double blocks_per_bit(CommitteeSize committee) {
  const int n = committee.parties(), t = committee.threshold();
  return choose(n - 1, t) + t * (n - 1);
}

}  // namespace

KeyGenerationEstimate estimate(const KeyPlan& plan, CommitteeSize committee, const PartyMachine& machine) {
  const auto variant = mpc::variant_for(committee);
  const KeyGenerationCost cost = cost_of(plan, committee, variant, BodyOpeningKind::direct);
  const KeyMaterial layout(plan);
  const double n = committee.parties(), t = committee.threshold();
  const BatchCount count = batches_of(layout.orders);
  const auto amount = [](std::uint64_t count) { return static_cast<double>(count); };

  KeyGenerationEstimate out;
  double all_bytes = 0;  // of opened elements
  for (const MaterialOrder& order : layout.orders) {
    out.material_bytes += order.units() * order.unit_bytes();
    all_bytes += amount(order.elements()) * order.word_bits / 2;
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
                      amount(first.sent_bytes) * kPerByteSent + amount(count.batches) * kPerBatch +
                      amount(count.decides) * kPerDecideAndPair * n * n;
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

  // Two groups that are exchanged or decided, with shares of all parties, and two of draws and values, which are stored, or
  // fetched from t + 1 parties. Then the bodies.
  const double shares = variant == mpc::OpeningVariant::w1 ? n : 2 * n / (n - t);
  const double group = static_cast<double>(kDecideBytes);
  const double exchanged = std::min(all_bytes, 2 * group), opened = std::min(all_bytes - exchanged, 2 * group);
  const double making = exchanged * (shares + kDraws + kCopies) + opened * (kDraws + 1 + t + 1);
  const double opening = kCopiesOfAKey * amount(out.published_bytes) + amount(plan.products(Ring::gr64)) * 8 +
                         amount(plan.products(Ring::gr128)) * 16;
  out.memory_bytes = static_cast<std::uint64_t>(kBase + std::max(making, opening));
  return out;
}

}  // namespace witan::protocols
