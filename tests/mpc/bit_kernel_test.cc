#include "mpc/bit_kernel.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <concepts>
#include <numeric>
#include <thread>

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

bool fails(const Status& status, Code code) {
  return !status && status.error().code == code;
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

/// Runs with one choice for AES and sums; the other pairs are in stream_sums_test.cc.
struct Choice {
  AesTarget aes;
  SumTarget sum;
};
class BitTargets : public testing::TestWithParam<Choice> {
 protected:
  void SetUp() override {
    if (!available(GetParam().aes)) GTEST_SKIP() << "this processor has no " << to_string(GetParam().aes);
    if (!available(GetParam().sum)) GTEST_SKIP() << "this processor has no " << to_string(GetParam().sum);
    choose_aes_target(GetParam().aes);
    choose_sum_target(GetParam().sum);
  }
  void TearDown() override {
    choose_aes_target(std::nullopt);
    choose_sum_target(std::nullopt);
  }
};
INSTANTIATE_TEST_SUITE_P(Each, BitTargets,
                         testing::Values(Choice{AesTarget::vaes512, SumTarget::avx512_vnni},
                                         Choice{AesTarget::vaes256, SumTarget::avx2},
                                         Choice{AesTarget::aes_ni, SumTarget::avx2},
                                         Choice{AesTarget::portable, SumTarget::scalar}),
                         [](const auto& info) {
                           std::string name = std::string(to_string(info.param.aes)) + "_" + to_string(info.param.sum);
                           std::erase(name, '-');
                           return name;
                         });

// tests/data/mpc/protocol_w.json: all parties of (4,1), (7,2), (13,4), both rings, from the keys to the shares of bits.
TEST_P(BitTargets, VectorsOfProtocolW) {
  const auto vectors = read_json("mpc/protocol_w.json");
  ASSERT_EQ(vectors.size(), 6u);
  for (const auto& e : vectors)
    if (e.at("k") == 64)
      check_protocol<Z64>(e);
    else
      check_protocol<Z128>(e);
}

/// Everything that the kernel gives of the elements first .. first + count - 1, against Prss::base and ZeroSharings.
template <Word Z>
void check_definition(const SetKeys& sets, const ZeroKeys& zeros, SessionId session, std::uint64_t first,
                      std::size_t count) {
  const BitKernel<Z> kernel(sets, zeros, session);
  const Prss<Z> prss(sets, session);
  const ZeroSharings<Z> zero_sharings(zeros, session);
  std::vector<Share<Z>> a(4 * count), w(count), zero(count);
  std::vector<BaseShare<Z>> base(4 * count);
  ASSERT_TRUE(kernel.prepare(first, a, w) && kernel.base(4 * first, base) && kernel.zero(first, zero));
  for (std::size_t l = 0; l < count; ++l) {
    Gr<Z> word = zero_sharings.at(first + l).value;
    EXPECT_EQ(zero[l].value, word);
    Gr<Z> power = Gr<Z>::one();
    for (std::size_t c = 0; c < 4; ++c, power = power.times_x()) {
      const Gr<Z> draw = prss.base(4 * (first + l) + c).value;
      EXPECT_EQ(base[4 * l + c].value, draw);
      EXPECT_EQ(a[4 * l + c].value, draw);
      word += power * (draw * draw + draw);
    }
    EXPECT_EQ(w[l].value, word) << "party " << sets.self().number() << ", element " << first + l;
  }
}

TEST_P(BitTargets, EqualTheDefinition) {
  const auto same_key = [](std::uint8_t byte) {
    return [byte](auto&&...) {
      SetKey key;
      key.fill(byte);
      return key;
    };
  };
  for (const Profile profile : {Profile{4, 1}, {5, 1}, {7, 2}, {10, 3}, {13, 4}, {15, 4}}) {
    if (GetParam().aes == AesTarget::portable && profile.n > 7) continue;  // half a microsecond per block
    const auto committee = profile.committee();
    const Keys hashed = keys_from(committee, "definition", "definition of zeros");
    const Keys zero{make_set_keys(committee, same_key(0)), make_zero_keys(committee, same_key(0))};
    const Keys ones{make_set_keys(committee, same_key(0xff)), make_zero_keys(committee, same_key(0xff))};
    for (const Keys* keys : {&hashed, &zero, &ones}) {
      const std::size_t party = keys == &zero ? 0 : keys->sets.size() - 1;
      const SessionId session{keys == &ones ? ~u128{0} : u128{3} << 100};
      for (const auto& [first, count] :
           {std::pair<std::uint64_t, std::size_t>{0, 1}, {kMaxElementsPerSession - 3, 3}}) {
        check_definition<Z64>(keys->sets[party], keys->zeros[party], session, first, count);
        check_definition<Z128>(keys->sets[party], keys->zeros[party], session, first, count);
      }
    }
  }
}

// S2: the small integers of every party of every committee with a family fit the kernel, and no draw takes more blocks than the bounds
// of a session count on (both checked in the constructor).
TEST(BitKernel, ConstantsOfEveryPartyFit) {
  for (int n = 4; n <= 15; ++n) {
    const auto committee = Profile{n, (n - 1) / 3}.committee();
    const Keys keys = keys_from(committee, "constants", "constants of zeros");
    for (std::size_t i = 0; i < keys.sets.size(); ++i) check_definition<Z64>(keys.sets[i], keys.zeros[i], {1}, 5, 1);
  }
}

TEST(BitKernel, PiecesAreTheWhole) {
  const Keys keys = keys_from(Profile{7, 2}.committee(), "pieces", "pieces of zeros");
  const BitKernel<Z128> kernel(keys.sets[2], keys.zeros[2], {9});
  std::vector<Share<Z128>> a(4 * 300), w(300);
  ASSERT_TRUE(kernel.prepare(1000, a, w));
  for (const auto& [first, count] :
       {std::pair{0u, 0u}, {0u, 1u}, {0u, 64u}, {1u, 64u}, {63u, 2u}, {64u, 65u}, {100u, 200u}, {299u, 1u}}) {
    std::vector<Share<Z128>> piece_a(std::size_t{4} * count), piece_w(count);
    ASSERT_TRUE(kernel.prepare(1000 + first, piece_a, piece_w));
    for (std::size_t l = 0; l < count; ++l) EXPECT_EQ(piece_w[l].value, w[first + l].value);
    for (std::size_t j = 0; j < piece_a.size(); ++j) EXPECT_EQ(piece_a[j].value, a[4 * first + j].value);
  }
}

TEST(BitKernel, ThreadsShareOne) {
  const Keys keys = keys_from(Profile{7, 2}.committee(), "threads", "threads of zeros");
  const BitKernel<Z64> kernel(keys.sets[2], keys.zeros[2], {9});
  std::vector<Share<Z64>> a(4 * 500), w(500);
  ASSERT_TRUE(kernel.prepare(0, a, w));
  std::array<int, 4> same{};
  {
    std::vector<std::jthread> threads;
    for (int& count : same)
      threads.emplace_back([&] {
        std::vector<Share<Z64>> own_a(4 * 500), own_w(500);
        if (!kernel.prepare(0, own_a, own_w)) return;
        for (std::size_t l = 0; l < 500; ++l)
          count += own_w[l].value == w[l].value && own_a[4 * l].value == a[4 * l].value;
      });
  }
  EXPECT_EQ(same, (std::array{500, 500, 500, 500}));
}

// S4: another session, another ring or another purpose gives unrelated draws.
TEST(BitKernel, SessionsAreUnrelated) {
  const Keys keys = keys_from(Profile{4, 1}.committee(), "sessions", "sessions of zeros");
  std::vector<Share<Z64>> zero1(100), zero2(100);
  std::vector<BaseShare<Z64>> base1(100), base2(100);
  const BitKernel<Z64> first(keys.sets[0], keys.zeros[0], {1}), second(keys.sets[0], keys.zeros[0], {2});
  ASSERT_TRUE(first.zero(0, zero1) && second.zero(0, zero2) && first.base(0, base1) && second.base(0, base2));
  for (std::size_t i = 0; i < 100; ++i)
    for (std::size_t j = 0; j < 100; ++j) {
      EXPECT_NE(zero1[i].value, zero2[j].value);
      EXPECT_NE(base1[i].value, base2[j].value);
    }
}

// S8: a base draw is no sharing that could hide a ring element. Nothing turns the one into the other.
template <class From, class To>
concept becomes = std::convertible_to<From, To> || std::constructible_from<To, From>;
static_assert(!becomes<BaseShare<Z64>, Share<Z64>> && !becomes<BaseShare<Z128>, Share<Z128>>);
static_assert(!becomes<Share<Z64>, BaseShare<Z64>> && !becomes<BaseShare<Z128>, BaseShare<Z64>>);

// S8: the secret of a base draw has one coefficient; that of Prss::random, which hides ring elements, has four.
TEST(BitKernel, BaseDrawsHideTheBaseRingAlone) {
  const auto committee = Profile{7, 2}.committee();
  const Keys keys = keys_from(committee, "scope", "scope of zeros");
  constexpr std::size_t kDraws = 200;
  std::vector<std::vector<Share<Z64>>> base, random;
  for (std::size_t i = 0; i < keys.sets.size(); ++i) {
    std::vector<BaseShare<Z64>> draws(kDraws);
    ASSERT_TRUE(BitKernel<Z64>(keys.sets[i], keys.zeros[i], {1}).base(0, draws));
    const Prss<Z64> prss(keys.sets[i], {1});
    base.emplace_back(kDraws);
    random.emplace_back(kDraws);
    for (std::size_t j = 0; j < kDraws; ++j) base[i][j].value = draws[j].value, random[i][j] = prss.random(j);
  }
  const Parties<Z64> parties(committee);
  const auto base_secrets = parties.open_t(base), random_secrets = parties.open_t(random);
  std::array<int, 4> ones{};
  for (std::size_t j = 0; j < kDraws; ++j) {
    EXPECT_TRUE(base_secrets[j].in_base_ring());
    for (std::size_t c = 0; c < 4; ++c) ones[c] += static_cast<int>(random_secrets[j].c[c] & 1);
  }
  for (const int count : ones) EXPECT_NEAR(count, kDraws / 2, 50);  // 7 standard deviations
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
    EXPECT_TRUE(fails(BitKernel<Z>::bits(a, bad, bits), Code::internal)) << at;
    std::vector<Z> words(8);
    words[at] = ~Z{0};
    std::vector<Share<Z>> out(2), packed(1);
    EXPECT_TRUE(fails(noises<Z>(a, words, 2, out), Code::internal)) << at;
    EXPECT_TRUE(fails(packed_noises<Z>(a, words, 0, packed), Code::internal)) << at;
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
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  for (const std::uint64_t first :
       {kMaxElementsPerSession - 1, kMaxElementsPerSession, kMaxBitsPerSession, kHuge - 1, kHuge}) {
    EXPECT_TRUE(fails(two_elements(first), Code::invalid_argument));
    EXPECT_TRUE(fails(kernel.zero(first, w), Code::invalid_argument));
  }
  for (const std::uint64_t first : {kMaxBitsPerSession - 1, kMaxBitsPerSession, kHuge - 1, kHuge})
    EXPECT_TRUE(fails(kernel.base(first, draws), Code::invalid_argument));
}

/// How far the columns of each row are from equal counts, in standard deviations of the chi-square of all rows.
double deviation(std::span<const std::uint64_t> counts, std::size_t columns) {
  double sum = 0, freedom = 0;
  for (std::size_t row = 0; row < counts.size(); row += columns) {
    const auto cells = counts.subspan(row, columns);
    const auto total = static_cast<double>(std::accumulate(cells.begin(), cells.end(), std::uint64_t{0}));
    if (total == 0) continue;
    const double expected = total / static_cast<double>(columns);
    for (const std::uint64_t count : cells)
      sum += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) / expected;
    freedom += static_cast<double>(columns - 1);
  }
  return (sum - freedom) / std::sqrt(2 * freedom);
}
double deviation(std::span<const std::uint64_t> counts) {
  return deviation(counts, counts.size());
}
constexpr double kDeviations = 5;

