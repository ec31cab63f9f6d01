// Every key of a node's configuration: what it sets, what it is without it, and what is said about a wrong one.
#include "node/config.h"

#include "node/node_testing.h"

namespace witan::node {
namespace {

using test::said;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

const std::filesystem::path kFolder = "/etc/witan";

std::string peer(int id, int port, const std::string& identity) {
  return fmt::format(
      "\n[[threshold.peers]]\nparty_id = {}\naddress = \"node{}.test\"\nport = {}\nmpc_identity = \"{}\"\n"
      "tls_cert.path = \"ca-{}.pem\"\n",
      id, id, port, identity, id);
}

std::string peers(int count) {
  std::string out;
  for (int i = 1; i <= count; ++i) out += peer(i, 50000 + i, fmt::format("party{}", i));
  return out;
}

/// What must be there, and nothing else.
const std::string kRequired = R"(
[public_vault.storage.file]
path = "public"
[private_vault.storage.file]
path = "private"
[journal]
path = "journal.db"
[threshold]
threshold = 1
my_id = 2
[threshold.tls.manual]
cert.path = "cert.pem"
key.path = "key.pem"
)";
const std::string kSmallest = kRequired + peers(4);

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Config config_of(const std::string& text) {
  auto loaded = parse_config(text, kFolder);
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? loaded->config : Config{};
}
std::string refused(const std::string& text, const ExtraSections& extra = {}) {
  return said(parse_config(text, kFolder, extra));
}

TEST(Config, TheSmallestFileGivesTheDocumentedDefaults) {
  const Config config = config_of(kSmallest);
  EXPECT_EQ(config.service.listen_address, "127.0.0.1");
  EXPECT_EQ(config.service.listen_port, 50100);
  EXPECT_EQ(config.service.timeout, 360s);
  EXPECT_EQ(config.service.grpc_max_message_size_bytes, 104857600u);
  EXPECT_EQ(config.public_vault.prefix, "PUB");
  EXPECT_EQ(config.private_vault.prefix, "PRIV");
  EXPECT_TRUE(config.log_file.empty());
  EXPECT_FALSE(config.metrics_address) << "nothing is served that nobody asked for";
  EXPECT_EQ(config.threshold.listen_address, "127.0.0.1");
  EXPECT_EQ(config.threshold.listen_port, 50001);
  EXPECT_EQ(config.threshold.dec_capacity, 10000u);  // service.md 4.1
  EXPECT_EQ(config.threshold.min_dec_cache, 6000u);
  EXPECT_EQ(config.threshold.decrypt_timeout, 60s);
  EXPECT_EQ(config.threshold.round_timeout, 120s);
  EXPECT_EQ(config.threshold.resend_after, 500ms);
  EXPECT_EQ(config.rate_limits.bucket_size, 50000u);  // service.md 3.4
  EXPECT_EQ(config.rate_limits.pub_decrypt, 1u);
  EXPECT_EQ(config.rate_limits.new_epoch, 1u);
  EXPECT_EQ(config.rate_limits.keygen, 1000u);
  EXPECT_EQ(config.rate_limits.preproc, 25000u);
  EXPECT_EQ(config.compute_threads, 0);
  EXPECT_EQ(config.decryption_memory_bytes, std::uint64_t{1} << 30);
  EXPECT_EQ(config.decryptions_at_once, 2000u);
  EXPECT_EQ(config.squashings_at_once, 1024u);
  EXPECT_EQ(config.committee_size(), CommitteeSize::make(4, 1).value());
  EXPECT_EQ(config.self(), Role(2));
}

/// Every key but those of the peers, none with its default.
const std::string kEveryKey = R"(
[service]
listen_address = "10.0.0.1"
listen_port = 1
timeout_secs = 2
grpc_max_message_size = 2048
[public_vault.storage.file]
path = "/public"
prefix = "PUB-p3"
[private_vault.storage.file]
path = "/private"
prefix = "PRIV_3"
[journal]
path = "/journal"
[log]
file = "/log"
[telemetry]
metrics_bind_address = "[::1]:9646"
[threshold]
listen_address = "10.0.0.2"
listen_port = 65535
threshold = 2
my_id = 7
dec_capacity = 11
min_dec_cache = 10
[threshold.tls.manual]
cert.path = "/cert"
key.path = "/key"
[threshold.core_to_core_net]
network_timeout = 3
decrypt_timeout = 4
resend_after_ms = 50
keygen_timeout = 5
[rate_limiter_conf]
bucket_size = 9
pub_decrypt = 0
new_epoch = 6
keygen = 7
preproc = 8
[internal_config]
compute_threads = 9
decryption_memory_bytes = 16777216
decryptions_at_once = 10
squashings_at_once = 128
material_path = "/material"
message_delay_ms = 60
unused_materials = 3
)";

