// Keys of a node: records and shares in the private vault, public objects that must be what was signed.
#include "node/key_store.h"

#include <deque>

#include "base/codec.h"
#include "crypto/hash.h"
#include "node/faulty_vault.h"
#include "node/node_testing.h"
#include "node/public_objects.h"
#include "runtime/scope.h"
#include "support/memory_meter.h"

namespace witan::node {
namespace {

using test::said;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

template <class IdType>
IdType id_of(std::uint8_t type, std::uint8_t number) {
  ByteArray<32> raw{type};
  raw[31] = number;
  return IdType(raw);
}

KeyRecord record_of(std::uint8_t number, const EpochId& epoch = default_epoch_id()) {
  KeyRecord out;
  out.key = id_of<KeyId>(4, number);
  out.preprocessing = id_of<PreprocId>(3, number);
  out.context = default_context_id();
  out.epoch = epoch;
  out.params = "test";
  out.origin = KeyOrigin::imported;
  out.extra_data = {1, 2, 3};
  out.external_signature = Bytes(65, 9);
  out.signatures = {{0, Bytes(65, 8)}, {-1, {}}};
  return out;
}

TEST(KeyRecord, IsReadBackAsItWasWritten) {
  KeyRecord record = record_of(1);
  record.digests = {{"PublicKey", {1}}, {"CompressedXofKeySet", {2}}};
  const auto read = KeyRecord::decode(record.encode());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->key, record.key);
  EXPECT_EQ(read->preprocessing, record.preprocessing);
  EXPECT_EQ(read->context, record.context);
  EXPECT_EQ(read->epoch, record.epoch);
  EXPECT_EQ(read->params, "test");
  EXPECT_EQ(read->origin, KeyOrigin::imported);
  ASSERT_EQ(read->digests.size(), 2u);
  EXPECT_EQ(read->digests[0].type, "PublicKey") << "in the order of responses.md 4.2, as written";
  EXPECT_EQ(read->digests[1].type, "CompressedXofKeySet");
  EXPECT_EQ(read->digests[1].digest, record.digests[1].digest);
  EXPECT_EQ(read->extra_data, record.extra_data);
  EXPECT_EQ(read->external_signature, record.external_signature);
  ASSERT_EQ(read->signatures.size(), 2u);
  EXPECT_EQ(read->signatures[0].signature, Bytes(65, 8));
  EXPECT_EQ(read->signatures[1].scheme, -1);
  EXPECT_EQ(read->encode(), record.encode());
}

TEST(KeyRecord, EveryTruncationIsDataLoss) {
  KeyRecord record = record_of(1);
  record.digests = {{"PublicKey", {1}}};
  const Bytes whole = record.encode();
  for (std::size_t size = 0; size < whole.size(); ++size)
    ASSERT_THAT(said(KeyRecord::decode(ByteView(whole).first(size))),
                StartsWith("DATA_LOSS: a key record is cut short"))
        << size;
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_EQ(said(KeyRecord::decode(longer)), "DATA_LOSS: a key record has 1 bytes too many");
}

TEST(KeyRecord, WhatIsOutOfRangeIsDataLoss) {
  const Bytes good = record_of(1).encode();
  const std::size_t origin = 4 + 4 * 32 + 8 + 4, digests = origin + 1, extra_data = digests + 8;
  ASSERT_EQ(good[origin], 2);
  const auto with = [&](std::size_t at, std::uint64_t value, std::size_t bytes) {
    Bytes bad = good;
    std::memcpy(bad.data() + at, &value, bytes);
    return said(KeyRecord::decode(bad));
  };
  EXPECT_THAT(with(0, 2, 4), StartsWith("DATA_LOSS: ")) << "layout";
  EXPECT_THAT(with(origin, 0, 1), StartsWith("DATA_LOSS: "));
  EXPECT_THAT(with(origin, 4, 1), StartsWith("DATA_LOSS: "));
  EXPECT_EQ(with(origin, 3, 1), "OK");
  for (const std::uint64_t many : {std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    EXPECT_THAT(with(digests, many, 8), StartsWith("DATA_LOSS: ")) << "no memory is spent on a count";
    EXPECT_THAT(with(extra_data, many, 8), StartsWith("DATA_LOSS: "));
  }
  KeyRecord record = record_of(1);
  record.params = std::string(65, 'x');
  EXPECT_THAT(said(KeyRecord::decode(record.encode())), StartsWith("DATA_LOSS: "));
}

/// A pool whose kernels run one by one, when the test says so.
class SteppedCompute final : public runtime::Compute {
 public:
  explicit SteppedCompute(runtime::VirtualLoop& loop) : Compute(loop), virtual_loop_(loop) {}
  void submit(runtime::Work work, std::function<void()> job) override {
    if (work == runtime::Work::urgent) ++urgent;
    jobs_.push_back(std::move(job));
  }
  /// Runs the oldest kernel that waits, and what follows from it; false if there is none.
  bool step() {
    virtual_loop_.run_ready();
    if (jobs_.empty()) return false;
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    job();
    ++kernels;
    virtual_loop_.run_ready();
    return true;
  }
  int urgent = 0, kernels = 0;

 private:
  runtime::VirtualLoop& virtual_loop_;
  std::deque<std::function<void()>> jobs_;
};

class KeyStoreTest : public testing::Test {
 protected:
  static std::shared_ptr<const protocols::KeyShares> shares() {
    static const auto all = [] {
      protocols::KeyShares out;
      const auto params = tfhe::params_by_name("test").value();
      for (std::size_t name = 0; name < tfhe::kKeyNames; ++name) {
        std::vector<protocols::Share<protocols::Z128>> entries(
            tfhe::key_bits(params, static_cast<tfhe::KeyName>(name)));
        for (std::size_t i = 0; i < entries.size(); ++i) entries[i].value.c[i % 4] = 100 * name + i;
        out.keys[name] = protocols::SharedKey(entries);
      }
      return std::make_shared<const protocols::KeyShares>(std::move(out));
    }();
    return all;
  }

  /// Publishes an object and lists it in the record.
  void publish(KeyRecord& record, const std::string& type, ByteView content) {
    const runtime::ObjectName name{type, std::nullopt, record.key.bytes()};
    ASSERT_TRUE(public_vault_->put(name, content));
    record.digests.push_back({type, loop_.run(stored_object(compute_, *public_vault_, name)).value().digest});
  }
  std::filesystem::path private_file(const KeyRecord& record) const {
    return folder_.path() / "PRIV" / "FheKeyInfo" / record.epoch.hex() / record.key.hex();
  }
  std::filesystem::path public_file(const KeyRecord& record, const char* type) const {
    return folder_.path() / "PUB" / type / record.key.hex();
  }
  KeyStore store() { return {*private_vault_, *public_vault_, compute_}; }
  /// A byte in the middle becomes another one.
  static void damage(const std::filesystem::path& file) {
    Bytes content = witan::test::read_file(file);
    content[content.size() / 2] ^= 1;
    test::write_file(file, content);
  }
  Bytes native_key_set() const { return witan::test::read_data("tfhe/native-1.7.0/test/compressed_xof_key_set.bin"); }

  test::TemporaryFolder folder_;
  std::unique_ptr<store::FileVault> private_vault_ = folder_.private_vault(), public_vault_ = folder_.public_vault();
  runtime::VirtualLoop loop_;
  runtime::InlineCompute compute_{loop_};
};

TEST_F(KeyStoreTest, KeysAreThereAgainAfterARestart) {
  const EpochId other_epoch = id_of<EpochId>(8, 2);
  KeyRecord first = record_of(1), second = record_of(2), moved = record_of(1, other_epoch);
  publish(first, "PublicKey", Bytes(3'000'000, 7));
  moved.digests = first.digests;
  {
    KeyStore keys = store();
    for (const KeyRecord* record : {&first, &second, &moved}) ASSERT_TRUE(loop_.run(keys.add(*record, shares())));
    EXPECT_EQ(keys.all().size(), 3u);
  }
  KeyStore keys = store();
  EXPECT_EQ(keys.find(first.key, first.epoch), nullptr) << "nothing is known before load()";
  const Status loaded = keys.load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(keys.all().size(), 3u);
  ASSERT_NE(keys.find(first.key, first.epoch), nullptr);
  EXPECT_EQ(keys.find(first.key, first.epoch)->encode(), first.encode());
  EXPECT_EQ(keys.find(first.key, other_epoch)->encode(), moved.encode());
  EXPECT_EQ(keys.find(second.key, other_epoch), nullptr);
  EXPECT_EQ(keys.find_in_any_epoch(second.key)->encode(), second.encode());
  EXPECT_EQ(keys.find_in_any_epoch(id_of<KeyId>(4, 3)), nullptr);

  const auto read = keys.shares(*keys.find(second.key, second.epoch));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ((*read)->encode().reveal(), shares()->encode().reveal());
  EXPECT_EQ(keys.shares(*keys.find(second.key, second.epoch)).value(), *read) << "read once";
}

TEST_F(KeyStoreTest, AKeyIsAddedOnce) {
  KeyStore keys = store();
  ASSERT_TRUE(loop_.run(keys.add(record_of(1), shares())));
  KeyRecord again = record_of(1);
  again.params = "default";
  EXPECT_THAT(said(loop_.run(keys.add(again, shares()))),
              AllOf(StartsWith("ALREADY_EXISTS: "), HasSubstr(again.key.hex())));
  EXPECT_EQ(keys.find(again.key, again.epoch)->params, "test");
}

// The loop does not wait for the disk.
TEST_F(KeyStoreTest, AKeyIsStoredByABulkKernel) {
  SteppedCompute compute(loop_);
  KeyStore keys(*private_vault_, *public_vault_, compute);
  runtime::TaskScope scope(loop_);
  const auto add = [&]() -> runtime::Task<void> { EXPECT_TRUE(co_await keys.add(record_of(1), shares())); };
  scope.spawn(add());
  loop_.run_ready();
  EXPECT_FALSE(std::filesystem::exists(private_file(record_of(1))));
  EXPECT_EQ(keys.find(record_of(1).key, default_epoch_id()), nullptr);
  ASSERT_TRUE(compute.step());
  EXPECT_TRUE(std::filesystem::exists(private_file(record_of(1))));
  EXPECT_NE(keys.find(record_of(1).key, default_epoch_id()), nullptr);
  EXPECT_EQ(compute.urgent, 0);
}

// What a failed sync has left is unknown: the next try finds it, and makes it durable.
TEST_F(KeyStoreTest, AKeyMayBeAddedAgainAfterASyncThatFailed) {
  test::FaultyVault vault;
  KeyStore keys(vault, *public_vault_, compute_);
  vault.unknown = 1;
  EXPECT_THAT(said(loop_.run(keys.add(record_of(1), shares()))), StartsWith("UNAVAILABLE: "));
  EXPECT_EQ(keys.find(record_of(1).key, default_epoch_id()), nullptr);
  KeyRecord other = record_of(1);
  other.params = "default";
  EXPECT_THAT(said(loop_.run(keys.add(other, shares()))), StartsWith("ALREADY_EXISTS: "));
  EXPECT_EQ(said(loop_.run(keys.add(record_of(1), shares()))), "OK");
  EXPECT_EQ(vault.syncs, 1);
  KeyStore after_restart(vault, *public_vault_, compute_);
  EXPECT_EQ(said(after_restart.load()), "OK");
  ASSERT_NE(after_restart.find(record_of(1).key, default_epoch_id()), nullptr);
  EXPECT_EQ((*after_restart.shares(*after_restart.find(record_of(1).key, default_epoch_id())))->encode().reveal(),
            shares()->encode().reveal());
}

TEST_F(KeyStoreTest, ADamagedOrMissingPublicObjectIsNamed) {
  KeyRecord record = record_of(1);
  publish(record, "PublicKey", Bytes(100, 1));
  publish(record, "CompressedXofKeySet", Bytes(100, 2));
  ASSERT_TRUE(loop_.run(store().add(record, shares())));
  enum class Vanishes : std::uint8_t { no, after_the_start };
  const auto checked = [&](const std::filesystem::path& file = {}, Vanishes vanishes = Vanishes::no) {
    KeyStore keys = store();
    const Status loaded = keys.load();
    EXPECT_TRUE(loaded) << loaded.error().message;
    if (vanishes == Vanishes::after_the_start) std::filesystem::remove(file);
    return said(loop_.run(keys.check_public_objects(*keys.find(record.key, record.epoch))));
  };
  EXPECT_EQ(checked(), "OK");
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string type = i == 0 ? "PublicKey" : "CompressedXofKeySet";
    const auto file = public_file(record, type.c_str());
    const auto named = [&](const char* what_is_there) {
      return AllOf(StartsWith("DATA_LOSS: key " + record.key.hex()), HasSubstr(type + "/" + record.key.hex()),
                   HasSubstr(what_is_there), HasSubstr("signed was digest " + to_hex(record.digests[i].digest)),
                   HasSubstr("restore it from another party's vault and start this node again"));
    };
    const Bytes good = witan::test::read_file(file);
    Bytes flipped = good;
    flipped[50] ^= 1;
    for (const Bytes& bad : {flipped, Bytes(good.begin(), good.end() - 1), Bytes()}) {
      test::write_file(file, bad);
      EXPECT_THAT(checked(), named("has digest"));
    }
    EXPECT_THAT(checked(file, Vanishes::after_the_start), named("cannot be read"));
    EXPECT_THAT(said(store().load()), named("is missing")) << "seen without reading anything";
    test::write_file(file, good);
  }
  EXPECT_EQ(checked(), "OK");
}

TEST_F(KeyStoreTest, ALargeObjectIsCheckedInPiecesOfBulkWork) {
  constexpr std::size_t kPieces = 20;
  KeyRecord record = record_of(1);
  publish(record, "PublicKey", Bytes(kPieces * kReadAtOnce, 7));
  ASSERT_TRUE(loop_.run(store().add(record, shares())));
  SteppedCompute compute(loop_);
  KeyStore keys(*private_vault_, *public_vault_, compute);
  const witan::test::MemoryMeter meter;
  ASSERT_TRUE(keys.load());
  EXPECT_EQ(compute.kernels, 0) << "the start reads metadata alone";
  const KeyRecord& loaded = *keys.find(record.key, record.epoch);
  EXPECT_EQ(keys.public_objects(loaded), PublicObjects::unchecked);
  runtime::TaskScope scope(loop_);
  Status checked = fail(Code::internal, "not checked");
  const auto check = [&]() -> runtime::Task<void> { checked = co_await keys.check_public_objects(loaded); };
  scope.spawn(check());
  while (compute.step()) {
  }
  EXPECT_TRUE(checked) << checked.error().message;
  EXPECT_EQ(keys.public_objects(loaded), PublicObjects::intact);
  EXPECT_EQ(compute.urgent, 0);
  EXPECT_GE(compute.kernels, static_cast<int>(kPieces));
  EXPECT_GT(meter.peak_bytes(), kReadAtOnce) << "the meter counts";
  EXPECT_LT(meter.peak_bytes(), 3 * kReadAtOnce) << "never the whole object";
}

TEST_F(KeyStoreTest, UntilItsObjectsAreCheckedAKeyDecryptsWithItsSharesAlone) {
  KeyRecord record = record_of(1);
  publish(record, "CompressedXofKeySet", native_key_set());
  ASSERT_TRUE(loop_.run(store().add(record, shares())));
  SteppedCompute compute(loop_);
  KeyStore keys(*private_vault_, *public_vault_, compute);
  ASSERT_TRUE(keys.load());
  const KeyRecord& loaded = *keys.find(record.key, record.epoch);
  runtime::TaskScope scope(loop_);
  bool resumed = false;
  const auto check = [&]() -> runtime::Task<void> { co_await keys.check_public_objects(loaded); };
  const auto resume = [&]() -> runtime::Task<void> {
    co_await keys.until_public_objects_are_intact(loaded);
    resumed = true;
  };
  scope.spawn(check());
  scope.spawn(resume());
  const auto try_again = AllOf(StartsWith("UNAVAILABLE: "), HasSubstr(record.key.hex()),
                               HasSubstr("still being checked"), HasSubstr("try again"));
  do {
    ASSERT_THAT(said(keys.require_public_objects(loaded)), try_again);
    ASSERT_THAT(said(loop_.run(keys.small_keys(loaded))), try_again) << "nothing is expanded that may be wrong";
    ASSERT_EQ(said(keys.shares(loaded)), "OK");
    ASSERT_FALSE(resumed);
    ASSERT_TRUE(compute.step());
  } while (keys.public_objects(loaded) == PublicObjects::unchecked);
  EXPECT_GT(compute.kernels, 2) << "it was asked while the check was under way";
  EXPECT_EQ(said(keys.require_public_objects(loaded)), "OK");
  EXPECT_TRUE(resumed);
  const int before = compute.kernels;
  EXPECT_TRUE(loop_.run(keys.check_public_objects(loaded)));
  EXPECT_EQ(compute.kernels, before) << "checked once";
}

TEST_F(KeyStoreTest, ADamagedKeyDoesNotDisturbTheOthers) {
  KeyRecord bad = record_of(1), good = record_of(2);
  for (KeyRecord* record : {&bad, &good}) {
    publish(*record, "CompressedXofKeySet", native_key_set());
    ASSERT_TRUE(loop_.run(store().add(*record, shares())));
  }
  damage(public_file(bad, "CompressedXofKeySet"));
  KeyStore keys = store();
  ASSERT_TRUE(keys.load());
  runtime::TaskScope scope(loop_);
  bool bad_resumed = false, good_resumed = false;
  const auto resume = [&](const KeyRecord& record, bool& resumed) -> runtime::Task<void> {
    co_await keys.until_public_objects_are_intact(record);
    resumed = true;
  };
  scope.spawn(resume(bad, bad_resumed));
  scope.spawn(resume(good, good_resumed));
  for (const KeyRecord* record : keys.all())
    EXPECT_EQ(said(loop_.run(keys.check_public_objects(*record))).starts_with("DATA_LOSS"), record->key == bad.key);
  loop_.run_until_idle();
  EXPECT_TRUE(good_resumed);
  EXPECT_FALSE(bad_resumed) << "what was accepted waits until the object is restored";

  EXPECT_EQ(keys.public_objects(bad), PublicObjects::damaged);
  EXPECT_EQ(keys.public_objects(good), PublicObjects::intact);
  EXPECT_THAT(said(loop_.run(keys.small_keys(bad))),
              AllOf(StartsWith("DATA_LOSS: key " + bad.key.hex()), HasSubstr("CompressedXofKeySet")));
  EXPECT_EQ(said(keys.shares(bad)), "OK") << "Big ciphertexts need no public object";
  EXPECT_EQ(said(loop_.run(keys.small_keys(good))), "OK");
  EXPECT_EQ(said(keys.shares(good)), "OK");
}

TEST_F(KeyStoreTest, ACheckCanBeDroppedInTheMiddle) {
  KeyRecord record = record_of(1);
  publish(record, "PublicKey", Bytes(3 * kReadAtOnce, 7));
  ASSERT_TRUE(loop_.run(store().add(record, shares())));
  SteppedCompute compute(loop_);
  KeyStore keys(*private_vault_, *public_vault_, compute);
  ASSERT_TRUE(keys.load());
  const KeyRecord& loaded = *keys.find(record.key, record.epoch);
  const auto check = [&]() -> runtime::Task<void> { co_await keys.check_public_objects(loaded); };
  {
    runtime::TaskScope scope(loop_);
    scope.spawn(check());
    ASSERT_TRUE(compute.step());
    ASSERT_TRUE(compute.step());
  }
  while (compute.step()) {
  }
  EXPECT_EQ(compute.kernels, 3) << "the one that was submitted, and no more";
  EXPECT_EQ(keys.public_objects(loaded), PublicObjects::unchecked);
}

// tfhe-formats.md 17.
TEST_F(KeyStoreTest, ThePublicDigestIsTheOneThatIsSigned) {
  const runtime::ObjectName name{"PublicKey", std::nullopt, record_of(1).key.bytes()};
  Bytes content(2'500'000);
  test::SeededRng("object").fill(content);
  ASSERT_TRUE(public_vault_->put(name, content));
  Bytes message(as_bytes("PDAT_KEY").begin(), as_bytes("PDAT_KEY").end());
  append(message, content);
  const Bytes expected = crypto::shake256(message, 32);
  const auto object = loop_.run(stored_object(compute_, *public_vault_, name));
  ASSERT_TRUE(object);
  EXPECT_EQ(Bytes(object->digest.begin(), object->digest.end()), expected);
  EXPECT_EQ(object->size_bytes, content.size());
}

TEST_F(KeyStoreTest, EveryTruncationOfAStoredRecordStopsTheStart) {
  const KeyRecord record = record_of(1);
  ASSERT_TRUE(loop_.run(store().add(record, shares())));
  const auto file = private_file(record);
  const Bytes whole = witan::test::read_file(file);
  const std::size_t record_bytes = 8 + record.encode().size();
  for (std::size_t size = 0; size < record_bytes; ++size) {
    test::write_file(file, ByteView(whole).first(size));
    ASSERT_THAT(said(store().load()),
                AllOf(StartsWith("DATA_LOSS: "), HasSubstr("FheKeyInfo"), HasSubstr(record.key.hex())))
        << size;
  }
  Bytes endless = whole;
  store_le(~std::uint64_t{0}, endless.data());
  test::write_file(file, endless);
  EXPECT_THAT(said(store().load()), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("is damaged")));
}

