#include "mpc/calls.h"

#include <gtest/gtest.h>

#include "runtime/sim.h"

namespace witan::mpc {
namespace {

using runtime::RoleSet;

class CallsTest : public testing::Test {
 protected:
  CallsTest() {
    runtime::sim::SimRng rng(5);
    for (int i = 0; i < 4; ++i) keys_.push_back(crypto::SigningKey::generate(rng));
  }
  Calls calls(int party, std::string_view attempt, RoleSet callers) const {
    Signatories out{.own = &keys_[Role(party).index()], .keys = {}};
    for (const auto& key : keys_) out.keys.push_back(key.verifying_key());
    return {out, Bytes(attempt.begin(), attempt.end()), callers};
  }
  const RoleSet all_ = RoleSet::all(CommitteeSize::make(4, 1).value());

 private:
  std::vector<crypto::SigningKey> keys_;
};

TEST_F(CallsTest, NamesItsCallerAndAttempt) {
  const auto signature = calls(2, "attempt 1", all_).sign();
  Calls mine = calls(1, "attempt 1", all_), other = calls(1, "attempt 2", all_);
  EXPECT_FALSE(mine.take(Role(3), signature));
  EXPECT_FALSE(other.take(Role(2), signature));
  EXPECT_FALSE(mine.take(Role(2), ByteView(signature).first(63)));
  EXPECT_EQ(mine.known(), RoleSet{});
  EXPECT_TRUE(mine.take(Role(2), signature));
  EXPECT_EQ(mine.known(), RoleSet{Role(2)});
}

// A liar may show its call to some parties only, and junk to all: they must judge the junk alike.
TEST_F(CallsTest, WhetherOneIsValidDoesNotDependOnWhatIsKnown) {
  const auto signature = calls(2, "a", all_).sign();
  Calls knows = calls(1, "a", all_), does_not = calls(3, "a", all_);
  ASSERT_TRUE(knows.take(Role(2), signature));
  auto junk = signature;
  junk[5] ^= 1;
  EXPECT_FALSE(does_not.take(Role(2), junk));
  EXPECT_FALSE(knows.take(Role(2), junk));
  Bytes report = knows.encode();
  report.back() ^= 1;
  EXPECT_FALSE(does_not.take_all(report));
  EXPECT_FALSE(knows.take_all(report));
  EXPECT_TRUE(knows.take(Role(2), signature));
}

TEST_F(CallsTest, OfOthersThanItsCallersAreNotValid) {
  const auto signature = calls(2, "a", all_).sign();
  Calls everybody = calls(1, "a", all_), few = calls(1, "a", RoleSet{Role(3), Role(4)});
  EXPECT_FALSE(few.take(Role(2), signature));
  EXPECT_TRUE(everybody.take(Role(2), signature));
  EXPECT_TRUE(everybody.take(Role(3), calls(3, "a", all_).sign()));
  few.take_all(everybody);
  EXPECT_EQ(few.known(), RoleSet{Role(3)});
  EXPECT_FALSE(few.take_all(everybody.encode()));
}

TEST_F(CallsTest, AreReadAsWrittenAndNotOtherwise) {
  Calls two = calls(1, "a", all_);
  EXPECT_TRUE(two.encode().empty());
  for (const int party : {2, 4}) EXPECT_TRUE(two.take(Role(party), calls(party, "a", all_).sign()));
  const Bytes encoded = two.encode();
  EXPECT_LE(encoded.size(), Calls::kMaxBytes);
  const auto read = [&](ByteView bytes) { return calls(3, "a", all_).take_all(bytes); };
  EXPECT_EQ(read(encoded), (RoleSet{Role(2), Role(4)}));
  for (std::size_t size = 0; size < encoded.size(); ++size) EXPECT_FALSE(read(ByteView(encoded).first(size))) << size;
  for (std::size_t at = 0; at < encoded.size(); at += 7) {
    Bytes wrong = encoded;
    wrong[at] ^= 0x10;
    EXPECT_FALSE(read(wrong)) << at;
  }
  Bytes longer = encoded;
  longer.push_back(0);
  EXPECT_FALSE(read(longer));
}

}  // namespace
}  // namespace witan::mpc
