#include "node/request_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/fake_journal.h"
#include "runtime/loop.h"
#include "runtime/scope.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto kDecryption = RequestKind::public_decryption;

RawId id(std::uint8_t number) {
  RawId out{1};
  out[31] = number;
  return out;
}
ByteArray<32> digest(std::uint8_t number) {
  return {number};
}

class RequestStoreTest : public testing::Test {
 protected:
  Status insert(RequestKind kind, std::uint8_t number, std::uint8_t content = 1) {
    return loop.run(store->insert(kind, id(number), digest(content), Bytes{number, content}));
  }
  Status finish(RequestKind kind, std::uint8_t number, Bytes result = {42}) {
    return loop.run(store->finish(kind, id(number), std::move(result)));
  }
  Status fail_it(RequestKind kind, std::uint8_t number, Error error) {
    return loop.run(store->fail_request(kind, id(number), std::move(error)));
  }
  Result<Bytes> result(RequestKind kind, std::uint8_t number, runtime::Duration wait = {}) {
    return loop.run(store->result(kind, id(number), loop.after(wait)));
  }
  std::vector<InterruptedRequest> restart(StoreLimits with = {4, 2, {}}) {
    store.reset();
    journal = std::make_unique<runtime::FakeJournal>(loop, disk);
    store = std::make_unique<RequestStore>(*journal, loop, with);
    auto interrupted = store->load();
    EXPECT_TRUE(interrupted) << interrupted.error().message;
    return interrupted ? *std::move(interrupted) : std::vector<InterruptedRequest>{};
  }

  runtime::VirtualLoop loop;
  runtime::FakeDisk disk;
  std::unique_ptr<runtime::FakeJournal> journal = std::make_unique<runtime::FakeJournal>(loop, disk);
  std::unique_ptr<RequestStore> store = std::make_unique<RequestStore>(*journal, loop, StoreLimits{4, 2, {}});
};

TEST_F(RequestStoreTest, StatesAndCodesOfAPollingClient) {
  EXPECT_EQ(result(kDecryption, 1).error().code, Code::not_found);
  ASSERT_TRUE(insert(kDecryption, 1));
  EXPECT_EQ(store->decryptions().pending, 1u);
  EXPECT_EQ(store->decryptions().finished, 0u);
  EXPECT_EQ(result(kDecryption, 1, 50ms).error().code, Code::unavailable);
  ASSERT_TRUE(finish(kDecryption, 1));
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{42});
  EXPECT_EQ(result(RequestKind::epoch, 1).error().code, Code::not_found) << "kinds are apart";

  ASSERT_TRUE(insert(kDecryption, 2));
  ASSERT_TRUE(fail_it(kDecryption, 2, {Code::deadline_exceeded, "too late"}));
  EXPECT_EQ(result(kDecryption, 2).error().code, Code::internal);
  ASSERT_TRUE(insert(RequestKind::keygen, 3));
  ASSERT_TRUE(fail_it(RequestKind::keygen, 3, {Code::aborted, "stopped"}));
  EXPECT_EQ(result(RequestKind::keygen, 3).error().code, Code::aborted);
  EXPECT_EQ(finish(RequestKind::keygen, 3).error().code, Code::internal) << "settled twice";
  EXPECT_EQ(store->decryptions().pending, 0u);
  EXPECT_EQ(store->decryptions().finished, 2u) << "a failed one too; key generations do not count";
}

TEST_F(RequestStoreTest, LongTextsOfErrorsAreCutBetweenCharacters) {
  std::string text = "at most 512 bytes: ";
  while (text.size() < 5000) text += "\u20ac";  // three bytes each
  ASSERT_TRUE(insert(kDecryption, 1));
  ASSERT_TRUE(fail_it(kDecryption, 1, {Code::internal, text}));
  ASSERT_TRUE(insert(kDecryption, 2));
  ASSERT_TRUE(fail_it(kDecryption, 2, {Code::internal, std::string(512, 'x')}));
  const std::string kept = text.substr(0, 511);  // 19 and 164 times 3
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(result(kDecryption, 1).error().message, kept);
    EXPECT_EQ(store->summary(kDecryption, id(1))->error, kept);
    EXPECT_EQ(result(kDecryption, 2).error().message, std::string(512, 'x'));
    EXPECT_LT(disk.tables.at("requests").begin()->second.size(), 600u);
    restart();
  }
}