TEST(Config, EveryKeyIsRead) {
  const Config config = config_of(kEveryKey + peers(7));
  EXPECT_EQ(config.service.listen_address, "10.0.0.1");
  EXPECT_EQ(config.service.listen_port, 1);
  EXPECT_EQ(config.service.timeout, 2s);
  EXPECT_EQ(config.service.grpc_max_message_size_bytes, 2048u);
  EXPECT_EQ(config.public_vault.path, "/public");
  EXPECT_EQ(config.public_vault.prefix, "PUB-p3");
  EXPECT_EQ(config.private_vault.path, "/private");
  EXPECT_EQ(config.private_vault.prefix, "PRIV_3");
  EXPECT_EQ(config.journal_path, "/journal");
  EXPECT_EQ(config.log_file, "/log");
  EXPECT_EQ(config.metrics_address, (metrics::BindAddress{"::1", 9646}));
  EXPECT_EQ(config.threshold.listen_address, "10.0.0.2");
  EXPECT_EQ(config.threshold.listen_port, 65535);
  EXPECT_EQ(config.committee_size(), CommitteeSize::make(7, 2).value());
  EXPECT_EQ(config.self(), Role(7));
  EXPECT_EQ(config.threshold.dec_capacity, 11u);
  EXPECT_EQ(config.threshold.min_dec_cache, 10u);
  EXPECT_EQ(config.threshold.tls_cert, "/cert");
  EXPECT_EQ(config.threshold.tls_key, "/key");
  EXPECT_EQ(config.threshold.round_timeout, 3s);
  EXPECT_EQ(config.threshold.decrypt_timeout, 4s);
  EXPECT_EQ(config.threshold.resend_after, 50ms);
  EXPECT_EQ(config.threshold.keygen_timeout, 5s);
  EXPECT_EQ(config.rate_limits.bucket_size, 9u);
  EXPECT_EQ(config.rate_limits.pub_decrypt, 0u);
  EXPECT_EQ(config.rate_limits.new_epoch, 6u);
  EXPECT_EQ(config.rate_limits.keygen, 7u);
  EXPECT_EQ(config.rate_limits.preproc, 8u);
  EXPECT_EQ(config.compute_threads, 9);
  EXPECT_EQ(config.decryption_memory_bytes, 16777216u);
  EXPECT_EQ(config.decryptions_at_once, 10u);
  EXPECT_EQ(config.squashings_at_once, 128u);
  EXPECT_EQ(config.material_folder(), "/material");
  EXPECT_EQ(config.message_delay, 60ms);
  EXPECT_EQ(config.unused_materials, 3u);
  ASSERT_EQ(config.threshold.peers.size(), 7u);
  const PeerConfig& third = config.threshold.peers[2];
  EXPECT_EQ(third.party_id, 3);
  EXPECT_EQ(third.address, "node3.test");
  EXPECT_EQ(third.port, 50003);
  EXPECT_EQ(third.mpc_identity, "party3");
  EXPECT_EQ(third.ca_cert, kFolder / "ca-3.pem");
}

TEST(Config, RelativePathsAreTakenFromTheFolderOfTheFile) {
  const Config config = config_of(kSmallest + "\n[log]\nfile = \"logs/node.log\"\n");
  EXPECT_EQ(config.public_vault.path, "/etc/witan/public");
  EXPECT_EQ(config.private_vault.path, "/etc/witan/private");
  EXPECT_EQ(config.journal_path, "/etc/witan/journal.db");
  EXPECT_EQ(config.log_file, "/etc/witan/logs/node.log");
  EXPECT_EQ(config.threshold.tls_cert, "/etc/witan/cert.pem");
  EXPECT_EQ(config.threshold.tls_key, "/etc/witan/key.pem");
  EXPECT_EQ(config.threshold.peers[0].ca_cert, "/etc/witan/ca-1.pem");
}

