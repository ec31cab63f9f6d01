#include "transport/lane.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/support.h"

namespace witan::transport {
namespace {

using namespace std::chrono_literals;
using runtime::Lane;

Process process(int n) {
  return Process{static_cast<std::uint8_t>(n)};
}

runtime::Frame frame(int session, std::size_t size) {
  return {runtime::FrameKind::data,
          {static_cast<u128>(session)},
          1,
          runtime::make_payload(Bytes(size, static_cast<std::uint8_t>(session)))};
}

Limits limits_with_credit(std::size_t credit) {
  Limits limits;
  limits.urgent_credit_bytes = limits.bulk_credit_bytes = credit;
  return limits;
}

/// One end of a pair: a process that knows one peer.
struct End {
  End(int process_number, const Limits& limits) : state(process(process_number), limits) {}
  LaneState& lane() { return state.lane(Lane::urgent); }

  PeerState state;
  std::optional<Reassembler> frames;  // since the peer's Start
  std::vector<int> got;               // sessions of delivered frames
  std::vector<std::size_t> sizes;
  std::vector<std::size_t> costs;  // of those not yet consumed
  bool losses = false;
  int restarts_seen = 0;

  void consume_all() {
    for (const std::size_t cost : costs) lane().consumed(cost);
    costs.clear();
  }
  Status take(const NextWrite& packet) {
    if (packet.kind == NextWrite::Kind::grant) return lane().take_grant(packet.grant);
    if (packet.kind == NextWrite::Kind::heartbeat) return lane().take_heartbeat(packet.heartbeat);
    for (const auto& [header, payload] : packet.pieces) {
      WITAN_TRY(lane().charge(header));
      WITAN_ASSIGN(const MutableByteView place, frames->place(header));
      for (std::size_t i = 0; i < place.size(); ++i) place[i] = (*payload)[header.offset() + i];
      auto whole = frames->take(header);
      WITAN_TRY(lane().arrived(header, whole.has_value()));
      if (!whole) continue;
      got.push_back(static_cast<int>(whole->session.value));
      sizes.push_back(whole->payload ? whole->payload->size() : 0);
      costs.push_back(header.frame_cost());
    }
    return {};
  }
};

/// Two ends of one lane, joined without a network.
struct Pair {
  explicit Pair(std::size_t credit = 2 << 20)
      : limits(limits_with_credit(credit)), a(std::make_unique<End>(1, limits)), b(std::make_unique<End>(2, limits)) {}

  /// A new stream. `until` < 4: it breaks after that many of the four greeting packets.
  void connect(int until = 4) {
    const Greeting from_a = a->state.begin(Lane::urgent);
    const Greeting from_b = b->state.begin(Lane::urgent);
    std::optional<PeerState::Met> a_met, b_met;
    if (until > 0) b_met = greet(*b, from_a);
    if (until > 1) a_met = greet(*a, from_b);
    if (until > 2) start(*a, *b_met);
    if (until > 3) start(*b, *a_met);
    time += 1h;  // a heartbeat is due
  }
  static PeerState::Met greet(End& end, const Greeting& hello) {
    const auto met = end.state.greet(Lane::urgent, hello);
    EXPECT_TRUE(met) << met.error().message;
    end.restarts_seen += met->another_process;
    return *met;
  }
  static void start(End& end, const PeerState::Met& peer) {
    const auto lost = end.lane().accept_start(peer.first);
    EXPECT_TRUE(lost) << lost.error().message;
    end.losses = end.losses || *lost;
    end.frames.emplace(peer.first);
  }
  void cut() {
    a->lane().end();
    b->lane().end();
  }
  void reconnect() {
    cut();
    connect();
  }
  /// Moves one packet; false if there is none.
  bool move(End& from, End& to) {
    const auto next = from.lane().poll_write(time, 1h);
    if (!next) return false;
    EXPECT_NE(next->kind, NextWrite::Kind::stop);
    const Status taken = to.take(*next);
    EXPECT_TRUE(taken) << taken.error().message;
    return taken.has_value();
  }
  void settle() {
    while (move(*a, *b) || move(*b, *a)) b->consume_all(), a->consume_all();
  }

