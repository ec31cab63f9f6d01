#include "mpc/epoch_keys.h"

#include <gtest/gtest.h>

#include "mpc/set_keys_for_test.h"
#include "support/support.h"

namespace witan::mpc {
namespace {

EpochKeys make_keys(CommitteeSize committee, Role self) {
  witan::test::SeededRng rng(static_cast<std::uint64_t>(self.number()));
  std::vector<SetKey> zero_keys;
  for (const PartySet excluded : zero_sets(committee))
    if (!excluded.contains(self)) zero_keys.push_back(rng.bytes<16>());
  std::vector<Share<Z64>> shares;
  for (std::size_t i = 0; i < zero_sets(committee).size(); ++i) shares.push_back({algebra::random_element<Z64>(rng)});
  return {test::make_set_keys(committee, "epoch keys")[self.index()].duplicate(),
          ZeroKeys(committee, self, Secret(std::move(zero_keys))), Secret(std::move(shares))};
}

// tests/data/mpc/hash.json
TEST(AgreedKey, VectorOfTheSpec) {
  const auto vectors = witan::test::read_json("mpc/hash.json");
  const auto& e = vectors.at("agree_random_robust");
  const Bytes element = witan::test::hex(e.at("r").get<std::string>());
  ASSERT_EQ(element.size(), 64u);
  EXPECT_EQ(to_hex(agreed_key(Gr<Z128>::decode(element.data()))), e.at("key").get<std::string>());
  const Bytes expected = crypto::shake256(
      [&] {
        Bytes input;
        append(input, "AGREERND");
        append(input, ByteView(element).first(32));
        return input;
      }(),
      16);
  EXPECT_EQ(to_hex(agreed_key(Gr<Z64>::decode(element.data()))), to_hex(expected));
}

TEST(EpochKeys, RecordsHoldEverything) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const EpochKeys keys = make_keys(committee, Role(3));
    const auto record = keys.encode();
    const auto again = EpochKeys::decode(record.reveal());
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->committee(), committee);
    EXPECT_EQ(again->self(), Role(3));
    ASSERT_EQ(again->set_keys().size(), keys.set_keys().size());
    for (std::size_t i = 0; i < keys.set_keys().size(); ++i)
      EXPECT_EQ(again->set_keys().key(i), keys.set_keys().key(i));
    ASSERT_TRUE(std::ranges::equal(again->zero_keys().sets(), keys.zero_keys().sets()));
    for (std::size_t i = 0; i < keys.zero_keys().size(); ++i)
      EXPECT_EQ(again->zero_keys().key(i), keys.zero_keys().key(i));
    for (std::size_t i = 0; i < zero_sets(committee).size(); ++i)
      EXPECT_EQ(again->zero_share(i).value, keys.zero_share(i).value);
    EXPECT_EQ(again->encode().reveal(), record.reveal());
    EXPECT_EQ(keys.duplicate().encode().reveal(), record.reveal());
  }
}

TEST(EpochKeys, DamagedRecordsAreDataLoss) {
  const auto committee = CommitteeSize::make(4, 1).value();
  const EpochKeys keys = make_keys(committee, Role(2));
  const auto record = keys.encode();
  const Bytes& good = record.reveal();
  const auto refused = [](ByteView bytes) {
    const auto decoded = EpochKeys::decode(bytes);
    return !decoded && decoded.error().code == Code::data_loss;
  };
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_TRUE(refused(ByteView(good).first(size))) << size;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_TRUE(refused(longer));
  // Layout, n, t, role out of range, the three counts; keys and shares are any bytes.
  const std::size_t first_count = 7, second_count = first_count + 8 + 3 * 16, third_count = second_count + 8 + 3 * 16;
  for (const std::size_t at : {std::size_t{0}, std::size_t{3}, std::size_t{4}, std::size_t{5}, first_count,
                               first_count + 7, second_count, second_count + 7, third_count, third_count + 7}) {
    Bytes bad = good;
    bad[at] ^= 0x40;
    EXPECT_TRUE(refused(bad)) << at;
  }
  Bytes bad = good;
  bad[6] = 5;  // a role that the committee does not have
  EXPECT_TRUE(refused(bad));
  Bytes set_keys_alone(good.begin(), good.begin() + second_count);
  set_keys_alone[0] = 1;
  EXPECT_TRUE(refused(set_keys_alone)) << "layout 1";
  const auto without_family = CommitteeSize::make(7, 1).value();
  Bytes other = good;
  other[4] = static_cast<std::uint8_t>(without_family.parties());
  EXPECT_TRUE(refused(other));
}

}  // namespace
}  // namespace witan::mpc