TEST(Config, PeersMayStandInAnyOrder) {
  const Config config = config_of(kRequired + peer(3, 3, "c") + peer(1, 1, "a") + peer(4, 4, "d") + peer(2, 2, "b"));
  std::vector<std::string> identities;
  for (const PeerConfig& each : config.threshold.peers) identities.push_back(each.mpc_identity);
  EXPECT_THAT(identities, ElementsAre("a", "b", "c", "d"));
}

TEST(Config, AMissingKeyIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"[journal]\npath = \"journal.db\"\n", "journal.path is missing"},
      {"threshold = 1\n", "threshold.threshold is missing"},
      {"my_id = 2\n", "threshold.my_id is missing"},
      {"cert.path = \"cert.pem\"\n", "threshold.tls.manual.cert.path is missing"},
      {"key.path = \"key.pem\"\n", "threshold.tls.manual.key.path is missing"},
      {"path = \"public\"\n", "public_vault.storage.file.path is missing"},
      {"path = \"private\"\n", "private_vault.storage.file.path is missing"},
      {"party_id = 3\n", "threshold.peers[2].party_id is missing"},
      {"address = \"node3.test\"\n", "threshold.peers[2].address is missing"},
      {"port = 50003\n", "threshold.peers[2].port is missing"},
      {"mpc_identity = \"party3\"\n", "threshold.peers[2].mpc_identity is missing"},
      {"tls_cert.path = \"ca-3.pem\"\n", "threshold.peers[2].tls_cert.path is missing"},
  };
  for (const auto& [line, expected] : cases)
    EXPECT_EQ(refused(replaced(kSmallest, line, "")), fmt::format("INVALID_ARGUMENT: {}", expected));
  EXPECT_EQ(refused(kRequired), "INVALID_ARGUMENT: threshold.peers is missing");
  EXPECT_THAT(refused(replaced(kSmallest, "[private_vault.storage.file]\npath = \"private\"\n", "")),
              AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr("private_vault"), HasSubstr("path and prefix")));
}

TEST(Config, AFileWithoutACommitteeIsNoConfiguration) {
  const std::string vaults = kRequired.substr(0, kRequired.find("[threshold]"));
  EXPECT_EQ(refused(vaults), "INVALID_ARGUMENT: threshold is missing");
}

TEST(Config, AnUnknownKeyIsNamedWithTheNearestKnownOne) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"[journal]", "[jornal]", "unknown key jornal (line 6, column 1); did you mean journal?"},
      {"my_id", "myid", "unknown key threshold.myid (line 10, column 8); did you mean my_id?"},
      {"cert.path", "cret.path", "unknown key threshold.tls.manual.cret (line 12, column 1); did you mean cert?"},
      {"path = \"public\"", "path = \"public\"\nprefx = \"P\"", "public_vault.storage.file.prefx"},
      {"party_id = 3", "party_id = 3\nipaddress = \"1.2.3.4\"", "threshold.peers[2].ipaddress"},
      {"my_id = 2", "my_id = 2\ntreshold = 1",
       "unknown key threshold.treshold (line 11, column 12); did you mean threshold?"},
  };
  for (const auto& [from, to, expected] : cases)
    EXPECT_THAT(refused(replaced(kSmallest, from, to)), AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr(expected)));
}

TEST(Config, AnUnknownKeyFarFromAllGetsNoSuggestion) {
  EXPECT_THAT(
      refused(kSmallest + "\n[bandwidth_benchmark]\nx = 1\n"),
      AllOf(StartsWith("INVALID_ARGUMENT: unknown key bandwidth_benchmark (line "), Not(HasSubstr("did you mean"))));
  EXPECT_THAT(refused(kSmallest + "\n[service]\nenclave_token = 1\n"), HasSubstr("unknown key service.enclave_token"));
}