  Limits limits;
  SteadyTime time{1h};
  std::unique_ptr<End> a, b;
};

std::vector<int> range(int first, int last) {
  std::vector<int> out;
  for (int i = first; i <= last; ++i) out.push_back(i);
  return out;
}

TEST(Lane, FramesArriveInOrderAndOnce) {
  Pair pair;
  pair.connect();
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, static_cast<std::size_t>(i - 1) * 100)));
  pair.settle();
  EXPECT_EQ(pair.b->got, range(1, 5));
  EXPECT_EQ(pair.b->sizes, (std::vector<std::size_t>{0, 100, 200, 300, 400}));
}

TEST(Lane, FramesThatWaitForTheFirstConnectionArrive) {
  Pair pair;
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, 10)));
  pair.connect();
  pair.settle();
  EXPECT_EQ(pair.b->got, range(1, 3));
  EXPECT_FALSE(pair.b->losses);
}

TEST(Lane, AReconnectRepeatsWhatWasNotReceivedAndNothingElse) {
  Pair pair;
  pair.connect();
  while (pair.move(*pair.a, *pair.b) || pair.move(*pair.b, *pair.a)) {
  }
  for (int i = 1; i <= 6; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, 300 << 10)));  // two pieces each
  for (int i = 0; i < 5; ++i) pair.move(*pair.a, *pair.b);
  EXPECT_EQ(pair.b->got, range(1, 2));                                // the third frame is half sent
  EXPECT_TRUE(pair.a->lane().poll_write(pair.time, 1h).has_value());  // lost on the way
  pair.reconnect();
  pair.settle();
  EXPECT_EQ(pair.b->got, range(1, 6));
  EXPECT_FALSE(pair.b->losses);
  EXPECT_EQ(pair.b->restarts_seen, 0);
}

TEST(Lane, AGreetingThatBreaksAnywhereCostsNothing) {
  for (int until = 0; until <= 4; ++until) {
    Pair pair;
    ASSERT_TRUE(pair.a->lane().enqueue(frame(1, 10)));
    ASSERT_TRUE(pair.b->lane().enqueue(frame(8, 10)));
    pair.connect(until);
    pair.reconnect();
    ASSERT_TRUE(pair.a->lane().enqueue(frame(2, 10)));
    pair.settle();
    EXPECT_EQ(pair.b->got, range(1, 2)) << until;
    EXPECT_EQ(pair.a->got, range(8, 8)) << until;
    EXPECT_FALSE(pair.a->losses || pair.b->losses) << until;
  }
}

TEST(Lane, ANewProcessOfThePeerGetsNothingOld) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.a->lane().enqueue(frame(1, 10)));
  pair.settle();
  ASSERT_TRUE(pair.a->lane().enqueue(frame(2, 10)));
  pair.cut();
  pair.b = std::make_unique<End>(3, pair.limits);
  ASSERT_TRUE(pair.b->lane().enqueue(frame(7, 10)));
  pair.connect();
  EXPECT_EQ(pair.a->restarts_seen, 1);
  EXPECT_EQ(pair.a->lane().queued_bytes(), 0u);
  ASSERT_TRUE(pair.a->lane().enqueue(frame(3, 10)));
  pair.settle();
  EXPECT_EQ(pair.b->got, range(3, 3));
  EXPECT_FALSE(pair.b->losses);  // nothing that was meant for this process
  EXPECT_EQ(pair.a->got, range(7, 7));
}

TEST(Lane, ANewProcessMakesTheOtherLaneStale) {
  Pair pair;
  pair.connect();
  PeerState& a = pair.a->state;
  (void)a.begin(Lane::bulk);
  ASSERT_TRUE(a.greet(Lane::bulk, {process(2), std::nullopt, 0, 1 << 20}));
  ASSERT_TRUE(a.lane(Lane::bulk).accept_start(1));
  ASSERT_TRUE(a.lane(Lane::bulk).enqueue(frame(1, 10)));
  pair.cut();
  pair.b = std::make_unique<End>(3, pair.limits);
  pair.connect();
  EXPECT_EQ(a.lane(Lane::bulk).poll_write(pair.time, 1h)->kind, NextWrite::Kind::stop);
  EXPECT_EQ(a.lane(Lane::bulk).charge({1, {}, {1}, 1, 1, 0, 1}).error().code, Code::cancelled);
  EXPECT_FALSE(a.lane(Lane::bulk).connected());
  EXPECT_EQ(a.lane(Lane::bulk).queued_bytes(), 0u);
}

