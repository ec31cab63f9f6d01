// What a request has taken of something limited, until it is destroyed.
#pragma once

#include <cstdint>
#include <utility>

namespace witan::node {

/// `Owner::give_back(amount)` is called once, by the destructor. The owner must outlive it.
template <class Owner>
class Permit {
 public:
  Permit() = default;
  Permit(Owner& owner, std::uint64_t amount) : owner_(&owner), amount_(amount) {}
  Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), amount_(other.amount_) {}
  Permit& operator=(Permit&& other) noexcept {
    if (this != &other) {
      release();
      owner_ = std::exchange(other.owner_, nullptr);
      amount_ = other.amount_;
    }
    return *this;
  }
  ~Permit() { release(); }

 private:
  void release() {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->give_back(amount_);
  }
  Owner* owner_ = nullptr;
  std::uint64_t amount_ = 0;
};

}  // namespace witan::node
