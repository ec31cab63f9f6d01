#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "mpc/broadcast_world.h"

namespace witan::mpc {
namespace {

using namespace test;

// S29: a signature says in which session, broadcast and committee, and about whom.
TEST(BroadcastMessages, EverySignatureCoversItsContext) {
  const Plan plan{.committee = CommitteeSize::make(4, 1).value()};
  const Context context = context_of(plan, 3);
  std::vector<Context> contexts(5, context);
  contexts[1].session.value ^= 1;
  contexts[2].first_step += 1;
  contexts[3].number += 1;
  contexts[4].active.erase(Role(2));
  const crypto::Digest hash = broadcast::message_hash(as_bytes("m"));
  std::set<crypto::Digest> digests{hash};
  for (const Context& other : contexts) {
    digests.insert(SignedVector{{{Role(1), hash}}, {}}.digest(other));
    digests.insert(broadcast::relay_digest(other, Role(1), hash));
  }
  digests.insert(broadcast::relay_digest(context, Role(2), hash));
  digests.insert(SignedVector{{{Role(2), hash}}, {}}.digest(context));
  digests.insert(SignedVector{{}, {}}.digest(context));
  EXPECT_EQ(digests.size(), 1 + 2 * contexts.size() + 3);
}

// An absent message is no hash at all, whatever its bits; and everything has one encoding.
TEST(BroadcastMessages, AreReadAsWrittenAndNotOtherwise) {
  const Plan plan{.committee = CommitteeSize::make(4, 1).value()};
  const Context context = context_of(plan, 0);
  const crypto::Digest hash = broadcast::message_hash(as_bytes("m")), other = broadcast::message_hash({});
  const SignedVector vector = signed_vector(context, Role(1), {{Role(2), hash}, {Role(4), crypto::Digest{}}});
  EXPECT_FALSE(vector.at(Role(1)));
  EXPECT_TRUE(vector.at(Role(4)));
  Evidence evidence;
  for (const int i : {1, 3, 4})
    evidence.vectors.emplace(Role(i), signed_vector(context, Role(i), {{Role(2), hash}, {Role(i), other}}));
  evidence.relays.emplace(Role(3), signed_relay(context, Role(3), Role(2), hash));

  const auto reads_vector = [&](ByteView bytes) { return SignedVector::decode(bytes, plan.active).has_value(); };
  const auto reads_evidence = [&](ByteView bytes) { return Evidence::decode(bytes, plan.active, Role(2)).has_value(); };
  EXPECT_EQ(SignedVector::decode(vector.encode(), plan.active).value(), vector);
  EXPECT_EQ(Evidence::decode(evidence.encode(), plan.active, Role(2)).value().encode(), evidence.encode());
  EXPECT_EQ(*Evidence::decode(evidence.encode(), plan.active, Role(2)).value().hash(Role(2)), hash);
  for (const auto& [bytes, reads] : {std::pair<Bytes, std::function<bool(ByteView)>>(vector.encode(), reads_vector),
                                     {evidence.encode(), reads_evidence}}) {
    for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(reads(ByteView(bytes).first(size))) << size;
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(reads(longer));
    Bytes stranger = bytes;
    stranger[0] |= 0x10;  // party 5 of four
    EXPECT_FALSE(reads(stranger));
    stranger.insert(stranger.begin() + 2, 32, 0);
    EXPECT_FALSE(reads(stranger));
  }
  EXPECT_FALSE(Evidence::decode(evidence.encode(), plan.active, Role(3)));  // one vector has a hash there
  EXPECT_FALSE(Evidence::decode(evidence.encode(), plan.active - RoleSet{Role(3)}, Role(2)));
  EXPECT_FALSE(Evidence::decode(Evidence{}.encode(), plan.active, Role(2)));
  Evidence mixed = evidence;
  mixed.vectors[Role(3)] = signed_vector(context, Role(3), {{Role(2), other}});
  EXPECT_FALSE(Evidence::decode(mixed.encode(), plan.active, Role(2)));

  Evidence absence;
  for (const int i : {1, 3, 4}) absence.vectors.emplace(Role(i), signed_vector(context, Role(i), {{Role(1), hash}}));
  EXPECT_FALSE(Evidence::decode(absence.encode(), plan.active, Role(2)).value().hash(Role(2)));
  mixed = absence;
  mixed.vectors[Role(3)] = evidence.vectors[Role(3)];
  EXPECT_FALSE(Evidence::decode(mixed.encode(), plan.active, Role(2)));
  mixed = absence;
  mixed.relays = evidence.relays;  // on no hash
  EXPECT_FALSE(Evidence::decode(mixed.encode(), plan.active, Role(2)));
}

}  // namespace
}  // namespace witan::mpc
