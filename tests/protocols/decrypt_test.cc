#include "protocols/decrypt.h"

#include <gtest/gtest.h>

#include "crypto/ids.h"
#include "mpc/faults_for_test.h"
#include "mpc/tap_for_test.h"
#include "protocols/decrypt_world.h"
#include "support/support.h"

namespace witan::protocols {
namespace {

using namespace std::chrono_literals;
using runtime::sim::Coverage;
using runtime::sim::End;
using runtime::sim::SimRng;
using runtime::sim::World;
using test::Material;
using test::PartyOutcome;

KeyId key_id(int n) {
  ByteArray<32> raw{4};
  raw[31] = static_cast<std::uint8_t>(n);
  return KeyId(raw);
}

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};

/// Jobs with random values of random types; deterministic in the seed.
struct Jobs {
  Jobs(const Material& material, std::uint64_t seed, int count) {
    SimRng rng(seed, 77);
    for (int number = 0; number < count; ++number) {
      DecryptionJob job{test::request_id(number), key_id(1), {}};
      std::vector<Bytes> expected;
      for (std::uint64_t c = 0; c <= rng.below(3); ++c) {
        const auto types = tfhe::all_fhe_types();
        const tfhe::FheType type = types[rng.below(std::min<std::size_t>(types.size(), 5))];
        const auto& info = tfhe::info(type);
        const tfhe::U256 value = tfhe::U256(rng.next<u128>()).low_bits(std::min(info.bits, 128));
        expected.push_back(value.to_le_bytes(static_cast<std::size_t>(info.plaintext_bytes)));
        job.ciphertexts.push_back(material.encrypt(type, value, rng));
      }
      jobs.push_back(std::move(job));
      plaintexts[number] = std::move(expected);
    }
  }
  test::JobOf of_all() const {
    return [copy = jobs](Role, int, int number) { return copy[static_cast<std::size_t>(number)]; };
  }
  std::vector<DecryptionJob> jobs;
  std::map<int, std::vector<Bytes>> plaintexts;
};

runtime::sim::WorldOptions options(std::uint64_t seed, const Material& material, double resets_per_second = 0) {
  runtime::sim::WorldOptions out{.seed = seed, .committee = material.committee, .router = {}};
  out.resets_per_second = resets_per_second;
  return out;
}

Status check(bool good, const std::string& what) {
  return good ? Status{} : fail(Code::internal, "{}", what);
}

/// What every run must show: nobody that is not Byzantine has another plaintext, nothing was used twice. With `lossy` links a
/// party whose frames take many seconds may run out of time: each loss costs it that long.
Status verdict(World& world, const Jobs& jobs, const std::vector<PartyOutcome>& outcomes, bool must_answer,
               bool lossy = false) {
  WITAN_TRY(world.audit().verdict());
  for (int i = 1; i <= world.committee().parties(); ++i) {
    if (world.byzantine().contains(Role(i))) continue;
    const PartyOutcome& outcome = outcomes[static_cast<std::size_t>(i - 1)];
    for (const auto& [number, plaintexts] : outcome.plaintexts)
      WITAN_TRY(check(plaintexts == jobs.plaintexts.at(number),
                      fmt::format("party {} has a wrong plaintext of job {}", i, number)));
    if (must_answer && !(lossy && world.faults(Role(i)).slow > runtime::Duration{}))
      for (const auto& [number, expected] : jobs.plaintexts)
        WITAN_TRY(check(
            outcome.plaintexts.contains(number),
            fmt::format("party {} has no answer to job {}: {}", i, number,
                        outcome.errors.contains(number) ? outcome.errors.at(number).message : "no error either")));
    for (const Role liar : outcome.lied)
      WITAN_TRY(check(world.byzantine().contains(liar),
                      fmt::format("party {} calls the honest party {} a liar", i, liar.number())));
  }
  return {};
}

/// All parties' shares of both keys.
const mpc::test::Secrets& key_shares(const Material& material) {
  static std::map<int, mpc::test::Secrets> cache;
  auto& out = cache[material.committee.parties()];
  if (out.size() > 0) return out;
  for (const Role role : runtime::RoleSet::all(material.committee)) {
    const SharedKey& key = material.keys[role.index()]->of(tfhe::KeyName::sns);  // the same elements as the other one
    for (std::size_t i = 0; i < key.size(); ++i)
      out.add(key.at(i).value, fmt::format("its share of bit {} of a key", i));
  }
  return out;
}

/// No honest party has sent a share of a key, of b - <a, key> without its mask, or a mask.
Status judge_sent(const mpc::test::Tap& tap, const Material& material, const Jobs& jobs) {
  WITAN_TRY(tap.keeps(key_shares(material)));
  mpc::test::Secrets hidden;
  std::set<std::pair<Role, SessionId>> seen;
  tap.each([&](const mpc::test::Tap::Sent& sent) {
    const auto job =
        std::ranges::find(jobs.jobs, sent.frame.session, [](const auto& one) { return one.session_of(0); });
    if (job == jobs.jobs.end() || !seen.emplace(sent.from, sent.frame.session).second) return;
    const Bytes& message = *sent.frame.payload;
    std::size_t at = job->ciphertexts.size() * sizeof(crypto::Digest);
    for (const SquashedCiphertext& ciphertext : job->ciphertexts) {
      const SharedKey& key = material.keys[sent.from.index()]->of(decryption_key(ciphertext.format));
      for (const auto& piece : ciphertext.blocks.pieces()) {
        const auto parts = ciphertext.blocks.partial_decrypt(key, piece);
        for (const auto& part : parts.reveal()) {
          if (at + Gr<Z128>::kSizeBytes > message.size()) return;  // of the judge of outcomes
          const auto mask = Gr<Z128>::decode(message.data() + at) - part.value;
          hidden.add(part.value, "what a block is without its mask");
          if (mask != Gr<Z128>{}) hidden.add(mask, "a mask");
          at += Gr<Z128>::kSizeBytes;
        }
      }
    }
  });
  return tap.keeps(hidden);
}

TEST(DecryptCampaign, HonestPartiesAlwaysGetTheRightPlaintext) {
  for (const auto [n, t] : kCommittees) {
    const Material& material = Material::of(n, t);
    const std::uint64_t seeds = n >= 10 ? 300 : 1000;
    const auto report = runtime::sim::campaign(
        fmt::format("decrypt n={}", n), 1, seeds, [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 5);
          const Jobs jobs(material, seed, 1 + static_cast<int>(rng.below(3)));
          std::vector<PartyOutcome> outcomes(static_cast<std::size_t>(n));
          const bool lossy = rng.chance(0.3);
          auto world_options = options(seed, material, lossy ? 0.2 : 0);
          world_options.router = mpc::test::tight_router();
          World world(world_options, test::decrypting_program<DecryptionRules>(
                                         material, static_cast<int>(jobs.jobs.size()), jobs.of_all(), 50s, outcomes));
          const mpc::test::Tap tap(world);
          mpc::test::MemoryWatch watch(world);
          mpc::test::draw_faults(world, rng);
          mpc::test::draw_partition(world, rng);
          const End end = watch.run(300s);
          coverage.merge(world.coverage());
          for (const auto& outcome : outcomes) {
            coverage.add("decrypt.answers_repeated", static_cast<std::uint64_t>(outcome.answers_repeated));
            coverage.add("decrypt.liars_named", static_cast<std::uint64_t>(outcome.lied.size()));
            coverage.add("decrypt.plaintexts", outcome.plaintexts.size());
          }
          WITAN_TRY(check(end == End::finished, "the programs did not end"));
          WITAN_TRY(watch.verdict());
          WITAN_TRY(judge_sent(tap, material, jobs));
          return verdict(world, jobs, outcomes, true, lossy);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    for (const char* name : {"decrypt.liars_named", "decrypt.answers_repeated", "decrypt.plaintexts",
                             "router.equivocations", "router.duplicates", "router.resent", "router.resent_from_store",
                             "router.parked", "router.parked_refused", "router.malformed"})
      EXPECT_GT(report.coverage.count(name), 0u) << name << " never happened at n = " << n;
  }
}

// More than t faulty: an error in time, and never a plaintext that is not right.
TEST(DecryptCampaign, TooManyFaultyPartiesGiveAnErrorAndNoPlaintext) {
  for (const auto [n, t] : kCommittees) {
    const Material& material = Material::of(n, t);
    const auto report = runtime::sim::campaign(
        fmt::format("too many n={}", n), 1, n >= 10 ? 15 : 40, [&](std::uint64_t seed, Coverage&) -> Status {
          const Jobs jobs(material, seed, 1);
          std::vector<PartyOutcome> outcomes(static_cast<std::size_t>(n));
          World world(options(seed, material),
                      test::decrypting_program<DecryptionRules>(material, 1, jobs.of_all(), 30s, outcomes));
          for (int i = 1; i <= t + 1; ++i) {
            auto& faults = world.faults(Role(i));
            if (seed % 2 == 0)
              faults.silent = true;
            else
              faults.corrupt = runtime::sim::lie_randomly(seed + static_cast<std::uint64_t>(i)),
              faults.rushing = seed % 4 == 1;
          }
          world.run(120s);
          for (int i = t + 2; i <= n; ++i) {
            const auto& outcome = outcomes[static_cast<std::size_t>(i - 1)];
            WITAN_TRY(check(outcome.plaintexts.empty(), "a plaintext came out"));
            WITAN_TRY(check(outcome.errors.contains(0), "no error came out"));
            const Error& error = outcome.errors.at(0);
            WITAN_TRY(check(error.code == Code::deadline_exceeded || error.code == Code::aborted, error.message));
          }
          return world.audit().verdict();
        });
    EXPECT_EQ(report.failures.size(), 0u);
  }
}

// kill -9 at every crash point of one party: it comes back, finishes, and never says anything else than before.
TEST(DecryptCampaign, CrashAtEveryPointOfAParty) {
  for (const auto [n, t] : kCommittees) {
    const Material& material = Material::of(n, t);
    const Jobs jobs(material, 3, 2);
    std::uint64_t points = 1;
    for (std::uint64_t point = 0; point <= points; ++point) {  // 0: none, to count them
      std::vector<PartyOutcome> outcomes(static_cast<std::size_t>(n));
      World world(options(3, material),
                  test::decrypting_program<DecryptionRules>(material, 2, jobs.of_all(), 50s, outcomes));
      if (point > 0) world.faults(Role(2)).crashes = {{point, 700ms}};
      ASSERT_EQ(world.run(300s), End::finished) << point;
      if (point == 0) points = world.crash_points(Role(2));
      const Status good = verdict(world, jobs, outcomes, true);
      ASSERT_TRUE(good) << "n = " << n << ", crash point " << point << ": " << good.error().message;
    }
    EXPECT_GT(points, 20u);
  }
}

// S7, S41: the same id with other content, after a restart.
template <class Rules>
Status other_content_after_restart(std::uint64_t seed, int& refused) {
  const Material& material = Material::of(4, 1);
  const Jobs jobs(material, seed, 1);
  DecryptionJob other = Jobs(material, seed + 1000, 1).jobs[0];
  std::vector<PartyOutcome> outcomes(4);
  const auto job_of = [&](Role role, int life, int) { return role == Role(2) && life > 0 ? other : jobs.jobs[0]; };
  World world(options(seed, material), test::decrypting_program<Rules>(material, 1, job_of, 30s, outcomes));
  world.faults(Role(2)).crashes = {{12 + seed % 12, 500ms}};
  world.run(200s);
  if (outcomes[1].errors.contains(0) && outcomes[1].errors.at(0).code == Code::already_exists) ++refused;
  return world.audit().verdict();
}

TEST(DecryptRules, OtherContentUnderAUsedIdIsRefusedAlsoAfterARestart) {
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Status good = other_content_after_restart<DecryptionRules>(seed, refused);
    EXPECT_TRUE(good) << seed << ": " << good.error().message;
  }
  EXPECT_GT(refused, 5);
}

struct WithoutJournal : DecryptionRules {
  static constexpr bool journal_before_sending = false;
};

TEST(RemovedDefence, WithoutTheJournalTwoContentsLeaveUnderOneId) {
  int violations = 0, refused = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed)
    if (!other_content_after_restart<WithoutJournal>(seed, refused)) ++violations;
  EXPECT_GT(violations, 0);
}

