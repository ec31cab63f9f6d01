// Bytes that requests may hold while they are worked on. Loop thread only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "node/permit.h"
#include "runtime/event.h"

namespace witan::node {

class MemoryBudget {
 public:
  using Permit = node::Permit<MemoryBudget>;

  MemoryBudget(runtime::Loop& loop, std::uint64_t capacity_bytes)
      : capacity_(capacity_bytes), left_(capacity_bytes), returned_(loop) {}

  /// For new requests. Errors: invalid_argument (more than there is at all), resource_exhausted (taken by others now, or others
  /// wait).
  Result<Permit> take(std::uint64_t bytes) {
    if (bytes > capacity_)
      return fail(Code::invalid_argument,
                  "the request takes {} bytes while it is worked on, this node gives at most {}; split it", bytes,
                  capacity_);
    if (bytes > left_ || !returned_.empty())
      return fail(
          Code::resource_exhausted,
          "the node is busy: the request takes {} bytes while it is worked on, {} of {} are free; try again later",
          bytes, left_, capacity_);
    left_ -= bytes;
    return Permit(*this, bytes);
  }

  /// For what was accepted before: waits, and takes everything if it needs more than there is.
  runtime::Task<Permit> wait(std::uint64_t bytes) {
    bytes = std::min(bytes, capacity_);
    while (bytes > left_) co_await returned_.wait();
    left_ -= bytes;
    co_return Permit(*this, bytes);
  }

  std::uint64_t in_use() const { return capacity_ - left_; }

 private:
  friend Permit;
  void give_back(std::uint64_t bytes) {
    left_ += bytes;
    returned_.wake_all();
  }
  std::uint64_t capacity_, left_;
  runtime::WaitList returned_;
};

}  // namespace witan::node
