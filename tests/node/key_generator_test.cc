// Key generations of four nodes whose disks fail, which restart, and whose requests are wrong: nothing that was made is lost, and nothing of
// what is given up stays.
#include "node/key_generator.h"

#include <array>
#include <future>
#include <thread>

#include "api/codec.h"
#include "mpc/draw_keys_for_test.h"
#include "node/faulty_vault.h"
#include "node/key_confirmation.h"
#include "node/node_testing.h"
#include "protocols/decrypt.h"
#include "runtime/fake_journal.h"
#include "runtime/memory_network.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using test::said;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kParties = 4;
const CommitteeSize kCommittee = CommitteeSize::make(kParties, 1).value();

template <class IdType>
IdType id_of(std::uint8_t type, std::uint8_t number) {
  ByteArray<32> raw{type};
  raw[31] = number;
  return IdType(raw);
}
PreprocId preproc(std::uint8_t number) {
  return id_of<PreprocId>(3, number);
}
KeyId key(std::uint8_t number) {
  return id_of<KeyId>(4, number);
}

api::Eip712DomainMsg domain() {
  return {.name = "KMSGeneration",
          .version = "1",
          .chain_id = {0xd4, 0x31},
          .verifying_contract = "0x037D0C1aA70ABE155DD611A033bF2D6F97D7b857",
          .salt = std::nullopt};
}
api::KeyGenPreprocRequest preprocessing_request(const PreprocId& id) {
  api::KeyGenPreprocRequest out;
  out.request_id = id.hex();
  out.params = api::FheParameter::test_params;
  out.domain = domain();
  return out;
}
api::KeyGenRequest key_request(const KeyId& id, const PreprocId& of) {
  api::KeyGenRequest out;
  out.request_id = id.hex();
  out.preproc_id = of.hex();
  out.domain = domain();
  return out;
}

/// Of UseExisting: the material has no key bits, the key has the secret keys of another one.
api::KeySetConfig use_existing() {
  api::KeySetConfig out;
  out.standard_keyset_config.emplace().secret_key_config = api::KeyGenSecretKeyConfig::use_existing;
  return out;
}
api::KeyGenPreprocRequest existing_preprocessing_request(const PreprocId& id) {
  auto out = preprocessing_request(id);
  out.keyset_config = use_existing();
  return out;
}
api::KeyGenRequest existing_key_request(const KeyId& id, const PreprocId& of, const KeyId& existing) {
  auto out = key_request(id, of);
  out.keyset_config = use_existing();
  out.keyset_added_info.emplace().existing_keyset_id = existing.hex();
  return out;
}

/// A program that uses keys that somebody has seen.
class UsesDealtKeys final : public Extension {
 public:
  bool accepts(KeyOrigin) const override { return true; }
  std::unique_ptr<runtime::Link> wrap_link(runtime::Link&) override { return nullptr; }
  api::ExtraMethods methods(Core&) override { return {}; }
  Task<void> resume(Core&, InterruptedRequest) override { co_return; }
};

/// A folder that leads nowhere for a while: whatever is opened in it fails with ELOOP, which says nothing of what is there. (Not by running
/// out of descriptors: sanitizers need some.)
class Unreachable {
 public:
  explicit Unreachable(std::filesystem::path folder) : folder_(std::move(folder)), away_(folder_.native() + ".away") {
    std::filesystem::rename(folder_, away_);
    std::filesystem::create_directory_symlink(folder_, folder_);
  }
  Unreachable(const Unreachable&) = delete;
  Unreachable& operator=(const Unreachable&) = delete;
  ~Unreachable() {
    std::filesystem::remove(folder_);
    std::filesystem::rename(away_, folder_);
  }

 private:
  const std::filesystem::path folder_, away_;
};

/// Reads fail while it is told so, and what would be written into one table.
class FailingJournal final : public runtime::Journal {
 public:
  FailingJournal(runtime::Loop& loop, runtime::FakeDisk& disk) : inner_(loop, disk) {}
  Task<Status> commit(std::vector<runtime::Change> changes) override {
    if (std::ranges::find(changes, full_table, &runtime::Change::table) != changes.end()) {
      ++refused;
      co_return fail(Code::unavailable, "the disk is full");
    }
    co_return co_await inner_.commit(std::move(changes));
  }
  Result<std::optional<Bytes>> get(const std::string& table, ByteView of) const override {
    if (unreadable) return fail(Code::unavailable, "the disk cannot be read");
    return inner_.get(table, of);
  }
  Status for_each(const std::string& table,
                  const std::function<bool(ByteView key, ByteView value)>& visitor) const override {
    return inner_.for_each(table, visitor);
  }
  bool unreadable = false;
  std::string full_table;
  int refused = 0;  // commits

 private:
  runtime::FakeJournal inner_;
};

/// What is logged from here on. For one thread, and no other capture at once.
class LogLines {
 public:
  LogLines() { testing::internal::CaptureStderr(); }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;
  ~LogLines() { text(); }
  const std::string& text() {
    if (!text_) fmt::print(stderr, "{}", *(text_ = testing::internal::GetCapturedStderr()));
    return *text_;
  }
  /// Lines with all these parts, in this order.
  int count(const std::string& first, const std::string& second = "") {
    std::istringstream lines(text());
    int out = 0;
    for (std::string line; std::getline(lines, line);)
      if (const auto at = line.find(first); at != std::string::npos) out += line.find(second, at) != std::string::npos;
    return out;
  }

 private:
  std::optional<std::string> text_;
};

/// What of a party survives a restart.
struct Disks {
  runtime::FakeDisk journal;
  test::FaultyVault private_vault, public_vault;
  std::filesystem::path material;
};

