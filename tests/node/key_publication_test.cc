// What must not be published is not: keys that are not confirmed, or whose objects are not what was confirmed. Who is to blame is named.
#include "node/key_generator_world.h"

namespace witan::node::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The disk of one party keeps other bytes than those that were confirmed: the others have the key.
TEST_F(KeyGeneratorTest, AKeyWhoseObjectsAreNotOnTheDiskAsTheyWereWrittenIsNotPublished) {
  start();
  std::uint8_t number = 0;
  for (const std::string type : {kKeySetType, kPublicKeyType}) {
    const auto of = preproc(++number);
    make_material(of);
    crypto::Digest found;
    disk(2).public_vault.on_finish = [&](const runtime::ObjectName& name, Bytes& content) {
      if (name.type != type) return;
      content.at(content.size() - 100) ^= 0x10;
      found = crypto::tagged_hash(crypto::separators::kKeyObject, content);
    };
    for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(number), of), "OK");
    for (const int i : {1, 3, 4}) EXPECT_EQ(said(party(i).result(RequestKind::keygen, key(number).bytes())), "OK") << i;
    const auto& digests = party(1).keys.find(key(number), default_epoch_id())->digests;
    const auto& signed_elsewhere = std::ranges::find(digests, type, &PublishedDigest::type)->digest;
    const runtime::ObjectName name{type, std::nullopt, key(number).bytes()};
    EXPECT_THAT(
        said(party(2).result(RequestKind::keygen, key(number).bytes())),
        AllOf(HasSubstr("the public object " + name.path() + " is not what was written"),
              HasSubstr("expected digest " + to_hex(signed_elsewhere)), HasSubstr("found digest " + to_hex(found))));
    EXPECT_TRUE(disk(2).public_vault.inner.objects.empty());
    EXPECT_EQ(disk(2).private_vault.inner.objects.size(), 1u) << "the epoch";
    EXPECT_EQ(party(2).keys.find(key(number), default_epoch_id()), nullptr);
    pass(100ms);
    EXPECT_EQ(materials(2), 0u);
  }
}

// All rows of a component are wrong, at everybody alike: the confirmation alone can see it.
TEST_F(KeyGeneratorTest, AKeyThatIsNotConfirmedIsPublishedByNobodyAndItsMaterialIsUsedUp) {
  start();
  make_material(preproc(1));
  const auto components = plan().components;
  const auto packing = std::ranges::find(components, tfhe::ComponentKind::sns_compression_packing,
                                         [](const auto& one) { return one.component.kind; });
  const auto order = protocols::KeyMaterial(plan()).noises.at(static_cast<std::size_t>(packing - components.begin()));
  for (int i = 1; i <= kParties; ++i) loop->run(spoil(i, preproc(1), order, test::SeededRng("the same for all")));
  LogLines log;
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  for (int i = 1; i <= kParties; ++i) {
    // The answer to GetKeyGenResult, which would hold the digests and the signature.
    EXPECT_THAT(said(party(i).result(RequestKind::keygen, key(1).bytes())),
                AllOf(StartsWith("INTERNAL: "), HasSubstr("BigCompressed to "),
                      HasSubstr(" (wrong); suspect: rows of "), HasSubstr("The key must not be published or used")));
    EXPECT_TRUE(disk(i).public_vault.inner.objects.empty()) << i;
    EXPECT_EQ(disk(i).private_vault.inner.objects.size(), 1u) << "the epoch";
    EXPECT_EQ(party(i).keys.find(key(1), default_epoch_id()), nullptr) << i;
  }
  pass(100ms);
  for (int i = 1; i <= kParties; ++i) {
    EXPECT_EQ(materials(i), 0u) << i;
    EXPECT_THAT(generate(i, key(2), preproc(1)), StartsWith("NOT_FOUND")) << i;
  }
  EXPECT_EQ(log.count("key " + key(1).hex() + ": failed after ", "suspect: rows of SnS compression packing key, or "),
            kParties)
      << "each node says which component is suspect";
  EXPECT_EQ(log.count("generated in"), 0);
}

