#include "node/key_confirmation.h"

#include <thread>

#include "mpc/set_keys_for_test.h"
#include "node/block_counter.h"
#include "node_testing.h"
#include "runtime/fake_journal.h"
#include "runtime/memory_network.h"
#include "support/memory_meter.h"
#include "tfhe/evaluate.h"
#include "tfhe/keygen.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using algebra::Gr;
using algebra::Share;
using algebra::Z128;
using runtime::ComputePool;
using runtime::Task;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kParties = 4;

KeyId key_id() {
  return KeyId(ByteArray<32>{4, 1});
}
EpochId epoch_id() {
  return EpochId(ByteArray<32>{8, 1});
}

/// A dealt key set and everybody's shares of the two keys that decrypt.
struct Dealt {
  explicit Dealt(std::string_view name) : Dealt(tfhe::params_by_name(name).value()) {}
  explicit Dealt(tfhe::Params of) : params(std::move(of)) {
    test::SeededRng rng("key confirmation of nodes");
    const auto committee = CommitteeSize::make(kParties, 1).value();
    const auto keys = tfhe::generate_secret_keys(params, rng);
    tfhe::RngNoise noise(rng);
    set = tfhe::generate_key_set(params, keys, rng.next<u128>(), noise, {.tag = Bytes(32, 4), .progress = {}});
    std::vector<std::shared_ptr<protocols::KeyShares>> made;
    for (int i = 0; i < kParties; ++i) made.push_back(std::make_shared<protocols::KeyShares>());
    for (const auto key : {tfhe::KeyName::sns, tfhe::KeyName::sns_compression}) {
      std::vector<std::vector<Share<Z128>>> by_party(kParties);
      for (const std::uint8_t bit : keys.bits(key)) {
        const auto dealt = algebra::deal<Z128>(Gr<Z128>::from_base(bit), 1, kParties, rng);
        for (std::size_t i = 0; i < kParties; ++i) by_party[i].push_back(dealt[i]);
      }
      for (std::size_t i = 0; i < kParties; ++i)
        made[i]->keys[static_cast<std::size_t>(key)] = protocols::SharedKey(by_party[i]);
    }
    shares.assign(made.begin(), made.end());
    for (const auto& own : mpc::test::make_set_keys(committee, std::string("nodes")))
      masks.push_back(std::make_shared<mpc::MaskGenerator>(own));
  }

  tfhe::Params params;
  tfhe::CompressedKeySet set;
  std::vector<std::shared_ptr<const protocols::KeyShares>> shares;
  std::vector<std::shared_ptr<const mpc::MaskGenerator>> masks;
};

/// Four nodes on a loop with real threads: what confirm_key() needs of each.
struct Nodes {
  struct One {
    One(runtime::ThreadLoop& loop, runtime::MemoryNetwork& network, Role with)
        : role(with),
          journal(loop, disk),
          router(loop, network.link(with)),
          vault(folder.private_vault()),
          disk_wait(loop, "key confirmation") {
      network.attach(role, &router);
    }
    const Role role;
    test::TemporaryFolder folder;
    runtime::FakeDisk disk;
    runtime::FakeJournal journal;
    runtime::Router router;
    std::unique_ptr<store::FileVault> vault;
    DiskWait disk_wait;
  };
  Nodes() {
    for (int i = 1; i <= kParties; ++i) all.push_back(std::make_unique<One>(loop, network, Role(i)));
  }
  ~Nodes() {
    for (const auto& one : all) network.attach(one->role, nullptr);
  }

  /// Everybody's answer.
  using Confirmed = Result<std::unique_ptr<protocols::KeyConfirmation>>;
  std::vector<Confirmed> confirm(const Dealt& dealt, std::shared_ptr<const tfhe::CompressedKeySet> set,
                                 KeyId key = key_id(), bool resumed = false) {
    std::vector<Task<Confirmed>> running;
    for (std::size_t i = 0; i < kParties; ++i)
      running.push_back(confirm_key({all[i]->router, all[i]->journal, compute, *all[i]->vault, all[i]->disk_wait},
                                    {.key = key,
                                     .epoch = epoch_id(),
                                     .set = set,
                                     .shares = dealt.shares[i],
                                     .masks = dealt.masks[i],
                                     .sequence = 3,
                                     .resumed = resumed},
                                    60s));
    return loop.run(runtime::when_all(std::move(running)));
  }

  runtime::ThreadLoop loop;
  runtime::MemoryNetwork network{loop, CommitteeSize::make(kParties, 1).value()};
  std::vector<std::unique_ptr<One>> all;
  ComputePool compute{loop, {.urgent_threads = 1, .heavy_threads = 1, .preprocessing_threads = 2}};
};