/// A node as far as it generates keys.
struct Party {
  Party(runtime::Loop& with, runtime::Compute& compute, runtime::MemoryNetwork& net, Role self, Disks& on,
        const mpc::test::DealtEpoch& epoch, const Config& of)
      : loop(with),
        network(net),
        role(self),
        disks(on),
        config(of),
        journal(loop, disks.journal),
        messages(journal),
        router(loop, network.link(role), limits()),
        signatories(epoch.signatories(role)),
        keys(disks.private_vault, disks.public_vault, compute),
        epochs(disks.private_vault),
        requests(journal, loop, {}),
        limiter(config.rate_limits.bucket_size),
        memory(loop, config.decryption_memory_bytes),
        decryptions("decryptions", 1, 1, loop.clock()),
        squashings("squashings", 1, 1, loop.clock()),
        scope(loop),
        core{config,
             loop,
             compute,
             journal,
             disks.private_vault,
             disks.public_vault,
             rng,
             signing_key,
             signatories,
             router,
             requests,
             keys,
             epochs,
             limiter,
             memory,
             decryptions,
             squashings,
             scope,
             nullptr},
        generator(core, disks.material) {
    router.set_sent_store(&messages);
    network.attach(role, &router);
  }
  Party(const Party&) = delete;
  Party& operator=(const Party&) = delete;
  ~Party() {
    network.attach(role, nullptr);
    network.reset(role);
    scope.cancel();
  }

  static runtime::RouterLimits limits() {
    runtime::RouterLimits out;
    out.sent_bytes = out.closed_sent_bytes = std::size_t{64} << 20;
    return out;
  }
  std::string progress(RequestKind kind, const RawId& id) const {
    return generator.progress(kind, id).value_or("none");
  }
  Result<Bytes> result(RequestKind kind, const RawId& id) {
    return loop.run(requests.result(kind, id, loop.after(20min)));
  }

  runtime::Loop& loop;
  runtime::MemoryNetwork& network;
  const Role role;
  Disks& disks;
  const Config config;
  FailingJournal journal;
  protocols::JournalSentStore messages;
  runtime::Router router;
  test::SeededRng rng{"a party"};
  crypto::SigningKey signing_key = crypto::SigningKey::generate(rng);
  mpc::Signatories signatories;
  KeyStore keys;
  EpochStore epochs;
  RequestStore requests;
  RateLimiter limiter;
  MemoryBudget memory;
  Admission decryptions, squashings;
  runtime::TaskScope scope;
  Core core;
  KeyGenerator generator;
};

/// Four of them on one loop. `Threads`: kernels run on a pool, and time is that of the clock.
enum class Time : std::uint8_t { virtual_time, real_time };