// Its shares of the keys are not those of the others, who say so in the online phase and in the confirmation, and have the key.
TEST_F(KeyGeneratorTest, APartyWithWrongSharesOfTheKeysIsNamedAndPublishesNothing) {
  start();
  make_material(preproc(1));
  loop->run(spoil(2, preproc(1), protocols::KeyMaterial(plan()).bits.value(), test::SeededRng("of party 2")));
  // Nobody is done before it has heard the liar: 2t+1 honest shares are there when party 4 has been asked again.
  const SessionId confirmation = crypto::session_id(key(1).bytes(), crypto::SessionKind::key_confirmation, 0, 0);
  runtime::RoleSet lost;
  network->set_filter([&](Role from, Role to, const runtime::Frame& frame, runtime::Lane) {
    if (from != Role(4) || frame.session != confirmation || frame.kind != runtime::FrameKind::data) return true;
    return std::exchange(lost, lost | runtime::RoleSet{to}).contains(to);
  });
  LogLines log;
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  for (const int i : {1, 3, 4}) EXPECT_EQ(said(party(i).result(RequestKind::keygen, key(1).bytes())), "OK") << i;
  EXPECT_THAT(said(party(2).result(RequestKind::keygen, key(1).bytes())),
              AllOf(HasSubstr("the shares of this party 2 are not those that parties 1, 3, 4 agree on"),
                    HasSubstr("this party must not publish the key")));
  EXPECT_TRUE(disk(2).public_vault.inner.objects.empty());
  EXPECT_EQ(disk(2).private_vault.inner.objects.size(), 1u) << "the epoch";
  const std::string of_key = "key " + key(1).hex() + ": ";
  // Parties 1 to 3 for certain, of which 2 speaks of itself; party 4 may have what it needs before it has heard party 2.
  EXPECT_GE(log.count(of_key + "party 2 sent wrong shares, or makes another key"), 3);
  EXPECT_GE(log.count(of_key + "in its confirmation parties 2 sent wrong shares, parties none shares of other content"),
            3);
  for (const int honest : {1, 3, 4})
    EXPECT_EQ(log.count(fmt::format("party {} sent wrong shares", honest)), 0) << honest;
}

// 2t+1 agree before it is heard. They publish at once, and name it when it comes.
TEST_F(KeyGeneratorTest, ALiarThatIsHeardAfterTheKeyWasConfirmedIsNamedAndDelaysNothing) {
  start();
  make_material(preproc(1));
  loop->run(spoil(2, preproc(1), protocols::KeyMaterial(plan()).bits.value(), test::SeededRng("of party 2")));
  const SessionId confirmation = crypto::session_id(key(1).bytes(), crypto::SessionKind::key_confirmation, 0, 0);
  bool is_late = true;
  network->set_filter([&](Role from, Role, const runtime::Frame& frame, runtime::Lane) {
    return from != Role(2) || frame.session != confirmation || frame.kind != runtime::FrameKind::data || !is_late;
  });
  LogLines log;
  const runtime::Instant asked = loop->now();
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  for (const int i : {1, 3, 4}) EXPECT_EQ(said(party(i).result(RequestKind::keygen, key(1).bytes())), "OK") << i;
  EXPECT_LT(loop->now() - asked, 5s);
  EXPECT_EQ(party(1).progress(RequestKind::keygen, key(1).bytes()), "none") << "another key can be generated";
  is_late = false;
  pass(kWatchLateShares);
  const std::string of_key = "key " + key(1).hex() + ": ";
  EXPECT_EQ(log.count(of_key + "in its confirmation parties "), 1) << "party 2 of itself";
  EXPECT_EQ(log.count(of_key + "party 2 sent wrong shares, after the key was confirmed"), 3);
  EXPECT_EQ(log.count(", after the key was confirmed"), 3);
}

}  // namespace
}  // namespace witan::node::test