// Earlier versions kept up to 4096 bytes.
TEST_F(RequestStoreTest, ALongerTextInTheJournalIsCutWhenItIsRead) {
  ASSERT_TRUE(insert(kDecryption, 1));
  ASSERT_TRUE(fail_it(kDecryption, 1, {Code::internal, "x"}));
  Bytes& record = disk.tables.at("requests").begin()->second;
  const auto with_text = [&](std::size_t size) {
    Bytes out(record.begin(), record.begin() + 1 + 32 + 8 + 1);
    append_le(out, std::uint64_t{size});
    out.insert(out.end(), size, 'x');
    return out;
  };
  record = with_text(4096);
  restart();
  EXPECT_EQ(result(kDecryption, 1).error().message, std::string(512, 'x'));
  record = with_text(4097);
  EXPECT_EQ(RequestStore(*journal, loop, {}).load().error().code, Code::data_loss);
}

TEST_F(RequestStoreTest, APollerIsWokenByTheOutcome) {
  ASSERT_TRUE(insert(kDecryption, 1));
  std::optional<Result<Bytes>> seen;
  runtime::TaskScope scope(loop);
  scope.spawn(
      [](RequestStore& requests, runtime::Instant deadline, std::optional<Result<Bytes>>& out) -> runtime::Task<void> {
        out = co_await requests.result(kDecryption, id(1), deadline);
      }(*store, loop.after(60s), seen));
  loop.advance(1s);
  EXPECT_FALSE(seen);
  ASSERT_TRUE(finish(kDecryption, 1));
  loop.run_ready();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->value(), Bytes{42});
}

TEST_F(RequestStoreTest, AnIdNamesOneContent) {
  ASSERT_TRUE(insert(kDecryption, 1, 1));
  for (int life = 0; life < 2; ++life) {
    auto same = insert(kDecryption, 1, 1);
    EXPECT_EQ(same.error().code, Code::already_exists);
    EXPECT_THAT(same.error().message, testing::Not(HasSubstr("other content")));
    auto other = insert(kDecryption, 1, 2);
    EXPECT_EQ(other.error().code, Code::already_exists);
    EXPECT_THAT(other.error().message, HasSubstr("other content"));
    EXPECT_TRUE(store->same_content(kDecryption, id(1), digest(1)).value());
    EXPECT_FALSE(store->same_content(kDecryption, id(1), digest(2)).value());
    EXPECT_FALSE(store->same_content(kDecryption, id(2), digest(1)).value());
    restart();
  }
}

TEST_F(RequestStoreTest, AFailedDecryptionIsDoneAgainWithTheSameContentOnly) {
  ASSERT_TRUE(insert(kDecryption, 1, 1));
  ASSERT_TRUE(fail_it(kDecryption, 1, {Code::deadline_exceeded, "too late"}));
  restart();
  EXPECT_EQ(insert(kDecryption, 1, 2).error().code, Code::already_exists);
  EXPECT_EQ(result(kDecryption, 1).error().code, Code::internal);
  ASSERT_TRUE(insert(kDecryption, 1, 1));
  EXPECT_EQ(store->state(kDecryption, id(1)), RequestState::pending);
  ASSERT_TRUE(finish(kDecryption, 1));
  EXPECT_TRUE(result(kDecryption, 1));
  ASSERT_TRUE(insert(RequestKind::keygen, 2, 1));
  ASSERT_TRUE(fail_it(RequestKind::keygen, 2, {Code::internal, "no"}));
  EXPECT_EQ(insert(RequestKind::keygen, 2, 1).error().code, Code::already_exists) << "key ids are never used again";
}

