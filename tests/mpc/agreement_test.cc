#include "mpc/agreement_impl.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "runtime/sim.h"
#include "runtime/sim_adversary.h"
#include "support/support.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

// tests/data/mpc/hash.json
TEST(Commitment, VectorOfTheSpec) {
  const auto vectors = test::read_json("mpc/hash.json");
  const auto& e = vectors.at("commitment");
  const Bytes opening_bytes = test::hex(e.at("opening").get<std::string>());
  ByteArray<16> opening;
  std::copy(opening_bytes.begin(), opening_bytes.end(), opening.begin());
  const SessionId session{load_le<u128>(test::hex(e.at("sid").get<std::string>()).data())};
  EXPECT_EQ(to_hex(commitment(Role(e.at("role").get<int>()), session, e.at("round").get<std::uint64_t>(),
                              test::hex(e.at("msg").get<std::string>()), opening)),
            e.at("commitment").get<std::string>());
}

using Outcomes = std::map<int, Result<SetKeys>>;

template <class Rules = AgreementRules>
runtime::sim::Program agreeing(Outcomes& outcomes) {
  return [&outcomes](Node& node) -> runtime::Task<void> {
    auto session = node.router().open({u128{99}});
    if (!session) co_return;
    auto keys = co_await agree_set_keys_with<Rules>(*session, node.rng(), 10s);
    outcomes.insert_or_assign(node.role().number(), std::move(keys));
    co_await node.loop().sleep_for(30s);  // stay to answer
  };
}

runtime::sim::WorldOptions options(std::uint64_t seed, CommitteeSize committee) {
  return {.seed = seed, .committee = committee, .router = {}};
}

TEST(Agreement, AllMembersHoldTheSameFreshKeys) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    std::map<PartySet, SetKey> first_run;
    for (const std::uint64_t seed : {1u, 2u}) {
      Outcomes outcomes;
      World world(options(seed, committee), agreeing(outcomes));
      ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
      std::map<PartySet, SetKey> keys;
      for (auto& [role, result] : outcomes) {
        ASSERT_TRUE(result) << result.error().message;
        for (std::size_t i = 0; i < result->size(); ++i) {
          const auto [it, inserted] = keys.emplace(result->sets()[i], result->key(i));
          EXPECT_EQ(it->second, result->key(i)) << "party " << role;
        }
      }
      EXPECT_EQ(keys.size(), key_sets(committee).size());
      for (const auto& [set, key] : first_run) EXPECT_NE(keys.at(set), key);
      first_run = keys;
    }
  }
}

// Members of a set never differ, whatever t parties do; and with everybody honest nothing stops the agreement.
TEST(AgreementCampaign, HonestMembersNeverEndWithDifferentKeys) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto report = runtime::sim::campaign(
        fmt::format("agreement n={}", n), 1, n == 13 ? 100 : 1000,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 3);
          Outcomes outcomes;
          World world(options(seed, committee), agreeing(outcomes));
          for (int k = 0; k < t; ++k) {
            auto& faults = world.faults(Role(1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(n)))));
            using namespace runtime::sim;
            switch (rng.below(7)) {
              case 0:
                faults.silent = true;
                break;
              case 1:
                faults.corrupt = lie_randomly(seed), faults.rushing = true;
                break;
              case 2:
                faults.corrupt = equivocate(seed);
                break;
              case 3:
                faults.corrupt = mangle(seed);
                break;
              case 4:
                faults.corrupt = contradict_itself(seed);
                break;
              case 5:
                faults.corrupt = sometimes(0.1, seed, lie_randomly(seed));
                break;
              default:
                faults.duplicate = 0.5;
                break;
            }
          }
          world.run(120s);
          coverage.merge(world.coverage());
          std::map<PartySet, SetKey> keys;
          for (auto& [role, result] : outcomes) {
            if (world.byzantine().contains(Role(role))) continue;
            coverage.add(result ? "agreement.keys" : "agreement.aborted");
            if (!result) continue;
            for (std::size_t i = 0; i < result->size(); ++i) {
              const auto [it, inserted] = keys.emplace(result->sets()[i], result->key(i));
              if (it->second != result->key(i))
                return fail(Code::internal, "two honest parties hold different keys of one set");
            }
          }
          for (int i = 1; i <= n; ++i)
            if (!world.byzantine().contains(Role(i)) && !outcomes.contains(i))
              return fail(Code::internal, "party {} neither agreed nor gave up", i);
          return world.audit().verdict();
        });
    EXPECT_EQ(report.failures.size(), 0u);
    if (n == 4) EXPECT_GT(report.coverage.count("agreement.keys"), 0u);  // with more faults nearly every run aborts
    EXPECT_GT(report.coverage.count("agreement.aborted"), 0u);
  }
}