TEST(Lane, LostFramesAreAnnounced) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.a->lane().enqueue(frame(1, 10)));
  pair.settle();
  ASSERT_TRUE(pair.a->lane().enqueue(frame(2, 10)));
  pair.cut();
  // A belated Hello of an old process of b confuses a for a moment.
  (void)pair.a->state.begin(Lane::urgent);
  Pair::greet(*pair.a, {process(9), std::nullopt, 0, 0});
  pair.a->lane().end();
  pair.connect();
  EXPECT_TRUE(pair.b->losses);
  ASSERT_TRUE(pair.a->lane().enqueue(frame(3, 10)));
  pair.settle();
  EXPECT_EQ(pair.b->got, (std::vector{1, 3}));
}

TEST(Lane, AReceiverThatDoesNotConsumeStopsTheSender) {
  Pair pair(1 << 20);
  pair.connect();
  for (int i = 1; i <= 100; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, 100 << 10)));
  while (pair.move(*pair.a, *pair.b) || pair.move(*pair.b, *pair.a)) {
  }
  EXPECT_EQ(pair.b->got.size(), 10u);        // 1 MiB of credit
  for (int again = 0; again < 3; ++again) {  // a reconnect gives no credit for what was not consumed
    pair.reconnect();
    while (pair.move(*pair.a, *pair.b) || pair.move(*pair.b, *pair.a)) {
    }
    EXPECT_EQ(pair.b->got.size(), 10u);
  }
  pair.settle();
  pair.b->consume_all();
  pair.settle();
  EXPECT_EQ(pair.b->got, range(1, 100));
}

// The writer may look for credit to grant while the reader puts a piece where it belongs.
TEST(Lane, APieceThatIsBeingTakenCountsAsHeld) {
  Pair pair(1 << 20);
  pair.connect();
  ASSERT_TRUE(pair.a->lane().enqueue(frame(1, kPieceBytes)));
  while (pair.move(*pair.a, *pair.b) || pair.move(*pair.b, *pair.a)) {  // one frame waits to be consumed
  }
  ASSERT_TRUE(pair.a->lane().enqueue(frame(2, kPieceBytes)));
  const auto packet = pair.a->lane().poll_write(pair.time, 1h);
  ASSERT_TRUE(packet && packet->kind == NextWrite::Kind::pieces);
  ASSERT_TRUE(pair.b->lane().charge(packet->pieces.front().header));
  EXPECT_FALSE(pair.b->lane().poll_write(pair.time, 1h)) << "there is nothing to send, and nothing to grant";
}

TEST(Lane, AFrameLargerThanTheCreditPasses) {
  for (const std::size_t credit : {kMinCreditBytes, std::size_t{1} << 20}) {
    Pair pair(credit);
    pair.connect();
    ASSERT_TRUE(pair.a->lane().enqueue(frame(7, 5 << 20)));
    ASSERT_TRUE(pair.a->lane().enqueue(frame(8, 4 * kPieceBytes)));
    while (pair.move(*pair.a, *pair.b) || pair.move(*pair.b, *pair.a)) {  // nothing is consumed
    }
    EXPECT_EQ(pair.b->got, range(7, 7));
    pair.settle();
    pair.b->consume_all();
    pair.settle();
    EXPECT_EQ(pair.b->got, range(7, 8));
    EXPECT_EQ(pair.b->sizes[0], std::size_t{5} << 20);
  }
}

// A peer that sends many frames whose last piece is tiny gets no more memory than one that sends whole pieces.
TEST(Lane, FramesOfSeveralPiecesCountWhole) {
  Pair pair(1 << 20);
  pair.connect();
  for (int i = 1; i <= 40; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, 2 * kPieceBytes + 1)));
  while (pair.move(*pair.a, *pair.b) || pair.move(*pair.b, *pair.a)) {
  }
  std::size_t held = 0;
  for (const std::size_t size : pair.b->sizes) held += size;
  EXPECT_GE(held, 2 * kPieceBytes + 1);
  EXPECT_LE(held, (1u << 20) + 2 * kPieceBytes + 1);
  pair.settle();
  pair.b->consume_all();
  pair.settle();
  EXPECT_EQ(pair.b->got, range(1, 40));
}