TEST_F(RequestStoreTest, ARestartReturnsWhatWasPendingOldestFirst) {
  ASSERT_TRUE(insert(kDecryption, 9));
  ASSERT_TRUE(insert(RequestKind::epoch, 5));
  ASSERT_TRUE(insert(kDecryption, 1));
  ASSERT_TRUE(insert(kDecryption, 2));
  ASSERT_TRUE(finish(kDecryption, 2, {7}));
  const auto interrupted = restart();
  ASSERT_EQ(interrupted.size(), 3u);
  EXPECT_EQ(interrupted[0].id, id(9));
  EXPECT_EQ(interrupted[1].kind, RequestKind::epoch);
  EXPECT_EQ(interrupted[2].id, id(1));
  EXPECT_EQ(interrupted[2].body, (Bytes{1, 1}));
  EXPECT_EQ(result(kDecryption, 2).value(), Bytes{7});
  ASSERT_TRUE(finish(kDecryption, 9));
  EXPECT_EQ(restart().size(), 2u);
}

TEST_F(RequestStoreTest, OldResultsMakeRoomAndTheirIdsStayUsed) {
  for (const std::uint8_t number : Bytes{1, 2, 3, 4}) ASSERT_TRUE(insert(kDecryption, number));
  EXPECT_EQ(insert(kDecryption, 5).error().code, Code::resource_exhausted) << "all are running";
  for (const std::uint8_t number : Bytes{3, 1}) ASSERT_TRUE(finish(kDecryption, number));
  EXPECT_EQ(insert(kDecryption, 5).error().code, Code::resource_exhausted) << "min_dec_cache results stay";
  ASSERT_TRUE(finish(kDecryption, 2));
  ASSERT_TRUE(insert(kDecryption, 5));  // the oldest goes
  ASSERT_TRUE(finish(kDecryption, 5));
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(result(kDecryption, 1).error().code, Code::not_found);
    EXPECT_EQ(disk.tables["request_results"].size(), 3u) << "of 2, 3 and 5";
    EXPECT_TRUE(result(kDecryption, 2));
    EXPECT_EQ(insert(kDecryption, 1, 1).error().code, Code::already_exists);
    EXPECT_THAT(insert(kDecryption, 1, 2).error().message, HasSubstr("other content"));
    restart();
  }
  EXPECT_EQ(store->count(kDecryption), 4u);
}

// One commit: a key is asked for if and only if its preprocessing is used.
TEST_F(RequestStoreTest, AKeyAndTheUseOfItsPreprocessingAreOneCommit) {
  ASSERT_TRUE(insert(RequestKind::preprocessing, 1));
  ASSERT_TRUE(finish(RequestKind::preprocessing, 1));
  ASSERT_TRUE(insert(RequestKind::keygen, 7));
  const auto use = [this](std::uint8_t key) { return loop.run(store->insert_keygen(id(key), {}, {1}, id(1), {})); };
  EXPECT_EQ(use(7).error().code, Code::already_exists);
  EXPECT_TRUE(store->check_usable(id(1))) << "a refused key uses nothing";
  const auto commits = disk.commits;
  disk.fails_after_commits = commits;
  EXPECT_EQ(use(8).error().code, Code::unavailable);
  EXPECT_TRUE(store->check_usable(id(1)));
  disk.fails_after_commits = commits + 1;  // one more, no second one
  EXPECT_TRUE(use(8));
  EXPECT_EQ(store->check_usable(id(1)).error().code, Code::not_found);
  disk.fails_after_commits = ~std::uint64_t{0};
  restart();
  EXPECT_EQ(store->state(RequestKind::keygen, id(8)), RequestState::pending);
  EXPECT_EQ(store->check_usable(id(1)).error().code, Code::not_found);
}

TEST_F(RequestStoreTest, ADiscardedPreprocessingIsUsedUp) {
  EXPECT_EQ(loop.run(store->discard(id(1))).error().code, Code::not_found);
  ASSERT_TRUE(insert(RequestKind::preprocessing, 1));
  EXPECT_EQ(loop.run(store->discard(id(1))).error().code, Code::unavailable);
  ASSERT_TRUE(finish(RequestKind::preprocessing, 1));
  ASSERT_TRUE(loop.run(store->discard(id(1))));
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(store->state(RequestKind::preprocessing, id(1)), RequestState::deleted);
    EXPECT_EQ(loop.run(store->insert_keygen(id(7), {}, {1}, id(1), {})).error().code, Code::not_found);
    restart();
  }
}