class KeyGeneratorTest : public testing::Test {
 protected:
  void start(Time time = Time::virtual_time) {
    if (time == Time::virtual_time) {
      loop = std::make_unique<runtime::VirtualLoop>();
      compute = std::make_unique<runtime::InlineCompute>(*loop);
    } else {
      loop = std::make_unique<runtime::ThreadLoop>();
      compute = std::make_unique<runtime::ComputePool>(*loop, runtime::ComputePool::Options{});
    }
    network = std::make_unique<runtime::MemoryNetwork>(*loop, kCommittee);
    config.message_delay = 700ms;
    for (int i = 1; i <= kParties; ++i) {
      disk(i).material = folder.path() / std::to_string(i) / "material";
      std::filesystem::create_directories(disk(i).material.parent_path());
      begin_life(i);
      const auto own = std::make_shared<const mpc::EpochKeys>(epoch.keys(Role(i)).duplicate());
      ASSERT_EQ(said(loop->run(party(i).epochs.add(*compute, default_epoch_id(), default_context_id(), own))), "OK");
    }
  }
  void TearDown() override {
    for (auto& one : parties)
      if (one) one->scope.cancel();
    compute = nullptr;  // its kernels end before what they read goes
    for (auto& one : parties) one = nullptr;
  }
  void begin_life(int i) {
    parties[at(i)] = std::make_unique<Party>(*loop, *compute, *network, Role(i), disk(i), epoch, config);
  }
  /// The process of the party ends and begins again. What was pending is given to the caller.
  std::vector<InterruptedRequest> restart(int i) {
    parties[at(i)] = nullptr;
    begin_life(i);
    EXPECT_EQ(said(party(i).epochs.load(kCommittee, Role(i))), "OK");
    EXPECT_EQ(said(party(i).keys.load()), "OK");
    return party(i).requests.load().value();
  }
  void resume(int i, std::vector<InterruptedRequest> requests) {
    for (InterruptedRequest& request : requests) {
      ASSERT_TRUE(party(i).generator.owns(request).value());
      party(i).generator.resume(std::move(request));
    }
    party(i).scope.spawn(party(i).generator.erase_unused());
  }
  static std::size_t at(int i) { return static_cast<std::size_t>(i - 1); }
  Party& party(int i) { return *parties[at(i)]; }
  Disks& disk(int i) { return disks[at(i)]; }
  std::string preprocess(int i, const api::KeyGenPreprocRequest& request) {
    return said(loop->run(party(i).generator.preprocess(request)));
  }
  std::string preprocess(int i, const PreprocId& id) { return preprocess(i, preprocessing_request(id)); }
  std::string generate(int i, const api::KeyGenRequest& request) {
    return said(loop->run(party(i).generator.generate(request)));
  }
  std::string generate(int i, const KeyId& id, const PreprocId& of) { return generate(i, key_request(id, of)); }
  std::string abort(int i, const PreprocId& id) { return said(loop->run(party(i).generator.abort({id.hex()}))); }
  std::string preprocessed(int i, const PreprocId& id) {
    return said(party(i).result(RequestKind::preprocessing, id.bytes()));
  }
  void make_material(const PreprocId& id) { make_material(id, preprocessing_request(id)); }
  void make_material(const PreprocId& id, const api::KeyGenPreprocRequest& request) {
    for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, request), "OK");
    for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocessed(i, id), "OK") << i;
  }
  /// Everybody has the key, with the same digests, and nothing is left of its material.
  void expect_key(const KeyId& id) {
    std::optional<std::vector<api::KeyDigest>> digests;
    for (int i = 1; i <= kParties; ++i) {
      const auto result = party(i).result(RequestKind::keygen, id.bytes());
      ASSERT_EQ(said(result), "OK") << i;
      const auto decoded = api::decode<api::KeyGenResult>(*result);
      ASSERT_TRUE(decoded);
      if (digests) EXPECT_EQ(decoded->key_digests, *digests) << i;
      digests = decoded->key_digests;
      EXPECT_NE(party(i).keys.find(id, default_epoch_id()), nullptr) << i;
      EXPECT_TRUE(disk(i).private_vault.inner.objects.contains({"KeyConfirmation", std::nullopt, id.bytes()})) << i;
    }
    pass(100ms);
    for (int i = 1; i <= kParties; ++i) EXPECT_EQ(materials(i), 0u) << i;
  }
  void pass(runtime::Duration time) {
    const auto sleep = [&]() -> Task<void> { co_await loop->sleep_for(time); };
    loop->run(sleep());
  }
  std::filesystem::path material(int i, const PreprocId& id) { return disk(i).material / id.hex(); }
  std::size_t materials(int i) {
    std::error_code none;
    std::filesystem::directory_iterator it(disk(i).material, none);
    return none ? 0 : static_cast<std::size_t>(std::distance(it, std::filesystem::directory_iterator()));
  }
  /// Of a request for a key, as the journal may have it: of material that is on the disk, already used for it.
  void record_keygen(int i, const KeyId& id, const PreprocId& of, const api::KeyGenRequest& request) {
    record_material(i, of);
    const auto bytes_of = [](const auto& any) { return Bytes(any.bytes().begin(), any.bytes().end()); };
    ASSERT_EQ(said(loop->run(party(i).requests.insert_keygen(
                  id.bytes(), {}, api::encode(request), of.bytes(),
                  {{runtime::Change::Kind::put_new, kMaterialUseTable, bytes_of(of), bytes_of(id)}}))),
              "OK");
  }
  protocols::KeyPlan plan() const {
    return protocols::plan_key_generation(tfhe::params_by_name("test").value(), protocols::KeySource::all_new).value();
  }
  /// The party's shares of an order as a preprocessing that went wrong would have left them: each word has one of `rng` added to it.
  Task<void> spoil(int i, PreprocId id, std::size_t order, test::SeededRng rng) {
    const protocols::MaterialPlan orders = protocols::KeyMaterial(plan()).orders;
    const auto open = [&] { return MaterialFile::open(*compute, disk(i).material, id, orders); };
    std::vector<Secret<Bytes>> contents;
    std::vector<SessionId> sessions;
    auto file = (co_await open()).value();
    for (std::size_t k = 0; k < orders.size(); ++k) {
      contents.push_back((co_await file->get(k, 0, orders[k].units())).value());
      sessions.push_back(file->session(k).value());
    }
    EXPECT_EQ(orders.at(order).word_bits, 128);
    Bytes& words = contents[order].reveal_mutable();
    for (std::size_t at = 0; at < words.size(); at += 16)
      store_le(load_le<u128>(words.data() + at) + rng.next<u128>(), words.data() + at);
    const std::uint16_t attempt = file->attempt();
    const crypto::Digest content = file->content();
    file = nullptr;
    std::filesystem::remove(material(i, id));
    file = (co_await MaterialFile::create(*compute, disk(i).material, id, attempt, orders)).value();
    for (std::size_t k = 0; k < orders.size(); ++k)
      EXPECT_EQ(said(co_await file->put(k, 0, sessions[k], std::move(contents[k]))), "OK");
    EXPECT_EQ(said(co_await file->complete(content)), "OK");
  }
  /// As if PartialKeyGenPreproc had made it.
  void make_partial_material(const PreprocId& id) {
    make_material(id);
    const PreprocessingRecord record{PreprocessingRecord::Kind::partial, "test", default_context_id(),
                                     default_epoch_id()};
    for (int i = 1; i <= kParties; ++i)
      ASSERT_EQ(
          said(loop->run(party(i).journal.commit({{runtime::Change::Kind::put, kPreprocessingsTable,
                                                   Bytes(id.bytes().begin(), id.bytes().end()), record.encode()}}))),
          "OK");
  }
  void expect_origin(const KeyId& id, KeyOrigin origin) {
    for (int i = 1; i <= kParties; ++i) {
      const KeyRecord* record = party(i).keys.find(id, default_epoch_id());
      ASSERT_NE(record, nullptr) << i;
      EXPECT_EQ(record->origin, origin) << i;
    }
  }
  /// Of a preprocessing that is done.
  void record_material(int i, const PreprocId& id) {
    const PreprocessingRecord record{PreprocessingRecord::Kind::generated, "test", default_context_id(),
                                     default_epoch_id()};
    ASSERT_EQ(said(loop->run(party(i).requests.insert(RequestKind::preprocessing, id.bytes(), {},
                                                      api::encode(preprocessing_request(id)), {record.change(id)}))),
              "OK");
    ASSERT_EQ(said(loop->run(party(i).requests.finish(RequestKind::preprocessing, id.bytes(), {1}))), "OK");
    test::write_file(material(i, id), Bytes(1000, 7));
  }

  test::TemporaryFolder folder;
  Config config;
  std::array<Disks, kParties> disks;
  const mpc::test::DealtEpoch epoch{kCommittee, 9};
  std::unique_ptr<runtime::Loop> loop;
  std::unique_ptr<runtime::Compute> compute;
  std::unique_ptr<runtime::MemoryNetwork> network;
  std::array<std::unique_ptr<Party>, kParties> parties;
};