struct AcceptsTPlusOne : DecryptionRules {
  static constexpr std::size_t needed(CommitteeSize committee) {
    return static_cast<std::size_t>(committee.threshold()) + 1;
  }
};

template <class Rules>
int wrong_plaintexts_under_rushing_lies() {
  int wrong = 0;
  const Material& material = Material::of(4, 1);
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Jobs jobs(material, seed, 1);
    std::vector<PartyOutcome> outcomes(4);
    World world(options(seed, material), test::decrypting_program<Rules>(material, 1, jobs.of_all(), 30s, outcomes));
    world.faults(Role(4)).corrupt = runtime::sim::lie_randomly(seed);
    world.faults(Role(4)).rushing = true;
    world.run(200s);
    if (!verdict(world, jobs, outcomes, true)) ++wrong;
  }
  return wrong;
}

TEST(RemovedDefence, AcceptingTPlus1SharesLetsALiarDecide) {
  EXPECT_GT(wrong_plaintexts_under_rushing_lies<AcceptsTPlusOne>(), 0);
  EXPECT_EQ(wrong_plaintexts_under_rushing_lies<DecryptionRules>(), 0);
}

struct CutsAndFills : DecryptionRules {
  static constexpr bool fits(std::size_t, std::size_t) { return true; }
};