TEST_F(RequestStoreTest, APreprocessingIsUsedOnce) {
  constexpr auto kPreprocessing = RequestKind::preprocessing;
  const auto use = [this](std::uint8_t key) { return loop.run(store->insert_keygen(id(key), {}, {1}, id(1), {})); };
  EXPECT_EQ(use(7).error().code, Code::not_found);
  ASSERT_TRUE(insert(kPreprocessing, 1));
  EXPECT_EQ(use(7).error().code, Code::unavailable);
  ASSERT_TRUE(finish(kPreprocessing, 1));
  restart();
  EXPECT_EQ(store->state(RequestKind::keygen, id(7)), std::nullopt);
  EXPECT_TRUE(use(7));
  EXPECT_EQ(store->state(RequestKind::keygen, id(7)), RequestState::pending);
  EXPECT_EQ(use(8).error().code, Code::not_found);
  EXPECT_EQ(loop.run(store->discard(id(1))).error().code, Code::not_found);
  restart();
  EXPECT_EQ(store->state(RequestKind::keygen, id(7)), RequestState::pending);
  EXPECT_EQ(use(8).error().code, Code::not_found);
  EXPECT_EQ(result(kPreprocessing, 1).error().code, Code::not_found);
  EXPECT_EQ(insert(kPreprocessing, 1).error().code, Code::already_exists);
}

// A journal that fails changes nothing: not the states, not the results that were there, not the room.
TEST_F(RequestStoreTest, AFailingJournalChangesNothing) {
  for (const std::uint8_t number : Bytes{1, 2, 3}) {
    ASSERT_TRUE(insert(kDecryption, number));
    ASSERT_TRUE(finish(kDecryption, number));
  }
  ASSERT_TRUE(insert(kDecryption, 4));
  disk.fails_after_commits = disk.commits;
  EXPECT_EQ(insert(kDecryption, 5).error().code, Code::unavailable);
  EXPECT_EQ(store->state(kDecryption, id(5)), std::nullopt);
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{42}) << "what would have made room is still there";
  disk.fails_after_commits = ~std::uint64_t{0};
  EXPECT_TRUE(finish(kDecryption, 4));
  EXPECT_TRUE(insert(kDecryption, 5));
  EXPECT_EQ(result(kDecryption, 1).error().code, Code::not_found);
}

// While the disk is full an outcome waits; it is recorded, and pollers are woken, when there is space again.
TEST_F(RequestStoreTest, AnOutcomeIsRecordedWhenTheDiskHasSpaceAgain) {
  ASSERT_TRUE(insert(kDecryption, 1));
  disk.fails_after_commits = disk.commits;
  std::optional<Status> finished;
  runtime::TaskScope scope(loop);
  scope.spawn([](RequestStore& requests, std::optional<Status>& out) -> runtime::Task<void> {
    out = co_await requests.finish(kDecryption, id(1), {42});
  }(*store, finished));
  loop.advance(1h);
  EXPECT_FALSE(finished);
  EXPECT_EQ(store->state(kDecryption, id(1)), RequestState::pending);
  EXPECT_EQ(result(kDecryption, 1).error().code, Code::unavailable);
  EXPECT_EQ(finish(kDecryption, 1).error().code, Code::internal) << "its outcome is on the way";
  disk.fails_after_commits = ~std::uint64_t{0};
  loop.advance(31s);
  ASSERT_TRUE(finished);
  EXPECT_TRUE(*finished);
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{42});
  restart();
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{42});
}

// What a decryption sent goes with its result; the binding of its session stays.
TEST_F(RequestStoreTest, AnEvictedResultTakesAlongWhatTheHookNames) {
  std::vector<std::uint64_t> evicted;
  store->set_on_evict([&](std::uint64_t sequence) {
    evicted.push_back(sequence);
    return std::vector<runtime::Change>{
        {runtime::Change::Kind::erase, "sessions", {static_cast<std::uint8_t>(sequence)}, {}}};
  });
  for (const std::uint8_t number : Bytes{1, 2, 3, 4}) {
    disk.tables["sessions"][{number}] = {9};
    ASSERT_TRUE(insert(kDecryption, number));
    ASSERT_TRUE(finish(kDecryption, number));
  }
  EXPECT_TRUE(evicted.empty());
  ASSERT_TRUE(insert(kDecryption, 5));
  EXPECT_EQ(evicted, std::vector{std::uint64_t{1}});
  EXPECT_FALSE(disk.tables["sessions"].contains({1}));
  EXPECT_TRUE(disk.tables["sessions"].contains({2}));
}

