#include "node/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace witan::node {
namespace {

using testing::HasSubstr;

std::string peers(int count) {
  std::string out;
  for (int i = 1; i <= count; ++i)
    out += fmt::format(
        "[[threshold.peers]]\nparty_id = {}\naddress = \"host{}\"\nport = {}\nmpc_identity = \"party{}.test\"\n"
        "tls_cert.path = \"ca{}.pem\"\n",
        i, i, 5000 + i, i, i);
  return out;
}

/// A complete file; `extra_in` puts lines at the end of a section.
std::string good(const std::map<std::string, std::string>& extra_in = {}, int parties = 4, int threshold = 1) {
  const auto extra = [&](const char* section) {
    const auto found = extra_in.find(section);
    return found == extra_in.end() ? std::string() : found->second + "\n";
  };
  return extra("") + "[service]\n" + extra("service") + "[public_vault.storage.file]\npath = \"keys\"\n" +
         extra("public_vault") + "[private_vault.storage.file]\npath = \"/abs/keys\"\n" + extra("private_vault") +
         "[journal]\npath = \"journal.db\"\n" + extra("journal") +
         "[threshold]\nthreshold = " + std::to_string(threshold) + "\nmy_id = 2\n" + extra("threshold") +
         "[threshold.tls.manual]\ncert.path = \"cert.pem\"\nkey.path = \"key.pem\"\n" + extra("tls") + peers(parties) +
         extra("end");
}

std::string error_of(const std::string& text, const ExtraSections& sections = {}) {
  const auto loaded = parse_config(text, "/etc/witan", sections);
  if (loaded) return "accepted";
  EXPECT_EQ(loaded.error().code, Code::invalid_argument);
  return loaded.error().message;
}

TEST(Config, DefaultsAndPathsFromTheFoldersOfTheFile) {
  const auto loaded = parse_config(good(), "/etc/witan");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const Config& config = loaded->config;
  EXPECT_EQ(config.service.listen_address, "127.0.0.1");
  EXPECT_EQ(config.service.listen_port, 50100);
  EXPECT_EQ(config.public_vault.path, "/etc/witan/keys");
  EXPECT_EQ(config.private_vault.path, "/abs/keys");
  EXPECT_EQ(config.public_vault.prefix, "PUB");
  EXPECT_EQ(config.journal_path, "/etc/witan/journal.db");
  EXPECT_EQ(config.threshold.tls_key, "/etc/witan/key.pem");
  EXPECT_EQ(config.self(), Role(2));
  EXPECT_EQ(config.committee_size().parties(), 4);
  EXPECT_EQ(config.threshold.peers[3].address, "host4");
  EXPECT_EQ(config.threshold.peers[3].ca_cert, "/etc/witan/ca4.pem");
  EXPECT_EQ(config.threshold.decrypt_timeout, std::chrono::seconds(60));
  EXPECT_EQ(config.rate_limits.bucket_size, 50000u);
  EXPECT_TRUE(parse_config(good({}, 13, 4), "/etc"));
}

TEST(Config, EveryKeyIsRead) {
  const auto loaded = parse_config(
      good(
          {{"service", "listen_address = \"0.0.0.0\"\nlisten_port = 7\ntimeout_secs = 8\ngrpc_max_message_size = 2048"},
           {"public_vault", "prefix = \"A\""},
           {"private_vault", "prefix = \"B\""},
           {"threshold",
            "listen_address = \"::\"\nlisten_port = 9\ndec_capacity = 10\nmin_dec_cache = 5\n"
            "core_to_core_net.network_timeout = 11\ncore_to_core_net.decrypt_timeout = 12\n"
            "core_to_core_net.resend_after_ms = 13"},
           {"end",
            "[log]\nfile = \"node.log\"\n[rate_limiter_conf]\nbucket_size = 1\npub_decrypt = 2\nnew_epoch = 3\n"
            "keygen = 4\npreproc = 5\n[internal_config]\ncompute_threads = 6"}}),
      "/etc");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const Config& c = loaded->config;
  EXPECT_EQ(c.service.listen_address, "0.0.0.0");
  EXPECT_EQ(c.service.listen_port, 7);
  EXPECT_EQ(c.service.timeout, std::chrono::seconds(8));
  EXPECT_EQ(c.service.grpc_max_message_size_bytes, 2048u);
  EXPECT_EQ(c.public_vault.prefix, "A");
  EXPECT_EQ(c.private_vault.prefix, "B");
  EXPECT_EQ(c.log_file, "/etc/node.log");
  EXPECT_EQ(c.threshold.listen_address, "::");
  EXPECT_EQ(c.threshold.listen_port, 9);
  EXPECT_EQ(c.threshold.dec_capacity, 10u);
  EXPECT_EQ(c.threshold.min_dec_cache, 5u);
  EXPECT_EQ(c.threshold.round_timeout, std::chrono::seconds(11));
  EXPECT_EQ(c.threshold.decrypt_timeout, std::chrono::seconds(12));
  EXPECT_EQ(c.threshold.resend_after, std::chrono::milliseconds(13));
  EXPECT_EQ(c.rate_limits.bucket_size, 1u);
  EXPECT_EQ(c.rate_limits.pub_decrypt, 2u);
  EXPECT_EQ(c.rate_limits.new_epoch, 3u);
  EXPECT_EQ(c.rate_limits.keygen, 4u);
  EXPECT_EQ(c.rate_limits.preproc, 5u);
  EXPECT_EQ(c.compute_threads, 6);
}

TEST(Config, ErrorsNameTheKeyAndThePlace) {
  EXPECT_THAT(error_of("[service"), HasSubstr("line 1, column"));
  EXPECT_THAT(
      error_of(good({{"service", "listen_prot = 1"}})),
      testing::AllOf(HasSubstr("unknown key service.listen_prot (line 2"), HasSubstr("did you mean listen_port")));
  EXPECT_THAT(error_of(good({{"", "colour = 1"}})), HasSubstr("unknown key colour"));
  EXPECT_THAT(error_of(good({{"service", "listen_port = \"1\""}})),
              HasSubstr("service.listen_port must be an integer"));
  EXPECT_THAT(error_of(good({{"service", "listen_port = 65536"}})), HasSubstr("65536 is not in 1..65535"));
  EXPECT_THAT(error_of(good({{"service", "listen_address = 5"}})), HasSubstr("must be a string"));
  EXPECT_THAT(error_of(good({{"service", "timeout_secs = 0"}})), HasSubstr("service.timeout_secs = 0"));
  EXPECT_THAT(error_of(good({{"public_vault", "prefix = \"../x\""}})), HasSubstr("vault prefix '../x'"));
  EXPECT_THAT(error_of(good({{"threshold", "dec_capacity = 5"}})), HasSubstr("min_dec_cache"));
  EXPECT_THAT(error_of(good({{"threshold", "peers = 3"}}, 0)), HasSubstr("array of tables"));
  EXPECT_THAT(error_of(good({{"service", "listen_port = 50001"}})), HasSubstr("both listen on port 50001"));
  EXPECT_THAT(error_of(good({}, 5, 1)), HasSubstr("5 peers with threshold 1"));
  EXPECT_THAT(error_of(good({}, 4, 2)), HasSubstr("4 peers with threshold 2"));
  EXPECT_THAT(error_of(good({}, 0, 1)), HasSubstr("threshold.peers is missing"));
  EXPECT_THAT(error_of(good({}, 1, 1)), HasSubstr("1 peers"));
  EXPECT_THAT(error_of(""), HasSubstr("public_vault and private_vault need"));
}

TEST(Config, PeersMustBeOneToN) {
  std::string text = good();
  const auto change = [&](const std::string& from, const std::string& to) {
    std::string out = text;
    out.replace(out.rfind(from), from.size(), to);
    return error_of(out);
  };
  EXPECT_THAT(change("party_id = 4", "party_id = 3"), HasSubstr("party_id must be exactly 1..4; 4 is missing"));
  EXPECT_THAT(change("party_id = 4", "party_id = 16"), HasSubstr("16 is not in 1..15"));
  EXPECT_THAT(change("party4.test", "party1.test"), HasSubstr("two peers have the mpc_identity 'party1.test'"));
  EXPECT_THAT(change("port = 5004\n", ""), HasSubstr("threshold.peers[3].port is missing"));
  EXPECT_THAT(change("my_id = 2", "my_id = 5"), HasSubstr("my_id = 5 is not among the 4 peers"));
  EXPECT_THAT(change("key.path = \"key.pem\"", ""), HasSubstr("threshold.tls.manual.key.path is missing"));
}

TEST(Config, SectionsOfTestProgramsAreUnknownInProduction) {
  const std::string text = good({{"end", "[insecure]\nfault = \"lie\""}});
  EXPECT_THAT(error_of(text), HasSubstr("unknown key insecure"));
  const auto loaded = parse_config(text, "/etc", {{"insecure", {"fault"}}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->extra.at("insecure").at("fault"), "lie");
  EXPECT_THAT(error_of(good({{"end", "[insecure]\nfualt = \"lie\""}}), {{"insecure", {"fault"}}}),
              HasSubstr("did you mean fault?"));
}

TEST(Config, FilesThatAreMissingOrTooLong) {
  EXPECT_EQ(load_config("/nonexistent/node.toml").error().code, Code::not_found);
  const auto file = std::filesystem::temp_directory_path() / "witan-config-test.toml";
  std::ofstream(file).close();
  EXPECT_THAT(load_config(file).error().message, HasSubstr("public_vault and private_vault need"));
  std::ofstream(file) << std::string((1 << 20) + 1, '#');
  const auto loaded = load_config(file);
  std::filesystem::remove(file);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::invalid_argument);
  EXPECT_THAT(loaded.error().message, HasSubstr("more than 1 MiB"));
}

}  // namespace
}  // namespace witan::node