TEST_F(KeyStoreTest, TruncatedSharesAreDataLossWhenTheyAreRead) {
  const KeyRecord record = record_of(1);
  ASSERT_TRUE(loop_.run(store().add(record, shares())));
  const auto file = private_file(record);
  const Bytes whole = witan::test::read_file(file);
  const std::size_t record_bytes = 8 + record.encode().size();
  const auto read = [&] {
    KeyStore keys = store();
    EXPECT_TRUE(keys.load());
    return said(keys.shares(*keys.find(record.key, record.epoch)));
  };
  EXPECT_EQ(read(), "OK");
  for (std::size_t size = record_bytes; size < whole.size(); size += 1 + (whole.size() - record_bytes) / 50) {
    test::write_file(file, ByteView(whole).first(size));
    ASSERT_THAT(read(), AllOf(StartsWith("DATA_LOSS: "), HasSubstr(record.key.hex()))) << size;
  }
  Bytes longer = whole;
  longer.push_back(0);
  test::write_file(file, longer);
  EXPECT_THAT(read(), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("1 bytes too many")));
}

TEST_F(KeyStoreTest, ARecordUnderAnotherKeysNameIsRefused) {
  const KeyRecord record = record_of(1);
  ASSERT_TRUE(loop_.run(store().add(record, shares())));
  const Bytes whole = witan::test::read_file(private_file(record));
  for (const KeyRecord& other : {record_of(2), record_of(1, id_of<EpochId>(8, 2))}) {
    const auto file = private_file(other);
    test::write_file(file, whole);
    EXPECT_THAT(said(store().load()), AllOf(StartsWith("DATA_LOSS: "), HasSubstr("the record of another key"),
                                            HasSubstr(other.key.hex()), HasSubstr(other.epoch.hex())));
    std::filesystem::remove(file);
  }
}