runtime::Task<void> keep(runtime::Task<Status> task, Status& out) {
  out = co_await std::move(task);
}

// The oldest result is being evicted while its request comes again.
TEST_F(RequestStoreTest, ARequestCannotComeBackWhileItIsEvicted) {
  for (const bool disk_fails : {false, true}) {
    disk = {};
    restart({2, 0});
    ASSERT_TRUE(insert(kDecryption, 1));
    ASSERT_TRUE(fail_it(kDecryption, 1, {Code::internal, "for now"}));
    ASSERT_TRUE(insert(kDecryption, 2));
    if (disk_fails) disk.fails_after_commits = disk.commits;
    Status newer, again;
    runtime::TaskScope scope(loop);
    scope.spawn(keep(store->insert(kDecryption, id(3), digest(1), {3, 1}), newer));
    loop.run_ready();
    scope.spawn(keep(store->insert(kDecryption, id(1), digest(1), {1, 1}), again));
    loop.run(scope.join());
    EXPECT_EQ(newer.has_value(), !disk_fails);
    EXPECT_EQ(again.error().code, Code::already_exists);
    EXPECT_EQ(store->count(kDecryption), 2u);
    disk.fails_after_commits = ~std::uint64_t{0};
    EXPECT_EQ(result(kDecryption, 1).error().code, disk_fails ? Code::internal : Code::not_found);
    // Further ones find their places.
    if (!disk_fails) ASSERT_TRUE(finish(kDecryption, 3));
    ASSERT_TRUE(finish(kDecryption, 2));
    for (std::uint8_t number = 4; number < 10; ++number) {
      ASSERT_TRUE(insert(kDecryption, number)) << int{number};
      ASSERT_TRUE(finish(kDecryption, number));
      EXPECT_EQ(store->count(kDecryption), 2u);
    }
    restart({2, 0});
    EXPECT_EQ(store->count(kDecryption), 2u);
  }
}

TEST_F(RequestStoreTest, FurtherChangesAreThoseOfTheTimeOfTheCommit) {
  ASSERT_TRUE(insert(kDecryption, 1));
  std::uint8_t now = 0;
  const auto extra = [&] {
    std::vector<runtime::Change> out;
    out.push_back({runtime::Change::Kind::put, "other", {1}, {++now}});
    return out;
  };
  disk.fails_after_commits = disk.commits;
  Status done;
  runtime::TaskScope scope(loop);
  scope.spawn(keep(store->finish(kDecryption, id(1), {42}, extra), done));
  loop.advance(2s);
  EXPECT_EQ(now, 2) << "one for each try";
  disk.fails_after_commits = ~std::uint64_t{0};
  loop.run(scope.join());
  EXPECT_TRUE(done);
  EXPECT_EQ(disk.tables["other"][{1}], Bytes{now});
}

TEST_F(RequestStoreTest, APollerThatLeavesIsForgotten) {
  ASSERT_TRUE(insert(kDecryption, 1));
  std::stop_source gone;
  const auto begun = loop.now();
  Result<Bytes> got = Bytes{};
  runtime::TaskScope scope(loop);
  auto poll = [&]() -> runtime::Task<void> {
    got = co_await store->result(kDecryption, id(1), loop.after(60s), gone.get_token());
  };
  scope.spawn(poll());
  loop.run_ready();
  EXPECT_TRUE(got.has_value()) << "it waits";
  gone.request_stop();
  loop.run(scope.join());
  EXPECT_EQ(got.error().code, Code::unavailable);
  EXPECT_LT(loop.now() - begun, 1s);
  ASSERT_TRUE(finish(kDecryption, 1));
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{42});
}

