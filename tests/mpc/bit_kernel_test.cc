#include "mpc/bit_kernel.h"

#include <gtest/gtest.h>

#include "algebra/parity.h"
#include "mpc/set_keys_for_test.h"
#include "support/support.h"

namespace witan::mpc {
namespace {

using test::key_of_members;
using test::make_set_keys;
using test::make_zero_keys;
using witan::test::hex;
using witan::test::read_json;
using witan::test::SeededRng;

template <Word Z>
Gr<Z> element(const nlohmann::json& text) {
  const Bytes raw = hex(text.get<std::string>());
  EXPECT_EQ(raw.size(), Gr<Z>::kSizeBytes);
  return Gr<Z>::decode(raw.data());
}

/// Most significant digit first.
template <Word Z>
Z number(const nlohmann::json& text) {
  Z out = 0;
  for (const char c : text.get<std::string>())
    out = static_cast<Z>((out << 4) | static_cast<Z>(c <= '9' ? c - '0' : c - 'a' + 10));
  return out;
}

struct Profile {
  int n, t;
  CommitteeSize committee() const { return CommitteeSize::make(n, t).value(); }
};
constexpr Profile kProfiles[] = {{4, 1}, {7, 2}, {13, 4}};

/// The keys of all parties by one rule.
struct Keys {
  std::vector<SetKeys> sets;
  std::vector<ZeroKeys> zeros;
};
Keys keys_from(CommitteeSize committee, const std::string& set_label, const std::string& zero_label) {
  return {make_set_keys(committee, [&](std::size_t, PartySet set) { return key_of_members(set_label, set); }),
          make_zero_keys(committee, [&](PartySet excluded) { return key_of_members(zero_label, excluded); })};
}

/// All parties of a committee: words[party][row].
template <Word Z>
class Parties {
 public:
  explicit Parties(CommitteeSize committee) : committee_(committee) {
    for (int i = 1; i <= committee.parties(); ++i) roles_.push_back(Role(i));
  }
  /// Secrets of a batch of sharings of that degree; a row that is none fails the test.
  std::vector<Gr<Z>> open(const std::vector<std::vector<Share<Z>>>& shares, int degree) const {
    std::vector<std::vector<Gr<Z>>> values;
    for (const auto& party : shares) {
      auto& row = values.emplace_back();
      for (const Share<Z>& share : party) row.push_back(share.value);
    }
    const std::vector<std::span<const Gr<Z>>> words(values.begin(), values.end());
    const algebra::ParityChecks<Z> checks(static_cast<std::size_t>(degree) + 1, roles_);
    EXPECT_EQ(checks.first_bad_row(words, 0), shares[0].size());
    std::vector<Gr<Z>> out;
    for (std::size_t row = 0; row < shares[0].size(); ++row) out.push_back(checks.secret(words, row));
    return out;
  }
  std::vector<Gr<Z>> open_t(const std::vector<std::vector<Share<Z>>>& shares) const {
    return open(shares, committee_.threshold());
  }
  std::vector<Gr<Z>> open_2t(const std::vector<std::vector<Share<Z>>>& shares) const {
    return open(shares, 2 * committee_.threshold());
  }