TEST(Lane, SmallFramesGoTogetherWithinTheBoundsOfAPacket) {
  Pair pair;
  pair.connect();
  EXPECT_TRUE(pair.move(*pair.a, *pair.b));  // the heartbeat
  const auto packet = [&] {
    const auto next = pair.a->lane().poll_write(pair.time, 1h);
    return next ? next->pieces.size() : 0;
  };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, 100)));
  EXPECT_EQ(packet(), 64u);
  EXPECT_EQ(packet(), 36u);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, kPieceBytes / 2 - kPieceOverheadBytes)));
  EXPECT_EQ(packet(), 2u);
  EXPECT_EQ(packet(), 2u);
  EXPECT_EQ(packet(), 1u);
  ASSERT_TRUE(pair.a->lane().enqueue(frame(1, kPieceBytes + 10)));
  ASSERT_TRUE(pair.a->lane().enqueue(frame(2, 10)));
  EXPECT_EQ(packet(), 1u);  // a whole piece fills a packet
  EXPECT_EQ(packet(), 2u);
}

TEST(Lane, TheCreditBoundsAPacketOfSmallFrames) {
  Pair pair(kMinCreditBytes);
  pair.connect();
  EXPECT_TRUE(pair.move(*pair.a, *pair.b));
  for (int i = 1; i <= 700; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, 1000)));
  while (pair.move(*pair.a, *pair.b)) {
  }
  EXPECT_EQ(pair.b->got.size(), kMinCreditBytes / (1000 + kPieceOverheadBytes));
  while (pair.b->got.size() < 700) {
    pair.b->consume_all();
    pair.settle();
  }
  EXPECT_EQ(pair.b->got, range(1, 700));
}

TEST(Lane, AcknowledgedFramesAreNotKept) {
  Pair pair;
  pair.connect();
  for (int i = 1; i <= 20; ++i) ASSERT_TRUE(pair.a->lane().enqueue(frame(i, 100)));
  pair.settle();
  pair.time += 2h;  // the next heartbeat says what has arrived
  pair.settle();
  EXPECT_EQ(pair.a->lane().queued_bytes(), 0u);
  EXPECT_TRUE(pair.a->lane().round_trip());
}

TEST(Lane, TheQueueIsBounded) {
  Limits limits;
  limits.queue_bytes = 1000;
  limits.queue_frames = 3;
  LaneState lane(1 << 20, limits);
  EXPECT_TRUE(lane.enqueue(frame(1, 600)));
  EXPECT_EQ(lane.enqueue(frame(2, 600)).error().code, Code::resource_exhausted);
  EXPECT_TRUE(lane.enqueue(frame(3, 400)));
  EXPECT_TRUE(lane.enqueue(frame(4, 0)));
  EXPECT_EQ(lane.enqueue(frame(5, 0)).error().code, Code::resource_exhausted);
}

TEST(Lane, AFrameThatNobodyWouldTakeIsRefusedAtOnce) {
  LaneState lane(1 << 20, {});
  EXPECT_EQ(lane.enqueue(frame(1, runtime::kMaxPayloadBytes + 1)).error().code, Code::invalid_argument);
  EXPECT_TRUE(lane.enqueue(frame(1, runtime::kMaxPayloadBytes)));
}

