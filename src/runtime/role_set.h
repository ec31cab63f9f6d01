// A set of parties of one committee as a bit mask.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

#include "base/check.h"
#include "base/ids.h"

namespace witan::runtime {

class RoleSet {
 public:
  constexpr RoleSet() = default;
  RoleSet(std::initializer_list<Role> roles) {
    for (Role role : roles) insert(role);
  }
  /// All parties of the committee.
  static RoleSet all(CommitteeSize committee) {
    RoleSet set;
    for (int i = 1; i <= committee.parties(); ++i) set.insert(Role(i));
    return set;
  }
  static RoleSet others(CommitteeSize committee, Role self) {
    RoleSet set = all(committee);
    set.erase(self);
    return set;
  }

  constexpr bool contains(Role role) const { return (bits_ & bit(role)) != 0; }
  constexpr void insert(Role role) { bits_ = static_cast<std::uint16_t>(bits_ | bit(role)); }
  constexpr void erase(Role role) { bits_ = static_cast<std::uint16_t>(bits_ & ~bit(role)); }
  constexpr int size() const { return std::popcount(bits_); }
  constexpr bool empty() const { return bits_ == 0; }
  /// Bit i-1 stands for party i.
  constexpr std::uint16_t bits() const { return bits_; }

  friend constexpr RoleSet operator&(RoleSet a, RoleSet b) {
    return RoleSet(static_cast<std::uint16_t>(a.bits_ & b.bits_));
  }
  friend constexpr RoleSet operator|(RoleSet a, RoleSet b) {
    return RoleSet(static_cast<std::uint16_t>(a.bits_ | b.bits_));
  }
  friend constexpr RoleSet operator-(RoleSet a, RoleSet b) {
    return RoleSet(static_cast<std::uint16_t>(a.bits_ & ~b.bits_));
  }
  friend constexpr bool operator==(RoleSet, RoleSet) = default;

  /// Members in increasing order, for range-for.
  class Iterator {
   public:
    constexpr explicit Iterator(std::uint16_t bits) : bits_(bits) {}
    Role operator*() const { return Role(std::countr_zero(bits_) + 1); }
    constexpr Iterator& operator++() {
      bits_ = static_cast<std::uint16_t>(bits_ & (bits_ - 1));
      return *this;
    }
    friend constexpr bool operator==(Iterator, Iterator) = default;

   private:
    std::uint16_t bits_;
  };
  constexpr Iterator begin() const { return Iterator(bits_); }
  constexpr Iterator end() const { return Iterator(0); }

 private:
  constexpr explicit RoleSet(std::uint16_t bits) : bits_(bits) {}
  static constexpr std::uint16_t bit(Role role) { return static_cast<std::uint16_t>(1u << role.index()); }
  std::uint16_t bits_ = 0;
};

}  // namespace witan::runtime
