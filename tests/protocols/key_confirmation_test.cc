#include "protocols/key_confirmation_impl.h"

#include <gtest/gtest.h>

#include "mpc/faults_for_test.h"
#include "mpc/tap_for_test.h"
#include "protocols/decrypt_world.h"
#include "support/support.h"
#include "tfhe/keygen.h"

namespace witan::protocols {
namespace {

using namespace std::chrono_literals;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;
using test::Material;

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};
constexpr std::uint64_t kSequence = 5;

KeyId key_id() {
  ByteArray<32> raw{4};
  raw[31] = 9;
  return KeyId(raw);
}

/// Both forms of a value, under the dealt toy keys of the material.
tfhe::TestCiphertext encrypted(const Material& material, tfhe::u64 expanded, tfhe::u64 compressed, std::uint64_t seed) {
  SimRng rng(seed, 9);
  tfhe::TestCiphertext out;
  while (out.expanded.empty() || out.compressed.empty()) {  // the material chooses the form
    const auto one = [&](tfhe::u64 value) {
      return material.encrypt(tfhe::FheType::uint64, tfhe::U256(value), rng).blocks;
    };
    if (const auto blocks = one(expanded); !blocks.lwes().empty())
      out.expanded.assign(blocks.lwes().begin(), blocks.lwes().end());
    if (const auto blocks = one(compressed); !blocks.glwes().empty())
      out.compressed.assign(blocks.glwes().begin(), blocks.glwes().end());
  }
  out.value = expanded;
  return out;
}

struct Outcome {
  std::optional<Status> status;
  mpc::OpeningReport report;
};
using Outcomes = std::map<int, Outcome>;

/// What each party believes; and what a node does: until it has published the key it repeats the confirmation after a crash, and it goes
/// on answering.
using TestOf = std::function<tfhe::TestCiphertext(Role role, int life)>;
template <class Rules = ConfirmationRules>
runtime::sim::Program confirming(const Material& material, TestOf test_of, Outcomes& outcomes,
                                 runtime::Duration timeout = 50s) {
  return [&material, test_of = std::move(test_of), &outcomes, timeout](Node& node) -> runtime::Task<void> {
    JournalSentStore store(node.journal());
    node.router().set_sent_store(&store);
    DecryptionParty party{node.router(), node.journal(), node.compute(), material.keys[node.role().index()],
                          material.masks[node.role().index()]};
    if (node.life() > 0) party.resend_after = {};
    const Bytes published(32, 1);
    if (node.journal().get("published", published).value()) {
      outcomes[node.role().number()].status = Status{};
      co_await node.loop().sleep_for(200s);
      co_return;
    }
    BasicKeyConfirmation<Rules> confirmation(std::move(party), key_id(), test_of(node.role(), node.life()), kSequence);
    Status status = co_await confirmation.run(timeout);
    if (status) co_await node.journal().commit({{runtime::Change::Kind::put, "published", published, {}}});
    outcomes[node.role().number()] = {std::move(status), confirmation.report()};
    co_await node.loop().sleep_for(200s);
  };
}

TestOf always(tfhe::TestCiphertext test) {
  return [test = std::move(test)](Role, int) { return test; };
}

/// Everybody that is not Byzantine has confirmed the key, and calls no honest party a liar. With `lossy` links a slow party may run out
/// of time.
Status judge(World& world, const Outcomes& outcomes, bool lossy = false) {
  WITAN_TRY(world.audit().verdict());
  for (const Role role : runtime::RoleSet::all(world.committee()) - world.byzantine()) {
    if (lossy && world.faults(role).slow > runtime::Duration{}) continue;
    const auto found = outcomes.find(role.number());
    if (found == outcomes.end()) return fail(Code::internal, "party {} has not ended", role.number());
    if (!*found->second.status)
      return fail(Code::internal, "party {}: {}", role.number(), found->second.status->error().message);
    for (const Role liar : found->second.report.lied)
      if (!world.byzantine().contains(liar)) return fail(Code::internal, "an honest party is called a liar");
  }
  return {};
}

/// Shares of the keys, of all parties: a masked sum leaves a party, never these.
mpc::test::Secrets key_shares_of(const Material& material) {
  mpc::test::Secrets out;
  for (std::size_t party = 0; party < material.keys.size(); ++party)
    for (const auto name : {tfhe::KeyName::sns, tfhe::KeyName::sns_compression})
      for (std::size_t i = 0; i < Material::kDimension; ++i)
        out.add(material.keys[party]->of(name).at(i).value, fmt::format("share {} of party {}", i, party + 1));
  return out;
}

TEST(KeyConfirmationCampaign, HonestPartiesConfirmAGoodKeyWhateverTOthersDo) {
  for (const auto [n, t] : kCommittees) {
    const Material& material = Material::of(n, t);
    const mpc::test::Secrets hidden = key_shares_of(material);
    const auto report = runtime::sim::campaign(
        fmt::format("confirmation n={}", n), 1, n >= 10 ? 300 : 1000,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 11);
          const std::uint64_t value = rng.next64();
          const auto good = encrypted(material, value, value, seed);
          Outcomes outcomes;
          const bool lossy = rng.chance(0.3);
          runtime::sim::WorldOptions options{.seed = seed, .committee = material.committee, .router = {}};
          options.resets_per_second = lossy ? 0.2 : 0;
          World world(options, confirming(material, always(good), outcomes));
          const mpc::test::Tap tap(world);
          mpc::test::draw_faults(world, rng);
          mpc::test::draw_partition(world, rng);
          world.run(300s);
          coverage.merge(world.coverage());
          for (const auto& [party, outcome] : outcomes)
            coverage.add("confirmation.liars_named", static_cast<std::uint64_t>(outcome.report.lied.size()));
          WITAN_TRY(tap.keeps(hidden));
          return judge(world, outcomes, lossy);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    EXPECT_EQ(report.never(mpc::test::kAsyncStrategies), std::vector<std::string>{}) << "n = " << n;
    EXPECT_EQ(report.never({"confirmation.liars_named", "sim.crashes", "router.resent_from_store"}),
              std::vector<std::string>{})
        << "n = " << n;
  }
}

// A key that does not fit: no honest party confirms it, whatever t others do.
TEST(KeyConfirmationCampaign, NobodyHonestConfirmsABadKey) {
  for (const auto [n, t] : kCommittees) {
    const Material& material = Material::of(n, t);
    const auto report = runtime::sim::campaign(
        fmt::format("confirmation of a bad key n={}", n), 1, n >= 10 ? 100 : 300,
        [&](std::uint64_t seed, Coverage&) -> Status {
          SimRng rng(seed, 12);
          tfhe::TestCiphertext test = encrypted(material, rng.next64(), rng.next64(), seed);
          Outcomes outcomes;
          World world({.seed = seed, .committee = material.committee, .router = {}},
                      confirming(material, always(test), outcomes));
          mpc::test::draw_faults(world, rng);
          world.run(300s);
          WITAN_TRY(world.audit().verdict());
          for (const Role role : runtime::RoleSet::all(world.committee()) - world.byzantine()) {
            const auto found = outcomes.find(role.number());
            if (found == outcomes.end()) return fail(Code::internal, "party {} has not ended", role.number());
            const Status& status = *found->second.status;
            if (status || status.error().code != Code::internal)
              return fail(Code::internal, "party {}: {}", role.number(), status ? "confirmed" : status.error().message);
          }
          return {};
        });
    EXPECT_EQ(report.failures.size(), 0u);
  }
}

// S5, S7: kill -9 at every point of a party; the same message leaves, and it confirms the key in the end.
TEST(KeyConfirmationCampaign, CrashAtEveryPointOfAParty) {
  for (const auto [n, t] : kCommittees) {
    const Material& material = Material::of(n, t);
    const auto test = encrypted(material, 0x0123456789abcdef, 0x0123456789abcdef, 3);
    std::uint64_t points = 1;
    for (std::uint64_t point = 0; point <= points; ++point) {  // 0: none, to count them
      Outcomes outcomes;
      World world({.seed = 3, .committee = material.committee, .router = {}},
                  confirming(material, always(test), outcomes));
      if (point > 0) world.faults(Role(2)).crashes = {{point, 700ms}};
      world.run(300s);
      if (point == 0) points = world.crash_points(Role(2));
      const Status good = judge(world, outcomes);
      ASSERT_TRUE(good) << "n = " << n << ", crash point " << point << ": " << good.error().message;
    }
    EXPECT_GT(points, 10u);
  }
}

// S7: the session of a key has one test ciphertext for ever.
TEST(KeyConfirmationRules, AnotherKeySetUnderTheSameIdIsRefusedAfterARestart) {
  const Material& material = Material::of(4, 1);
  const auto test = encrypted(material, 77, 77, 4), other = encrypted(material, 77, 77, 5);
  int refused = 0;
  for (std::uint64_t point = 5; point < 45; ++point) {
    Outcomes outcomes;
    World world(
        {.seed = point, .committee = material.committee, .router = {}},
        confirming(
            material, [&](Role role, int life) { return role == Role(2) && life > 0 ? other : test; }, outcomes));
    world.faults(Role(2)).crashes = {{point, 500ms}};
    world.run(300s);
    const Status used_once = world.audit().verdict();
    EXPECT_TRUE(used_once) << used_once.error().message;
    const auto& status = outcomes.at(2).status;
    if (status && !*status && status->error().code == Code::already_exists) ++refused;
  }
  EXPECT_GT(refused, 5);
}

/// What party 1 says when all confirm this.
Status said(const tfhe::TestCiphertext& test) {
  const Material& material = Material::of(4, 1);
  Outcomes outcomes;
  World world({.seed = 1, .committee = material.committee, .router = {}}, confirming(material, always(test), outcomes));
  world.run(200s);
  return *outcomes.at(1).status;
}

TEST(KeyConfirmationRules, TheErrorNamesFormExpectedGotAndSuspects) {
  const Material& material = Material::of(4, 1);
  struct Case {
    tfhe::u64 value, expanded, compressed;
    std::vector<std::string> says;
  };
  const std::string squashing = "rows of public key, key switching key, bootstrap key, SnS bootstrap key, casting key,",
                    both = "sns and sns_compression both";
  const std::string e = "BigExpanded opened to 0x00000000000000", c = "BigCompressed to 0x00000000000000";
  const Case cases[] = {
      {0x11, 0x22, 0x33, {e + "22 (wrong)", c + "33 (wrong)", squashing, both}},
      {0x11,
       0x11,
       0x33,
       {e + "11,", c + "33 (wrong)", "rows of SnS compression packing key, or the shares of key sns_compression"}},
      {0x11, 0x22, 0x11, {e + "22 (wrong)", c + "11;", "the shares of key sns alone"}},
  };
  for (const Case& one : cases) {
    auto test = encrypted(material, one.expanded, one.compressed, 6);
    test.value = one.value;
    const Status status = said(test);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::internal);
    const std::string& text = status.error().message;
    for (const std::string& part : one.says) EXPECT_NE(text.find(part), text.npos) << part << " is not in: " << text;
    EXPECT_NE(text.find("should open to 0x0000000000000011"), text.npos) << text;
    EXPECT_NE(text.find(key_id().hex()), text.npos) << text;
  }
  EXPECT_TRUE(said(encrypted(material, 5, 5, 7)));
}

