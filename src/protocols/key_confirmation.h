// Key confirmation (lifecycle.md 9.4): do the shares of S-bar and C-bar belong to the public material of the key? Before a key is published,
// the committee opens a ciphertext of a value that everybody knows.
//
//   make       the test ciphertext from the key set and the key id, piece by piece (tfhe/test_ciphertext.h)    no traffic
//   open       BigExpanded and BigCompressed form together, as a decryption (protocols/decrypt.h) of kind 8, number 0, of the key id:
//              mask contexts of both forms, journal before sending, robust at degree t
//   compare    the own shares are among those that agree; both forms give the value
//
// Everything is determined by key set, shares and epoch: a party that restarts sends the same message. Whatever t parties do, either all
// honest ones confirm the key or none does, unless its own key set or shares are not those of the others. Which components of the set it
// covers: tfhe::confirmed(), docs/key_confirmation.md.
#pragma once

#include "protocols/decrypt.h"
#include "tfhe/test_ciphertext.h"

namespace witan::protocols {

/// Makes the test ciphertext on the pool, as bulk work: `default` takes 7.5 s of a core. Errors: TestCiphertextMaker::begin.
runtime::Task<Result<tfhe::TestCiphertext>> make_test_ciphertext(runtime::Compute& compute,
                                                                 std::shared_ptr<const tfhe::CompressedKeySet> set,
                                                                 KeyId key);

/// Rules of the protocol; tests replace single ones and must then see a violation (see mpc::OpeningRules).
struct ConfirmationRules : DecryptionRules {
  static constexpr bool own_shares_must_agree = true;
};

template <class Rules = ConfirmationRules>
class BasicKeyConfirmation {
 public:
  /// `sequence`: of the request for the key in this node's journal, see DecryptionJob.
  BasicKeyConfirmation(DecryptionParty party, const KeyId& key, const tfhe::TestCiphertext& test,
                       std::uint64_t sequence);

  SessionId session_id() const { return opening_.session_id(); }

  /// Success: the key is confirmed. Errors: internal (a form opens to something else: the message names form, expected, got, and what is
  /// suspect; nobody may publish or use the key); data_loss (this party's key set or shares are not those of the others: this party must
  /// not publish it); already_exists (the session is bound to another test ciphertext: the key set has changed since); those of
  /// PublicDecryption::run. `patience`: how long it tries to record what it sends, and then, anew, how long it waits for the others. Once.
  runtime::Task<Status> run(runtime::Duration patience);

  /// After run() succeeded: names parties whose late message is a lie, until then.
  runtime::Task<void> watch_late(runtime::Instant until, std::function<void(Role)> on_lie) {
    return opening_.watch_late(until, std::move(on_lie));
  }

  /// Meaningful once run() has begun to collect.
  mpc::OpeningReport report() const { return opening_.report(); }

 private:
  Status judge(const Decrypted& opened) const;

  const KeyId key_;
  const Role self_;
  const tfhe::u64 value_;
  BasicPublicDecryption<Rules> opening_;
};

using KeyConfirmation = BasicKeyConfirmation<>;

}  // namespace witan::protocols