TEST(Config, AValueOfAWrongTypeIsNamedWithItsPlace) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"threshold = 1", "threshold = \"1\"", "threshold.threshold must be an integer (line 9, column 13)"},
      {"threshold = 1", "threshold = 1.0", "threshold.threshold must be an integer"},
      {"threshold = 1", "threshold = true", "threshold.threshold must be an integer"},
      {"path = \"journal.db\"", "path = 5", "journal.path must be a string (line 7, column 8)"},
      {"address = \"node3.test\"", "address = [\"a\"]", "threshold.peers[2].address must be a string"},
      {"cert.path = \"cert.pem\"", "cert = \"cert.pem\"", "threshold.tls.manual.cert must be a table"},
  };
  for (const auto& [from, to, expected] : cases)
    EXPECT_THAT(refused(replaced(kSmallest, from, to)), AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr(expected)));
  EXPECT_THAT(refused(replaced(kRequired, "my_id = 2", "my_id = 2\npeers = \"all\"")),
              HasSubstr("threshold.peers must be an array of tables, [[threshold.peers]]"));
  EXPECT_THAT(refused("service = 5\n" + kSmallest), StartsWith("INVALID_ARGUMENT: service must be a table (line 1"));
}

TEST(Config, EveryNumberHasItsRange) {
  struct Range {
    const char *section, *key;
    std::int64_t low, high;
    const char* also = "";  // what makes all of the range possible
  };
  constexpr const char* kLargeBucket = "bucket_size = 1000000000";
  const Range ranges[] = {
      {"service", "listen_port", 1, 65535},
      {"service", "timeout_secs", 1, 86400},
      {"service", "grpc_max_message_size", 1024, std::int64_t{128} << 20},
      {"threshold.core_to_core_net", "network_timeout", 1, 86400},
      {"threshold.core_to_core_net", "decrypt_timeout", 1, 86400},
      {"threshold.core_to_core_net", "resend_after_ms", 10, 60000},
      {"threshold.core_to_core_net", "keygen_timeout", 1, 86400},
      {"rate_limiter_conf", "bucket_size", 1, 1'000'000'000, "pub_decrypt = 0\nnew_epoch = 0\nkeygen = 0\npreproc = 0"},
      {"rate_limiter_conf", "pub_decrypt", 0, 1'000'000'000, kLargeBucket},
      {"rate_limiter_conf", "new_epoch", 0, 1'000'000'000, kLargeBucket},
      {"rate_limiter_conf", "keygen", 0, 1'000'000'000, kLargeBucket},
      {"rate_limiter_conf", "preproc", 0, 1'000'000'000, kLargeBucket},
      {"internal_config", "compute_threads", 0, 1024},
      {"internal_config", "decryption_memory_bytes", std::int64_t{1} << 24, std::int64_t{1} << 40},
      {"internal_config", "decryptions_at_once", 1, 1'000'000},
      {"internal_config", "message_delay_ms", 10, 600'000},
      {"internal_config", "squashings_at_once", 64, 1'000'000},
      {"internal_config", "unused_materials", 1, 1000},
  };
  for (const Range& range : ranges) {
    const auto with = [&](std::int64_t value) {
      return refused(fmt::format("{}\n[{}]\n{} = {}\n{}\n", kSmallest, range.section, range.key, value, range.also));
    };
    EXPECT_EQ(with(range.low), "OK") << range.key;
    EXPECT_EQ(with(range.high), "OK") << range.key;
    for (const std::int64_t value : {range.low - 1, range.high + 1})
      EXPECT_THAT(with(value), StartsWith(fmt::format("INVALID_ARGUMENT: {}.{} = {} is not in {}..{} (line ",
                                                      range.section, range.key, value, range.low, range.high)));
  }
  const std::tuple<const char*, const char*, const char*> committee[] = {
      {"threshold = 1", "threshold = 0", "threshold.threshold = 0 is not in 1..4"},
      {"threshold = 1", "threshold = 5", "threshold.threshold = 5 is not in 1..4"},
      {"my_id = 2", "my_id = 0", "threshold.my_id = 0 is not in 1..15"},
      {"my_id = 2", "my_id = 16", "threshold.my_id = 16 is not in 1..15"},
      {"my_id = 2", "my_id = 2\nlisten_port = 65536", "threshold.listen_port = 65536"},
      {"my_id = 2", "my_id = 2\ndec_capacity = 0", "threshold.dec_capacity = 0"},
      {"my_id = 2", "my_id = 2\nmin_dec_cache = 0", "threshold.min_dec_cache = 0"},
      {"party_id = 3", "party_id = 16", "threshold.peers[2].party_id = 16 is not in 1..15"},
      {"port = 50003", "port = 0", "threshold.peers[2].port = 0 is not in 1..65535"},
  };
  for (const auto& [from, to, expected] : committee)
    EXPECT_THAT(refused(replaced(kSmallest, from, to)), AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr(expected)));
}

TEST(Config, ARequestCostsNoMoreThanTheBucketHolds) {
  EXPECT_EQ(refused(kSmallest + "\n[rate_limiter_conf]\nbucket_size = 25000\n"), "OK");
  EXPECT_THAT(refused(kSmallest + "\n[rate_limiter_conf]\nbucket_size = 24999\n"),
              AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr("25000 tokens"), HasSubstr("bucket_size is 24999")));
}

TEST(Config, TheCacheThatIsNeverEvictedFitsTheCapacity) {
  const auto with = [](const char* lines) {
    return refused(replaced(kSmallest, "my_id = 2", std::string("my_id = 2\n") + lines));
  };
  EXPECT_EQ(with("dec_capacity = 10\nmin_dec_cache = 9"), "OK");
  EXPECT_THAT(with("dec_capacity = 10\nmin_dec_cache = 10"),
              AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr("min_dec_cache"), HasSubstr("dec_capacity")));
  EXPECT_THAT(with("dec_capacity = 5999"), HasSubstr("threshold.min_dec_cache"));
}

TEST(Config, AnEmptyPathIsNamed) {
  EXPECT_EQ(refused(replaced(kSmallest, "\"journal.db\"", "\"\"")), "INVALID_ARGUMENT: journal.path is empty");
  EXPECT_EQ(refused(replaced(kSmallest, "\"cert.pem\"", "\"\"")),
            "INVALID_ARGUMENT: threshold.tls.manual.cert.path is empty");
  EXPECT_EQ(refused(kSmallest + "\n[log]\nfile = \"\"\n"), "INVALID_ARGUMENT: log.file is empty");
}

TEST(Config, AVaultPrefixCannotLeaveTheVault) {
  for (const char* prefix : {"", "..", "a/b", "a b", ".hidden", "PUB\\u0000"})
    EXPECT_THAT(refused(replaced(kSmallest, "path = \"public\"", fmt::format("path = \"p\"\nprefix = \"{}\"", prefix))),
                StartsWith("INVALID_ARGUMENT: vault prefix '"))
        << prefix;
}

TEST(Config, PeersAreExactlyOneToN) {
  const auto with = [](std::vector<int> ids) {
    std::string text = kRequired;
    for (std::size_t i = 0; i < ids.size(); ++i) text += peer(ids[i], 50000, "party" + std::to_string(i));
    return refused(text);
  };
  EXPECT_EQ(with({4, 3, 2, 1}), "OK");
  EXPECT_EQ(with({1, 2, 3, 5}),
            "INVALID_ARGUMENT: threshold.peers has 4 entries, so party_id must be exactly 1..4; 4 is missing");
  EXPECT_THAT(with({2, 3, 4, 5}), AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr("1 is missing")));
}

TEST(Config, APartyThatIsThereTwiceIsNotCalledMissing) {
  const std::string text = kRequired + peer(1, 1, "a") + peer(1, 2, "b") + peer(2, 3, "c") + peer(3, 4, "d");
  EXPECT_THAT(refused(text), AllOf(StartsWith("INVALID_ARGUMENT: threshold.peers"), HasSubstr("1 is there twice"),
                                   Not(HasSubstr("2 is missing"))));
}

TEST(Config, IdentitiesAreDistinct) {
  EXPECT_EQ(refused(replaced(kSmallest, "\"party3\"", "\"party1\"")),
            "INVALID_ARGUMENT: two peers have the mpc_identity 'party1'");
}

TEST(Config, ACommitteeHasThreeTPlusOneParties) {
  for (const int n : {1, 2, 3, 5, 6, 7, 13})
    EXPECT_THAT(refused(kRequired + peers(n)),
                StartsWith(fmt::format("INVALID_ARGUMENT: {} peers with threshold 1: a committee has n = 3t+1", n)));
  for (const int t : {1, 2, 3, 4})
    EXPECT_EQ(refused(replaced(kRequired, "threshold = 1", fmt::format("threshold = {}", t)) + peers(3 * t + 1)), "OK");
  EXPECT_THAT(refused(replaced(kSmallest, "threshold = 1", "threshold = 2")), HasSubstr("4 peers with threshold 2"));
}

TEST(Config, ANodeIsOneOfItsPeers) {
  EXPECT_EQ(refused(replaced(kSmallest, "my_id = 2", "my_id = 4")), "OK");
  EXPECT_EQ(refused(replaced(kSmallest, "my_id = 2", "my_id = 5")),
            "INVALID_ARGUMENT: threshold.my_id = 5 is not among the 4 peers");
}

TEST(Config, TheTwoEndpointsHavePortsOfTheirOwn) {
  EXPECT_EQ(refused(kSmallest + "\n[service]\nlisten_port = 50001\n"),
            "INVALID_ARGUMENT: service and threshold both listen on port 50001");
}

TEST(Config, MetricsHaveAnAddressOfTheirOwn) {
  const auto with = [](const std::string& address) {
    return refused(kSmallest + "\n[telemetry]\nmetrics_bind_address = \"" + address + "\"\n");
  };
  EXPECT_EQ(with("0.0.0.0:0"), "OK");
  EXPECT_EQ(with("0.0.0.0:50100"), "INVALID_ARGUMENT: telemetry.metrics_bind_address: service listens on port 50100");
  EXPECT_EQ(with("0.0.0.0:50001"), "INVALID_ARGUMENT: telemetry.metrics_bind_address: threshold listens on port 50001");
  EXPECT_EQ(
      with("9646"),
      "INVALID_ARGUMENT: telemetry.metrics_bind_address: '9646' is no address to listen on; expected is host:port "
      "or [IPv6]:port");
  EXPECT_THAT(refused(kSmallest + "\n[telemetry]\nmetrics_bind_adress = \"a:1\"\n"),
              HasSubstr("did you mean metrics_bind_address?"));
}

// Everything that the file says can be read back; of what is secret, where it lies.
TEST(Config, IsToldAsJson) {
  const std::string text =
      kSmallest + "\n[telemetry]\nmetrics_bind_address = \"127.0.0.1:9646\"\n[log]\nfile = \"a.log\"\n";
  const auto json = nlohmann::json::parse(to_json(config_of(text)));
  EXPECT_EQ(json["service"]["listen_port"], 50100);
  EXPECT_EQ(json["telemetry"]["metrics_bind_address"], "127.0.0.1:9646");
  EXPECT_EQ(json["private_vault"]["storage"]["file"]["path"], "/etc/witan/private");
  EXPECT_EQ(json["private_vault"]["storage"]["file"]["prefix"], "PRIV");
  EXPECT_EQ(json["journal"]["path"], "/etc/witan/journal.db");
  EXPECT_EQ(json["log"]["file"], "/etc/witan/a.log");
  EXPECT_EQ(json["threshold"]["my_id"], 2);
  EXPECT_EQ(json["threshold"]["tls"]["manual"]["key"]["path"], "/etc/witan/key.pem");
  EXPECT_EQ(json["threshold"]["core_to_core_net"]["network_timeout"], 120);
  ASSERT_EQ(json["threshold"]["peers"].size(), 4u);
  EXPECT_EQ(json["threshold"]["peers"][2]["mpc_identity"], "party3");
  EXPECT_EQ(json["threshold"]["peers"][2]["tls_cert"]["path"], "/etc/witan/ca-3.pem");
  EXPECT_EQ(json["rate_limiter_conf"]["preproc"], 25000);
  EXPECT_EQ(json["internal_config"]["material_path"], "/etc/witan/material");
  EXPECT_TRUE(nlohmann::json::parse(to_json(config_of(kSmallest)))["telemetry"].empty());
  Config odd = config_of(kSmallest);
  odd.journal_path = "/\xff";  // no UTF-8
  EXPECT_TRUE(nlohmann::json::parse(to_json(odd)).is_object());
}

TEST(Config, EveryKeyIsTold) {
  const auto told = nlohmann::json::parse(to_json(config_of(kEveryKey + peers(7))));
  std::istringstream lines(kEveryKey);
  std::string section;
  int keys = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.size() - 2);
    const std::size_t equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    std::string place = "/" + section + "." + line.substr(0, equals);
    std::ranges::replace(place, '.', '/');
    const nlohmann::json::json_pointer pointer(place);
    ASSERT_TRUE(told.contains(pointer)) << line;
    EXPECT_EQ(told[pointer].dump(), line.substr(equals + 3)) << line;
    ++keys;
  }
  EXPECT_EQ(keys, 35);
}