/// Party 3 has another key set, or (with `shares`) other shares, than the rest; what it says in the end.
template <class Rules>
std::map<int, Status> with_one_that_differs(bool shares) {
  Material material(CommitteeSize::make(4, 1).value());
  const auto test = encrypted(material, 42, 42, 8);
  auto other = test;
  if (shares) {
    auto keys = std::make_shared<KeyShares>();
    for (const auto name : {tfhe::KeyName::sns, tfhe::KeyName::sns_compression}) {
      std::vector<Share<Z128>> own;
      for (std::size_t i = 0; i < Material::kDimension; ++i) own.push_back(material.keys[2]->of(name).at(i));
      own[3].value.c[0] += 1;
      keys->keys[static_cast<std::size_t>(name)] = SharedKey(own);
    }
    material.keys[2] = keys;
  } else {
    other.expanded[7].body() += 1;
  }
  Outcomes outcomes;
  World world({.seed = 2, .committee = material.committee, .router = {}},
              confirming<Rules>(material, [&](Role role, int) { return role == Role(3) ? other : test; }, outcomes));
  world.faults(Role(3)).byzantine = true;  // judged apart
  world.set_required(runtime::RoleSet::all(material.committee));
  world.run(300s);
  std::map<int, Status> out;
  for (auto& [party, outcome] : outcomes) out.emplace(party, *outcome.status);
  return out;
}