/// A party that was killed has lost what it committed to: it never takes the session again, but the next one (mpc.md 5.2, kind
/// 6), where the others follow when their attempt has failed. Outcomes by attempt.
runtime::sim::Program agreeing_in_attempts(std::map<int, Outcomes>& attempts) {
  return [&attempts](Node& node) -> runtime::Task<void> {
    for (int attempt = node.life(); attempt < 3; ++attempt) {
      auto session = node.router().open({u128{99} + static_cast<u128>(attempt)});
      if (!session) co_return;
      auto keys = co_await agree_set_keys(*session, node.rng(), 10s);
      const bool good = keys.has_value();
      attempts[attempt].insert_or_assign(node.role().number(), std::move(keys));
      if (!good) continue;
      co_await node.loop().sleep_for(100s);  // stay to answer
      co_return;
    }
  };
}

// kill -9 at every crash point of a party: members never differ, nobody waits for ever, no session says two things.
TEST(AgreementCampaign, CrashAtEveryPointOfAParty) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    std::uint64_t points = 1, second_attempts = 0;
    const std::uint64_t stride = n == 13 ? 7 : 1;                      // 1287 sets take their time
    for (std::uint64_t point = 0; point <= points; point += stride) {  // 0: none, to count them
      std::map<int, Outcomes> attempts;
      World world(options(4, committee), agreeing_in_attempts(attempts));
      if (point > 0) world.faults(Role(2)).crashes = {{point, 700ms}};
      ASSERT_EQ(world.run(300s), runtime::sim::End::finished) << point;
      if (point == 0) points = world.crash_points(Role(2));
      const Status clean = world.audit().verdict();
      ASSERT_TRUE(clean) << "n = " << n << ", crash point " << point << ": " << clean.error().message;
      std::set<int> ended;
      for (const auto& [attempt, outcomes] : attempts) {
        std::map<PartySet, SetKey> keys;
        for (const auto& [role, result] : outcomes) {
          ended.insert(role);
          second_attempts += attempt == 1 && result;
          if (!result) continue;
          for (std::size_t i = 0; i < result->size(); ++i)
            ASSERT_EQ(keys.emplace(result->sets()[i], result->key(i)).first->second, result->key(i))
                << "n = " << n << ", crash point " << point << ", attempt " << attempt << ", party " << role;
        }
      }
      ASSERT_EQ(ended.size(), static_cast<std::size_t>(n)) << "n = " << n << ", crash point " << point;
    }
    EXPECT_GT(points, static_cast<std::uint64_t>(2 * n));
    EXPECT_GT(second_attempts, 0u) << "n = " << n;
  }
}

TEST(Agreement, NamesWhoBrokeIt) {
  const auto committee = CommitteeSize::make(4, 1).value();
  // Party 3 tells party 1 another share than the others: it committed to one, so the opening does not fit.
  Outcomes outcomes;
  World world(options(5, committee), agreeing(outcomes));
  world.faults(Role(3)).corrupt = [](Role receiver, const runtime::Frame& frame) {
    runtime::Frame out = frame;
    if (receiver == Role(1) && frame.kind == runtime::FrameKind::data && frame.step == kAgreementOpen) {
      Bytes bytes = *frame.payload;
      bytes[0] ^= 1;
      out.payload = runtime::make_payload(std::move(bytes));
    }
    return std::vector{out};
  };
  world.run(120s);
  ASSERT_FALSE(outcomes.at(1));
  EXPECT_EQ(outcomes.at(1).error().code, Code::aborted);
  EXPECT_NE(outcomes.at(1).error().message.find("party 3 opened"), std::string::npos) << outcomes.at(1).error().message;
}

// S3: what determines a key goes to members of its set only.
TEST(Agreement, MessagesHoldOnlySetsThatTheReceiverIsIn) {
  const auto committee = CommitteeSize::make(7, 2).value();
  Outcomes outcomes;
  std::map<runtime::Step, std::size_t> bytes;
  World world(options(6, committee), agreeing(outcomes));
  world.faults(Role(2)).corrupt = [&](Role, const runtime::Frame& frame) {
    if (frame.kind == runtime::FrameKind::data) bytes[frame.step] = frame.payload->size();
    return std::vector{frame};
  };
  world.run(60s);
  const std::size_t common = 10;  // C(5,3): sets of 5 of 7 that contain both
  EXPECT_EQ(bytes.at(kAgreementCommit), 32 * common);
  EXPECT_EQ(bytes.at(kAgreementOpen), 32 * common);
  EXPECT_EQ(bytes.at(kAgreementCompare), 32 * common);
}