/// A party that appends bytes to the right message: malformed, and to be named.
template <class Rules>
int unnamed_malformed_messages() {
  int unnamed = 0;
  const Material& material = Material::of(4, 1);
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Jobs jobs(material, seed, 1);
    std::vector<PartyOutcome> outcomes(4);
    World world(options(seed, material), test::decrypting_program<Rules>(material, 1, jobs.of_all(), 30s, outcomes));
    world.faults(Role(3)).corrupt = [](Role, const runtime::Frame& frame) {
      runtime::Frame longer = frame;
      Bytes bytes = *frame.payload;
      bytes.push_back(0);
      longer.payload = runtime::make_payload(std::move(bytes));
      return std::vector{longer};
    };
    world.run(200s);
    for (const int i : {0, 1, 3}) unnamed += !outcomes[static_cast<std::size_t>(i)].lied.contains(Role(3));
  }
  return unnamed;
}

TEST(RemovedDefence, CuttingLongMessagesHidesWhoSendsThem) {
  EXPECT_GT(unnamed_malformed_messages<CutsAndFills>(), 0);
  EXPECT_EQ(unnamed_malformed_messages<DecryptionRules>(), 0);
}

struct UncheckedRing : DecryptionRules {
  static constexpr bool check_base_ring = false;
};