TEST(KeyConfirmationRules, APartyWhoseKeySetOrSharesDifferMustNotPublishAndTheOthersMay) {
  for (const bool shares : {false, true}) {
    const auto said = with_one_that_differs<ConfirmationRules>(shares);
    for (const int party : {1, 2, 4}) EXPECT_TRUE(said.at(party)) << said.at(party).error().message;
    ASSERT_FALSE(said.at(3));
    EXPECT_EQ(said.at(3).error().code, Code::data_loss) << said.at(3).error().message;
    EXPECT_NE(said.at(3).error().message.find("parties 1, 2, 4 agree"), std::string::npos)
        << said.at(3).error().message;
  }
}

struct TrustsTheOthers : ConfirmationRules {
  static constexpr bool own_shares_must_agree = false;
};

TEST(RemovedDefence, WithoutALookAtItsOwnSharesAPartyConfirmsAKeySetThatItDoesNotHave) {
  for (const bool shares : {false, true}) EXPECT_TRUE(with_one_that_differs<TrustsTheOthers>(shares).at(3));
}

// From a dealt key set with `test` parameters to the confirmation, all of it; and the same with rows that are not those of the keys.
TEST(KeyConfirmation, OfADealtKeySet) {
  const auto committee = CommitteeSize::make(4, 1).value();
  witan::test::SeededRng rng("dealt key set");
  const tfhe::Params params = tfhe::params_by_name("test").value();
  const auto keys = tfhe::generate_secret_keys(params, rng);
  tfhe::RngNoise noise(rng);
  auto set = tfhe::generate_key_set(params, keys, rng.next<u128>(), noise, {.tag = Bytes(32, 9), .progress = {}});
  std::vector<std::shared_ptr<const KeyShares>> shares;
  std::vector<std::shared_ptr<const mpc::MaskGenerator>> masks;
  for (const auto& own : mpc::test::make_set_keys(committee, std::string("dealt")))
    masks.push_back(std::make_shared<mpc::MaskGenerator>(own));
  {
    std::vector<std::array<std::vector<Share<Z128>>, 2>> by_party(4);
    constexpr tfhe::KeyName kNames[] = {tfhe::KeyName::sns, tfhe::KeyName::sns_compression};
    for (std::size_t k = 0; k < 2; ++k)
      for (const std::uint8_t bit : keys.bits(kNames[k])) {
        const auto dealt = algebra::deal<Z128>(Gr<Z128>::from_base(bit), 1, 4, rng);
        for (std::size_t i = 0; i < 4; ++i) by_party[i][k].push_back(dealt[i]);
      }
    for (const auto& own : by_party) {
      auto made = std::make_shared<KeyShares>();
      for (std::size_t k = 0; k < 2; ++k) made->keys[static_cast<std::size_t>(kNames[k])] = SharedKey(own[k]);
      shares.push_back(std::move(made));
    }
  }
  const auto all_say = [&](const tfhe::CompressedKeySet& of) {
    const auto shared = std::make_shared<const tfhe::CompressedKeySet>(of);
    std::map<int, Status> said;
    World world({.seed = 1, .committee = committee, .router = {}}, [&](Node& node) -> runtime::Task<void> {
      const std::size_t index = node.role().index();
      const auto test = co_await make_test_ciphertext(node.compute(), shared, key_id());
      if (!test) throw std::runtime_error(test.error().message);
      KeyConfirmation confirmation({node.router(), node.journal(), node.compute(), shares[index], masks[index]},
                                   key_id(), *test, 1);
      said[node.role().number()] = co_await confirmation.run(50s);
      co_await node.loop().sleep_for(10s);
    });
    world.run(100s);
    EXPECT_EQ(said.size(), 4u);
    return said;
  };
  for (const auto& [party, status] : all_say(set)) EXPECT_TRUE(status) << status.error().message;
  for (auto& word : tfhe::component_bodies<u128>(set, tfhe::ComponentKind::sns_compression_packing))
    word = rng.next<u128>();
  for (const auto& [party, status] : all_say(set)) {
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find("suspect: rows of SnS compression packing key"), std::string::npos)
        << status.error().message;
  }
}

}  // namespace
}  // namespace witan::protocols
