// kill -9 of one node at random moments with requests in flight (docs/architecture.md): its clients get, after the restart, an
// answer to everything that it had accepted; clients of the others notice nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "e2e/live_committee.h"

namespace witan::e2e {
namespace {

constexpr int kRounds = 50, kInFlight = 16, kVictim = 4;

struct Tried {
  RequestId id;
  bool accepted = false;                                // by the victim, before it was killed
  std::optional<api::PublicDecryptionResponse> before;  // fetched before it was killed
};

TEST(KillNine, EverythingAcceptedIsAnsweredWithTheSameBytes) {
  LiveCommittee live;
  const auto key = live.deal(test::data_path("tfhe/native-1.7.0/test/client_key.bin"));
  const Bytes ciphertext = test::read_data("tfhe/native-1.7.0/test/big_compressed_uint64.bin");
  const auto request = [&](const RequestId& id) {
    return request_for(key.key, id, ciphertext, 5, api::CiphertextFormat::big_compressed);
  };
  const auto is_right = [&](const api::PublicDecryptionResponse& response) {
    return response.payload && response.payload->plaintexts.size() == 1 &&
           tfhe::U256::from_le_bytes(response.payload->plaintexts[0].bytes) ==
               tfhe::U256::parse("0xf1e2d3c4b5a6978").value();
  };
  std::mt19937 random(20261125);
  int accepted = 0, answered_before = 0, refused = 0;

  for (int round = 0; round < kRounds; ++round) {
    std::vector<Tried> tried(kInFlight);
    for (Tried& each : tried) each.id = cli::random_request_id();
    std::atomic<int> others_wrong = 0;
    {
      std::vector<std::jthread> clients;
      for (int party = 1; party <= 4; ++party)
        clients.emplace_back([&, party] {
          const auto client = live.client(party);
          for (Tried& each : tried) {
            const auto sent =
                client.public_decrypt(request(each.id), {.timeout = std::chrono::seconds(20), .stop = {}});
            if (party == kVictim)
              each.accepted = sent.has_value();
            else if (!sent)
              ++others_wrong;
          }
          for (Tried& each : tried) {
            if (party == kVictim) {
              if (!each.accepted) continue;
              auto got = client.get_public_decryption_result({each.id.hex()},
                                                             {.timeout = std::chrono::seconds(5), .stop = {}});
              if (got) each.before = *std::move(got);
            } else {
              const auto got = client.get_public_decryption_result({each.id.hex()},
                                                                   {.timeout = std::chrono::seconds(30), .stop = {}});
              if (!got || !is_right(*got)) ++others_wrong;
            }
          }
        });
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
      cli::stop_parties(live.committee, {kVictim}, true);
    }
    EXPECT_EQ(others_wrong, 0) << "round " << round;

    must(cli::start_parties(live.committee, {kVictim}));
    const auto victim = live.client(kVictim);
    for (const Tried& each : tried) {
      const api::CallOptions options{.timeout = std::chrono::seconds(60), .stop = {}, .wait_for_ready = true};
      if (!each.accepted) {  // never taken, or taken and not told: both are fine when it is sent again
        const auto again = victim.public_decrypt(request(each.id), options);
        ASSERT_TRUE(again || again.error().code == Code::already_exists) << again.error().message;
        ++refused;
      }
      const auto after = victim.get_public_decryption_result({each.id.hex()}, options);
      ASSERT_TRUE(after) << "round " << round << ": " << after.error().message << "\n"
                         << cli::log_tail(live.committee.party(kVictim).log(), 20);
      EXPECT_TRUE(is_right(*after));
      if (each.before) EXPECT_EQ(*after, *each.before) << "round " << round;
      EXPECT_EQ(victim.get_public_decryption_result({each.id.hex()}, options).value(), *after);
      accepted += each.accepted;
      answered_before += each.before.has_value();
    }
  }
  RecordProperty("accepted", accepted);
  EXPECT_GT(accepted, kRounds);               // kills hit while requests were accepted ...
  EXPECT_GT(accepted - answered_before, 10);  // ... and not yet answered
  EXPECT_GT(refused, 10);
}

}  // namespace
}  // namespace witan::e2e
