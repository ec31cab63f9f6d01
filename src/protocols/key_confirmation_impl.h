// Definitions of BasicKeyConfirmation, for key_confirmation.cc and for tests with other rules.
#pragma once

#include "protocols/decrypt_impl.h"
#include "protocols/key_confirmation.h"

namespace witan::protocols {

/// The two forms as what a decryption takes. They were squashed here, as Small formats are: v = 1.
std::vector<SquashedCiphertext> forms_of(const tfhe::TestCiphertext& test);

/// What may be wrong, for people, if these forms open to another value.
std::string suspects(bool expanded_is_wrong, bool compressed_is_wrong);

template <class Rules>
BasicKeyConfirmation<Rules>::BasicKeyConfirmation(DecryptionParty party, const KeyId& key,
                                                  const tfhe::TestCiphertext& test, std::uint64_t sequence)
    : key_(key),
      self_(party.router.self()),
      value_(test.value),
      opening_(std::move(party), DecryptionJob{.request = key.as<RequestTag>(),
                                               .key = key,
                                               .ciphertexts = forms_of(test),
                                               .sequence = sequence,
                                               .kind = crypto::SessionKind::key_confirmation}) {}

template <class Rules>
Task<Status> BasicKeyConfirmation<Rules>::run(runtime::Duration patience) {
  auto opened = co_await opening_.run(patience);
  if (!opened) co_return fail(std::move(opened).error().within(fmt::format("key {}: its confirmation", key_.hex())));
  co_return judge(*opened);
}

template <class Rules>
Status BasicKeyConfirmation<Rules>::judge(const Decrypted& opened) const {
  const runtime::RoleSet agreed = report().agreed;
  if (Rules::own_shares_must_agree && !agreed.contains(self_)) {
    std::string others;
    for (const Role role : agreed) others += fmt::format("{}{}", others.empty() ? "" : ", ", role.number());
    return fail(
        Code::data_loss,
        "key {}: in its confirmation the shares of this party {} are not those that parties {} agree on: its key "
        "set or its key shares differ from theirs; this party must not publish the key",
        key_.hex(), self_.number(), others);
  }
  const auto number = [](const Bytes& plaintext) { return load_le<tfhe::u64>(plaintext.data()); };
  const tfhe::u64 expanded = number(opened.plaintexts.at(0)), compressed = number(opened.plaintexts.at(1));
  if (expanded == value_ && compressed == value_) return {};
  return fail(Code::internal,
              "key {}: its test ciphertext should open to {:#018x}; BigExpanded opened to {:#018x}{}, BigCompressed to "
              "{:#018x}{}; suspect: {}. The key must not be published or used; generate another one",
              key_.hex(), value_, expanded, expanded == value_ ? "" : " (wrong)", compressed,
              compressed == value_ ? "" : " (wrong)", suspects(expanded != value_, compressed != value_));
}

}  // namespace witan::protocols
