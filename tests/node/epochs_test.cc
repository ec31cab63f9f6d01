// Epochs in the private vault.
#include "node/epochs.h"

#include "base/codec.h"
#include "mpc/draw_keys_for_test.h"
#include "node/faulty_vault.h"
#include "node/node_testing.h"
#include "runtime/loop.h"

namespace witan::node {
namespace {

using test::said;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

EpochId epoch(std::uint8_t number) {
  ByteArray<32> raw{8};
  raw[31] = number;
  return EpochId(raw);
}

class EpochStoreTest : public testing::Test {
 protected:
  static std::shared_ptr<const mpc::EpochKeys> keys_of(int role, std::uint64_t seed = 1) {
    return std::make_shared<const mpc::EpochKeys>(mpc::test::DealtEpoch(kCommittee, seed).keys(Role(role)).duplicate());
  }
  Status add(EpochStore& epochs, const EpochId& id, const ContextId& context,
             std::shared_ptr<const mpc::EpochKeys> keys) {
    return loop_.run(epochs.add(compute_, id, context, std::move(keys)));
  }
  Status add_alone() {
    EpochStore epochs(*vault_);
    return add(epochs, epoch(1), default_context_id(), keys_of(2));
  }
  static Bytes masks(const Epoch& of) {
    const auto shares = of.masks->masks(SessionId{5}, crypto::Digest{1}, 0, 2).value();
    Bytes out;
    for (const auto& share : shares.reveal())
      for (const auto& word : share.value.c) append_le(out, word);
    return out;
  }
  std::filesystem::path file(const EpochId& id) const { return folder_.path() / "PRIV" / "EpochData" / id.hex(); }
  std::string load(CommitteeSize committee = kCommittee, int role = 2) {
    EpochStore epochs(*vault_);
    return said(epochs.load(committee, Role(role)));
  }

  inline static const CommitteeSize kCommittee = CommitteeSize::make(4, 1).value();
  test::TemporaryFolder folder_;
  std::unique_ptr<store::FileVault> vault_ = folder_.private_vault();
  runtime::VirtualLoop loop_;
  runtime::InlineCompute compute_{loop_};
};

TEST_F(EpochStoreTest, EpochsAreThereAgainAfterARestartWithTheSameMasks) {
  ByteArray<32> context{7};
  context[31] = 9;
  Bytes before;
  {
    EpochStore epochs(*vault_);
    ASSERT_TRUE(add(epochs, epoch(1), default_context_id(), keys_of(2)));
    ASSERT_TRUE(add(epochs, epoch(2), ContextId(context), keys_of(2, 2)));
    before = masks(*epochs.find(epoch(1)));
    EXPECT_NE(masks(*epochs.find(epoch(2))), before);
  }
  EpochStore epochs(*vault_);
  const Status loaded = epochs.load(kCommittee, Role(2));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(epochs.size(), 2u);
  const Epoch* first = epochs.find(epoch(1));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->id, epoch(1));
  EXPECT_EQ(first->context, default_context_id());
  EXPECT_EQ(masks(*first), before);
  EXPECT_EQ(first->keys->encode().reveal(), keys_of(2)->encode().reveal());
  const Epoch* second = epochs.find(epoch(2));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->context, ContextId(context));
  EXPECT_EQ(epochs.find(epoch(3)), nullptr);
}

TEST_F(EpochStoreTest, AnEpochIsAddedOnce) {
  EpochStore epochs(*vault_);
  ASSERT_TRUE(add(epochs, epoch(1), default_context_id(), keys_of(2)));
  const Bytes before = masks(*epochs.find(epoch(1)));
  EXPECT_THAT(said(add(epochs, epoch(1), default_context_id(), keys_of(2, 2))),
              AllOf(StartsWith("ALREADY_EXISTS: "), HasSubstr(epoch(1).hex())));
  EXPECT_EQ(masks(*epochs.find(epoch(1))), before);
}

