#include "mpc/prss_aes.h"

#include <algorithm>
#include <atomic>

#include "base/check.h"
#include "base/cpu.h"
#include "mpc/aes_kernels.h"

namespace witan::mpc {
namespace {

using aes::KeyGroup;
using aes::kGroup;

AesTarget best_target() {
  static const AesTarget best = *std::ranges::find_if(kAesTargets, available);
  return best;
}

std::atomic<std::optional<AesTarget>> chosen;

const aes::Kernels& kernels() {
  switch (aes_target()) {
    case AesTarget::portable:
      return aes::kPortable;
    case AesTarget::aes_ni:
      return aes::kAesNi;
    case AesTarget::vaes256:
      return aes::kVaes256;
    case AesTarget::vaes512:
      break;
  }
  return aes::kVaes512;
}

std::uint8_t* bytes_of(std::span<SetKey> blocks) {
  return reinterpret_cast<std::uint8_t*>(blocks.data());
}
const std::uint8_t* bytes_of(std::span<const SetKey> blocks) {
  return reinterpret_cast<const std::uint8_t*>(blocks.data());
}

}  // namespace

const char* to_string(AesTarget target) {
  static constexpr std::array kNames = {"portable", "AES-NI", "VAES-256", "VAES-512"};
  return kNames[static_cast<std::size_t>(target)];
}

bool available(AesTarget target) {
  switch (target) {
    case AesTarget::portable:
    case AesTarget::aes_ni:  // of the baseline
      return true;
    case AesTarget::vaes256:
      return cpu_features().vaes;
    case AesTarget::vaes512:
      return cpu_features().vaes && cpu_features().avx512;
  }
  return false;
}

void choose_aes_target(std::optional<AesTarget> target) {
  WITAN_CHECK(!target || available(*target));
  chosen = target;
}

AesTarget aes_target() {
  return chosen.load(std::memory_order_relaxed).value_or(best_target());
}

AesKeys::AesKeys(std::span<const SetKey> keys)
    : size_(keys.size()), groups_(std::vector<KeyGroup>((keys.size() + kGroup - 1) / kGroup)) {
  std::vector<KeyGroup>& groups = groups_.reveal_mutable();
  const std::size_t whole = size_ / kGroup;
  kernels().expand(bytes_of(keys), whole, groups.data());
  if (whole == groups.size()) return;
  Secret<std::array<SetKey, kGroup>> rest;
  std::ranges::copy(keys.subspan(whole * kGroup), rest.reveal_mutable().begin());
  kernels().expand(rest.reveal().front().data(), 1, &groups[whole]);
}

AesKeys::AesKeys(AesKeys&&) noexcept = default;
AesKeys& AesKeys::operator=(AesKeys&&) noexcept = default;
AesKeys::~AesKeys() = default;

void AesKeys::encrypt_each(std::span<SetKey> blocks) const {
  WITAN_CHECK(blocks.size() == size_);
  const std::vector<KeyGroup>& groups = groups_.reveal();
  const std::size_t whole = size_ / kGroup;
  kernels().encrypt_each(groups.data(), whole, bytes_of(blocks));
  if (whole == groups.size()) return;
  const auto last = blocks.subspan(whole * kGroup);
  Secret<std::array<SetKey, kGroup>> rest;
  std::ranges::copy(last, rest.reveal_mutable().begin());
  kernels().encrypt_each(&groups[whole], 1, rest.reveal_mutable().front().data());
  std::copy_n(rest.reveal().begin(), last.size(), last.begin());
}

void AesKeys::encrypt_counters(std::size_t i, std::uint64_t first, std::uint64_t high, std::span<u128> out) const {
  WITAN_CHECK(i < size_);
  kernels().encrypt_counters(&groups_.reveal()[i / kGroup], i % kGroup, first, high, out.size(),
                             reinterpret_cast<std::uint8_t*>(out.data()));
}

void AesKeys::add_pairs(std::uint64_t first, unsigned bits, std::span<u128> out) const {
  WITAN_CHECK(bits > 64 && bits < 128);
  if (out.empty()) return;
  WITAN_CHECK(size_ > 0 && out.size() % row_size() == 0);
  kernels().add_pairs(groups_.reveal().data(), groups_.reveal().size(), first, out.size() / row_size(), bits,
                      reinterpret_cast<std::uint8_t*>(out.data()));
}

std::size_t AesKeys::row_size() const {
  return groups_.reveal().size() * kGroup;
}

}  // namespace witan::mpc
