// What the tests of this layer share.
#pragma once

#include <gtest/gtest.h>

#include "algebra/shamir.h"
#include "support/support.h"

namespace witan::algebra {

template <Word Z>
Gr<Z> element(const nlohmann::json& text) {
  const Bytes raw = test::hex(text.get<std::string>());
  EXPECT_EQ(raw.size(), Gr<Z>::kSizeBytes);
  return Gr<Z>::decode(raw.data());
}

template <Word Z>
std::vector<Gr<Z>> elements(const nlohmann::json& list) {
  std::vector<Gr<Z>> out;
  for (const auto& text : list) out.push_back(element<Z>(text));
  return out;
}

inline std::vector<Role> first_roles(int n) {
  std::vector<Role> out;
  for (int i = 1; i <= n; ++i) out.push_back(Role(i));
  return out;
}

/// Rng as the standard's shuffle wants it.
struct ShuffleSource {
  using result_type = std::uint32_t;
  Rng& rng;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~result_type{0}; }
  result_type operator()() { return rng.next<result_type>(); }
};

using BothRings = testing::Types<Z64, Z128>;

/// Is this entry of a file of vectors about that ring?
template <Word Z>
bool of_ring(const nlohmann::json& entry) {
  const auto number = [](const nlohmann::json& j) {
    return j.is_number() ? j.get<int>() : std::stoi(j.get<std::string>());
  };
  return number(entry.at("k")) == kBits<Z> && (!entry.contains("d") || number(entry.at("d")) == 4);
}

/// Sharings of degree t by party.
template <Word Z>
struct Batch {
  std::vector<Gr<Z>> secrets;
  std::vector<std::vector<Gr<Z>>> words;  // by party
  std::vector<std::span<const Gr<Z>>> views(const std::vector<Role>& roles) const {
    std::vector<std::span<const Gr<Z>>> out;
    for (const Role role : roles) out.emplace_back(words[role.index()]);
    return out;
  }
};

template <Word Z>
Batch<Z> make_batch(int n, int t, int rows, Rng& rng) {
  Batch<Z> batch;
  batch.words.resize(static_cast<std::size_t>(n));
  for (int row = 0; row < rows; ++row) {
    batch.secrets.push_back(random_element<Z>(rng));
    const auto shares = deal<Z>(batch.secrets.back(), t, n, rng);
    for (std::size_t i = 0; i < shares.size(); ++i) batch.words[i].push_back(shares[i].value);
  }
  return batch;
}

}  // namespace witan::algebra
