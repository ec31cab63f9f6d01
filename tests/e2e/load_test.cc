// The load tool (bench/load/load.cc) is a measuring instrument: what it says of a committee must not depend on how it fares itself.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "e2e/live_committee.h"

namespace witan::e2e {
namespace {

TEST(LoadTool, ItsOwnLatenessCountsInTheOpenLoop) {
  LiveCommittee live;
  const auto client_key = test::data_path("tfhe/native-1.7.0/test/client_key.bin");
  const auto ciphertext = test::data_path("tfhe/native-1.7.0/test/big_compressed_uint64.bin");
  const auto key = live.deal(client_key);
  // Four seconds, of which it is stopped for two: half of the decryptions begin up to two seconds late.
  const std::string line = fmt::format(
      "{} --dir {} --key {} --case u64,0xf1e2d3c4b5a6978,big-compressed,{} --rate 50 --seconds 4 --report 100",
      (programs().parent_path() / "witan_load").string(), live.committee.folder.string(), key.key.hex(),
      ciphertext.string());
  const auto done = must(cli::run_process(
      {"sh", "-c", line + " & load=$!; sleep 1; kill -STOP $load; sleep 2; kill -CONT $load; wait $load"},
      std::chrono::seconds(60)));
  ASSERT_EQ(done.exit_code, 0) << done.text;
  const auto said = nlohmann::json::parse(done.text);
  EXPECT_EQ(said.at("begun"), 200) << done.text;
  EXPECT_EQ(said.at("count"), 200) << done.text;
  EXPECT_EQ(said.at("errors"), 0) << done.text;
  EXPECT_GT(said.at("p99_ms").get<double>(), 1500) << done.text;
  EXPECT_LT(said.at("p99_ms").get<double>(), 10000) << done.text;
}

}  // namespace
}  // namespace witan::e2e