// The key set was made by native tfhe-rs 1.7.0.
TEST_F(KeyStoreTest, SmallKeysAreExpandedOnceForAllWhoAsk) {
  KeyRecord record = record_of(1);
  publish(record, "CompressedXofKeySet", native_key_set());
  KeyStore keys = store();
  ASSERT_TRUE(loop_.run(keys.add(record, shares())));
  std::vector<std::shared_ptr<const SmallKeys>> got;
  runtime::TaskScope scope(loop_);
  const auto ask = [&]() -> runtime::Task<void> {
    auto small = co_await keys.small_keys(record);
    EXPECT_TRUE(small) << small.error().message;
    if (small) got.push_back(*small);
  };
  for (int i = 0; i < 3; ++i) scope.spawn(ask());
  loop_.run(scope.join());
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0], got[1]);
  EXPECT_EQ(got[0], got[2]);
  EXPECT_TRUE(got[0]->decompression.has_value());
  EXPECT_EQ(loop_.run(keys.small_keys(record)).value(), got[0]);
}

TEST_F(KeyStoreTest, SmallKeysAreExpandedInPiecesOfBulkWork) {
  KeyRecord record = record_of(1);
  publish(record, "CompressedXofKeySet", native_key_set());
  SteppedCompute compute(loop_);
  KeyStore keys(*private_vault_, *public_vault_, compute);
  runtime::TaskScope scope(loop_);
  const auto add = [&]() -> runtime::Task<void> { EXPECT_TRUE(co_await keys.add(record, shares())); };
  scope.spawn(add());
  ASSERT_TRUE(compute.step());
  bool expanded = false;
  const auto ask = [&]() -> runtime::Task<void> { expanded = (co_await keys.small_keys(record)).has_value(); };
  scope.spawn(ask());
  while (compute.step()) {
  }
  EXPECT_TRUE(expanded);
  EXPECT_EQ(compute.urgent, 0) << "decryptions do not wait behind it";
  EXPECT_GT(compute.kernels, 30);
}

