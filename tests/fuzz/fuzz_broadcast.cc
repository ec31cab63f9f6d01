// Messages of a signed broadcast between 13 parties. The first byte: 0 for a vector, else the sender that a relay is about. What is
// read has one encoding, and a relay has one hash.
#include "fuzz/fuzz.h"
#include "mpc/broadcast_messages.h"

namespace witan::fuzz {

void fuzz_one(ByteView input) {
  if (input.empty()) return;
  const ByteView message = input.subspan(1);
  const Bytes copy(message.begin(), message.end());
  runtime::RoleSet active;
  for (int i = 1; i <= 13; ++i) active.insert(Role(i));
  if (input[0] == 0) {
    if (const auto vector = mpc::broadcast::SignedVector::decode(message, active))
      WITAN_CHECK(vector->encode() == copy);
    return;
  }
  const Role sender(input[0] % Role::kMax + 1);
  if (const auto evidence = mpc::broadcast::Evidence::decode(message, active, sender)) {
    WITAN_CHECK(evidence->encode() == copy);
    for (const auto& [signer, vector] : evidence->vectors)
      WITAN_CHECK(mpc::broadcast::same(vector.at(sender), evidence->hash(sender)));
  }
}

}  // namespace witan::fuzz