// What a failed sync has left is unknown: the next try finds it, and makes it durable.
TEST_F(EpochStoreTest, AnEpochMayBeAddedAgainAfterASyncThatFailed) {
  test::FaultyVault vault;
  vault.unknown = 1;
  EpochStore epochs(vault);
  EXPECT_THAT(said(add(epochs, epoch(1), default_context_id(), keys_of(2))), StartsWith("UNAVAILABLE: "));
  EXPECT_EQ(epochs.find(epoch(1)), nullptr);
  vault.sync_fails = true;
  EXPECT_THAT(said(add(epochs, epoch(1), default_context_id(), keys_of(2))), StartsWith("UNAVAILABLE: "));
  EXPECT_EQ(epochs.find(epoch(1)), nullptr);
  vault.sync_fails = false;
  EXPECT_THAT(said(add(epochs, epoch(1), default_context_id(), keys_of(2, 2))), StartsWith("ALREADY_EXISTS: "))
      << "other keys are other content";
  EXPECT_EQ(said(add(epochs, epoch(1), default_context_id(), keys_of(2))), "OK");
  EXPECT_EQ(vault.syncs, 1);
  EXPECT_NE(epochs.find(epoch(1)), nullptr);
  EpochStore after_restart(vault);
  EXPECT_EQ(said(after_restart.load(kCommittee, Role(2))), "OK");
  EXPECT_EQ(after_restart.find(epoch(1))->keys->encode().reveal(), keys_of(2)->encode().reveal());
}

// Layout 1: id, context, origin, and set keys alone.
TEST_F(EpochStoreTest, AProvisionalEpochIsRefusedAndSaysWhatToDo) {
  for (const std::uint8_t origin : std::initializer_list<std::uint8_t>{1, 2}) {
    Writer record;
    record.u32(1).id(epoch(1)).id(default_context_id()).u8(origin);
    record.u32(1).u8(4).u8(1).u8(2).u64(3).raw(Bytes(3 * 16, 7));
    test::write_file(file(epoch(1)), record.view());
    EXPECT_THAT(load(),
                AllOf(StartsWith("DATA_LOSS: EpochData/" + epoch(1).hex() + " in "), HasSubstr(folder_.path().string()),
                      HasSubstr("provisional"), HasSubstr("make a new epoch and new keys in a fresh folder")));
  }
}

TEST_F(EpochStoreTest, EveryTruncationIsDataLossThatNamesTheObject) {
  ASSERT_TRUE(add_alone());
  const Bytes whole = witan::test::read_file(file(epoch(1)));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    test::write_file(file(epoch(1)), ByteView(whole).first(size));
    ASSERT_THAT(load(), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("EpochData/" + epoch(1).hex()))) << size;
  }
  Bytes longer = whole;
  longer.push_back(0);
  test::write_file(file(epoch(1)), longer);
  EXPECT_THAT(load(), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("too many")));
}

TEST_F(EpochStoreTest, WhatIsOutOfRangeIsDataLoss) {
  ASSERT_TRUE(add_alone());
  const Bytes whole = witan::test::read_file(file(epoch(1)));
  const std::size_t keys = 4 + 32 + 32;
  const std::pair<std::size_t, std::uint8_t> cases[] = {{0, 3},         {0, 0},        {keys, 1},
                                                        {keys + 4, 15}, {keys + 6, 0}, {keys + 6, 5}};
  for (const auto& [at, value] : cases) {
    Bytes bad = whole;
    bad[at] = value;
    test::write_file(file(epoch(1)), bad);
    EXPECT_THAT(load(), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("EpochData/" + epoch(1).hex()))) << at;
  }
}

TEST_F(EpochStoreTest, ARecordUnderAnotherEpochsNameIsRefused) {
  ASSERT_TRUE(add_alone());
  std::filesystem::rename(file(epoch(1)), file(epoch(2)));
  EXPECT_THAT(load(), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("EpochData/" + epoch(2).hex())));
}

TEST_F(EpochStoreTest, KeysOfAnotherPartyOrCommitteeAreRefused) {
  ASSERT_TRUE(add_alone());
  EXPECT_EQ(load(), "OK");
  EXPECT_THAT(load(kCommittee, 3), AllOf(StartsWith("DATA_LOSS: EpochData/" + epoch(1).hex()),
                                         HasSubstr("party 2 of 4, this node is party 3 of 4")));
  EXPECT_THAT(load(CommitteeSize::make(7, 2).value(), 2), HasSubstr("party 2 of 4, this node is party 2 of 7"));
}

}  // namespace
}  // namespace witan::node
