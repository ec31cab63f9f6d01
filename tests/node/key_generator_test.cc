// Key generations of four nodes whose disks fail, which restart, and whose requests are wrong: nothing that was made is lost, and nothing of
// what is given up stays.
#include "node/key_generator_world.h"

namespace witan::node::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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

// Who has asked for it may want its end before it is recorded.
TEST_F(KeyGeneratorTest, AnAbortWhileARequestIsBeingRecordedStopsIt) {
  start();
  const auto id = preproc(1);
  std::optional<std::string> accepted;
  const auto preprocess_it = [&]() -> Task<void> {
    accepted = said(co_await party(1).generator.preprocess(preprocessing_request(id)));
  };
  party(1).scope.spawn(preprocess_it());
  pass(500us);
  ASSERT_FALSE(accepted) << "a commit takes a millisecond";
  EXPECT_THAT(party(1).progress(RequestKind::preprocessing, id.bytes()), StartsWith("stage=beginning "));
  EXPECT_EQ(abort(1, id), "OK");
  EXPECT_EQ(accepted, "OK");
  EXPECT_THAT(preprocessed(1, id), AllOf(StartsWith("ABORTED"), HasSubstr("by the operator")));
  EXPECT_THAT(abort(1, id), StartsWith("NOT_FOUND"));

  record_material(1, preproc(2));
  accepted.reset();
  const auto generate_it = [&]() -> Task<void> {
    accepted = said(co_await party(1).generator.generate(key_request(key(1), preproc(2))));
  };
  party(1).scope.spawn(generate_it());
  pass(500us);
  ASSERT_FALSE(accepted);
  EXPECT_EQ(abort(1, preproc(2)), "OK");
  EXPECT_EQ(accepted, "OK");
  EXPECT_THAT(said(party(1).result(RequestKind::keygen, key(1).bytes())), StartsWith("ABORTED"));
  pass(100ms);
  EXPECT_EQ(materials(1), 0u);
}

TEST_F(KeyGeneratorTest, AnAbortOfARequestThatCannotBeRecordedFindsNothing) {
  start();
  const auto id = preproc(1);
  disk(1).journal.fails_after_commits = disk(1).journal.commits;
  std::optional<std::string> accepted;
  const auto ask = [&]() -> Task<void> {
    accepted = said(co_await party(1).generator.preprocess(preprocessing_request(id)));
  };
  party(1).scope.spawn(ask());
  pass(500us);
  EXPECT_THAT(abort(1, id), AllOf(StartsWith("NOT_FOUND"), HasSubstr(id.hex())));
  EXPECT_THAT(accepted.value_or("nothing"), HasSubstr("the disk does not take commits"));
}

// Whose the folder is cannot be noted: it may be another party's, whose material is named like ours.
TEST_F(KeyGeneratorTest, AFolderThatDoesNotSayWhoseItIsIsLeftAlone) {
  start();
  const auto folder = disk(1).material;
  const auto in_the_way = folder / ("owner." + party(1).signing_key.address().text());
  std::filesystem::create_directories(in_the_way);
  test::write_file(material(1, preproc(5)), Bytes(1000, 7));
  EXPECT_EQ(said(party(1).generator.claim_folder()), "OK");
  loop->run(party(1).generator.erase_unused());
  EXPECT_EQ(materials(1), 1u) << "no journal entry, and not erased";
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, preproc(1)), "OK");
  pass(5s);
  EXPECT_THAT(party(1).progress(RequestKind::preprocessing, preproc(1).bytes()),
              AllOf(HasSubstr("; waits for the disk: cannot create "), HasSubstr("internal_config.material_path")));
  EXPECT_EQ(materials(1), 1u);
  std::filesystem::remove(in_the_way);
  for (int i = 0; i < 60 && materials(1) == 1; ++i) pass(1s);
  EXPECT_EQ(materials(1), 2u);
  EXPECT_TRUE(std::filesystem::exists(folder / "owner"));
  EXPECT_EQ(abort(1, preproc(1)), "OK");
  pass(1s);
  EXPECT_TRUE(std::filesystem::exists(material(1, preproc(5))));
}

TEST_F(KeyGeneratorTest, TheFolderOfAnotherPartyIsLeftAlone) {
  start();
  test::write_file(disk(1).material / "owner", Bytes(42, 'x'));
  test::write_file(material(1, preproc(1)), Bytes(1000, 7));
  EXPECT_THAT(said(party(1).generator.claim_folder()), StartsWith("FAILED_PRECONDITION"));
  for (int i = 1; i <= kParties; ++i) ASSERT_EQ(preprocess(i, preproc(1)), "OK");
  EXPECT_THAT(preprocessed(1, preproc(1)), HasSubstr("holds the material of party xxx"));
  loop->run(party(1).generator.erase_unused());
  pass(1s);
  EXPECT_EQ(std::filesystem::file_size(material(1, preproc(1))), 1000u);
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

}  // namespace
}  // namespace witan::node::test