/// All parties hold shares of a key that is not in the base ring (S16).
template <class Rules>
PartyOutcome decrypt_under_a_foreign_key() {
  Material material(CommitteeSize::make(4, 1).value());
  SimRng rng(9);
  std::vector<std::vector<Share<Z128>>> by_party(4);
  for (std::size_t i = 0; i < Material::kDimension; ++i) {
    const auto shares = algebra::deal<Z128>(algebra::random_element<Z128>(rng), 1, 4, rng);
    for (std::size_t p = 0; p < 4; ++p) by_party[p].push_back(shares[p]);
  }
  for (std::size_t p = 0; p < 4; ++p) {
    auto keys = std::make_shared<KeyShares>();
    for (const auto name : {tfhe::KeyName::sns, tfhe::KeyName::sns_compression})
      keys->keys[static_cast<std::size_t>(name)] = SharedKey(by_party[p]);
    material.keys[p] = keys;
  }
  const Jobs jobs(material, 4, 1);
  std::vector<PartyOutcome> outcomes(4);
  World world(options(4, material), test::decrypting_program<Rules>(material, 1, jobs.of_all(), 30s, outcomes));
  world.run(200s);
  return outcomes[0];
}

TEST(RemovedDefence, WithoutTheBaseRingCheckAForeignKeyGivesAPlaintext) {
  const PartyOutcome unchecked = decrypt_under_a_foreign_key<UncheckedRing>();
  EXPECT_EQ(unchecked.plaintexts.size(), 1u);
  const PartyOutcome checked = decrypt_under_a_foreign_key<DecryptionRules>();
  EXPECT_TRUE(checked.plaintexts.empty());
  ASSERT_TRUE(checked.errors.contains(0));
  EXPECT_EQ(checked.errors.at(0).code, Code::internal);
}