// Material, journal, private and public vault: each is full for a while.
TEST_F(KeyGeneratorTest, FullDisksCostTimeAlone) {
  start();
  const auto id = preproc(1);
  {
    const test::SmallFiles full(100'000);
    for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, id), "OK");
    pass(10s);
    for (int i = 1; i <= kParties; ++i)
      EXPECT_THAT(party(i).progress(RequestKind::preprocessing, id.bytes()),
                  AllOf(StartsWith("stage=preprocessing "), HasSubstr("; waits for the disk: cannot write ")));
  }
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocessed(i, id), "OK") << i;

  disk(1).private_vault.full = 4;
  disk(2).public_vault.full = 3;
  disk(3).public_vault.unreadable = 2;
  disk(4).private_vault.unknown = 1;
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), id), "OK");
  disk(3).journal.fails_after_commits = disk(3).journal.commits;
  pass(5s);
  EXPECT_THAT(party(3).progress(RequestKind::keygen, key(1).bytes()),
              HasSubstr("; waits for the disk: the disk does not take commits"));
  disk(3).journal.fails_after_commits = ~std::uint64_t{0};
  expect_key(key(1));
  EXPECT_EQ(disk(1).private_vault.full, 0) << "the fault was there";
  EXPECT_EQ(disk(2).public_vault.full, 0);
  EXPECT_EQ(disk(3).public_vault.unreadable, 0);
  EXPECT_EQ(disk(4).private_vault.unknown, 0);
}

// An error that says nothing of what is on the disk. And what was interrupted counts as running from the first moment on.
TEST_F(KeyGeneratorTest, APassingErrorAtTheStartLosesNoMaterial) {
  start();
  const auto id = preproc(1);
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, id), "OK");
  std::error_code none;
  while (std::filesystem::file_size(material(2, id), none) < 500'000 || none) pass(1ms);
  auto interrupted = restart(2);
  ASSERT_EQ(interrupted.size(), 1u);
  {
    const Unreachable folder(disk(2).material);
    resume(2, std::move(interrupted));
    EXPECT_THAT(preprocess(2, preproc(2)), AllOf(StartsWith("RESOURCE_EXHAUSTED"), HasSubstr(id.hex())));
    pass(2500ms);
    EXPECT_THAT(party(2).progress(RequestKind::preprocessing, id.bytes()),
                AllOf(StartsWith("stage=reading "), HasSubstr("; waits for the disk: cannot open ")));
  }
  EXPECT_TRUE(std::filesystem::exists(material(2, id)));
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocessed(i, id), "OK") << i;
  // Done: the slot is free.
  EXPECT_EQ(preprocess(2, preproc(2)), "OK");
  EXPECT_EQ(abort(2, preproc(2)), "OK");

  // The same for a key.
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), id), "OK");
  interrupted = restart(2);
  ASSERT_EQ(interrupted.size(), 1u);
  record_material(2, preproc(3));
  {
    const Unreachable folder(disk(2).material);
    resume(2, std::move(interrupted));
    EXPECT_THAT(generate(2, key(2), preproc(3)), AllOf(StartsWith("RESOURCE_EXHAUSTED"), HasSubstr(key(1).hex())));
    pass(2500ms);
    EXPECT_THAT(party(2).progress(RequestKind::keygen, key(1).bytes()),
                HasSubstr("; waits for the disk: cannot open "));
  }
  EXPECT_EQ(abort(2, preproc(3)), "OK");
  pass(5s);
  expect_key(key(1));
}

// Status and metrics: what was there before counts as done, not as speed, from the first moment of the attempt on.
TEST_F(KeyGeneratorTest, ARestartDoesNotSpoilRateAndTimeLeft) {
  start();
  const auto id = preproc(1);
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, id), "OK");
  while (party(2).generator.progress().at(0).pace.percent() < 25) pass(1ms);
  const runtime::Instant restarted = loop->now();
  resume(2, restart(2));
  std::optional<std::pair<runtime::Instant, Pace>> first;
  int rates = 0;
  const auto seconds = [](runtime::Duration of) { return std::chrono::duration<double>(of).count(); };
  for (std::string last; last != "none"; pass(1ms)) {
    last = party(2).progress(RequestKind::preprocessing, id.bytes());
    const auto runs = party(2).generator.progress();
    if (runs.empty()) break;
    const Pace pace = runs.at(0).pace;
    ASSERT_THAT(last, StartsWith(fmt::format("stage={} {}", runs.at(0).stage, pace.text())));
    if (!first && pace.done == 0) {
      ASSERT_EQ(pace.per_second, 0) << last;
      continue;
    }
    if (!first) first = {loop->now(), pace};
    const double done = static_cast<double>(pace.done - first->second.done);
    ASSERT_EQ(pace.seconds, seconds(loop->now() - restarted)) << last;
    ASSERT_EQ(pace.per_second, done == 0 ? 0 : done / seconds(loop->now() - first->first)) << last;
    ASSERT_EQ(pace.seconds_left().has_value(), done > 0) << last;
    rates += done > 0 && pace.done < pace.total;
  }
  ASSERT_TRUE(first);
  EXPECT_GT(first->second.percent(), 10);
  EXPECT_GT(rates, 2) << "there was time to see some";
}

TEST_F(KeyGeneratorTest, WhatWaitsForADiskCanBeAborted) {
  start();
  const auto id = preproc(1);
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, id), "OK");
  std::error_code none;
  while (std::filesystem::file_size(material(2, id), none) < 500'000 || none) pass(1ms);
  auto interrupted = restart(2);
  {
    const Unreachable folder(disk(2).material);
    resume(2, std::move(interrupted));
    pass(2s);
    EXPECT_EQ(abort(2, id), "OK");
  }
  EXPECT_THAT(preprocessed(2, id), StartsWith("ABORTED"));
  EXPECT_EQ(party(2).progress(RequestKind::preprocessing, id.bytes()), "none");
  for (const auto& [record, content] : disk(2).journal.tables[protocols::kAttemptsTable])
    EXPECT_NE(record.at(34), 'b') << "a batch of a preprocessing that has failed";
  pass(5s);
  EXPECT_EQ(materials(2), 0u) << "erasing waits for the disk too";
}

