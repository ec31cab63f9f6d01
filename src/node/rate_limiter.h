// Tokens that requests take while they are worked on (service.md 3.4). Loop thread only.
#pragma once

#include "base/error.h"
#include "node/permit.h"

namespace witan::node {

class RateLimiter {
 public:
  using Permit = node::Permit<RateLimiter>;

  explicit RateLimiter(std::uint32_t bucket) : left_(bucket), bucket_(bucket) {}

  /// Error: resource_exhausted.
  Result<Permit> take(std::uint32_t cost) {
    if (cost > left_)
      return fail(Code::resource_exhausted, "the node is busy: {} of {} tokens are free, the request needs {}", left_,
                  bucket_, cost);
    left_ -= cost;
    return Permit(*this, cost);
  }
  std::uint32_t in_use() const { return bucket_ - left_; }

 private:
  friend Permit;
  void give_back(std::uint64_t cost) { left_ += static_cast<std::uint32_t>(cost); }
  std::uint32_t left_, bucket_;
};

}  // namespace witan::node
