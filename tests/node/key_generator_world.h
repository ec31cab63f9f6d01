// Four nodes' key generators on one loop, with disks and journals that fail when they are told to, for the tests of key generation.
#pragma once

#include <array>
#include <future>
#include <thread>

#include "api/codec.h"
#include "mpc/draw_keys_for_test.h"
#include "node/faulty_vault.h"
#include "node/key_confirmation.h"
#include "node/key_generator.h"
#include "node/node_testing.h"
#include "protocols/decrypt.h"
#include "runtime/fake_journal.h"
#include "runtime/memory_network.h"

namespace witan::node::test {

using namespace std::chrono_literals;
using runtime::Task;

inline constexpr int kParties = 4;
inline const CommitteeSize kCommittee = CommitteeSize::make(kParties, 1).value();

template <class IdType>
IdType id_of(std::uint8_t type, std::uint8_t number) {
  ByteArray<32> raw{type};
  raw[31] = number;
  return IdType(raw);
}
inline PreprocId preproc(std::uint8_t number) {
  return id_of<PreprocId>(3, number);
}
inline KeyId key(std::uint8_t number) {
  return id_of<KeyId>(4, number);
}

inline api::Eip712DomainMsg domain() {
  return {.name = "KMSGeneration",
          .version = "1",
          .chain_id = {0xd4, 0x31},
          .verifying_contract = "0x037D0C1aA70ABE155DD611A033bF2D6F97D7b857",
          .salt = std::nullopt};
}
inline api::KeyGenPreprocRequest preprocessing_request(const PreprocId& id) {
  api::KeyGenPreprocRequest out;
  out.request_id = id.hex();
  out.params = api::FheParameter::test_params;
  out.domain = domain();
  return out;
}
inline api::KeyGenRequest key_request(const KeyId& id, const PreprocId& of) {
  api::KeyGenRequest out;
  out.request_id = id.hex();
  out.preproc_id = of.hex();
  out.domain = domain();
  return out;
}

/// Of UseExisting: the material has no key bits, the key has the secret keys of another one.
inline api::KeySetConfig use_existing() {
  api::KeySetConfig out;
  out.standard_keyset_config.emplace().secret_key_config = api::KeyGenSecretKeyConfig::use_existing;
  return out;
}
inline api::KeyGenPreprocRequest existing_preprocessing_request(const PreprocId& id) {
  auto out = preprocessing_request(id);
  out.keyset_config = use_existing();
  return out;
}
inline api::KeyGenRequest existing_key_request(const KeyId& id, const PreprocId& of, const KeyId& existing) {
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
  std::size_t materials(int i) { return list_material(disk(i).material).value_or(std::vector<PreprocId>{}).size(); }
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

}  // namespace witan::node::test