// What it is for cannot be read yet; it is aborted all the same, and nothing of it stays.
TEST_F(KeyGeneratorTest, AKeyGenerationThatWaitsForTheJournalCanBeAborted) {
  start();
  record_keygen(1, key(1), preproc(1), key_request(key(1), preproc(1)));
  auto interrupted = restart(1);
  ASSERT_EQ(interrupted.size(), 1u);
  ASSERT_TRUE(party(1).generator.owns(interrupted[0]).value());
  party(1).journal.unreadable = true;
  party(1).generator.resume(std::move(interrupted[0]));
  disk(1).private_vault.inner.objects[{"KeyConfirmation", std::nullopt, key(1).bytes()}] = Bytes{1};
  pass(5s);
  EXPECT_THAT(party(1).progress(RequestKind::keygen, key(1).bytes()),
              HasSubstr("; waits for the disk: the disk cannot be read"));
  EXPECT_EQ(abort(1, preproc(1)), "OK");
  EXPECT_EQ(party(1).progress(RequestKind::keygen, key(1).bytes()), "none");
  EXPECT_THAT(said(party(1).result(RequestKind::keygen, key(1).bytes())),
              AllOf(StartsWith("ABORTED"), HasSubstr("by the operator")));
  pass(100ms);
  EXPECT_EQ(disk(1).private_vault.inner.objects.size(), 1u) << "the epoch";
  EXPECT_EQ(materials(1), 0u);
}

// Nobody was told yet that it was accepted: there is nothing to abort, and it goes on.
TEST_F(KeyGeneratorTest, AnAbortWhileAPreprocessingIsBeingRecordedFindsNothing) {
  start();
  const auto id = preproc(1);
  std::optional<std::string> accepted;
  const auto ask = [&]() -> Task<void> {
    accepted = said(co_await party(1).generator.preprocess(preprocessing_request(id)));
  };
  party(1).scope.spawn(ask());
  pass(500us);
  ASSERT_FALSE(accepted) << "a commit takes a millisecond";
  EXPECT_THAT(party(1).progress(RequestKind::preprocessing, id.bytes()), StartsWith("stage=beginning "));
  EXPECT_THAT(abort(1, id), AllOf(StartsWith("NOT_FOUND"), HasSubstr(id.hex())));
  pass(100ms);
  EXPECT_EQ(accepted, "OK");
  for (int i = 2; i <= kParties; ++i) ASSERT_EQ(preprocess(i, id), "OK");
  for (int i = 1; i <= kParties; ++i) EXPECT_EQ(preprocessed(i, id), "OK") << i;
}

// It is done, and the journal does not know it yet: what is erased is material that no key has used.
TEST_F(KeyGeneratorTest, AnAbortOfAPreprocessingThatHasEndedWaitsUntilThatIsRecorded) {
  start();
  const auto id = preproc(1);
  party(1).journal.full_table = kResultsTable;
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, id), "OK");
  for (int i = 2; i <= kParties; ++i) ASSERT_EQ(preprocessed(i, id), "OK") << i;
  while (party(1).journal.refused == 0) pass(1ms);
  std::optional<std::string> aborted;
  const auto ask = [&]() -> Task<void> { aborted = said(co_await party(1).generator.abort({id.hex()})); };
  party(1).scope.spawn(ask());
  pass(10s);
  EXPECT_FALSE(aborted) << *aborted;
  EXPECT_EQ(materials(1), 1u);
  party(1).journal.full_table.clear();
  pass(40s);
  EXPECT_EQ(aborted, "OK");
  EXPECT_THAT(preprocessed(1, id), StartsWith("NOT_FOUND"));
  EXPECT_THAT(generate(1, key(1), id), StartsWith("NOT_FOUND"));
  EXPECT_EQ(materials(1), 0u);
}

TEST_F(KeyGeneratorTest, APreprocessingThatCannotBeTakenUpAfterARestartLeavesNothing) {
  start();
  const auto id = preproc(1);
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, id), "OK");
  const auto batches = [&] {
    return std::ranges::count_if(disk(2).journal.tables[protocols::kAttemptsTable], [&](const auto& record) {
      return std::ranges::equal(ByteView(record.first).first(32), id.view()) && record.first.at(34) == 'b';
    });
  };
  while (batches() == 0) pass(1ms);
  auto interrupted = restart(2);
  ASSERT_EQ(interrupted.size(), 1u);
  auto request = preprocessing_request(id);
  request.domain.reset();
  interrupted[0].body = api::encode(request);
  EXPECT_GT(batches(), 0);
  EXPECT_EQ(materials(2), 1u);
  resume(2, std::move(interrupted));
  EXPECT_THAT(preprocessed(2, id), AllOf(StartsWith("ABORTED"), HasSubstr("after a restart"), HasSubstr("domain")));
  EXPECT_EQ(batches(), 0);
  pass(100ms);
  EXPECT_EQ(materials(2), 0u);
  EXPECT_EQ(party(2).progress(RequestKind::preprocessing, id.bytes()), "none");
}

TEST_F(KeyGeneratorTest, AJournalThatCannotBeReadIsAnErrorOfTheStart) {
  start();
  record_keygen(1, key(1), preproc(1), key_request(key(1), preproc(1)));
  const auto interrupted = restart(1);
  ASSERT_EQ(interrupted.size(), 1u);
  party(1).journal.unreadable = true;
  EXPECT_THAT(said(party(1).generator.owns(interrupted[0])), StartsWith("UNAVAILABLE"));
  party(1).journal.unreadable = false;
  EXPECT_TRUE(party(1).generator.owns(interrupted[0]).value());
}