TEST(KeyConfirmation, KeepsTheTestCiphertextOfAKeyThatIsConfirmedAndCountsItsBlocks) {
  const Dealt dealt("test");
  Nodes nodes;
  const auto set = std::make_shared<const tfhe::CompressedKeySet>(dealt.set);
  for (const auto& status : nodes.confirm(dealt, set)) EXPECT_EQ(test::said(status), "OK");
  std::optional<tfhe::TestCiphertext> first;
  for (const auto& one : nodes.all) {
    const auto kept = load_test_ciphertext(*one->vault, key_id(), dealt.params);
    ASSERT_TRUE(kept) << kept.error().message;
    if (!first) first = *kept;
    EXPECT_EQ(*kept, *first);
    EXPECT_EQ(BlockCounter(one->journal).total(key_id(), epoch_id()).value(), 32u);
    // Whoever comes late finds in the journal what was sent.
    protocols::JournalSentStore store(one->journal);
    const auto session = crypto::session_id(key_id().bytes(), crypto::SessionKind::key_confirmation, 0, 0);
    const auto sent = nodes.loop.run(store.find(session, protocols::kDecryptShares, Role(1)));
    EXPECT_EQ(sent.kind, runtime::SentLookup::Kind::found);
    EXPECT_EQ(sent.payload->size(), 2 * 32u + 32u * 64u);
    EXPECT_TRUE(erase_test_ciphertext(*one->vault, key_id()));
    EXPECT_THAT(test::said(load_test_ciphertext(*one->vault, key_id(), dealt.params)), StartsWith("NOT_FOUND"));
  }
}

// A node that stopped between the confirmation and the publication does it again.
TEST(KeyConfirmation, IsRepeatedWithTheSameMessagesAfterARestart) {
  const Dealt dealt("test");
  Nodes nodes;
  const auto set = std::make_shared<const tfhe::CompressedKeySet>(dealt.set);
  for (const auto& status : nodes.confirm(dealt, set)) EXPECT_EQ(test::said(status), "OK");
  const auto sent = nodes.all[0]->disk.tables.at(protocols::kSentTable);
  for (const auto& status : nodes.confirm(dealt, set, key_id(), true)) EXPECT_EQ(test::said(status), "OK");
  EXPECT_EQ(nodes.all[0]->disk.tables.at(protocols::kSentTable), sent);
  EXPECT_TRUE(load_test_ciphertext(*nodes.all[0]->vault, key_id(), dealt.params));
}

// It is kept for late shares when the key is there already, or erased.
TEST(KeyConfirmation, LetsTheSharesOfTheKeyGo) {
  const Dealt dealt("test");
  Nodes nodes;
  auto bad = std::make_shared<tfhe::CompressedKeySet>(dealt.set);
  for (auto& word : tfhe::component_bodies<u128>(*bad, tfhe::ComponentKind::sns_bsk)) word = 1;
  for (const bool good : {false, true}) {
    const auto ended = nodes.confirm(dealt, good ? std::make_shared<tfhe::CompressedKeySet>(dealt.set) : bad,
                                     KeyId(ByteArray<32>{4, static_cast<std::uint8_t>(good ? 2 : 3)}));
    for (std::size_t i = 0; i < kParties; ++i) {
      EXPECT_EQ(ended[i].has_value(), good);
      const auto held = [&] { return dealt.shares[i].use_count() > 1 || dealt.masks[i].use_count() > 1; };
      for (int tries = 0; tries < 500 && held(); ++tries) std::this_thread::sleep_for(10ms);  // kernels end
      EXPECT_FALSE(held()) << i;
    }
  }
}

TEST(KeyConfirmation, LeavesNothingOfAKeyThatIsNot) {
  const Dealt dealt("test");
  Nodes nodes;
  test::SeededRng rng("bad rows");
  auto set = std::make_shared<tfhe::CompressedKeySet>(dealt.set);
  for (auto& word : tfhe::component_bodies<u128>(*set, tfhe::ComponentKind::sns_bsk)) word = rng.next<u128>();
  for (const auto& status : nodes.confirm(dealt, set)) {
    EXPECT_THAT(test::said(status), StartsWith("INTERNAL"));
    EXPECT_THAT(test::said(status), HasSubstr("SnS bootstrap key"));
  }
  for (const auto& one : nodes.all)
    EXPECT_THAT(test::said(load_test_ciphertext(*one->vault, key_id(), dealt.params)), StartsWith("NOT_FOUND"));
  // What was opened under this id stays bound to it: another key set is refused.
  for (const auto& status : nodes.confirm(dealt, std::make_shared<const tfhe::CompressedKeySet>(dealt.set)))
    EXPECT_THAT(test::said(status), StartsWith("ALREADY_EXISTS"));
}

TEST(KeyConfirmation, ADamagedRecordIsNoTestCiphertext) {
  const Dealt dealt("test");
  test::TemporaryFolder folder;
  const auto vault = folder.private_vault();
  ASSERT_TRUE(vault->put({"KeyConfirmation", std::nullopt, key_id().bytes()}, Bytes(100, 1)));
  EXPECT_THAT(test::said(load_test_ciphertext(*vault, key_id(), dealt.params)),
              StartsWith("DATA_LOSS: KeyConfirmation/"));
}

// Rows are expanded a few at a time, and forgotten.
TEST(KeyConfirmation, HoldsAFewRowsOfTheExpandedKeysAtATime) {
  tfhe::Params params = tfhe::params_by_name("witan_toy_b").value();
  params.compute.lwe_dimension = 256;
  const Dealt dealt(std::move(params));
  Nodes nodes;
  const auto set = std::make_shared<const tfhe::CompressedKeySet>(dealt.set);
  {
    const witan::test::MemoryMeter meter;
    const auto expanded = tfhe::prepare_sns_key(set->server_key);
    ASSERT_TRUE(expanded);
    EXPECT_GT(meter.held_bytes(), 20u << 20);  // the largest of five
  }
  const witan::test::MemoryMeter meter;
  const auto made = nodes.loop.run(protocols::make_test_ciphertext(nodes.compute, set, key_id()));
  ASSERT_TRUE(made);
  EXPECT_LT(meter.peak_bytes(), 4u << 20);
}

}  // namespace
}  // namespace witan::node
