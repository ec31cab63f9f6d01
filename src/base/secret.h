// Values that must not leak: no copy, no print, no comparison; the memory is wiped on destruction and on move.
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace witan {

/// Overwrites memory in a way that the optimiser keeps.
void wipe(void* data, std::size_t size_bytes);

/// Owns a trivially copyable T, or a std::vector of one whose size is fixed at construction (so that no stale copy is
/// left behind by growth). reveal() marks every place that reads the secret.
template <class T>
class Secret {
 public:
  Secret() = default;
  explicit Secret(T&& value) : value_(std::move(value)) { clear(value); }
  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { clear(other.value_); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      clear(value_);
      value_ = std::move(other.value_);
      clear(other.value_);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { clear(value_); }

  const T& reveal() const { return value_; }
  T& reveal_mutable() { return value_; }
  /// A deliberate copy, itself a Secret.
  Secret duplicate() const { return Secret(T(value_)); }

 private:
  template <class U, class Allocator>
  static void clear(std::vector<U, Allocator>& v) {
    static_assert(std::is_trivially_copyable_v<U>);
    if (!v.empty()) wipe(v.data(), v.size() * sizeof(U));
  }
  template <class U>
    requires std::is_trivially_copyable_v<U>
  static void clear(U& v) {
    wipe(&v, sizeof v);
  }

  T value_{};
};

}  // namespace witan