TEST_F(KeyGeneratorTest, ARequestThatCannotBeReadAfterARestartLeavesNothing) {
  start();
  auto request = key_request(key(1), preproc(1));
  request.domain.reset();
  record_keygen(1, key(1), preproc(1), request);
  auto& private_objects = disk(1).private_vault.inner.objects;
  auto& public_objects = disk(1).public_vault.inner.objects;
  auto interrupted = restart(1);
  private_objects[{"KeyConfirmation", std::nullopt, key(1).bytes()}] = Bytes{1};
  private_objects[{"FheKeyInfo", default_epoch_id(), key(1).bytes()}] = Bytes{1};
  public_objects[{"PublicKey", std::nullopt, key(1).bytes()}] = Bytes{1};
  public_objects[{"PublicKey", std::nullopt, key(2).bytes()}] = Bytes{1};
  ASSERT_EQ(materials(1), 1u);
  resume(1, std::move(interrupted));
  EXPECT_THAT(said(party(1).result(RequestKind::keygen, key(1).bytes())),
              AllOf(StartsWith("ABORTED"), HasSubstr("after a restart")));
  pass(100ms);
  EXPECT_EQ(materials(1), 0u);
  EXPECT_EQ(private_objects.size(), 1u) << "the epoch";
  EXPECT_EQ(public_objects.size(), 1u) << "what is of another key stays";
}

TEST_F(KeyGeneratorTest, UnusedMaterialIsBoundedAndCanBeErased) {
  config.unused_materials = 2;
  start();
  record_material(1, preproc(1));
  record_material(1, preproc(2));
  EXPECT_THAT(preprocess(1, preproc(3)),
              AllOf(StartsWith("RESOURCE_EXHAUSTED"), HasSubstr(preproc(1).hex()), HasSubstr(preproc(2).hex()),
                    HasSubstr("internal_config.unused_materials"), HasSubstr("AbortKeyGen")));
  EXPECT_EQ(abort(1, preproc(2)), "OK");
  pass(100ms);
  EXPECT_FALSE(std::filesystem::exists(material(1, preproc(2))));
  EXPECT_TRUE(std::filesystem::exists(material(1, preproc(1))));
  EXPECT_THAT(abort(1, preproc(2)), StartsWith("NOT_FOUND"));
  EXPECT_THAT(generate(1, key(1), preproc(2)), StartsWith("NOT_FOUND"));
  EXPECT_THAT(preprocess(1, preproc(2)), StartsWith("ALREADY_EXISTS"));
  EXPECT_EQ(preprocess(1, preproc(3)), "OK");
  EXPECT_EQ(abort(1, preproc(3)), "OK");
  // What a dealer has prepared has no material, and does not count.
  for (std::uint8_t number = 10; number < 15; ++number) {
    const PreprocessingRecord record{PreprocessingRecord::Kind::dealt, "test", default_context_id(),
                                     default_epoch_id()};
    const auto id = preproc(number);
    ASSERT_EQ(
        said(loop->run(party(1).requests.insert(RequestKind::preprocessing, id.bytes(), {}, {1}, {record.change(id)}))),
        "OK");
    ASSERT_EQ(said(loop->run(party(1).requests.finish(RequestKind::preprocessing, id.bytes(), {1}))), "OK");
    EXPECT_THAT(abort(1, id), StartsWith("NOT_FOUND"));
  }
  EXPECT_EQ(preprocess(1, preproc(4)), "OK");
}

TEST_F(KeyGeneratorTest, AKeyOfPartialMaterialCountsAsDealtAlsoAfterARestart) {
  start();
  UsesDealtKeys extension;
  for (int i = 1; i <= kParties; ++i) party(i).core.extension = &extension;
  make_partial_material(preproc(1));
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  auto interrupted = restart(2);
  ASSERT_EQ(interrupted.size(), 1u);
  party(2).core.extension = &extension;
  resume(2, std::move(interrupted));
  expect_key(key(1));
  expect_origin(key(1), KeyOrigin::dealt);
}

// What a test program has begun, a production node does not finish.
TEST_F(KeyGeneratorTest, PartialMaterialIsGivenUpByAProgramThatDoesNotUseIt) {
  start();
  UsesDealtKeys extension;
  make_partial_material(preproc(1));
  EXPECT_THAT(generate(1, key(1), preproc(1)), AllOf(StartsWith("FAILED_PRECONDITION"), HasSubstr("is partial")));
  party(1).core.extension = &extension;
  ASSERT_EQ(generate(1, key(1), preproc(1)), "OK");
  resume(1, restart(1));
  EXPECT_THAT(said(party(1).result(RequestKind::keygen, key(1).bytes())), HasSubstr("is partial"));
  pass(100ms);
  EXPECT_EQ(party(1).keys.find(key(1), default_epoch_id()), nullptr);
  EXPECT_EQ(materials(1), 0u);
  // What no key uses can still be erased.
  EXPECT_EQ(materials(2), 1u);
  EXPECT_EQ(abort(2, preproc(1)), "OK");
  pass(100ms);
  EXPECT_EQ(materials(2), 0u);
}

TEST_F(KeyGeneratorTest, SecretKeysOfAKeyServeAnotherOneWhateverDisksAndRestartsDo) {
  start();
  make_material(preproc(1));
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  expect_key(key(1));
  make_material(preproc(2), existing_preprocessing_request(preproc(2)));
  EXPECT_THAT(generate(1, key(2), preproc(2)), StartsWith("INVALID_ARGUMENT"));
  disk(3).public_vault.unreadable = 2;
  disk(4).private_vault.unreadable = 2;
  for (int i = 1; i <= kParties; ++i)
    ASSERT_EQ(generate(i, existing_key_request(key(2), preproc(2), key(1))), "OK") << i;
  auto interrupted = restart(2);
  ASSERT_EQ(interrupted.size(), 1u);
  resume(2, std::move(interrupted));
  pass(500ms);
  EXPECT_THAT(party(3).progress(RequestKind::keygen, key(2).bytes()),
              AllOf(HasSubstr("; waits for the disk: "), HasSubstr("the disk cannot be read")));
  expect_key(key(2));
  expect_origin(key(2), KeyOrigin::generated);
  for (int i = 1; i <= kParties; ++i) {
    const auto& objects = disk(i).public_vault.inner.objects;
    EXPECT_EQ(objects.at({"PublicKey", std::nullopt, key(1).bytes()}),
              objects.at({"PublicKey", std::nullopt, key(2).bytes()}));
  }
  EXPECT_EQ(disk(3).public_vault.unreadable, 0) << "the fault was there";
  EXPECT_EQ(disk(4).private_vault.unreadable, 0);
}