TEST(Config, SectionsOfTestProgramsAreUnknownToOthers) {
  const std::string text = kSmallest + "\n[insecure]\nimport_dir = \"/import\"\nlie = \"shares\"\n";
  EXPECT_THAT(refused(text), StartsWith("INVALID_ARGUMENT: unknown key insecure (line "));
  const ExtraSections known = {{"insecure", {"import_dir", "lie", "crash"}}};
  const auto loaded = parse_config(text, kFolder, known);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->extra, (decltype(loaded->extra){{"insecure", {{"import_dir", "/import"}, {"lie", "shares"}}}}));
  EXPECT_EQ(refused(kSmallest, known), "OK");
  EXPECT_THAT(refused(kSmallest + "\n[insecure]\nimport_dirs = \"x\"\n", known),
              AllOf(HasSubstr("unknown key insecure.import_dirs"), HasSubstr("did you mean import_dir?")));
  EXPECT_THAT(refused(kSmallest + "\n[insecure]\nlie = true\n", known), HasSubstr("insecure.lie must be a string"));
}

TEST(Config, BrokenSyntaxIsPlaced) {
  EXPECT_THAT(refused("[service]\nlisten_port = \n"), StartsWith("INVALID_ARGUMENT: line 2, column "));
  EXPECT_THAT(refused(kSmallest + "[journal]\npath = \"twice\"\n"), StartsWith("INVALID_ARGUMENT: line "));
  EXPECT_THAT(refused("\xff\xfe"), StartsWith("INVALID_ARGUMENT: line 1"));
  EXPECT_THAT(refused(kSmallest + "[[\npath = 1\n"), StartsWith("INVALID_ARGUMENT: "));
  EXPECT_THAT(refused("[service]\n# caf\u00e9\n"),
              AllOf(StartsWith("INVALID_ARGUMENT: line 2, column 6: byte 0xc3"), HasSubstr("ASCII")));
}

