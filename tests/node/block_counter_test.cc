#include "node/block_counter.h"

#include <gtest/gtest.h>

#include "runtime/fake_journal.h"
#include "runtime/loop.h"

namespace witan::node {
namespace {

KeyId key(std::uint8_t number) {
  ByteArray<32> raw{4};
  raw[31] = number;
  return KeyId(raw);
}

class BlockCounterTest : public testing::Test {
 protected:
  void commit(runtime::Change change) {
    std::vector<runtime::Change> changes;
    changes.push_back(std::move(change));
    ASSERT_TRUE(loop.run(journal->commit(std::move(changes))));
  }
  /// The journal is read again, as after the end of the process.
  void restart() { journal = std::make_unique<runtime::FakeJournal>(loop, disk); }

  runtime::VirtualLoop loop;
  runtime::FakeDisk disk;
  std::unique_ptr<runtime::FakeJournal> journal = std::make_unique<runtime::FakeJournal>(loop, disk);
};

TEST_F(BlockCounterTest, CountsPerKeyAndEpochAlsoAcrossARestart) {
  const EpochId epoch = default_epoch_id();
  {
    BlockCounter counter(*journal);
    EXPECT_EQ(counter.total(key(1), epoch).value(), 0u);
    const auto first = counter.add(key(1), epoch, 10).value();
    EXPECT_EQ(first.total, 10u);
    EXPECT_FALSE(first.alarm);
    EXPECT_EQ(counter.add(key(1), epoch, 5).value().total, 15u);
    commit(counter.record(key(1), epoch));  // of the second; the first, which ends later, does not take it back
    commit(counter.record(key(1), epoch));
    EXPECT_EQ(counter.add(key(2), epoch, 7).value().total, 7u);
    commit(counter.record(key(2), epoch));
  }
  restart();
  BlockCounter counter(*journal);
  EXPECT_EQ(counter.total(key(1), epoch).value(), 15u);
  EXPECT_EQ(counter.total(key(2), epoch).value(), 7u);
  EXPECT_EQ(counter.total(key(3), epoch).value(), 0u);
  EXPECT_EQ(counter.add(key(1), epoch, 1).value().total, 16u);
  ByteArray<32> other = epoch.bytes();
  other[31] ^= 1;
  EXPECT_EQ(counter.total(key(1), EpochId(other)).value(), 0u);
}

TEST_F(BlockCounterTest, AlarmsFromTheLimitOn) {
  const EpochId epoch = default_epoch_id();
  BlockCounter counter(*journal);
  EXPECT_FALSE(counter.add(key(1), epoch, BlockCounter::kAlarmBlocks - 1).value().alarm);
  EXPECT_TRUE(counter.add(key(1), epoch, 1).value().alarm);
  commit(counter.record(key(1), epoch));
  EXPECT_TRUE(BlockCounter(*journal).add(key(1), epoch, 1).value().alarm);
  EXPECT_FALSE(counter.add(key(2), epoch, 1).value().alarm);
  EXPECT_EQ(counter.add(key(1), epoch, ~std::uint64_t{0}).value().total, ~std::uint64_t{0}) << "must not wrap";
}

TEST_F(BlockCounterTest, ADamagedTotalIsAnError) {
  const EpochId epoch = default_epoch_id();
  BlockCounter counter(*journal);
  ASSERT_TRUE(counter.add(key(1), epoch, 1));
  auto change = counter.record(key(1), epoch);
  change.value.pop_back();
  commit(std::move(change));
  const auto total = BlockCounter(*journal).add(key(1), epoch, 1);
  ASSERT_FALSE(total);
  EXPECT_EQ(total.error().code, Code::data_loss);
  EXPECT_NE(total.error().message.find(key(1).hex()), std::string::npos);
}

}  // namespace
}  // namespace witan::node
