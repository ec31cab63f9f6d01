#include "support/memory_meter.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> in_use = 0, most = 0;

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  const std::size_t now = in_use += malloc_usable_size(memory);
  for (std::size_t seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
  }
  return memory;
}

void forget(void* memory) {
  if (memory == nullptr) return;
  in_use -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) {
  return counted(std::malloc(size == 0 ? 1 : size));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(unit, (size + unit - 1) / unit * unit));
}
void operator delete(void* memory) noexcept {
  forget(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  forget(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  forget(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  forget(memory);
}

namespace witan::test {

MemoryMeter::MemoryMeter() : level_(in_use) {
  most = level_;
}
std::size_t MemoryMeter::peak_bytes() const {
  return most - level_;
}
std::size_t MemoryMeter::held_bytes() const {
  return in_use > level_ ? in_use - level_ : 0;
}

}  // namespace witan::test