// The others need not wait for it, and it says why.
TEST_F(KeyGeneratorTest, WhatCannotBeReadInTimeIsGivenUp) {
  config.threshold.keygen_timeout = 60s;
  start();
  make_material(preproc(1));
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  expect_key(key(1));
  make_material(preproc(2), existing_preprocessing_request(preproc(2)));
  disk(3).public_vault.unreadable = 1'000'000;
  for (int i = 1; i <= kParties; ++i)
    ASSERT_EQ(generate(i, existing_key_request(key(2), preproc(2), key(1))), "OK") << i;
  EXPECT_THAT(said(party(3).result(RequestKind::keygen, key(2).bytes())),
              AllOf(StartsWith("ABORTED"), HasSubstr("(threshold.core_to_core_net.keygen_timeout)"),
                    HasSubstr("cannot be read")));
  for (const int i : {1, 2, 4}) EXPECT_EQ(said(party(i).result(RequestKind::keygen, key(2).bytes())), "OK") << i;
  EXPECT_EQ(party(3).progress(RequestKind::keygen, key(2).bytes()), "none");
}

// What must not stay is erased before anybody is told that it is gone.
TEST_F(KeyGeneratorTest, AnAbortWaitsForTheDiskThatKeepsParts) {
  start();
  make_material(preproc(1));
  ASSERT_EQ(generate(1, key(1), preproc(1)), "OK");
  auto& objects = disk(1).private_vault.inner.objects;
  objects[{"KeyConfirmation", std::nullopt, key(1).bytes()}] = Bytes{1};
  disk(1).private_vault.not_erased = 2;
  EXPECT_EQ(abort(1, preproc(1)), "OK");
  EXPECT_EQ(disk(1).private_vault.not_erased, 0) << "the fault was there";
  EXPECT_FALSE(objects.contains({"KeyConfirmation", std::nullopt, key(1).bytes()}));
  EXPECT_THAT(said(party(1).result(RequestKind::keygen, key(1).bytes())), StartsWith("ABORTED"));
}

// A kernel that has begun goes on when its caller is gone: what it writes is erased all the same.
TEST_F(KeyGeneratorTest, AnAbortLeavesNothingOfWhatAKernelWasWriting) {
  start(Time::real_time);
  const auto id = preproc(1);
  make_material(id);
  std::promise<void> begun, may_go_on;
  std::atomic<bool> writing = false;
  disk(1).private_vault.on_create = [&](const runtime::ObjectName& name) {
    if (name.type != "KeyConfirmation" || writing.exchange(true)) return;
    begun.set_value();
    may_go_on.get_future().wait();
  };
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), id), "OK");
  while (!writing) pass(5ms);
  begun.get_future().wait();
  std::jthread later([&] {
    std::this_thread::sleep_for(100ms);
    may_go_on.set_value();
  });
  EXPECT_EQ(abort(1, id), "OK");
  EXPECT_THAT(said(party(1).result(RequestKind::keygen, key(1).bytes())), StartsWith("ABORTED"));
  later.join();
  for (int i = 0; i < 600 && materials(1) > 0; ++i) pass(50ms);  // the pool is busy with the other parties
  EXPECT_EQ(disk(1).private_vault.inner.objects.size(), 1u) << "the epoch";
  EXPECT_TRUE(disk(1).public_vault.inner.objects.empty());
  EXPECT_EQ(materials(1), 0u);
}

// The disk of one party keeps other bytes than those that were confirmed: the others have the key.
TEST_F(KeyGeneratorTest, AKeyWhoseObjectsAreNotOnTheDiskAsTheyWereWrittenIsNotPublished) {
  start();
  std::uint8_t number = 0;
  for (const std::string type : {kKeySetType, kPublicKeyType}) {
    const auto of = preproc(++number);
    make_material(of);
    crypto::Digest found;
    disk(2).public_vault.on_finish = [&](const runtime::ObjectName& name, Bytes& content) {
      if (name.type != type) return;
      content.at(content.size() - 100) ^= 0x10;
      found = crypto::tagged_hash(crypto::separators::kKeyObject, content);
    };
    for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(number), of), "OK");
    for (const int i : {1, 3, 4}) EXPECT_EQ(said(party(i).result(RequestKind::keygen, key(number).bytes())), "OK") << i;
    const auto& digests = party(1).keys.find(key(number), default_epoch_id())->digests;
    const auto& signed_elsewhere = std::ranges::find(digests, type, &PublishedDigest::type)->digest;
    const runtime::ObjectName name{type, std::nullopt, key(number).bytes()};
    EXPECT_THAT(
        said(party(2).result(RequestKind::keygen, key(number).bytes())),
        AllOf(HasSubstr("the public object " + name.path() + " is not what was written"),
              HasSubstr("expected digest " + to_hex(signed_elsewhere)), HasSubstr("found digest " + to_hex(found))));
    EXPECT_TRUE(disk(2).public_vault.inner.objects.empty());
    EXPECT_EQ(disk(2).private_vault.inner.objects.size(), 1u) << "the epoch";
    EXPECT_EQ(party(2).keys.find(key(number), default_epoch_id()), nullptr);
    pass(100ms);
    EXPECT_EQ(materials(2), 0u);
  }
}

