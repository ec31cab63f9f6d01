#include "mpc/agreement.h"

#include "mpc/agreement_impl.h"

namespace witan::mpc {

crypto::Digest commitment(Role role, SessionId session, std::uint64_t round, ByteView message,
                          const ByteArray<16>& opening) {
  ByteArray<8> number, round_number;
  store_le<std::uint64_t>(static_cast<std::uint64_t>(role.number()), number.data());
  store_le<std::uint64_t>(round, round_number.data());
  return crypto::Shake256(crypto::separators::kCommitment)
      .update(number)
      .update(session.bytes())
      .update(round_number)
      .update(message)
      .update(opening)
      .finish();
}

Task<Result<SetKeys>> agree_set_keys(Session& session, Rng& rng, runtime::Duration round_timeout) {
  return agree_set_keys_with<AgreementRules>(session, rng, round_timeout);
}

}  // namespace witan::mpc
