// Tokens that requests take while they are worked on (service.md 3.4). Loop thread only.
#pragma once

#include <cstdint>
#include <utility>

#include "base/error.h"

namespace witan::node {

class RateLimiter {
 public:
  explicit RateLimiter(std::uint32_t bucket) : left_(bucket), bucket_(bucket) {}

  /// Gives its tokens back when it is destroyed.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept : limiter_(std::exchange(other.limiter_, nullptr)), cost_(other.cost_) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        release();
        limiter_ = std::exchange(other.limiter_, nullptr);
        cost_ = other.cost_;
      }
      return *this;
    }
    ~Permit() { release(); }

   private:
    friend class RateLimiter;
    Permit(RateLimiter* limiter, std::uint32_t cost) : limiter_(limiter), cost_(cost) {}
    void release() {
      if (limiter_ != nullptr) limiter_->left_ += cost_;
      limiter_ = nullptr;
    }
    RateLimiter* limiter_ = nullptr;
    std::uint32_t cost_ = 0;
  };

  /// Error: resource_exhausted.
  Result<Permit> take(std::uint32_t cost) {
    if (cost > left_)
      return fail(Code::resource_exhausted, "the node is busy: {} of {} tokens are free, the request needs {}", left_,
                  bucket_, cost);
    left_ -= cost;
    return Permit(this, cost);
  }
  std::uint32_t in_use() const { return bucket_ - left_; }

 private:
  std::uint32_t left_, bucket_;
};

}  // namespace witan::node