 private:
  CommitteeSize committee_;
  std::vector<Role> roles_;
};

/// A batch of protocol W at all parties: by party.
template <Word Z>
struct Batch {
  std::vector<std::vector<Share<Z>>> a, w, bits;
  std::vector<Gr<Z>> opened;
};
template <Word Z>
Batch<Z> run_batch(CommitteeSize committee, const Keys& keys, SessionId session, std::uint64_t first,
                   std::size_t elements) {
  Batch<Z> out;
  for (std::size_t i = 0; i < keys.sets.size(); ++i) {
    auto& a = out.a.emplace_back(4 * elements);
    auto& w = out.w.emplace_back(elements);
    EXPECT_TRUE(BitKernel<Z>(keys.sets[i], keys.zeros[i], session).prepare(first, a, w));
  }
  out.opened = Parties<Z>(committee).open_2t(out.w);
  for (std::size_t i = 0; i < keys.sets.size(); ++i) {
    auto& bits = out.bits.emplace_back(4 * elements);
    EXPECT_TRUE(BitKernel<Z>::bits(out.a[i], out.opened, bits));
  }
  return out;
}

template <Word Z>
void check_protocol(const nlohmann::json& e) {
  const Profile profile{e.at("n"), e.at("t")};
  const auto committee = profile.committee();
  const Keys keys = keys_from(committee, "AGREERND", "ZEROTEST");
  const SessionId session{load_le<u128>(hex(e.at("sid").get<std::string>()).data())};
  const auto batch = run_batch<Z>(committee, keys, session, 0, 2);
  for (std::size_t l = 0; l < 2; ++l) {
    for (std::size_t i = 0; i < keys.sets.size(); ++i)
      EXPECT_EQ(batch.w[i][l].value, element<Z>(e.at("w_shares").at(l).at(i)));
    EXPECT_EQ(batch.opened[l], element<Z>(e.at("opened").at(l)));
  }
  const auto bits = Parties<Z>(committee).open_t(batch.bits);
  Bytes all;
  for (std::size_t j = 0; j < 8; ++j) {
    EXPECT_EQ(batch.a[0][j].value, element<Z>(e.at("a_shares_party_1").at(j)));
    EXPECT_EQ(batch.bits[0][j].value, element<Z>(e.at("bit_shares_party_1").at(j)));
    EXPECT_EQ(bits[j], Gr<Z>::from_base(static_cast<Z>(e.at("bits").get<std::string>()[j] - '0')));
    for (std::size_t i = 0; i < keys.sets.size(); ++i) {
      all.resize(all.size() + Gr<Z>::kSizeBytes);
      batch.bits[i][j].value.encode(all.data() + all.size() - Gr<Z>::kSizeBytes);
    }
  }
  EXPECT_EQ(to_hex(crypto::sha256(all)), e.at("bit_shares_sha256").get<std::string>());
}

// tests/data/mpc/protocol_w.json: all parties of (4,1), (7,2), (13,4), both rings, from the keys to the shares of bits.
TEST(BitKernel, VectorsOfProtocolW) {
  const auto vectors = read_json("mpc/protocol_w.json");
  ASSERT_EQ(vectors.size(), 6u);
  for (const auto& e : vectors)
    if (e.at("k") == 64)
      check_protocol<Z64>(e);
    else
      check_protocol<Z128>(e);
}

template <Word Z>
void check_consistency(Profile profile) {
  const auto committee = profile.committee();
  const Keys keys = keys_from(committee, "consistent", "consistent zeros");
  constexpr std::size_t kElements = 40;
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{77}, kMaxElementsPerSession - kElements}) {
    const auto batch = run_batch<Z>(committee, keys, {11}, first, kElements);
    const Parties<Z> parties(committee);
    const auto a = parties.open_t(batch.a), bits = parties.open_t(batch.bits);
    for (std::size_t j = 0; j < 4 * kElements; ++j) {
      EXPECT_TRUE(a[j].in_base_ring() && bits[j].in_base_ring());
      EXPECT_TRUE(batch.opened[j / 4].c[j % 4] == a[j].c[0] * a[j].c[0] + a[j].c[0]);
      EXPECT_TRUE(bits[j].c[0] == (a[j].c[0] & 1));
    }
  }
}

TEST(BitKernel, WordsOfAllPartiesHaveDegree2tAndOpenToSquares) {
  for (const Profile profile : kProfiles) {
    check_consistency<Z64>(profile);
    check_consistency<Z128>(profile);
  }
}

template <Word Z>
void check_root(const nlohmann::json& e) {
  const Z a = number<Z>(e.at("a")), v = number<Z>(e.at("v"));
  EXPECT_TRUE(a * a + a == v);
  const auto [root, scale] = even_root(v);
  EXPECT_TRUE(root == number<Z>(e.at("even_root")));
  EXPECT_TRUE(scale == number<Z>(e.at("scale")));
  EXPECT_TRUE(scale * (a - root) == number<Z>(e.at("bit")));
}