TEST(Lane, ClaimsThatCannotBeTrueAreErrors) {
  const auto refused = [](const std::function<Status(End&)>& claim) {
    Pair pair;
    pair.connect();
    EXPECT_TRUE(pair.a->lane().enqueue(frame(1, kPieceBytes)));
    EXPECT_TRUE(pair.a->lane().enqueue(frame(2, 10)));
    EXPECT_TRUE(pair.move(*pair.a, *pair.b) && pair.move(*pair.a, *pair.b));  // the heartbeat and frame 1
    const Status claimed = claim(*pair.a);
    return !claimed && claimed.error().code == Code::invalid_argument;
  };
  EXPECT_FALSE(refused([](End& a) { return a.lane().take_grant({0, 1}); }));
  EXPECT_TRUE(refused([](End& a) { return a.lane().take_grant({0, 2}); }));  // not sent yet
  EXPECT_TRUE(refused([](End& a) { return a.lane().take_heartbeat({1, 0, 2}); }));
  EXPECT_TRUE(refused([](End& a) { return a.lane().take_grant({~std::uint64_t{0}, 0}); }));

  const auto hello_refused = [](std::uint64_t received) {
    Pair pair;
    pair.connect();
    for (int i = 1; i <= 3; ++i) EXPECT_TRUE(pair.a->lane().enqueue(frame(i, 10)));
    pair.settle();  // all three are acknowledged
    pair.a->lane().end();
    (void)pair.a->state.begin(Lane::urgent);
    return !pair.a->state.greet(Lane::urgent, {process(2), process(1), received, 1 << 20});
  };
  EXPECT_TRUE(hello_refused(4));  // was never sent
  EXPECT_TRUE(hello_refused(2));  // 3 was acknowledged
  EXPECT_FALSE(hello_refused(3));
  EXPECT_FALSE(hello_refused(0));  // it took us for another process in between

  Pair itself;
  (void)itself.a->state.begin(Lane::urgent);
  EXPECT_FALSE(itself.a->state.greet(Lane::urgent, {process(1), std::nullopt, 0, 1 << 20}));
  Pair backwards;
  backwards.connect();
  ASSERT_TRUE(backwards.a->lane().enqueue(frame(1, 10)));
  backwards.settle();
  backwards.cut();
  (void)backwards.b->state.begin(Lane::urgent);
  ASSERT_TRUE(backwards.b->state.greet(Lane::urgent, {process(1), process(2), 0, 1 << 20}));
  EXPECT_FALSE(backwards.b->lane().accept_start(1));  // has it already
  EXPECT_FALSE(backwards.b->lane().accept_start(0));
  EXPECT_TRUE(backwards.b->lane().accept_start(2));
}

TEST(Lane, AStoppedLaneWakesItsWriter) {
  Pair pair;
  pair.connect();
  (void)pair.a->lane().next_write(1h);  // the first heartbeat
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(20ms);
    pair.a->lane().stop();
  });
  EXPECT_EQ(pair.a->lane().next_write(1h).kind, NextWrite::Kind::stop);
}

struct BadPiece {
  const char* name;
  PieceHeader piece;
};

TEST(Reassembler, AnyOtherPieceThanTheNextIsAnError) {
  constexpr auto kPiece = static_cast<std::uint32_t>(kPieceBytes);
  const PieceHeader first{5, {}, {1}, 2, kPiece + 100, 0, kPiece};
  const PieceHeader second{5, {}, {1}, 2, kPiece + 100, 1, 100};
  const BadPiece at_begin[] = {
      {"another frame", {6, {}, {1}, 2, 10, 0, 10}},
      {"an old frame", {4, {}, {1}, 2, 10, 0, 10}},
      {"begins in the middle", {5, {}, {1}, 2, kPiece + 100, 1, 100}},
      {"shorter than it must be", {5, {}, {1}, 2, kPiece + 100, 0, 100}},
      {"longer than the frame", {5, {}, {1}, 2, 10, 0, 11}},
      {"empty", {5, {}, {1}, 2, 10, 0, 0}},
      {"payload in an empty frame", {5, {}, {1}, 2, 0, 0, 1}},
      {"too long a piece", {5, {}, {1}, 2, 2 * kPiece, 0, kPiece + 1}},
      {"too long a frame", {5, {}, {1}, 2, static_cast<std::uint32_t>(runtime::kMaxPayloadBytes) + 1, 0, kPiece}},
      {"fragment far out", {5, {}, {1}, 2, 10, ~std::uint32_t{0}, 10}},
  };
  for (const BadPiece& bad : at_begin) EXPECT_FALSE(Reassembler(5).place(bad.piece)) << bad.name;
  const BadPiece after_first[] = {
      {"the first again", first},
      {"the next frame", {6, {}, {1}, 2, 10, 0, 10}},
      {"another session", {5, {}, {2}, 2, kPiece + 100, 1, 100}},
      {"another step", {5, {}, {1}, 3, kPiece + 100, 1, 100}},
      {"another kind", {5, runtime::FrameKind::unavailable, {1}, 2, kPiece + 100, 1, 100}},
      {"another length", {5, {}, {1}, 2, kPiece + 101, 1, 101}},
      {"too short", {5, {}, {1}, 2, kPiece + 100, 1, 99}},
      {"a piece too many", {5, {}, {1}, 2, kPiece + 100, 2, 0}},
  };
  for (const BadPiece& bad : after_first) {
    Reassembler frames(5);
    ASSERT_TRUE(frames.place(first));
    EXPECT_FALSE(frames.take(first));
    EXPECT_FALSE(frames.place(bad.piece)) << bad.name;
  }
  Reassembler frames(5);
  ASSERT_TRUE(frames.place(first));
  EXPECT_FALSE(frames.take(first));
  ASSERT_TRUE(frames.place(second));
  const auto frame = frames.take(second);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->payload->size(), kPieceBytes + 100);
  EXPECT_TRUE(frames.place({6, {}, {1}, 2, 10, 0, 10}));
}