TEST_F(RequestStoreTest, ADamagedRecordStopsTheStart) {
  ASSERT_TRUE(insert(kDecryption, 1));
  auto& table = disk.tables.at("requests");
  const Bytes good = table.begin()->second;
  const auto error = [&] {
    const auto loaded = RequestStore(*journal, loop, {}).load();
    return loaded ? Error{Code::internal, "it was loaded"} : loaded.error();
  };
  for (std::size_t size = 0; size < good.size(); ++size) {
    table.begin()->second = Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(error().code, Code::data_loss) << size;
  }
  Bytes failed_without_error = good, pending_with_error = good, other_state = good;
  failed_without_error[0] = static_cast<std::uint8_t>(RequestState::failed);
  pending_with_error[41] = static_cast<std::uint8_t>(Code::aborted);
  other_state[0] = static_cast<std::uint8_t>(RequestState::done);
  for (const Bytes& wrong : {failed_without_error, pending_with_error, other_state}) {
    table.begin()->second = wrong;
    EXPECT_EQ(error().code, Code::data_loss);
  }
  table.begin()->second = good;
  Bytes other_key = table.begin()->first;
  other_key[10] ^= 1;
  table[other_key] = good;  // the same sequence twice
  EXPECT_EQ(error().code, Code::data_loss);
  EXPECT_THAT(error().message, HasSubstr("number 1 twice"));
  table.erase(other_key);
  ASSERT_TRUE(insert(RequestKind::keygen, 2));
  const auto bodies = disk.tables.at("request_bodies");
  disk.tables.at("request_bodies").clear();
  EXPECT_EQ(error().code, Code::data_loss);
  EXPECT_THAT(error().message, HasSubstr("neither body nor result of the key generation"));
  disk.tables.at("request_bodies") = bodies;
  ASSERT_TRUE(finish(kDecryption, 1));
  EXPECT_TRUE(RequestStore(*journal, loop, {}).load());
  auto& result = disk.tables.at("request_results").begin()->second;
  const Bytes right = result;
  for (const Bytes& wrong : {Bytes{}, Bytes{0, 1}, Bytes{2}, Bytes{2, 1}}) {
    result = wrong;
    EXPECT_EQ(error().code, Code::data_loss) << to_hex(wrong);
  }
  result = right;
  for (const Bytes& key : {Bytes{}, Bytes(7), Bytes(9)}) {
    disk.tables.at("request_results")[key] = {1};
    EXPECT_THAT(error().message, HasSubstr("bad key"));
    disk.tables.at("request_results").erase(key);
  }
  disk.tables.at("request_results")[Bytes(8, 9)] = {1};
  EXPECT_THAT(error().message, HasSubstr("no request for it"));
  disk.tables.at("request_results").erase(Bytes(8, 9));
}

// Decryptions for a caller who waits: the work itself commits what the insertion gives.
class TakenUp : public RequestStoreTest {
 protected:
  Result<RequestStore::Insertion> take_up(std::uint8_t number, std::uint8_t content = 1) {
    return store->take_up(id(number), digest(content));
  }
  Status commit(const RequestStore::Insertion& insertion) { return loop.run(journal->commit(insertion.changes())); }
  void take_up_and_finish(std::uint8_t number) {
    const auto insertion = take_up(number);
    ASSERT_TRUE(insertion);
    ASSERT_TRUE(commit(*insertion));
    store->recorded(*insertion);
    ASSERT_TRUE(finish(kDecryption, number, {number}));
  }
};

TEST_F(TakenUp, IsPendingAtOnceAndRecordedWithItsWork) {
  const auto insertion = take_up(1);
  ASSERT_TRUE(insertion);
  EXPECT_EQ(store->sequence(kDecryption, id(1)), insertion->sequence());
  EXPECT_EQ(store->state(kDecryption, id(1)), RequestState::pending);
  EXPECT_EQ(take_up(1).error().code, Code::already_exists);
  EXPECT_THAT(take_up(1, 2).error().message, HasSubstr("other content"));
  EXPECT_TRUE(disk.tables["requests"].empty());
  ASSERT_TRUE(commit(*insertion));
  store->recorded(*insertion);
  ASSERT_TRUE(finish(kDecryption, 1, {7}));
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{7});
  EXPECT_TRUE(restart().empty());
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{7});
  EXPECT_TRUE(disk.tables["request_bodies"].empty());
}

TEST_F(TakenUp, IsForgottenWithoutItsCommit) {
  ASSERT_TRUE(take_up(1));
  EXPECT_TRUE(restart().empty());
  EXPECT_EQ(result(kDecryption, 1).error().code, Code::not_found);
  EXPECT_TRUE(take_up(1, 2)) << "nothing is known of its content";
}