/// A coordinate of the toy ring GR(2^k, 4) as a number below 2^(4k).
std::size_t toy(const Gr<Z64>& value, unsigned k) {
  std::size_t out = 0;
  for (std::size_t c = 0; c < 4; ++c) out |= static_cast<std::size_t>(value.c[c] & ((1u << k) - 1)) << k * c;
  return out;
}

/// What one key z_E adds to a party's share: chi(z_E, l, 1) times this.
Gr<Z64> zero_factor(PartySet excluded, Role party) {
  const auto alpha = algebra::evaluation_point<Z64>(party);
  Gr<Z64> out = alpha;
  for (const Role j : excluded.members()) out = out * (alpha - algebra::evaluation_point<Z64>(j));
  return out;
}

using Words = std::vector<std::vector<Share<Z64>>>;  // by party

/// What a coalition T of t parties sees of a batch. With its own shares and the opened words it knows W(0) and W on T; the honest shares
/// are those of W = P + X P_T Q, with P through what it knows and deg Q < t. It also knows what the keys z_E that it holds add to W.
/// Reduction modulo 2^k keeps all of this (security.md F1), so the batch modulo 2^k is one over the toy ring.
class View {
 public:
  View(CommitteeSize committee, PartySet coalition)
      : members_(coalition.members()), honest_(coalition.outside(committee)) {
    honest_.resize(members_.size());  // t values of Q determine it
    const auto family = zero_sets(committee);
    for (std::size_t e = 0; e < family.size(); ++e)
      if ((family[e].bits() & coalition.bits()) != coalition.bits()) known_keys_.push_back(e);
    for (const Role h : honest_) {
      auto& row = weights_.emplace_back();
      const auto x = algebra::evaluation_point<Z64>(h);
      // X P_T at x, and the polynomials that are 1 at one known point and 0 at the others.
      std::vector<Gr<Z64>> known{Gr<Z64>{}};
      for (const Role j : members_) known.push_back(algebra::evaluation_point<Z64>(j));
      Gr<Z64> all = Gr<Z64>::one();
      for (std::size_t i = 0; i < known.size(); ++i) {
        Gr<Z64> numerator = Gr<Z64>::one(), denominator = numerator;
        for (std::size_t j = 0; j < known.size(); ++j)
          if (i != j) numerator = numerator * (x - known[j]), denominator = denominator * (known[i] - known[j]);
        row.push_back(numerator * algebra::inverse(denominator));
        all = all * (x - known[i]);
      }
      inverses_.push_back(algebra::inverse(all));
    }
    // Zero sharings of known keys: their shares at h, less what P takes of those in T.
    for (std::size_t h = 0; h < honest_.size(); ++h)
      for (const std::size_t e : known_keys_) {
        Gr<Z64> factor = zero_factor(family[e], honest_[h]);
        for (std::size_t j = 0; j < members_.size(); ++j)
          factor -= zero_factor(family[e], members_[j]) * weights_[h][j + 1];
        known_factors_.push_back(factor * inverses_[h]);
      }
  }
  /// Q at t honest points.
  std::vector<Gr<Z64>> unknown_part(const Words& w, const Gr<Z64>& opened, std::size_t l) const {
    std::vector<Gr<Z64>> out;
    for (std::size_t h = 0; h < honest_.size(); ++h) {
      Gr<Z64> rest = w[honest_[h].index()][l].value - opened * weights_[h][0];
      for (std::size_t j = 0; j < members_.size(); ++j) rest -= w[members_[j].index()][l].value * weights_[h][j + 1];
      out.push_back(rest * inverses_[h]);
    }
    return out;
  }
  /// The part of it that comes from known keys. chi[e][l]: draws of all keys.
  std::vector<Gr<Z64>> known_part(const std::vector<std::vector<Gr<Z64>>>& chi, std::size_t l) const {
    std::vector<Gr<Z64>> out(honest_.size());
    for (std::size_t h = 0; h < honest_.size(); ++h) {
      algebra::ProductSum<Z64> sum;
      for (std::size_t i = 0; i < known_keys_.size(); ++i)
        sum.add(chi[known_keys_[i]][l], known_factors_[h * known_keys_.size() + i]);
      out[h] = sum.reduced();
    }
    return out;
  }

