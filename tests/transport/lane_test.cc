#include "transport/lane.h"

#include <gtest/gtest.h>

namespace witan::transport {
namespace {

using namespace std::chrono_literals;

Process process(int n) {
  return Process{static_cast<std::uint8_t>(n)};
}

runtime::Frame frame(int session, std::size_t size) {
  return {runtime::FrameKind::data,
          {static_cast<u128>(session)},
          1,
          std::make_shared<const Bytes>(size, static_cast<std::uint8_t>(session))};
}

/// Two ends of one lane, joined without a network.
struct Pair {
  explicit Pair(std::size_t credit = 2 << 20) : a(credit, {}), b(credit, {}) {
    a.set_self(process(1));
    b.set_self(process(2));
  }
  void connect() {
    HelloValues from_a, from_b;
    stream_a = a.open_stream(from_a);
    stream_b = b.open_stream(from_b);
    EXPECT_TRUE(b.take_hello(stream_b, from_a));
    EXPECT_TRUE(a.take_hello(stream_a, from_b));
  }
  /// Moves one packet from a to b; false if a has nothing to say now.
  bool step(std::vector<int>& got) {
    const NextWrite next = a.next_write(stream_a, 1ms);
    if (next.kind == NextWrite::Kind::piece) {
      const auto& p = next.piece;
      const auto frame = b.take_piece(stream_b, {p.frame, static_cast<std::uint32_t>(p.kind), p.session, p.step,
                                                 p.total_bytes, p.offset, p.payload});
      EXPECT_TRUE(frame) << frame.error().message;
      if (frame && *frame)
        got.push_back(static_cast<int>((*frame)->session.value)), sizes.push_back((*frame)->payload->size());
    }
    return next.kind == NextWrite::Kind::piece;
  }
  void grants() {
    for (;;) {
      const NextWrite back = b.next_write(stream_b, 1ms);
      if (back.kind != NextWrite::Kind::grant) return;
      a.take_grant(stream_a, back.credit, back.received);
    }
  }
  LaneState a, b;
  std::uint64_t stream_a = 0, stream_b = 0;
  std::vector<std::size_t> sizes;
};

TEST(Lane, FramesArriveInOrderAndOnce) {
  Pair pair;
  pair.connect();
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(pair.a.enqueue(frame(i, 100)));
  std::vector<int> got;
  while (pair.step(got)) {
  }
  EXPECT_EQ(got, (std::vector{1, 2, 3, 4, 5}));
}

TEST(Lane, AReconnectRepeatsWhatWasNotReceivedAndNothingElse) {
  Pair pair;
  pair.connect();
  for (int i = 1; i <= 6; ++i) ASSERT_TRUE(pair.a.enqueue(frame(i, 300 << 10)));  // two pieces each
  std::vector<int> got;
  for (int i = 0; i < 5; ++i) pair.step(got);  // the third frame is half sent
  EXPECT_EQ(got, (std::vector{1, 2}));
  (void)pair.a.next_write(pair.stream_a, 1ms);  // lost on the way
  pair.connect();
  for (int i = 0; i < 40; ++i) {
    pair.step(got);
    pair.b.consumed(300 << 10);
    pair.grants();
  }
  EXPECT_EQ(got, (std::vector{1, 2, 3, 4, 5, 6}));
}

TEST(Lane, ANewProcessOfThePeerGetsNothingOld) {
  Pair pair;
  pair.connect();
  std::vector<int> got;
  ASSERT_TRUE(pair.a.enqueue(frame(1, 10)));
  while (pair.step(got)) {
  }
  ASSERT_TRUE(pair.a.enqueue(frame(2, 10)));
  LaneState reborn(2 << 20, {});
  reborn.set_self(process(3));
  HelloValues from_a, from_b;
  const auto stream_a = pair.a.open_stream(from_a);
  const auto stream_b = reborn.open_stream(from_b);
  EXPECT_EQ(reborn.take_hello(stream_b, from_a), false);  // first contact for it
  EXPECT_EQ(pair.a.take_hello(stream_a, from_b), true);   // another process
  EXPECT_EQ(pair.a.next_write(stream_a, 1ms).kind, NextWrite::Kind::heartbeat);
  ASSERT_TRUE(pair.a.enqueue(frame(3, 10)));
  const auto next = pair.a.next_write(stream_a, 1ms);
  ASSERT_EQ(next.kind, NextWrite::Kind::piece);
  const auto& p = next.piece;
  const auto taken = reborn.take_piece(stream_b, {p.frame, 0, p.session, p.step, p.total_bytes, p.offset, p.payload});
  ASSERT_TRUE(taken && *taken);
  EXPECT_TRUE((*taken)->session.value == 3);
}

TEST(Lane, AReceiverThatDoesNotConsumeStopsTheSender) {
  Pair pair(1 << 20);
  pair.connect();
  for (int i = 1; i <= 100; ++i) ASSERT_TRUE(pair.a.enqueue(frame(i, 100 << 10)));
  std::vector<int> got;
  while (pair.step(got)) {
  }
  EXPECT_GE(got.size(), 8u);
  EXPECT_LE(got.size(), 11u);  // 1 MiB of credit
  for (int round = 0; round < 100; ++round) {
    pair.b.consumed(100 << 10);
    pair.grants();
    pair.step(got);
  }
  EXPECT_EQ(got.size(), 100u);
}

TEST(Lane, AFrameLargerThanTheCreditPasses) {
  Pair pair(1 << 20);
  pair.connect();
  ASSERT_TRUE(pair.a.enqueue(frame(7, 5 << 20)));
  std::vector<int> got;
  for (int i = 0; i < 60 && got.empty(); ++i) {
    pair.step(got);
    pair.grants();
  }
  ASSERT_EQ(got, std::vector{7});
  EXPECT_EQ(pair.sizes[0], std::size_t{5} << 20);
}

TEST(Lane, TheQueueIsBounded) {
  Limits limits;
  limits.queue_bytes = 1000;
  LaneState lane(1 << 20, limits);
  EXPECT_TRUE(lane.enqueue(frame(1, 600)));
  EXPECT_EQ(lane.enqueue(frame(2, 600)).error().code, Code::resource_exhausted);
  EXPECT_TRUE(lane.enqueue(frame(3, 400)));
}

TEST(Lane, ViolationsOfFramingAndCreditAreErrors) {
  const Bytes payload(100);
  const auto refused = [&](const IncomingPiece& piece) {
    Pair pair;
    pair.connect();
    return !pair.b.take_piece(pair.stream_b, piece).has_value();
  };
  EXPECT_FALSE(refused({1, 0, {1}, 1, 100, 0, payload}));
  EXPECT_TRUE(refused({1, 3, {1}, 1, 100, 0, payload}));   // kind
  EXPECT_TRUE(refused({1, 0, {1}, 1, 100, 50, payload}));  // begins in the middle
  EXPECT_TRUE(refused({1, 0, {1}, 1, 50, 0, payload}));    // longer than it says
  EXPECT_TRUE(
      refused({1, 0, {1}, 1, static_cast<std::uint32_t>(runtime::kMaxPayloadBytes + 1), 0, payload}));  // too long
  EXPECT_TRUE(refused({1, 0, {1}, 1, 100, 0, {}}));                                                     // empty piece
  const Bytes huge(kPieceBytes + 1);
  EXPECT_TRUE(refused({1, 0, {1}, 1, static_cast<std::uint32_t>(huge.size()), 0, huge}));
  Pair pair(1 << 20);
  pair.connect();
  const Bytes big(kPieceBytes);
  int accepted = 0;
  while (pair.b.take_piece(
      pair.stream_b,
      {static_cast<std::uint64_t>(accepted + 1), 0, {1}, 1, static_cast<std::uint32_t>(big.size()), 0, big}))
    ++accepted;
  EXPECT_EQ(accepted, 3);  // four pieces with their overhead exceed 1 MiB
}

TEST(Lane, OldStreamsAreDead) {
  Pair pair;
  pair.connect();
  const auto old_a = pair.stream_a;
  pair.connect();
  EXPECT_EQ(pair.a.next_write(old_a, 1ms).kind, NextWrite::Kind::stop);
  EXPECT_FALSE(pair.a.take_hello(old_a, {}));
}

}  // namespace
}  // namespace witan::transport
