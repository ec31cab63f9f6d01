// Memory of transformed polynomials: whole cache lines, and whole large pages where there are many.
#pragma once

#include <cstddef>

namespace witan::tfhe {

/// Aligned to a cache line. From 4 MiB on aligned to 2 MiB, with the wish for large pages: a key of a gigabyte is read once per
/// block, and with pages of 4 KiB it is made with 400,000 page faults. Throws std::bad_alloc.
void* allocate_lines(std::size_t size_bytes);
void free_lines(void* memory, std::size_t size_bytes);

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}  // NOLINT: as std::allocator
  T* allocate(std::size_t count) { return static_cast<T*>(allocate_lines(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) { free_lines(memory, count * sizeof(T)); }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
};

}  // namespace witan::tfhe
