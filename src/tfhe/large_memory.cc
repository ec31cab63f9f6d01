#include "tfhe/large_memory.h"

#include <sys/mman.h>

#include <new>

namespace witan::tfhe {
namespace {

constexpr std::size_t kLine = 64, kLargePage = std::size_t{2} << 20;

std::align_val_t alignment_of(std::size_t size_bytes) {
  return std::align_val_t(size_bytes >= 2 * kLargePage ? kLargePage : kLine);
}

}  // namespace

void* allocate_lines(std::size_t size_bytes) {
  void* const memory = ::operator new(size_bytes, alignment_of(size_bytes));
  // A wish only: without large pages everything works the same. The end of the last page is left as it is.
  if (size_bytes >= 2 * kLargePage) ::madvise(memory, size_bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
  return memory;
}

void free_lines(void* memory, std::size_t size_bytes) {
  ::operator delete(memory, alignment_of(size_bytes));
}

}  // namespace witan::tfhe
