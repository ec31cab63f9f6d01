// Set keys of epochs in the private vault.
#include "node/epochs.h"

#include "mpc/set_keys_for_test.h"
#include "node/node_testing.h"

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
  static mpc::SetKeys keys_of(int role, const std::string& label = "epoch") {
    return mpc::test::make_set_keys(kCommittee, label)[Role(role).index()].duplicate();
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
};

TEST_F(EpochStoreTest, EpochsAreThereAgainAfterARestartWithTheSameMasks) {
  ByteArray<32> context{7};
  context[31] = 9;
  Bytes before;
  {
    EpochStore epochs(*vault_);
    ASSERT_TRUE(epochs.add(epoch(1), default_context_id(), EpochOrigin::provisional, keys_of(2)));
    ASSERT_TRUE(epochs.add(epoch(2), ContextId(context), EpochOrigin::robust, keys_of(2, "other")));
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
  EXPECT_EQ(first->origin, EpochOrigin::provisional);
  EXPECT_EQ(masks(*first), before);
  const Epoch* second = epochs.find(epoch(2));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->context, ContextId(context));
  EXPECT_EQ(second->origin, EpochOrigin::robust);
  EXPECT_EQ(epochs.find(epoch(3)), nullptr);
}

TEST_F(EpochStoreTest, AnEpochIsAddedOnce) {
  EpochStore epochs(*vault_);
  ASSERT_TRUE(epochs.add(epoch(1), default_context_id(), EpochOrigin::provisional, keys_of(2)));
  const Bytes before = masks(*epochs.find(epoch(1)));
  EXPECT_THAT(said(epochs.add(epoch(1), default_context_id(), EpochOrigin::robust, keys_of(2, "other"))),
              AllOf(StartsWith("ALREADY_EXISTS: "), HasSubstr(epoch(1).hex())));
  EXPECT_EQ(masks(*epochs.find(epoch(1))), before);
  EXPECT_EQ(epochs.find(epoch(1))->origin, EpochOrigin::provisional);
}

TEST_F(EpochStoreTest, AnErasedEpochIsGoneAlsoAfterARestart) {
  EpochStore epochs(*vault_);
  ASSERT_TRUE(epochs.add(epoch(1), default_context_id(), EpochOrigin::provisional, keys_of(2)));
  ASSERT_TRUE(epochs.erase(epoch(1)));
  EXPECT_EQ(epochs.find(epoch(1)), nullptr);
  EXPECT_TRUE(epochs.erase(epoch(1))) << "a second time changes nothing";
  EpochStore again(*vault_);
  ASSERT_TRUE(again.load(kCommittee, Role(2)));
  EXPECT_EQ(again.size(), 0u);
}

TEST_F(EpochStoreTest, EveryTruncationIsDataLossThatNamesTheObject) {
  ASSERT_TRUE(EpochStore(*vault_).add(epoch(1), default_context_id(), EpochOrigin::robust, keys_of(2)));
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
  ASSERT_TRUE(EpochStore(*vault_).add(epoch(1), default_context_id(), EpochOrigin::robust, keys_of(2)));
  const Bytes whole = witan::test::read_file(file(epoch(1)));
  const std::size_t origin = 4 + 32 + 32;
  const std::pair<std::size_t, std::uint8_t> cases[] = {{0, 2}, {origin, 0}, {origin, 3}, {origin + 1, 2}};
  for (const auto& [at, value] : cases) {
    Bytes bad = whole;
    bad[at] = value;
    test::write_file(file(epoch(1)), bad);
    EXPECT_THAT(load(), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("EpochData/" + epoch(1).hex()))) << at;
  }
}

TEST_F(EpochStoreTest, ARecordUnderAnotherEpochsNameIsRefused) {
  ASSERT_TRUE(EpochStore(*vault_).add(epoch(1), default_context_id(), EpochOrigin::robust, keys_of(2)));
  std::filesystem::rename(file(epoch(1)), file(epoch(2)));
  EXPECT_THAT(load(), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("EpochData/" + epoch(2).hex())));
}

TEST_F(EpochStoreTest, SetKeysOfAnotherPartyOrCommitteeAreRefused) {
  ASSERT_TRUE(EpochStore(*vault_).add(epoch(1), default_context_id(), EpochOrigin::robust, keys_of(2)));
  EXPECT_EQ(load(), "OK");
  EXPECT_THAT(load(kCommittee, 3), AllOf(StartsWith("DATA_LOSS: EpochData/" + epoch(1).hex()),
                                         HasSubstr("party 2 of 4, this node is party 3 of 4")));
  EXPECT_THAT(load(CommitteeSize::make(7, 2).value(), 2), HasSubstr("party 2 of 4, this node is party 2 of 7"));
}

TEST(EpochOrigin, HasAName) {
  EXPECT_STREQ(to_string(EpochOrigin::provisional), "provisional");
  EXPECT_STREQ(to_string(EpochOrigin::robust), "robust");
}

}  // namespace
}  // namespace witan::node