TEST_F(TakenUp, AStopAfterItsCommitIsAFailureThatMayBeRepeatedWithTheSameContent) {
  const auto insertion = take_up(1);
  ASSERT_TRUE(insertion && commit(*insertion));
  EXPECT_TRUE(restart().empty());
  EXPECT_EQ(result(kDecryption, 1).error().code, Code::aborted);
  EXPECT_EQ(take_up(1, 2).error().code, Code::already_exists);
  const auto again = take_up(1);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->sequence(), insertion->sequence()) << "what was sent is kept under it";
  ASSERT_TRUE(commit(*again));
  store->recorded(*again);
  ASSERT_TRUE(finish(kDecryption, 1, {7}));
  restart();
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{7});
}

TEST_F(TakenUp, AfterAStopItCanBeSentAgainForPolling) {
  const auto insertion = take_up(1);
  ASSERT_TRUE(insertion && commit(*insertion));
  restart();
  ASSERT_TRUE(insert(kDecryption, 1));
  const auto pending = restart();
  ASSERT_EQ(pending.size(), 1u);
  EXPECT_EQ(pending[0].id, id(1));
  ASSERT_TRUE(finish(kDecryption, 1, {7}));
  restart();
  EXPECT_EQ(result(kDecryption, 1).value(), Bytes{7});
}

TEST_F(TakenUp, WhatIsWithdrawnWasNeverThereAndItsCallerHearsWhy) {
  const auto insertion = take_up(1);
  ASSERT_TRUE(insertion);
  Result<Bytes> got = Bytes{};
  runtime::TaskScope scope(loop);
  auto poll = [&]() -> runtime::Task<void> { got = co_await store->result(kDecryption, id(1), loop.after(60s)); };
  scope.spawn(poll());
  loop.run_ready();
  store->withdraw(*insertion, {Code::unavailable, "the disk is full"});
  loop.run(scope.join());
  EXPECT_EQ(got.error().code, Code::unavailable);
  EXPECT_EQ(result(kDecryption, 1).error().code, Code::not_found);
  EXPECT_EQ(store->count(kDecryption), 0u);

  // A failed one is as it was.
  ASSERT_TRUE(insert(kDecryption, 2));
  ASSERT_TRUE(fail_it(kDecryption, 2, {Code::deadline_exceeded, "too late"}));
  const auto again = take_up(2);
  ASSERT_TRUE(again);
  store->withdraw(*again, {Code::unavailable, "the disk is full"});
  EXPECT_EQ(result(kDecryption, 2).error().code, Code::internal);
  EXPECT_EQ(store->count(kDecryption), 1u);
}

// Two of them evict, and the later one is recorded first; the node stops before or after the other.
TEST_F(TakenUp, EvictionsAreRecordedInAnyOrder) {
  for (const bool other_too : {false, true}) {
    disk = {};
    restart();
    for (const std::uint8_t number : Bytes{1, 2, 3, 4}) {
      ASSERT_TRUE(insert(kDecryption, number));
      ASSERT_TRUE(finish(kDecryption, number));
    }
    const auto five = take_up(5), six = take_up(6);  // evict 1 and 2
    ASSERT_TRUE(five && six);
    ASSERT_TRUE(commit(*six));
    if (other_too) ASSERT_TRUE(commit(*five));
    EXPECT_TRUE(restart().empty());
    EXPECT_EQ(result(kDecryption, 1).has_value(), !other_too);
    EXPECT_EQ(result(kDecryption, 2).error().code, Code::not_found);
    for (const std::uint8_t number : Bytes{3, 4}) EXPECT_TRUE(result(kDecryption, number));
    EXPECT_EQ(result(kDecryption, 6).error().code, Code::aborted);
    EXPECT_EQ(insert(kDecryption, 2, 2).error().code, Code::already_exists);
  }
}