// All rows of a component are wrong, at everybody alike: the confirmation alone can see it.
TEST_F(KeyGeneratorTest, AKeyThatIsNotConfirmedIsPublishedByNobodyAndItsMaterialIsUsedUp) {
  start();
  make_material(preproc(1));
  const auto components = plan().components;
  const auto packing = std::ranges::find(components, tfhe::ComponentKind::sns_compression_packing,
                                         [](const auto& one) { return one.component.kind; });
  const auto order = protocols::KeyMaterial(plan()).noises.at(static_cast<std::size_t>(packing - components.begin()));
  for (int i = 1; i <= kParties; ++i) loop->run(spoil(i, preproc(1), order, test::SeededRng("the same for all")));
  LogLines log;
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  for (int i = 1; i <= kParties; ++i) {
    // The answer to GetKeyGenResult, which would hold the digests and the signature.
    EXPECT_THAT(said(party(i).result(RequestKind::keygen, key(1).bytes())),
                AllOf(StartsWith("INTERNAL: "), HasSubstr("BigCompressed to "),
                      HasSubstr(" (wrong); suspect: rows of "), HasSubstr("The key must not be published or used")));
    EXPECT_TRUE(disk(i).public_vault.inner.objects.empty()) << i;
    EXPECT_EQ(disk(i).private_vault.inner.objects.size(), 1u) << "the epoch";
    EXPECT_EQ(party(i).keys.find(key(1), default_epoch_id()), nullptr) << i;
  }
  pass(100ms);
  for (int i = 1; i <= kParties; ++i) {
    EXPECT_EQ(materials(i), 0u) << i;
    EXPECT_THAT(generate(i, key(2), preproc(1)), StartsWith("NOT_FOUND")) << i;
  }
  EXPECT_EQ(log.count("key " + key(1).hex() + ": failed after ", "suspect: rows of SnS compression packing key, or "),
            kParties)
      << "each node says which component is suspect";
  EXPECT_EQ(log.count("generated in"), 0);
}

// Its shares of the keys are not those of the others, who say so in the online phase and in the confirmation, and have the key.
TEST_F(KeyGeneratorTest, APartyWithWrongSharesOfTheKeysIsNamedAndPublishesNothing) {
  start();
  make_material(preproc(1));
  loop->run(spoil(2, preproc(1), protocols::KeyMaterial(plan()).bits.value(), test::SeededRng("of party 2")));
  // Nobody is done before it has heard the liar: 2t+1 honest shares are there when party 4 has been asked again.
  const SessionId confirmation = crypto::session_id(key(1).bytes(), crypto::SessionKind::key_confirmation, 0, 0);
  runtime::RoleSet lost;
  network->set_filter([&](Role from, Role to, const runtime::Frame& frame, runtime::Lane) {
    if (from != Role(4) || frame.session != confirmation || frame.kind != runtime::FrameKind::data) return true;
    return std::exchange(lost, lost | runtime::RoleSet{to}).contains(to);
  });
  LogLines log;
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  for (const int i : {1, 3, 4}) EXPECT_EQ(said(party(i).result(RequestKind::keygen, key(1).bytes())), "OK") << i;
  EXPECT_THAT(said(party(2).result(RequestKind::keygen, key(1).bytes())),
              AllOf(HasSubstr("the shares of this party 2 are not those that parties 1, 3, 4 agree on"),
                    HasSubstr("this party must not publish the key")));
  EXPECT_TRUE(disk(2).public_vault.inner.objects.empty());
  EXPECT_EQ(disk(2).private_vault.inner.objects.size(), 1u) << "the epoch";
  const std::string of_key = "key " + key(1).hex() + ": ";
  // Parties 1 to 3 for certain, of which 2 speaks of itself; party 4 may have what it needs before it has heard party 2.
  EXPECT_GE(log.count(of_key + "party 2 sent wrong shares, or makes another key"), 3);
  EXPECT_GE(log.count(of_key + "in its confirmation parties 2 sent wrong shares, parties none shares of other content"),
            3);
  for (const int honest : {1, 3, 4})
    EXPECT_EQ(log.count(fmt::format("party {} sent wrong shares", honest)), 0) << honest;
}

// 2t+1 agree before it is heard. They publish at once, and name it when it comes.
TEST_F(KeyGeneratorTest, ALiarThatIsHeardAfterTheKeyWasConfirmedIsNamedAndDelaysNothing) {
  start();
  make_material(preproc(1));
  loop->run(spoil(2, preproc(1), protocols::KeyMaterial(plan()).bits.value(), test::SeededRng("of party 2")));
  const SessionId confirmation = crypto::session_id(key(1).bytes(), crypto::SessionKind::key_confirmation, 0, 0);
  bool is_late = true;
  network->set_filter([&](Role from, Role, const runtime::Frame& frame, runtime::Lane) {
    return from != Role(2) || frame.session != confirmation || frame.kind != runtime::FrameKind::data || !is_late;
  });
  LogLines log;
  const runtime::Instant asked = loop->now();
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(generate(i, key(1), preproc(1)), "OK");
  for (const int i : {1, 3, 4}) EXPECT_EQ(said(party(i).result(RequestKind::keygen, key(1).bytes())), "OK") << i;
  EXPECT_LT(loop->now() - asked, 5s);
  EXPECT_EQ(party(1).progress(RequestKind::keygen, key(1).bytes()), "none") << "another key can be generated";
  is_late = false;
  pass(kWatchLateShares);
  const std::string of_key = "key " + key(1).hex() + ": ";
  EXPECT_EQ(log.count(of_key + "in its confirmation parties "), 1) << "party 2 of itself";
  EXPECT_EQ(log.count(of_key + "party 2 sent wrong shares, after the key was confirmed"), 3);
  EXPECT_EQ(log.count(", after the key was confirmed"), 3);
}

}  // namespace
}  // namespace witan::node