struct UnboundMasks : DecryptionRules {
  static constexpr bool mask_bound_to_content = false;
};

/// S35: two honest parties work on different ciphertexts under one request id. With masks that do not depend on the
/// content, the difference of what they send is the difference of the unmasked values: exact equations in the key.
template <class Rules>
bool masks_cancel() {
  const Material& material = Material::of(4, 1);
  SimRng rng(6);
  DecryptionJob a{test::request_id(0), key_id(1), {material.encrypt(tfhe::FheType::uint8, tfhe::U256(7), rng)}};
  DecryptionJob b = a;
  b.ciphertexts[0] = test::with_body_plus_one(b.ciphertexts[0]);  // one malformed download
  std::vector<PartyOutcome> outcomes(4);
  std::map<int, Bytes> sent;
  World world(options(6, material),
              test::decrypting_program<Rules>(
                  material, 1, [&](Role role, int, int) { return role == Role(2) ? b : a; }, 20s, outcomes));
  world.run(100s);
  // Party 1's share of both contents, as it would be computed with the masks that the rules give.
  const auto share_of = [&](const DecryptionJob& job) {
    const auto& ciphertext = job.ciphertexts[0];
    const crypto::Digest context = Rules::mask_bound_to_content ? mask_context(job.key, ciphertext) : crypto::Digest{};
    const SessionId session = crypto::session_id(job.request.bytes(), crypto::SessionKind::public_decryption, 0, 0);
    const auto masks = material.masks[0]->masks(session, context, 0, 2).value();
    const SharedKey& key = material.keys[0]->of(decryption_key(ciphertext.format));
    return ciphertext.blocks.partial_decrypt(key, ciphertext.blocks.pieces()[0]).reveal()[0] + masks.reveal()[0];
  };
  return (share_of(b) - share_of(a)).value == Gr<Z128>::one();
}

TEST(RemovedDefence, UnboundMasksCancelBetweenTwoContents) {
  EXPECT_TRUE(masks_cancel<UnboundMasks>());
  EXPECT_FALSE(masks_cancel<DecryptionRules>());
}

// S34: all that a decryption says is one message per peer, with shares of degree t in GR(2^128,4): no zero sharing, nothing at
// degree 2t.
TEST(DecryptRules, AllTrafficIsOneMessageOfSharesPerPeer) {
  for (const auto [n, t] : kCommittees) {
    const Material& material = Material::of(n, t);
    const Jobs jobs(material, 21, 1);
    std::size_t blocks = 0;
    for (const auto& ciphertext : jobs.jobs[0].ciphertexts) blocks += ciphertext.blocks.size();
    std::vector<PartyOutcome> outcomes(static_cast<std::size_t>(n));
    World world(options(21, material),
                test::decrypting_program<DecryptionRules>(material, 1, jobs.of_all(), 20s, outcomes));
    std::vector<runtime::Frame> sent;
    world.faults(Role(1)).corrupt = [&](Role, const runtime::Frame& frame) {
      sent.push_back(frame);
      return std::vector{frame};
    };
    world.run(200s);
    EXPECT_TRUE(verdict(world, jobs, outcomes, true));
    ASSERT_EQ(sent.size(), static_cast<std::size_t>(n - 1));
    for (const runtime::Frame& frame : sent) {
      EXPECT_EQ(frame.step, kDecryptShares);
      EXPECT_EQ(frame.payload->size(), 32 * jobs.jobs[0].ciphertexts.size() + 64 * blocks);
    }
  }
}

