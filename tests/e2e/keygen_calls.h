// Requests for keys as tests of real nodes send them, one party after the other.
#pragma once

#include <thread>

#include "e2e/live_committee.h"

namespace witan::e2e {

inline constexpr std::chrono::seconds kKeyWait{120};

inline api::KeyGenPreprocRequest preprocessing_request(const PreprocId& id) {
  api::KeyGenPreprocRequest out;
  out.request_id = id.hex();
  out.params = api::FheParameter::test_params;
  out.domain = cli::to_message(cli::example_domain());
  return out;
}

inline api::KeyGenRequest key_request(const KeyId& key, const PreprocId& preprocessing) {
  api::KeyGenRequest out;
  out.request_id = key.hex();
  out.preproc_id = preprocessing.hex();
  out.domain = cli::to_message(cli::example_domain());
  return out;
}

/// Of an error; nothing for a success.
template <class T>
std::optional<Code> code(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code;
}

/// Until the answer is another one than "not yet".
template <class Ask>
auto poll(Ask ask, std::chrono::seconds wait = kKeyWait) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + wait;
  for (;;) {
    auto got = ask();
    if (got || got.error().code != Code::unavailable || Clock::now() > until) return got;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

inline Result<api::KeyGenResult> key_at(const LiveCommittee& live, const KeyId& key, int party) {
  const auto client = live.client(party);
  return poll([&] { return client.get_key_gen_result({key.hex()}); });
}

/// The same digests at these parties.
inline void expect_same_key(const LiveCommittee& live, const KeyId& key, const std::vector<int>& parties) {
  std::optional<std::vector<api::KeyDigest>> digests;
  for (const int party : parties) {
    const auto result = key_at(live, key, party);
    ASSERT_TRUE(result) << "party " << party << ": " << result.error().message << "\n"
                        << read_text(live.committee.party(party).log());
    if (digests) EXPECT_EQ(result->key_digests, *digests) << "party " << party;
    digests = result->key_digests;
  }
}

}  // namespace witan::e2e
