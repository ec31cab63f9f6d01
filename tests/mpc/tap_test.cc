#include "mpc/tap_for_test.h"

#include <gtest/gtest.h>

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::RoleSet;
using runtime::sim::Node;
using runtime::sim::World;

const Bytes kSecret{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

Bytes around(const Bytes& secret, std::size_t before) {
  Bytes out(before, 0x77);
  append(out, secret);
  out.push_back(0x77);
  return out;
}

/// Party 2 sends this to party 3; does the tap allow it?
Status after_sending(const Bytes& payload, const test::Secrets& secrets, bool liar = false) {
  World world({.seed = 1, .committee = CommitteeSize::make(4, 1).value(), .router = {}},
              [&](Node& node) -> runtime::Task<void> {
                if (node.role() != Role(2)) co_return;
                (void)node.link().send(Role(3),
                                       {runtime::FrameKind::data, {u128{5}}, 9, runtime::make_payload(Bytes(payload))},
                                       runtime::Lane::urgent);
                co_await node.loop().sleep_for(1s);
              });
  world.faults(Role(2)).byzantine = liar;
  world.set_required(RoleSet{Role(2)});
  test::Tap tap(world);
  world.run(2s);
  return tap.keeps(secrets);
}

TEST(Tap, SeesASecretAtEveryOffsetOfWhatAnHonestPartySends) {
  test::Secrets secrets;
  secrets.add(kSecret, "the secret");
  for (std::size_t before = 0; before < 40; ++before) {
    const Status seen = after_sending(around(kSecret, before), secrets);
    ASSERT_FALSE(seen) << before;
    EXPECT_NE(seen.error().message.find("party 2 sent the secret in step 9"), std::string::npos)
        << seen.error().message;
  }
}

TEST(Tap, AllowsWhatIsNoSecretOrMayGoThereOrComesFromALiar) {
  test::Secrets secrets, for_party_3;
  secrets.add(kSecret, "the secret");
  for_party_3.add(kSecret, "a share of party 3", RoleSet{Role(3)});
  Bytes other = kSecret;
  other.back() ^= 1;
  EXPECT_TRUE(after_sending(around(other, 3), secrets));
  EXPECT_TRUE(after_sending(around(kSecret, 3), for_party_3));
  EXPECT_TRUE(after_sending(around(kSecret, 3), secrets, true));
}

}  // namespace
}  // namespace witan::mpc
