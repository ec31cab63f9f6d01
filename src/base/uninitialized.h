// Vectors whose elements are written before they are read, for arrays of megabytes that would be cleared in vain.
#pragma once

#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace witan {

/// Leaves elements that are made without arguments as the memory was.
template <class T>
struct LeaveUninitialized : std::allocator<T> {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
  template <class U>
  struct rebind {
    using other = LeaveUninitialized<U>;
  };
  template <class U>
  void construct(U*) noexcept {}
  template <class U, class... Args>
  void construct(U* at, Args&&... args) {
    ::new (static_cast<void*>(at)) U(std::forward<Args>(args)...);
  }
};

template <class T>
using UninitializedVector = std::vector<T, LeaveUninitialized<T>>;

}  // namespace witan