 private:
  std::vector<Role> members_, honest_;
  std::vector<std::size_t> known_keys_;        // positions in the family
  std::vector<std::vector<Gr<Z64>>> weights_;  // by honest party: of the opened word, of each member's share
  std::vector<Gr<Z64>> inverses_;              // of X P_T there
  std::vector<Gr<Z64>> known_factors_;         // by honest party, by known key
};

/// A batch with all that is secret in it.
struct ToyBatch {
  Words w, content;                       // with and without zero sharings
  std::vector<std::vector<Gr<Z64>>> chi;  // by key z_E
  std::vector<Gr<Z64>> opened;
  std::vector<std::size_t> bits;  // four of an element
};
ToyBatch toy_batch(CommitteeSize committee, std::size_t elements) {
  const Keys keys = keys_from(committee, "views", "views of zeros");
  ToyBatch out;
  Words a;
  for (const PartySet excluded : zero_sets(committee)) {
    const Prf chi(prf_key(key_of_members("views of zeros", excluded), {77}, PrfPurpose::chi_zero));
    for (std::size_t l = 0; l < elements; ++l)
      (l == 0 ? out.chi.emplace_back() : out.chi.back()).push_back(chi.element<Z64>(l, 1));
  }
  for (std::size_t i = 0; i < keys.sets.size(); ++i) {
    const BitKernel<Z64> kernel(keys.sets[i], keys.zeros[i], {77});
    out.w.emplace_back(elements);
    a.emplace_back(4 * elements);
    EXPECT_TRUE(kernel.prepare(0, a.back(), out.w.back()));
    std::vector<Share<Z64>> zeros(elements);
    EXPECT_TRUE(kernel.zero(0, zeros));
    out.content.push_back(out.w.back());
    for (std::size_t l = 0; l < elements; ++l) out.content.back()[l] -= zeros[l];
  }
  const Parties<Z64> parties(committee);
  out.opened = parties.open_2t(out.w);
  const auto secrets = parties.open_t(a);
  for (std::size_t l = 0; l < elements; ++l) {
    std::size_t bits = 0;
    for (std::size_t c = 0; c < 4; ++c) bits |= static_cast<std::size_t>(secrets[4 * l + c].c[0] & 1) << c;
    out.bits.push_back(bits);
  }
  return out;
}