// Older than what was evicted, and not evicted itself: it stays, also after a restart.
TEST_F(TakenUp, WhatWasPassedOverByEvictionsStays) {
  ASSERT_TRUE(insert(kDecryption, 1));
  const auto second = take_up(2);
  ASSERT_TRUE(second && commit(*second));
  store->recorded(*second);
  for (std::uint8_t number = 3; number <= 8; ++number) {
    ASSERT_TRUE(insert(kDecryption, number)) << int{number};
    ASSERT_TRUE(finish(kDecryption, number));
    if (number == 4) {
      restart({4, 0});
      ASSERT_EQ(result(kDecryption, 2).error().code, Code::aborted);
      const auto again = take_up(2);  // pending, while younger ones are evicted
      ASSERT_TRUE(again && commit(*again));
      store->recorded(*again);
    }
  }
  const auto interrupted = restart({4, 0});
  ASSERT_EQ(interrupted.size(), 1u);
  EXPECT_EQ(interrupted[0].id, id(1));
  EXPECT_EQ(result(kDecryption, 2).error().code, Code::aborted);
  EXPECT_TRUE(take_up(2)) << "with the same content it may be repeated";
}

TEST_F(TakenUp, ARepeatedOneIsAsYoungAsItsRepetition) {
  ASSERT_TRUE(insert(kDecryption, 1));
  ASSERT_TRUE(fail_it(kDecryption, 1, {Code::deadline_exceeded, "too late"}));
  for (const std::uint8_t number : Bytes{2, 3, 4}) take_up_and_finish(number);
  ASSERT_TRUE(insert(kDecryption, 1));
  ASSERT_TRUE(finish(kDecryption, 1));
  take_up_and_finish(5);
  EXPECT_TRUE(result(kDecryption, 1));
  EXPECT_EQ(result(kDecryption, 2).error().code, Code::not_found);
}

TEST_F(TakenUp, NothingIsPromisedToOthersBeforeItsOutcome) {
  const auto insertion = take_up(1);
  ASSERT_TRUE(insertion);
  EXPECT_EQ(insert(kDecryption, 1).error().code, Code::unavailable);
  EXPECT_EQ(insert(kDecryption, 1, 2).error().code, Code::already_exists);
  ASSERT_TRUE(commit(*insertion));
  store->recorded(*insertion);
  EXPECT_EQ(insert(kDecryption, 1).error().code, Code::unavailable);
  ASSERT_TRUE(finish(kDecryption, 1));
  EXPECT_EQ(insert(kDecryption, 1).error().code, Code::already_exists);
}

TEST_F(TakenUp, MakesRoomLikeAnyOther) {
  for (std::uint8_t number = 1; number <= 9; ++number) {
    take_up_and_finish(number);
    EXPECT_EQ(store->count(kDecryption), std::min<std::size_t>(number, 4));
  }
  for (int life = 0; life < 2; ++life) {
    for (std::uint8_t number = 1; number <= 9; ++number) {
      const auto kept = result(kDecryption, number);
      EXPECT_EQ(kept.has_value(), number > 5) << int{number};
      if (!kept) EXPECT_EQ(kept.error().code, Code::not_found);
    }
    EXPECT_EQ(disk.tables["request_results"].size(), 4u);
    restart();
  }
}

// Its put_new would fail, and with it the transaction that other commits share.
TEST_F(TakenUp, AnIdWhoseResultWasEvictedIsNoticedBeforeAnyWork) {
  for (std::uint8_t number = 1; number <= 9; ++number) take_up_and_finish(number);
  for (int life = 0; life < 2; ++life) {
    const auto commits = disk.commits;
    const auto same = take_up(1), other = take_up(1, 2);
    const Status polled = insert(kDecryption, 1);
    for (const auto& error : {same.error(), other.error(), polled.error()}) EXPECT_EQ(error.code, Code::already_exists);
    EXPECT_THAT(same.error().message, testing::Not(HasSubstr("other content")));
    EXPECT_THAT(other.error().message, HasSubstr("other content"));
    EXPECT_THAT(polled.error().message, HasSubstr("is known"));
    EXPECT_THAT(result(kDecryption, 1).error().message, HasSubstr("not kept any more"));
    EXPECT_EQ(disk.commits, commits);
    EXPECT_EQ(store->count(kDecryption), 4u);
    EXPECT_TRUE(result(kDecryption, 6)) << "nothing has left for it";
    restart();
  }
}

}  // namespace
}  // namespace witan::node