// tests/data/mpc/bitgen_base.json
TEST(EvenRoot, Vectors) {
  for (const auto& e : read_json("mpc/bitgen_base.json"))
    if (e.at("k") == 64)
      check_root<Z64>(e);
    else
      check_root<Z128>(e);
}

template <Word Z>
void check_even_root(Z v) {
  const auto [root, scale] = even_root(v);
  EXPECT_TRUE(root * root + root == v && (root & 1) == 0);
  EXPECT_TRUE(scale * -(1 + 2 * root) == 1);
  const auto general = algebra::solve_quadratic(Gr<Z>::from_base(v));
  EXPECT_TRUE(general.exists && general.root == Gr<Z>::from_base(root));
}

// S18: this solver and the general one find the even root, whatever the word.
TEST(EvenRoot, AgreesWithTheGeneralSolver) {
  SeededRng rng("even roots");
  const auto check = [&]<Word Z>(Z) {
    for (Z v = 0; v < 1024; v += 2) check_even_root<Z>(v), check_even_root<Z>(-v);
    for (int bit = 1; bit < algebra::kBits<Z>; ++bit) check_even_root<Z>(Z{1} << bit);
    for (int i = 0; i < 1000; ++i) check_even_root<Z>(rng.next<Z>() & ~Z{1});
  };
  check(Z64{});
  check(Z128{});
}

template <Word Z>
void refuses_odd_words() {
  SeededRng rng("odd words");
  std::vector<Share<Z>> a(8), bits(8);
  std::vector<Gr<Z>> opened(2);
  EXPECT_TRUE(BitKernel<Z>::bits(a, opened, bits));
  for (std::size_t at = 0; at < 8; ++at) {
    auto bad = opened;
    bad[at / 4].c[at % 4] = 5;
    EXPECT_EQ(BitKernel<Z>::bits(a, bad, bits).error().code, Code::internal) << at;
    std::vector<Z> words(8);
    words[at] = ~Z{0};
    std::vector<Share<Z>> out(2), packed(1);
    EXPECT_EQ(noises<Z>(a, words, 2, out).error().code, Code::internal) << at;
    EXPECT_EQ(packed_noises<Z>(a, words, 0, packed).error().code, Code::internal) << at;
  }
}

// S18
TEST(BitKernel, AnOddWordIsAnInternalError) {
  refuses_odd_words<Z64>();
  refuses_odd_words<Z128>();
}

// S6: a session ends where its keys have given their blocks.
TEST(BitKernel, ASessionEndsWhereItsKeysHaveGivenTheirBlocks) {
  const auto committee = Profile{4, 1}.committee();
  const Keys keys = keys_from(committee, "limit", "limit of zeros");
  const BitKernel<Z64> kernel(keys.sets[0], keys.zeros[0], {1});
  std::vector<Share<Z64>> a(8), w(2);
  std::vector<BaseShare<Z64>> draws(2);
  const auto two_elements = [&](std::uint64_t first) { return kernel.prepare(first, a, w); };
  EXPECT_TRUE(two_elements(kMaxElementsPerSession - 2));
  EXPECT_TRUE(kernel.base(kMaxBitsPerSession - 2, draws));
  EXPECT_TRUE(kernel.zero(kMaxElementsPerSession - 2, w));
  for (const std::uint64_t beyond :
       {std::uint64_t{1}, kMaxElementsPerSession, ~std::uint64_t{0} - kMaxBitsPerSession}) {
    EXPECT_EQ(two_elements(kMaxElementsPerSession - 2 + beyond).error().code, Code::invalid_argument);
    EXPECT_EQ(kernel.base(kMaxBitsPerSession - 2 + beyond, draws).error().code, Code::invalid_argument);
    EXPECT_EQ(kernel.zero(kMaxElementsPerSession - 2 + beyond, w).error().code, Code::invalid_argument);
  }
}

}  // namespace
}  // namespace witan::mpc