// The file is parsed as it is read: beside what stays there is never more than the parsed set.
TEST_F(KeyStoreTest, ExpandingHoldsTheSetOnce) {
  KeyRecord record = record_of(1);
  const std::size_t set_bytes = [&] {
    const Bytes content = native_key_set();
    publish(record, "CompressedXofKeySet", content);
    return content.size();
  }();
  KeyStore keys = store();
  ASSERT_TRUE(loop_.run(keys.add(record, shares())));
  const witan::test::MemoryMeter meter;
  ASSERT_TRUE(loop_.run(keys.small_keys(record)));
  EXPECT_GT(meter.peak_bytes(), set_bytes) << "the meter counts";
  EXPECT_LT(meter.peak_bytes(), meter.held_bytes() + set_bytes + set_bytes / 4);
}

TEST_F(KeyStoreTest, AKeySetThatCannotBeExpandedFailsAllWhoAskAndBlocksNobody) {
  KeyRecord record = record_of(1);
  publish(record, "CompressedXofKeySet", Bytes(100, 1));
  KeyStore keys = store();
  ASSERT_TRUE(loop_.run(keys.add(record, shares())));
  int failed = 0;
  runtime::TaskScope scope(loop_);
  const auto ask = [&]() -> runtime::Task<void> {
    const auto small = co_await keys.small_keys(record);
    if (!small && small.error().code == Code::invalid_argument) ++failed;
  };
  for (int i = 0; i < 3; ++i) scope.spawn(ask());
  loop_.run(scope.join());
  EXPECT_EQ(failed, 3);
  EXPECT_FALSE(loop_.run(keys.small_keys(record)));
}

TEST(PublicObjects, HaveNames) {
  EXPECT_STREQ(to_string(PublicObjects::unchecked), "unchecked");
  EXPECT_STREQ(to_string(PublicObjects::intact), "intact");
  EXPECT_STREQ(to_string(PublicObjects::damaged), "damaged");
}

TEST(KeyOrigin, HasAName) {
  EXPECT_STREQ(to_string(KeyOrigin::dealt), "dealt");
  EXPECT_STREQ(to_string(KeyOrigin::imported), "imported");
  EXPECT_STREQ(to_string(KeyOrigin::generated), "generated");
}

}  // namespace
}  // namespace witan::node
