#include <gtest/gtest.h>

#include "mpc/broadcast_world.h"

namespace witan::mpc {
namespace {

using namespace test;

/// Two rounds; the bytes of the formula; nothing else.
void expect_two_rounds(CommitteeSize committee, std::uint64_t seed) {
  const Plan plan{.committee = committee, .broadcasts = 3};
  Endings endings;
  World world(options(seed, plan.committee), broadcasting(plan, endings));
  std::map<std::pair<Role, Role>, std::vector<std::size_t>> sent;
  for (const Role from : plan.active)
    world.faults(from).corrupt = [&sent, from](Role to, const Frame& frame) {
      EXPECT_EQ(frame.kind, FrameKind::data);
      if (frame.payload) sent[{from, to}].push_back(frame.payload->size());
      return std::vector{frame};
    };
  world.set_required(plan.active);
  ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
  const Status good = judge(plan, plan.active, endings);
  ASSERT_TRUE(good) << good.error().message;
  for (const auto& [key, ended] : endings) {
    EXPECT_LE(ended.took, 3 * kLongestDelay);  // a party may begin one delay before the others
    EXPECT_TRUE(ended.report.relayed.empty());
    EXPECT_TRUE(ended.report.fetched.empty());
  }
  const std::size_t vector_bytes = 2 + 32 * static_cast<std::size_t>(committee.parties()) + 64;
  for (const auto& [link, sizes] : sent) {
    std::vector<std::size_t> expected;
    for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
      expected.push_back(message_of(link.first, number)->size());
      expected.push_back(vector_bytes);
    }
    EXPECT_EQ(sizes, expected);
  }
  EXPECT_EQ(static_cast<int>(sent.size()), committee.parties() * (committee.parties() - 1));
}

// Also where a certificate is there before the message: the message is given time to come by itself.
TEST(Broadcast, EverybodyGetsEveryMessageInTwoRounds) {
  for (const auto [n, t] : kCommittees)
    for (std::uint64_t seed = 1; seed <= (n == 4 ? 100 : 3); ++seed)
      expect_two_rounds(CommitteeSize::make(n, t).value(), seed);
}

TEST(Broadcast, SendersThatNobodyHearsAreBotAfterRound1) {
  for (const auto [n, t] : kCommittees)
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      Plan plan{.committee = CommitteeSize::make(n, t).value()};
      if (seed > 1) plan.starts_after[Role(n)] = kRound / 2;
      Endings endings;
      World world(options(seed, plan.committee), broadcasting(plan, endings));
      for (int i = 1; i <= t; ++i) world.faults(Role(i)).silent = true;
      ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
      const RoleSet honest = range(t + 1, n);
      const Status good = judge(plan, honest, endings);
      ASSERT_TRUE(good) << good.error().message;
      for (const Role party : honest) {
        const Ended& ended = endings.at({party.number(), 0});
        EXPECT_LE(ended.took, kRound + (seed > 1 ? kRound / 2 : 0s) + 2 * kLongestDelay);
        EXPECT_EQ(ended.report.absent, range(1, t));
        for (int i = 1; i <= t; ++i) EXPECT_FALSE((*ended.outcome)[Role(i).index()]);
      }
    }
}

TEST(Broadcast, WhoIsNotActiveIsNeitherAwaitedNorHeard) {
  const Plan plan{.committee = CommitteeSize::make(7, 2).value(), .active = range(2, 6)};
  Endings endings;
  World world(options(3, plan.committee), broadcasting(plan, endings));
  world.set_required(plan.active);
  ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
  const Status good = judge(plan, plan.active, endings);
  ASSERT_TRUE(good) << good.error().message;
  for (const auto& [key, ended] : endings) EXPECT_LE(ended.took, 3 * kLongestDelay);
}

TEST(Broadcast, RefusesWhatItCannotSend) {
  const auto committee = CommitteeSize::make(4, 1).value();
  std::vector<Code> codes;
  World world(options(4, committee), [&](Node& node) -> runtime::Task<void> {
    if (node.role() != Role(1)) co_return;
    auto session = node.router().open(kSession);
    const Signatories& own = signatories(4, Role(1));
    Broadcast broadcast(*session, node.compute(), own, kFirstStep, kRound);
    const RoleSet all = RoleSet::all(committee);
    const Payload message = runtime::make_payload(Bytes(100));
    const auto note = [&](const Result<BroadcastOutcome>& result) {
      codes.push_back(result ? Code::unknown : result.error().code);
    };
    note(co_await broadcast.run(0, message, all, 99));                      // too long
    note(co_await broadcast.run(0, nullptr, all, 100));                     // nothing
    note(co_await broadcast.run(0, message, all - RoleSet{Role(1)}, 100));  // not active
    note(co_await broadcast.run(0, message, all | RoleSet{Role(5)}, 100));  // nobody of that role
    note(co_await broadcast.run(~0u / kBroadcastSteps, message, all, 100));
    auto others = signatories(4, Role(2));
    note(co_await Broadcast(*session, node.compute(), others, kFirstStep, kRound).run(0, message, all, 100));
    others = own;
    others.keys.pop_back();
    note(co_await Broadcast(*session, node.compute(), others, kFirstStep, kRound).run(0, message, all, 100));
    note(co_await Broadcast(*session, node.compute(), own, kFirstStep, {}).run(0, message, all, 100));
    EXPECT_TRUE(co_await broadcast.run(3, message, all, 100));  // nobody answers: Bot for the others
    note(co_await broadcast.run(3, message, all, 100));         // its vector is signed
    note(co_await broadcast.run(5, message, all, 100));
    session->close(runtime::Session::Keep::sent);
    const auto closed = co_await broadcast.run(4, message, all, 100);
    EXPECT_EQ(closed.error().code, Code::cancelled);
  });
  world.set_required(RoleSet{Role(1)});
  ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
  EXPECT_EQ(codes, std::vector<Code>(10, Code::invalid_argument));
}

TEST(Broadcast, TooLongMessagesAreBot) {
  const Plan plan{.committee = CommitteeSize::make(4, 1).value()};
  for (const bool to_all : {true, false}) {
    Endings endings;
    World world(options(8, plan.committee), broadcasting(plan, endings));
    world.faults(Role(4)).corrupt = [=](Role to, const Frame& frame) {
      Frame out = frame;
      if (frame.step == kFirstStep + kBroadcastMessage && (to_all || to == Role(1)))
        out.payload = runtime::make_payload(Bytes(kMaxBytes + 1));
      return std::vector{out};
    };
    ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
    const Status good = judge(plan, range(1, 3), endings);
    ASSERT_TRUE(good) << good.error().message;
    EXPECT_EQ(endings.at({1, 0}).report.malformed, RoleSet{Role(4)});
    for (int i = 1; i <= 3; ++i) EXPECT_EQ((*endings.at({i, 0}).outcome)[3] == nullptr, to_all);
  }
}

}  // namespace
}  // namespace witan::mpc
