// Committees in one process that imported a ClientKey of native tfhe-rs 1.7.0 decrypt its Big ciphertexts (threshold-tfhe.md 7): of
// the production parameters, whose key sets are too large for real nodes in a test, and of `test`.
#include <gtest/gtest.h>

#include "insecure/dealing.h"
#include "mpc/set_keys_for_test.h"
#include "node/validation.h"
#include "protocols/decrypt.h"
#include "runtime/sim.h"
#include "support/support.h"
#include "tfhe_rs/objects.h"

namespace witan::insecure {
namespace {

using namespace std::chrono_literals;
using protocols::CiphertextFormat;
using protocols::SquashedCiphertext;

struct Vector {
  std::string file;
  SquashedCiphertext ciphertext;
  tfhe::U256 value;
};

/// Every shipped Big ciphertext of the folder that a node accepts, read and checked as a node does.
std::vector<Vector> big_ciphertexts(const std::string& folder, const tfhe::Params& params) {
  std::vector<Vector> out;
  for (const auto& entry : test::read_json(folder + "/index.json").at("files")) {
    if (!entry.contains("format") || !entry.at("shipped").get<bool>()) continue;
    const std::string format = entry.at("format");
    if (format != "BigCompressed" && format != "BigExpanded") continue;
    const auto& value = entry.at("values").at(0);
    node::CiphertextRef ref;
    ref.format = format == "BigCompressed" ? CiphertextFormat::big_compressed : CiphertextFormat::big_expanded;
    ref.type = tfhe::fhe_type_from_number(value.at("fhe_type").get<int>()).value();
    const std::string file = entry.at("file");
    auto parsed = node::parse_ciphertext(ref, test::read_data(folder + "/" + file), params);
    EXPECT_TRUE(parsed) << file << ": " << parsed.error().message;
    if (!parsed) continue;
    const auto& number = value.at("value");
    out.push_back({file,
                   {.format = ref.format,
                    .type = ref.type,
                    .blocks = std::move(parsed->squashed),
                    .content = parsed->bytes_digest},
                   number.is_boolean() ? tfhe::U256(number.get<bool>() ? 1 : 0)
                                       : tfhe::U256::parse(number.get<std::string>()).value()});
  }
  return out;
}

RequestId request_id() {
  ByteArray<32> raw{1};
  raw[31] = 7;
  return RequestId(raw);
}

using Plaintexts = std::map<int, std::vector<Bytes>>;  // of every party that is heard and got an answer

/// Runs one decryption of all of them, the last `silent` parties saying nothing.
Plaintexts decrypt(CommitteeSize committee, const std::vector<std::shared_ptr<const protocols::KeyShares>>& shares,
                   const std::vector<Vector>& vectors, int silent) {
  protocols::DecryptionJob job{request_id(), KeyId(request_id().bytes()), {}};
  for (const Vector& each : vectors) job.ciphertexts.push_back(each.ciphertext);
  std::vector<std::shared_ptr<const mpc::MaskGenerator>> masks;
  for (const auto& own : mpc::test::make_set_keys(committee, std::string("imported key")))
    masks.push_back(std::make_shared<mpc::MaskGenerator>(own));
  Plaintexts out;
  const auto program = [&](runtime::sim::Node& node) -> runtime::Task<void> {
    const std::size_t index = node.role().index();
    protocols::PublicDecryption running({node.router(), node.journal(), node.compute(), shares[index], masks[index]},
                                        job);
    const auto result = co_await running.run(node.loop().after(30s));
    if (result && node.role().number() <= committee.parties() - silent) out[node.role().number()] = result->plaintexts;
    co_await node.loop().sleep_for(10s);
  };
  runtime::sim::World world({.seed = 1, .committee = committee, .router = {}}, program);
  for (int i = 0; i < silent; ++i) world.faults(Role(committee.parties() - i)).silent = true;
  EXPECT_EQ(world.run(120s), runtime::sim::End::finished);
  EXPECT_TRUE(world.audit().verdict());
  return out;
}

void expect_all_decrypt(const std::string& folder, std::size_t count) {
  const auto client_key = tfhe_rs::read_client_key(test::read_data(folder + "/client_key.bin"));
  ASSERT_TRUE(client_key) << client_key.error().message;
  ASSERT_TRUE(client_key->keys.check(client_key->params));
  const auto vectors = big_ciphertexts(folder, client_key->params);
  ASSERT_EQ(vectors.size(), count);
  for (const auto& [n, t] : {std::pair{4, 1}, std::pair{13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    test::SeededRng rng(folder);
    std::vector<std::shared_ptr<const protocols::KeyShares>> shares;
    for (const auto& own : deal_shares(client_key->keys, committee, rng)) {  // through the record that a node stores
      auto stored = protocols::KeyShares::decode(own.encode().reveal(), client_key->params);
      ASSERT_TRUE(stored) << stored.error().message;
      shares.push_back(std::make_shared<const protocols::KeyShares>(*std::move(stored)));
    }
    for (const int silent : {0, t}) {
      const Plaintexts all = decrypt(committee, shares, vectors, silent);
      EXPECT_EQ(all.size(), static_cast<std::size_t>(n - silent));
      for (const auto& [party, plaintexts] : all) {
        ASSERT_EQ(plaintexts.size(), vectors.size());
        for (std::size_t i = 0; i < vectors.size(); ++i)
          EXPECT_EQ(plaintexts[i], vectors[i].value.to_le_bytes(plaintexts[i].size()))
              << vectors[i].file << " at party " << party << " of " << n;
      }
    }
    EXPECT_TRUE(decrypt(committee, shares, vectors, t + 1).empty()) << "2t parties gave a plaintext";
  }
}

TEST(ImportedKey, BigCiphertextsOfProductionParametersDecrypt) {
  expect_all_decrypt("tfhe/native-1.7.0/default", 5);
}

TEST(ImportedKey, BigCiphertextsOfTestParametersDecrypt) {
  expect_all_decrypt("tfhe/native-1.7.0/test", 21);
}

}  // namespace
}  // namespace witan::insecure