TEST(Reassembler, MemoryGrowsWithWhatComesAndNotWithWhatIsAnnounced) {
  Reassembler frames(1);
  PieceHeader piece{
      1, {}, {1}, 1, static_cast<std::uint32_t>(runtime::kMaxPayloadBytes), 0, static_cast<std::uint32_t>(kPieceBytes)};
  const auto place = frames.place(piece);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->size(), kPieceBytes);
  EXPECT_LE(frames.memory_bytes(), 4 * kPieceBytes);
  EXPECT_FALSE(frames.take(piece));
  for (piece.fragment = 1; piece.fragment < 20; ++piece.fragment) {
    ASSERT_TRUE(frames.place(piece));
    EXPECT_LE(frames.memory_bytes(), 2 * std::max<std::size_t>(piece.fragment + 1, 2) * kPieceBytes);
    EXPECT_FALSE(frames.take(piece));
  }
}

// Random traffic with connections that break at any packet, also during the greeting, and processes that restart. In each
// run: what arrives is in order and at most once per pair of processes; without a restart nothing is missing.
TEST(Lane, RandomCutsAndRestartsNeverReorderRepeatOrLose) {
  for (int seed = 0; seed < 300; ++seed) {
    test::SeededRng rng("lane " + std::to_string(seed));
    const auto dice = [&](int sides) {
      return static_cast<int>(rng.next<std::uint32_t>() % static_cast<unsigned>(sides));
    };
    Pair pair(kMinCreditBytes + static_cast<std::size_t>(dice(1 << 20)));
    int next_session = 1, next_process = 3;
    std::vector<int> sent_to_b;  // to the present process of b by the present one of a, since they met
    const bool restarts = seed % 2 == 1;
    int restarted = 0;
    pair.connect();
    for (int action = 0; action < 300; ++action) {
      const int choice = dice(100);
      if (choice < 25) {
        const int size = dice(4) == 0 ? dice(3 * static_cast<int>(kPieceBytes)) : dice(1000);
        ASSERT_TRUE(pair.a->lane().enqueue(frame(next_session, static_cast<std::size_t>(size))));
        sent_to_b.push_back(next_session++);
      } else if (choice < 60) {
        pair.move(*pair.a, *pair.b);
      } else if (choice < 85) {
        pair.move(*pair.b, *pair.a);
      } else if (choice < 93) {
        pair.b->consume_all();
      } else if (choice < 95) {
        (void)pair.a->lane().poll_write(pair.time, 1h);  // on its way when the connection breaks
        pair.cut();
        pair.connect(dice(4));
        pair.reconnect();
      } else if (choice < 97) {
        pair.time += 2h;
      } else if (restarts && choice == 97) {
        pair.cut();
        if (dice(2) == 0)
          pair.b = std::make_unique<End>(next_process++, pair.limits);
        else
          pair.a = std::make_unique<End>(next_process++, pair.limits), pair.b->got.clear();
        sent_to_b.clear();
        ++restarted;
        pair.connect();
      }
      ASSERT_TRUE(std::ranges::is_sorted(pair.b->got)) << seed;
      ASSERT_EQ(std::ranges::adjacent_find(pair.b->got), pair.b->got.end()) << seed;
      ASSERT_FALSE(pair.b->losses) << seed;
    }
    pair.reconnect();
    pair.settle();
    pair.time += 2h;
    pair.settle();
    std::vector<int> missing;
    std::ranges::set_difference(sent_to_b, pair.b->got, std::back_inserter(missing));
    EXPECT_TRUE(missing.empty()) << "seed " << seed << ", first missing " << missing.front();
    EXPECT_EQ(pair.a->lane().queued_bytes(), 0u) << seed;
    EXPECT_EQ(pair.a->restarts_seen + pair.b->restarts_seen > 0, restarted > 0) << seed;
  }
}

}  // namespace
}  // namespace witan::transport