// One honest party with other bytes counts as one wrong share.
TEST(Decrypt, APartyWithOtherCiphertextBytesIsTolerated) {
  const Material& material = Material::of(4, 1);
  const Jobs jobs(material, 8, 1);
  DecryptionJob other = jobs.jobs[0];
  other.ciphertexts[0] = test::with_body_plus_one(other.ciphertexts[0]);
  std::vector<PartyOutcome> outcomes(4);
  World world(
      options(8, material),
      test::decrypting_program<DecryptionRules>(
          material, 1, [&](Role role, int, int) { return role == Role(2) ? other : jobs.jobs[0]; }, 20s, outcomes));
  world.run(200s);
  for (const int i : {0, 2, 3}) {
    EXPECT_EQ(outcomes[static_cast<std::size_t>(i)].plaintexts, jobs.plaintexts);
    EXPECT_EQ(outcomes[static_cast<std::size_t>(i)].other, runtime::RoleSet{Role(2)}) << "it says so itself";
    EXPECT_TRUE(outcomes[static_cast<std::size_t>(i)].lied.empty());
  }
}

// A decryption that failed for want of shares is done again in the same process, under the same session.
TEST(Decrypt, IsRepeatedAfterAFailureWithTheSameMessage) {
  const Material& material = Material::of(4, 1);
  const Jobs jobs(material, 12, 1);
  std::vector<PartyOutcome> outcomes(4);
  int failures = 0;
  const auto program = [&](runtime::sim::Node& node) -> runtime::Task<void> {
    const std::size_t index = node.role().index();
    for (int attempt = 0; attempt < 2; ++attempt) {
      PublicDecryption decryption(
          {node.router(), node.journal(), node.compute(), material.keys[index], material.masks[index]}, jobs.jobs[0]);
      auto result = co_await decryption.run(node.loop().after(5s));
      if (result)
        outcomes[index].plaintexts[0] = result->plaintexts;
      else
        ++failures;
      co_await node.loop().sleep_for(3s);
    }
    co_await node.loop().sleep_for(30s);
  };
  World world(options(12, material), program);
  world.add_partition({.side = {Role(1), Role(2)}, .from = {}, .until = runtime::Instant(6s)});
  ASSERT_EQ(world.run(200s), End::finished);
  EXPECT_EQ(failures, 4);
  EXPECT_TRUE(verdict(world, jobs, outcomes, true));
}

// A full disk before a message leaves: nothing leaves unrecorded, and the decryption goes on when there is space; or it ends in time.
TEST(Decrypt, WaitsForSpaceOnTheDiskBeforeItSends) {
  const Material& material = Material::of(4, 1);
  const Jobs jobs(material, 13, 1);
  for (const bool space_comes : {true, false}) {
    std::vector<PartyOutcome> outcomes(4);
    runtime::FakeDisk* disk = nullptr;
    const auto program = [&](runtime::sim::Node& node) -> runtime::Task<void> {
      const std::size_t index = node.role().index();
      PublicDecryption decryption(
          {node.router(), node.journal(), node.compute(), material.keys[index], material.masks[index]}, jobs.jobs[0]);
      if (node.role() == Role(2)) disk->fails_after_commits = 0;
      auto result = co_await decryption.run(node.loop().after(20s));
      if (result)
        outcomes[index].plaintexts[0] = result->plaintexts;
      else
        outcomes[index].errors.emplace(0, result.error());
      if (node.role() == Role(1) && space_comes) {
        EXPECT_TRUE(disk->tables["sent"].empty()) << "the other three have gone on";
        disk->fails_after_commits = ~std::uint64_t{0};
      }
      co_await node.loop().sleep_for(40s);
    };
    World world(options(13, material), program);
    disk = &world.disk(Role(2));
    ASSERT_EQ(world.run(200s), End::finished);
    for (const int i : {0, 2, 3}) EXPECT_EQ(outcomes[static_cast<std::size_t>(i)].plaintexts, jobs.plaintexts);
    EXPECT_EQ(outcomes[1].plaintexts.size(), space_comes ? 1u : 0u);
    if (!space_comes) EXPECT_EQ(outcomes[1].errors.at(0).code, Code::unavailable);
  }
}