/// Party 4 of four, which lies in one way and says the rest as it should be.
class Attacker {
 public:
  /// Opens last, to what makes every key zero.
  bool choose_keys = false;
  /// Commits and opens to another share for each receiver.
  bool equivocate = false;

  runtime::sim::Program program() const {
    return [*this](Node& node) -> runtime::Task<void> {
      const CommitteeSize committee = node.committee();
      auto session = node.router().open({u128{99}});
      if (!session) co_return;
      std::vector<PartySet> mine;
      for (const PartySet set : key_sets(committee))
        if (set.contains(node.role())) mine.push_back(set);
      const auto others = runtime::RoleSet::others(committee, node.role());
      const auto share_for = [&](Role receiver) {
        SetKey share{};
        if (equivocate) share[0] = static_cast<std::uint8_t>(receiver.number());
        return share;
      };
      for (const Role peer : others) {
        Bytes message;
        for (const PartySet set : mine)
          if (set.contains(peer))
            append(message, commitment(node.role(), session->id(), kAgreementCommit,
                                       agreement::committed_message(set, share_for(peer)), {}));
        (void)session->send(peer, kAgreementCommit, runtime::make_payload(std::move(message)));
      }
      std::map<PartySet, SetKey> sums;
      for (const Role peer : others) {
        const auto opened = co_await session->receive(peer, kAgreementOpen, node.loop().after(5s));
        if (!opened) co_return;
        std::size_t at = 0;
        for (const PartySet set : mine) {
          if (!set.contains(peer)) continue;
          for (std::size_t b = 0; b < 16; ++b) sums[set][b] ^= opened->bytes()[at + b];
          at += agreement::kOpeningBytes;
        }
      }
      for (const Role peer : others) {
        Bytes opening, comparison;
        for (const PartySet set : mine) {
          if (!set.contains(peer)) continue;
          const SetKey share = choose_keys ? sums[set] : share_for(peer);
          SetKey key = sums[set];
          for (std::size_t b = 0; b < key.size(); ++b) key[b] ^= share[b];
          append(opening, share);
          append(opening, ByteArray<16>{});
          append(comparison, agreement::compare_value(session->id(), set, key));
        }
        (void)session->send(peer, kAgreementOpen, runtime::make_payload(std::move(opening)));
        (void)session->send(peer, kAgreementCompare, runtime::make_payload(std::move(comparison)));
      }
      co_await node.loop().sleep_for(30s);
    };
  }
};

/// The set keys that honest parties end with.
template <class Rules>
Outcomes attacked(const Attacker& attacker) {
  Outcomes outcomes;
  World world(options(9, CommitteeSize::make(4, 1).value()), agreeing<Rules>(outcomes));
  world.set_program(Role(4), attacker.program());
  world.faults(Role(4)).byzantine = true;
  world.run(60s);
  EXPECT_EQ(outcomes.size(), 3u);
  return outcomes;
}

struct NoOpeningCheck : AgreementRules {
  static constexpr bool check_openings = false;
};
struct NoComparison : AgreementRules {
  static constexpr bool compare_keys = false;
};

TEST(AgreementRemovedDefence, WithoutTheCommitmentTheLastToOpenChoosesTheKeys) {
  Attacker attacker;
  attacker.choose_keys = true;
  for (auto& [party, keys] : attacked<NoOpeningCheck>(attacker)) {
    ASSERT_TRUE(keys) << keys.error().message;
    for (std::size_t i = 0; i < keys->size(); ++i)
      if (keys->sets()[i].contains(Role(4))) EXPECT_EQ(keys->key(i), SetKey{});
  }
  for (auto& [party, keys] : attacked<AgreementRules>(attacker)) {
    ASSERT_FALSE(keys);
    EXPECT_NE(keys.error().message.find("party 4 opened"), std::string::npos) << keys.error().message;
  }
}

TEST(AgreementRemovedDefence, WithoutTheComparisonMembersEndWithDifferentKeys) {
  Attacker attacker;
  attacker.equivocate = true;
  std::map<PartySet, SetKey> first;
  int different = 0;
  for (auto& [party, keys] : attacked<NoComparison>(attacker)) {
    ASSERT_TRUE(keys) << keys.error().message;
    for (std::size_t i = 0; i < keys->size(); ++i)
      different += first.emplace(keys->sets()[i], keys->key(i)).first->second != keys->key(i);
  }
  EXPECT_GT(different, 0);
  for (auto& [party, keys] : attacked<AgreementRules>(attacker)) {
    ASSERT_FALSE(keys);
    EXPECT_EQ(keys.error().code, Code::aborted);
    EXPECT_NE(keys.error().message.find("another key of set"), std::string::npos) << keys.error().message;
  }
}

}  // namespace
}  // namespace witan::mpc