class ConfigFile : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& text) {
    const auto file = folder_.path() / "node.toml";
    test::write_file(file, as_bytes(text));
    return file;
  }
  test::TemporaryFolder folder_;
};

TEST_F(ConfigFile, PathsAreTakenFromTheFolderAndErrorsNameTheFile) {
  const auto file = write(kSmallest);
  const auto loaded = load_config(file);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.journal_path, folder_.path() / "journal.db");
  write(replaced(kSmallest, "my_id = 2", "my_id = 5"));
  EXPECT_EQ(said(load_config(file)),
            "INVALID_ARGUMENT: " + file.string() + ": threshold.my_id = 5 is not among the 4 peers");
}

TEST_F(ConfigFile, WhatIsNotThereIsNotFound) {
  for (const auto& file : {folder_.path() / "none.toml", folder_.path()})
    EXPECT_THAT(said(load_config(file)), AllOf(StartsWith("NOT_FOUND: "), HasSubstr(file.string())));
}

TEST_F(ConfigFile, AnEmptyFileIsThereButSaysNothing) {
  const auto file = write("");
  EXPECT_THAT(said(load_config(file)), AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr(file.string())));
}

TEST_F(ConfigFile, AFileOfMoreThanOneMebibyteIsNotRead) {
  const std::size_t limit = 1 << 20;
  const std::string start = kSmallest + "\n#";
  const auto file = write(start + std::string(limit - start.size(), 'x'));
  EXPECT_EQ(said(load_config(file)), "OK");
  write(start + std::string(limit - start.size() + 1, 'x'));
  EXPECT_EQ(said(load_config(file)), "INVALID_ARGUMENT: " + file.string() + " has 1048577 bytes, more than 1 MiB");
}

}  // namespace
}  // namespace witan::node