// tests/data/threshold-tfhe/noiseflood_vectors.json: the context rule.
TEST(SessionRecords, AForgottenMessageIsGoneAndTheBindingStays) {
  runtime::VirtualLoop loop;
  runtime::FakeDisk disk;
  runtime::FakeJournal journal(loop, disk);
  const RequestId request = test::request_id(3);
  const auto id = crypto::session_id(request.bytes(), crypto::SessionKind::public_decryption, 0, 0);
  const auto raw = id.bytes();
  const Bytes key(raw.begin(), raw.end()), message(1000, 5);
  JournalSentStore sent(journal);
  const auto lookup = [&](runtime::Step step) { return loop.run(sent.find(id, step, Role(2))); };
  using Kind = runtime::SentLookup::Kind;
  EXPECT_EQ(lookup(kDecryptShares).kind, Kind::unknown);
  disk.tables[kSessionsTable][key] = SessionRecord{{7}, 300}.encode();
  disk.tables[kSentTable][runtime::number_key(300)] = message;
  disk.tables[kSentTable][runtime::number_key(301)] = {1};
  EXPECT_EQ(lookup(kDecryptShares).kind, Kind::found);
  EXPECT_EQ(*lookup(kDecryptShares).payload, message);
  EXPECT_EQ(lookup(kDecryptShares + 1).kind, Kind::finished);
  ASSERT_TRUE(loop.run(journal.commit(std::vector{forget_message(300)})));
  EXPECT_EQ(lookup(kDecryptShares).kind, Kind::finished);
  EXPECT_EQ(disk.tables[kSentTable].size(), 1u);
  EXPECT_EQ(SessionRecord::decode(disk.tables[kSessionsTable][key]).value().contexts, crypto::Digest{7});
}

TEST(MaskContext, IsTheHashOfTheVectors) {
  const auto vectors = witan::test::read_json("threshold-tfhe/noiseflood_vectors.json");
  for (const auto& e : vectors) {
    SquashedCiphertext ciphertext;
    ciphertext.format = CiphertextFormat::big_compressed;
    ciphertext.type = tfhe::FheType::uint64;
    ciphertext.content = crypto::sha256(as_bytes("toy ciphertext " + std::to_string(e.at("n").get<int>())));
    ByteArray<32> key;
    key.fill(4);
    EXPECT_EQ(to_hex(mask_context(KeyId(key), ciphertext)), e.at("mask_context_hex").get<std::string>());
  }
}

TEST(KeyShares, RecordRoundTripsAndOtherSizesAreRefused) {
  const auto params = tfhe::params_by_name("witan_toy_a").value();
  SimRng rng(11);
  KeyShares keys;
  for (std::size_t name = 0; name < tfhe::kKeyNames; ++name) {
    std::vector<Share<Z128>> shares(tfhe::key_bits(params, static_cast<tfhe::KeyName>(name)));
    for (auto& share : shares) share.value = algebra::random_element<Z128>(rng);
    keys.keys[name] = SharedKey(shares);
  }
  const auto record = keys.encode();
  const auto read = KeyShares::decode(record.reveal(), params);
  ASSERT_TRUE(read);
  for (std::size_t name = 0; name < tfhe::kKeyNames; ++name)
    for (std::size_t i = 0; i < keys.keys[name].size(); ++i)
      EXPECT_EQ(read->keys[name].at(i).value, keys.keys[name].at(i).value);
  EXPECT_EQ(KeyShares::decode(record.reveal(), tfhe::params_by_name("test").value()).error().code, Code::data_loss);
  EXPECT_FALSE(KeyShares::decode(ByteView(record.reveal()).first(record.reveal().size() - 1), params));
  Bytes longer = record.reveal();
  longer.push_back(0);
  EXPECT_FALSE(KeyShares::decode(longer, params));
}

}  // namespace
}  // namespace witan::protocols