/// The simulator of a coalition samples Q uniformly, whatever was drawn. Real views are like that if Q, less its known part, is uniform
/// whatever else is: the bits and what of the opened words is not fixed (bit 1 of each, for k = 2); and what Q would be without zero
/// sharings. A table has a row for every value of one of these, a column for every value of Q.
struct Table {
  unsigned k;
  std::size_t points;   // of Q; all of it at t points
  bool given_content;   // or bits and words
  double worst = -1e9;  // deviation of a coalition
};
std::vector<Table> tables(CommitteeSize committee) {
  const auto t = static_cast<std::size_t>(committee.threshold());
  return {{1, t, false}, {1, t, true}, {2, 1, false}, {2, 1, true}};
}

std::size_t toy_number(const Table& table, std::span<const Gr<Z64>> values) {
  std::size_t out = 0;
  for (const auto& value : values.first(table.points)) out = out << (4 * table.k) | toy(value, table.k);
  return out;
}

/// Over all coalitions, for the words that the parties send.
std::vector<Table> view_tables(CommitteeSize committee, const ToyBatch& batch, const Words& words) {
  auto out = tables(committee);
  for (unsigned bits = 0; bits < 1u << committee.parties(); ++bits) {
    const PartySet coalition(static_cast<std::uint16_t>(bits));
    if (static_cast<int>(coalition.members().size()) != committee.threshold()) continue;
    const View view(committee, coalition);
    const auto columns = [](const Table& table) { return std::size_t{1} << (4 * table.k * table.points); };
    std::vector<std::vector<std::uint64_t>> cells;
    for (const Table& table : out)
      cells.emplace_back((table.given_content ? columns(table) : std::size_t{1} << 4 * table.k) * columns(table));
    for (std::size_t l = 0; l < batch.bits.size(); ++l) {
      const auto content = view.unknown_part(batch.content, batch.opened[l], l);
      const auto known = view.known_part(batch.chi, l);
      auto unknown = view.unknown_part(words, batch.opened[l], l);
      for (std::size_t h = 0; h < unknown.size(); ++h) unknown[h] -= known[h];
      std::size_t word_bits = batch.bits[l];
      for (const Z64 word : batch.opened[l].c) word_bits = word_bits << 1 | (word >> 1 & 1);
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t row = out[i].given_content ? toy_number(out[i], content)
                                : out[i].k == 1      ? batch.bits[l]
                                                     : word_bits;
        ++cells[i][row * columns(out[i]) + toy_number(out[i], unknown)];
      }
    }
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i].worst = std::max(out[i].worst, deviation(cells[i], columns(out[i])));
  }
  return out;
}

