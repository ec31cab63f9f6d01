// Writes inputs that the fuzz targets start from and that only our own code can make: <folder>/<target>/<name>.
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>

#include "api/codec.h"
#include "base/log.h"
#include "crypto/ecdsa.h"
#include "crypto/extra_data.h"
#include "fuzz/fuzz_certificates.h"
#include "fuzz/fuzz_material.h"
#include "fuzz/fuzz_records.h"
#include "fuzz/memory_vault.h"
#include "mpc/epoch_keys.h"
#include "mpc/prss.h"
#include "node/epochs.h"
#include "node/key_requests.h"
#include "node/key_store.h"
#include "node/request_store.h"
#include "protocols/decrypt.h"
#include "runtime/compute.h"
#include "runtime/loop.h"
#include "store/journal/sqlite_journal.h"
#include "tfhe/test_ciphertext.h"

namespace witan::fuzz {
namespace {

namespace fs = std::filesystem;

fs::path out_folder;

void write(const char* target, const std::string& name, ByteView content) {
  fs::create_directories(out_folder / target);
  std::ofstream out(out_folder / target / name, std::ios::binary);
  out.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  WITAN_CHECK(out.good());
}

void write(const char* target, const std::string& name, std::uint8_t first, ByteView content) {
  Bytes whole{first};
  append(whole, content);
  write(target, name, whole);
}

void record(RecordKind kind, const char* name, ByteView content) {
  write("records", name, static_cast<std::uint8_t>(kind), content);
}

mpc::SetKeys set_keys(int parties, int threshold, Rng& rng) {
  const auto committee = CommitteeSize::make(parties, threshold).value();
  std::size_t own = 0;
  for (const auto& set : mpc::key_sets(committee)) own += std::ranges::count(set.members(), Role(1)) > 0;
  std::vector<mpc::SetKey> keys(own);
  for (auto& key : keys) rng.fill(key);
  return {committee, Role(1), Secret<std::vector<mpc::SetKey>>(std::move(keys))};
}

mpc::EpochKeys epoch_keys(int parties, int threshold, Rng& rng) {
  mpc::SetKeys keys = set_keys(parties, threshold, rng);
  const auto families = mpc::zero_sets(keys.committee());
  std::vector<mpc::SetKey> zero_keys(static_cast<std::size_t>(
      std::ranges::count_if(families, [](mpc::PartySet excluded) { return !excluded.contains(Role(1)); })));
  for (auto& key : zero_keys) rng.fill(key);
  std::vector<mpc::Share<mpc::Z64>> shares(families.size());
  for (auto& share : shares) share.value = algebra::random_element<mpc::Z64>(rng);
  mpc::ZeroKeys zeros(keys.committee(), Role(1), Secret(std::move(zero_keys)));
  return {std::move(keys), std::move(zeros), Secret(std::move(shares))};
}

node::KeyRecord key_record() {
  node::KeyRecord out;
  out.key = numbered<KeyId>(1);
  out.preprocessing = numbered<PreprocId>(3);
  out.context = numbered<ContextId>(4);
  out.epoch = numbered<EpochId>(2);
  out.params = "test";
  MemoryVault vault;
  vault.objects[public_object_name()] = Bytes(kPublicObject.begin(), kPublicObject.end());
  runtime::VirtualLoop loop;
  runtime::InlineCompute compute(loop);
  const auto object = loop.run(node::stored_object(compute, vault, public_object_name()));
  out.digests.push_back({"PublicKey", object.value().digest});
  out.extra_data = {0};
  out.external_signature = Bytes(65, 27);
  out.signatures.push_back({1, Bytes(64, 9)});
  return out;
}

void key_records(Rng& rng) {
  record(RecordKind::key, "key", key_record().encode());
  const auto params = tfhe::params_by_name("test").value();
  protocols::KeyShares shares;
  for (std::size_t name = 0; name < tfhe::kKeyNames; ++name) {
    std::vector<mpc::Share<mpc::Z128>> words(tfhe::key_bits(params, static_cast<tfhe::KeyName>(name)));
    for (auto& word : words) word.value.c[0] = rng.next<std::uint64_t>();
    shares.keys[name] = protocols::SharedKey(words);
  }
  const Secret<Bytes> encoded = shares.encode();
  record(RecordKind::key_shares, "key_shares", encoded.reveal());
  record(RecordKind::key_object, "key_object", Writer().bytes(key_record().encode()).raw(encoded.reveal()).view());
}

void epoch_records(Rng& rng) {
  record(RecordKind::preprocessing, "preprocessing",
         node::PreprocessingRecord{node::PreprocessingRecord::Kind::generated, "default", numbered<ContextId>(4),
                                   numbered<EpochId>(2)}
             .encode());
  record(RecordKind::epoch_keys, "epoch_keys_4", epoch_keys(4, 1, rng).encode().reveal());
  record(RecordKind::epoch_keys, "epoch_keys_7", epoch_keys(7, 2, rng).encode().reveal());
  MemoryVault vault;
  node::EpochStore store(vault);
  runtime::VirtualLoop loop;
  runtime::InlineCompute compute(loop);
  const auto keys = std::make_shared<const mpc::EpochKeys>(epoch_keys(4, 1, rng));
  WITAN_CHECK(loop.run(store.add(compute, numbered<EpochId>(2), numbered<ContextId>(4), keys)).has_value());
  record(RecordKind::epoch_object, "epoch_object", vault.objects.at(epoch_object_name()));
}

/// One request in every state.
void request_records() {
  runtime::VirtualLoop loop;
  runtime::FakeDisk disk;
  runtime::FakeJournal journal(loop, disk);
  node::RequestStore store(journal, loop, {.dec_capacity = 3, .min_dec_cache = 0});
  const auto id = [](std::uint8_t number) { return numbered<RequestId>(number).bytes(); };
  const auto good = [](const Status& status) { WITAN_CHECK(status.has_value()); };
  using enum node::RequestKind;
  good(loop.run(store.insert(preprocessing, id(1), {}, {1})));
  good(loop.run(store.finish(preprocessing, id(1), {2})));
  good(loop.run(store.insert_keygen(id(1), {}, {1, 2, 3}, id(1), {})));
  good(loop.run(store.fail_request(keygen, id(1), Error{Code::aborted, "for a reason"})));
  good(loop.run(store.insert(epoch, id(1), {}, {4})));
  for (std::uint8_t number = 1; number <= 4; ++number) {
    good(loop.run(store.insert(public_decryption, id(number), {}, {5, number})));
    if (number < 4) good(loop.run(store.finish(public_decryption, id(number), {6, number})));
  }
  record(RecordKind::requests, "requests", rows_of(disk));
}

void other_records(Rng& rng) {
  record(RecordKind::session, "session", protocols::SessionRecord{}.encode());
  tfhe::TestCiphertext test{.value = 1, .expanded = {}, .compressed = {}};
  test.expanded.assign(16, tfhe::Lwe<u128>(256));
  test.compressed.push_back({std::vector<u128>(256 + 16), 1, 256});
  record(RecordKind::confirmation, "test_ciphertext", test.encode());
  record(RecordKind::signing_key, "signing_key", crypto::SigningKey::generate(rng).stored().reveal());
}

void certificates() {
  const auto& party = fuzz_party();
  const auto put = [](CertificateInput kind, const std::string& name, ByteView content) {
    write("certificates", name, static_cast<std::uint8_t>(kind), content);
  };
  for (const auto& [name, pem] : {std::pair{"ca", party.ca_pem}, {"leaf", party.leaf.certificate_pem}}) {
    const Bytes der = crypto::certificate_der(pem).value();
    put(CertificateInput::text, fmt::format("{}_text", name), as_bytes(pem));
    put(CertificateInput::der, fmt::format("{}_der", name), der);
    put(CertificateInput::to_sign, fmt::format("{}_to_sign", name), der);
  }
  put(CertificateInput::private_key, "leaf_key", party.leaf.key_pem.reveal());
}

/// Requests that validation accepts. First byte: position in the table of fuzz_requests.cc.
void requests() {
  const auto text = [](std::uint8_t number) { return numbered<RequestId>(number).hex(); };
  const api::Eip712DomainMsg domain{
      "Decryption", "1", {0xd4, 0x31}, "0x5ffdaAB0373E62E2ea2944776209aEf29E631A64", Bytes(32, 1)};
  api::PublicDecryptionRequest decryption;
  decryption.request_id = text(1);
  decryption.key_id = text(2);
  decryption.context_id = text(3);
  decryption.epoch_id = text(4);
  decryption.domain = domain;
  decryption.extra_data = {0};
  decryption.signing_schemes = {api::SigningScheme::ecdsa_256k1, api::SigningScheme::ed25519};
  decryption.ciphertexts = {{Bytes(20, 5), 2, Bytes(32, 6), api::CiphertextFormat::big_compressed},
                            {Bytes(9, 5), 8, Bytes(32, 7), api::CiphertextFormat::small_expanded}};
  write("requests", "valid_decryption", 1, api::encode(decryption));
  decryption.domain->salt.reset();
  decryption.extra_data = crypto::ExtraData{numbered<ContextId>(9), numbered<EpochId>(9)}.encode();
  write("requests", "valid_decryption_versioned", 1, api::encode(decryption));
}

/// A journal of some records, at rest and with what is in its log.
void journals() {
  std::string name = (fs::temp_directory_path() / "witan-seeds-XXXXXX").string();
  WITAN_CHECK(mkdtemp(name.data()) != nullptr);
  const fs::path file = fs::path(name) / "journal.db";
  const auto take = [&](const char* seed) {
    const Bytes database = test::read_file(file);
    Bytes both = database;
    if (const fs::path log = file.string() + "-wal"; fs::exists(log)) append(both, test::read_file(log));
    write("journal", seed, static_cast<std::uint8_t>(database.size() / 4096), both);
  };
  runtime::ThreadLoop loop;
  store::JournalOptions options;
  options.file = file;
  options.numbered = {node::kBodiesTable, node::kResultsTable, protocols::kSentTable};
  using Kind = runtime::Change::Kind;
  {
    auto journal = store::SqliteJournal::open(options, loop).value();
    for (std::uint8_t i = 1; i <= 4; ++i) {
      const Bytes number = runtime::number_key(i);
      WITAN_CHECK(loop.run(journal->commit({{Kind::put_new, "requests", Bytes{i}, Bytes(60, i)},
                                            {Kind::put, node::kBodiesTable, number, Bytes(300, i)},
                                            {Kind::erase, node::kBodiesTable, runtime::number_key(i - 1), {}},
                                            {Kind::put, node::kResultsTable, number, Bytes(500, i)},
                                            {Kind::put_new, protocols::kSentTable, number, Bytes(1000, i)}}))
                      .has_value());
    }
    WITAN_CHECK(!loop.run(journal->commit({{Kind::put_new, protocols::kSentTable, runtime::number_key(1), {}}})));
    take("with_log");
  }
  take("at_rest");
  fs::remove_all(name);
}

/// A material file as it grows: each state that it was in is a seed.
void material_files() {
  std::string name = (fs::temp_directory_path() / "witan-seeds-XXXXXX").string();
  WITAN_CHECK(mkdtemp(name.data()) != nullptr);
  const fs::path folder(name);
  runtime::VirtualLoop loop;
  runtime::InlineCompute compute(loop);
  const auto plan = material_plan();
  const auto material = loop.run(node::MaterialFile::create(compute, folder, material_id(), 2, plan)).value();
  int number = 0;
  const auto take = [&] {
    write("material", fmt::format("state_{}", ++number), test::read_file(folder / material_id().hex()));
  };
  const auto put = [&](std::size_t order, std::uint64_t first, std::uint64_t units) {
    Bytes content(static_cast<std::size_t>(node::material_bytes(plan[order], first, units)), 9);
    WITAN_CHECK(loop.run(material->put(order, first, SessionId{u128{1} << 100}, Secret<Bytes>(std::move(content)))));
    take();
  };
  take();
  put(1, 1, 3);
  put(0, 0, 3);
  WITAN_CHECK(loop.run(material->drop(1, {1, 3})));
  take();
  put(1, 2, 3);
  put(2, 0, 1);
  put(1, 0, 2);
  WITAN_CHECK(loop.run(material->complete(crypto::Digest{4})));
  take();
  fs::remove_all(folder);
}

/// Lies of a peer in each of its first steps, one by one.
void peers() {
  for (const std::uint8_t protocol : {std::uint8_t{0}, std::uint8_t{1}})
    for (int step = 0; step < 48; ++step) {
      const auto lie = [&](const char* kind, std::uint8_t receivers, std::uint8_t how, Bytes bytes,
                           std::uint8_t life = 0) {
        Writer out;
        out.u8(protocol).u8(life).u8(static_cast<std::uint8_t>(step)).u8(receivers).u8(how);
        out.u8(static_cast<std::uint8_t>(bytes.size())).raw(bytes);
        write("peer", fmt::format("{}_{}_{}", protocol, kind, step), out.view());
      };
      lie("flip", 7, 2, {static_cast<std::uint8_t>(step % 5), 1});
      lie("flip_one", 1, 2, {0, 255, 255});
      lie("nothing", 3, 5, {});
      lie("short", 2, 3, {0}, protocol == 1 ? static_cast<std::uint8_t>(3 * step) : std::uint8_t{0});
      lie("long", 5, 4, Bytes(64, 1));
    }
}

}  // namespace
}  // namespace witan::fuzz

int main(int count, char** words) {
  using namespace witan::fuzz;
  if (count != 2) {
    fmt::print(stderr, "usage: witan_fuzz_seeds FOLDER\n");
    return 1;
  }
  static_cast<void>(witan::log::set_file("/dev/null"));
  out_folder = words[1];
  witan::test::SeededRng rng("seeds of the fuzz targets");
  key_records(rng);
  epoch_records(rng);
  request_records();
  other_records(rng);
  certificates();
  requests();
  journals();
  material_files();
  peers();
}