// S44: all coalitions; all of Q at k = 1; at k = 2 all of it for (4,1), one of its two points for (7,2).
TEST(BitViews, HonestWordsAreAsTheCoalitionSimulatesThem) {
  struct Row {
    Profile profile;
    std::size_t elements;
  };
  for (const auto& [profile, elements] : {Row{{4, 1}, 200'000}, Row{{7, 2}, 70'000}}) {
    const auto batch = toy_batch(profile.committee(), elements);
    for (const Table& table : view_tables(profile.committee(), batch, batch.w))
      EXPECT_LT(table.worst, kDeviations) << profile.n << ", k = " << table.k << ", content " << table.given_content;
  }
}

// No key may be lost: for some coalition exactly t keys are unknown (mpc.md 17.3). The comparison sees what is wrong then.
TEST(BitViews, WithOneKeyLessSomeCoalitionSeesMore) {
  for (const Profile profile : {Profile{4, 1}, {7, 2}}) {
    const auto committee = profile.committee();
    const auto batch = toy_batch(committee, 10'000);
    const auto family = zero_sets(committee);
    for (const std::size_t lost : {std::size_t{0}, family.size() - 1}) {
      Words words = batch.w;
      for (const Role holder : family[lost].outside(committee))
        for (std::size_t l = 0; l < batch.bits.size(); ++l)
          words[holder.index()][l].value -= batch.chi[lost][l] * zero_factor(family[lost], holder);
      EXPECT_GT(std::ranges::max(view_tables(committee, batch, words), {}, &Table::worst).worst, 100.0)
          << profile.n << ", key " << lost;
    }
  }
}

TEST(BitKernel, BitsAreBalancedAndIndependentOfWhatIsOpened) {
  const auto committee = Profile{4, 1}.committee();
  const Keys keys = keys_from(committee, "balance", "balance of zeros");
  constexpr std::size_t kElements = 50'000;
  const auto batch = run_batch<Z128>(committee, keys, {21}, 0, kElements);
  const auto bits = Parties<Z128>(committee).open_t(batch.bits);
  std::array<std::uint64_t, 2> values{};
  std::array<std::uint64_t, 256> neighbours{}, with_word{};  // eight bits; a bit and bits 1 to 7 of its opened word
  for (std::size_t j = 0; j < bits.size(); ++j) {
    ASSERT_TRUE(bits[j].in_base_ring() && bits[j].c[0] <= 1);
    const auto bit = static_cast<std::size_t>(bits[j].c[0]);
    ++values[bit];
    ++with_word[bit << 7 | static_cast<std::size_t>(batch.opened[j / 4].c[j % 4] >> 1 & 127)];
    std::size_t run = 0;
    for (std::size_t i = 0; j % 8 == 0 && i < 8; ++i) run = run << 1 | static_cast<std::size_t>(bits[j + i].c[0]);
    neighbours[run] += j % 8 == 0;
  }
  EXPECT_LT(deviation(values), kDeviations);
  EXPECT_LT(deviation(neighbours), kDeviations);
  EXPECT_LT(deviation(with_word), kDeviations);
}

template <Word Z>
void check_noises_are_weighted_bits(int bound_log2) {
  SeededRng rng("weighted bits");
  const std::size_t window = static_cast<std::size_t>(bound_log2) + 2;
  std::vector<Share<Z>> a(8 * window), bits(8 * window), noise(8), packed(2);
  std::vector<Z> v(8 * window);
  for (std::size_t j = 0; j < a.size(); ++j) {
    a[j].value = algebra::random_element<Z>(rng);
    v[j] = j % 7 == 0 ? (j % 2 == 0 ? Z{0} : ~Z{1}) : rng.next<Z>() & ~Z{1};
  }
  ASSERT_TRUE(BitKernel<Z>::bits(a, std::span<const Z>(v), bits));
  ASSERT_TRUE(noises<Z>(a, v, bound_log2, noise) && packed_noises<Z>(a, v, bound_log2, packed));
  std::array<Gr<Z>, 2> sums;
  for (std::size_t i = 0; i < 8; ++i) {
    const std::size_t top = (i + 1) * window - 1;
    Gr<Z> expected = bits[top].value - Gr<Z>::from_base(Z{1} << bound_log2);
    for (std::size_t j = 1; j < window; ++j) expected += bits[top - j].value * (Z{1} << (j - 1));
    EXPECT_EQ(noise[i].value, expected);
    sums[i / 4] += expected * algebra::embed<Z>(1u << i % 4);
  }
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(packed[i].value, sums[i]);
}

// mpc.md 11.3
TEST(Noises, AreTheWeightedBitsOfTheirWindow) {
  for (const int bound_log2 : {0, 1, 17, 42, 61}) {
    check_noises_are_weighted_bits<Z64>(bound_log2);
    check_noises_are_weighted_bits<Z128>(bound_log2);
  }
}

/// Noises of (4,1), opened.
template <Word Z>
std::vector<std::int64_t> opened_noises(std::size_t count, int bound_log2) {
  const auto committee = Profile{4, 1}.committee();
  const Keys keys = keys_from(committee, "noises", "noises of zeros");
  const std::size_t window = static_cast<std::size_t>(bound_log2) + 2;
  constexpr std::size_t kPiece = 4000;  // noises
  std::vector<std::int64_t> out;
  for (std::size_t first = 0; first < count; first += kPiece) {
    const std::size_t elements = kPiece * window / 4;
    std::vector<std::vector<Share<Z>>> a, w, noise;
    for (std::size_t i = 0; i < keys.sets.size(); ++i) {
      a.emplace_back(4 * elements);
      w.emplace_back(elements);
      EXPECT_TRUE(BitKernel<Z>(keys.sets[i], keys.zeros[i], {31}).prepare(first * window / 4, a[i], w[i]));
    }
    const Parties<Z> parties(committee);
    const auto opened = parties.open_2t(w);
    std::vector<Z> v;
    for (const Gr<Z>& element : opened) v.insert(v.end(), element.c.begin(), element.c.end());
    for (const auto& draws : a) EXPECT_TRUE(noises<Z>(draws, v, bound_log2, noise.emplace_back(kPiece)));
    for (const Gr<Z>& value : parties.open_t(noise)) {
      EXPECT_TRUE(value.in_base_ring());
      out.push_back(static_cast<std::int64_t>(value.c[0]));
    }
  }
  return out;
}

/// TUniform(b): 2^-(b+1) for every value inside of +-2^b, half of it at the ends; the ends together count as one cell.
template <Word Z>
void check_tuniform(std::size_t count, int bound_log2) {
  const std::int64_t bound = std::int64_t{1} << bound_log2;
  std::vector<std::uint64_t> cells(static_cast<std::size_t>(2 * bound));
  std::array<std::uint64_t, 2> ends{};
  for (const std::int64_t noise : opened_noises<Z>(count, bound_log2)) {
    ASSERT_TRUE(noise >= -bound && noise <= bound) << noise;
    ++cells[static_cast<std::size_t>((noise + bound) % (2 * bound))];
    if (noise == bound || noise == -bound) ++ends[noise == bound ? 1 : 0];
  }
  EXPECT_LT(deviation(cells), kDeviations);
  EXPECT_LT(deviation(ends), kDeviations);
}

TEST(Noises, AMillionOfThemAreTUniform) {
  check_tuniform<Z64>(1'000'000, 2);
  check_tuniform<Z128>(100'000, 6);
}

// The bounds of the parameters are large; with all bits in the upper half of the noise, a wrong weight there shows in the variance.
TEST(Noises, OfALargeBoundHaveItsVariance) {
  constexpr int kBoundLog2 = 42;
  double sum = 0, squares = 0;
  const auto values = opened_noises<Z128>(8000, kBoundLog2);
  for (const std::int64_t value : values) {
    const double x = std::ldexp(static_cast<double>(value), -kBoundLog2);
    EXPECT_LE(std::abs(x), 1);
    sum += x;
    squares += x * x;
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_LT(std::abs(sum / count), 5 * std::sqrt(1 / 3.0 / count));
  EXPECT_LT(std::abs(squares / count - 1 / 3.0), 5 * std::sqrt(4 / 45.0 / count));
}

}  // namespace
}  // namespace witan::mpc
