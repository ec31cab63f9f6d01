// A committee of decrypting parties in the simulator: dealt toy keys, ciphertexts of known plaintexts, and a program that
// behaves like a node (results in the journal, sessions bound, late messages watched).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/codec.h"
#include "mpc/set_keys_for_test.h"
#include "protocols/decrypt_impl.h"
#include "runtime/sim.h"
#include "runtime/sim_adversary.h"
#include "tfhe/bootstrap.h"
#include "tfhe/packing.h"

namespace witan::protocols::test {

/// Everything that all runs of one committee size share: it is expensive at n = 13.
struct Material {
  static constexpr std::size_t kDimension = 16, kPerGlwe = 5;

  explicit Material(CommitteeSize size) : committee(size) {
    runtime::sim::SimRng rng(1);
    for (std::size_t i = 0; i < kDimension; ++i) bits.push_back(static_cast<std::uint8_t>(rng.below(2)));
    std::vector<std::vector<Share<Z128>>> by_party(static_cast<std::size_t>(size.parties()));
    for (const std::uint8_t bit : bits) {
      const auto shares = algebra::deal<Z128>(Gr<Z128>::from_base(bit), size.threshold(), size.parties(), rng);
      for (std::size_t i = 0; i < shares.size(); ++i) by_party[i].push_back(shares[i]);
    }
    for (const auto& own : by_party) {
      auto shares = std::make_shared<KeyShares>();
      for (const auto name : {tfhe::KeyName::sns, tfhe::KeyName::sns_compression})
        shares->keys[static_cast<std::size_t>(name)] = SharedKey(own);
      keys.push_back(std::move(shares));
    }
    for (const auto& own : mpc::test::make_set_keys(size, std::string("decrypt world")))
      masks.push_back(std::make_shared<mpc::MaskGenerator>(own));
  }

  static const Material& of(int n, int t) {
    static std::map<int, std::unique_ptr<Material>> cache;
    auto& entry = cache[n];
    if (!entry) entry = std::make_unique<Material>(CommitteeSize::make(n, t).value());
    return *entry;
  }

  /// Encrypts the pairs of a value with small noise: one by one, or five to a GLWE.
  SquashedCiphertext encrypt(tfhe::FheType type, const tfhe::U256& value, runtime::sim::SimRng& rng) const {
    SquashedCiphertext out;
    out.type = type;
    const bool packed = rng.below(2);
    out.format = packed ? CiphertextFormat::big_compressed : CiphertextFormat::big_expanded;
    const auto pairs = tfhe::pair_blocks(tfhe::to_blocks(type, value).value());
    std::vector<tfhe::Lwe<Z128>> lwes;
    std::vector<tfhe::PartialGlwe<Z128>> glwes;
    const auto body = [&](const tfhe::Lwe<Z128>& mask, std::uint8_t pair) {
      Z128 sum = (Z128{pair} << 123) + (rng.next<Z128>() >> 59) - (Z128{1} << 68);
      for (std::size_t i = 0; i < kDimension; ++i) sum += mask.mask()[i] * bits[i];
      return sum;
    };
    for (std::size_t first = 0; first < pairs.size(); first += packed ? kPerGlwe : 1) {
      tfhe::Glwe<Z128> glwe(2, kDimension / 2);
      for (Z128& word : glwe.data) word = rng.next<Z128>();
      if (packed) {
        const std::size_t count = std::min(kPerGlwe, pairs.size() - first);
        for (std::size_t i = 0; i < count; ++i) glwe.body()[i] = body(tfhe::sample_extract(glwe, i), pairs[first + i]);
        glwe.data.resize(kDimension + count);
        glwes.push_back({std::move(glwe.data), 2, kDimension / 2});
      } else {
        lwes.push_back(tfhe::sample_extract(glwe, 0));
        lwes.back().body() = body(lwes.back(), pairs[first]);
      }
    }
    out.blocks = packed ? SquashedBlocks(std::move(glwes)) : SquashedBlocks(std::move(lwes));
    out.content = content_of(out.blocks);
    return out;
  }

  /// Stands for the digest of the bytes as received.
  static crypto::Digest content_of(const SquashedBlocks& blocks) {
    return content_of_blocks(blocks.lwes().empty() ? tfhe::extract_all(blocks.glwes()) : blocks);
  }

  CommitteeSize committee;
  std::vector<std::uint8_t> bits;
  std::vector<std::shared_ptr<const KeyShares>> keys;
  std::vector<std::shared_ptr<const mpc::MaskGenerator>> masks;
};

/// The ciphertext with another block 0.
inline SquashedCiphertext with_body_plus_one(const SquashedCiphertext& ciphertext) {
  SquashedCiphertext out = ciphertext;
  auto lwes = tfhe::extract_all(ciphertext.blocks.glwes());
  if (lwes.empty()) lwes.assign(ciphertext.blocks.lwes().begin(), ciphertext.blocks.lwes().end());
  lwes[0].body() += 1;
  out.blocks = std::move(lwes);
  out.content = content_of_blocks(out.blocks);
  return out;
}

struct PartyOutcome {
  std::map<int, std::vector<Bytes>> plaintexts;  // by job
  std::map<int, Error> errors;
  runtime::RoleSet lied, other;
  int answers_repeated = 0;  // restarted after the result was journalled
};

inline RequestId request_id(int job) {
  ByteArray<32> raw{1};
  store_be<std::uint32_t>(static_cast<std::uint32_t>(job + 1), raw.data() + 28);
  return RequestId(raw);
}

/// `job_of(role, life, number)`: what that party believes job `number` to be.
using JobOf = std::function<DecryptionJob(Role role, int life, int number)>;

/// Runs the jobs at the same time on one node, like a node does.
template <class Rules>
runtime::sim::Program decrypting_program(const Material& material, int jobs, JobOf job_of, runtime::Duration timeout,
                                         std::vector<PartyOutcome>& outcomes) {
  struct Helper {
    static runtime::Task<void> one(runtime::sim::Node& node, const Material& material, const JobOf& job_of, int number,
                                   runtime::Duration timeout, PartyOutcome& outcome) {
      const Bytes key = Writer().u32(static_cast<std::uint32_t>(number)).take();
      if (const auto done = node.journal().get("results", key); done && *done) {
        ++outcome.answers_repeated;
        Reader reader(**done);  // the answer may have reached the disk without anybody being told
        std::vector<Bytes> plaintexts;
        while (reader.remaining() > 0 && !reader.failed()) plaintexts.push_back(reader.take_bytes(32));
        outcome.plaintexts[number] = std::move(plaintexts);
        co_return;
      }
      const std::size_t index = node.role().index();
      DecryptionParty party{node.router(),
                            node.journal(),
                            node.compute(),
                            material.keys[index],
                            material.masks[index],
                            node.life() == 0 ? runtime::Duration(std::chrono::milliseconds(500)) : runtime::Duration{}};
      DecryptionJob job = job_of(node.role(), node.life(), number);
      job.sequence = static_cast<std::uint64_t>(number) + 1;
      // As a node does it that takes the request up for a caller who waits, and again after a crash.
      const bool known = node.journal().get("taken", key).value().has_value();
      const auto kind = known ? runtime::Change::Kind::put : runtime::Change::Kind::put_new;
      party.binding = std::make_shared<Binding>();
      party.binding->changes = [kind, key] { return std::vector<runtime::Change>{{kind, "taken", key, {1}}}; };
      BasicPublicDecryption<Rules> decryption(party, std::move(job));
      auto result = co_await decryption.run(node.loop().after(timeout));
      if (result && Rules::journal_before_sending) EXPECT_TRUE(party.binding->committed);
      if (party.binding->committed) EXPECT_TRUE(node.journal().get("taken", key).value().has_value());
      if (!result) {
        outcome.errors.insert_or_assign(number, result.error());
        co_return;
      }
      std::vector<runtime::Change> changes;
      Writer record;
      for (const Bytes& plaintext : result->plaintexts) record.bytes(plaintext);
      changes.push_back({runtime::Change::Kind::put, "results", key, record.take()});
      if (const auto committed = co_await node.journal().commit(std::move(changes)); !committed) co_return;
      outcome.plaintexts[number] = result->plaintexts;
      co_await decryption.watch_late(node.loop().after(std::chrono::seconds(20)), [](Role) {});
      outcome.lied = outcome.lied | decryption.report().lied;
      outcome.other = outcome.other | decryption.report().other;
    }
  };
  return [&material, jobs, job_of = std::move(job_of), timeout,
          &outcomes](runtime::sim::Node& node) -> runtime::Task<void> {
    auto store = std::make_unique<JournalSentStore>(node.journal());
    node.router().set_sent_store(store.get());
    std::vector<runtime::Task<void>> running;
    for (int number = 0; number < jobs; ++number)
      running.push_back(Helper::one(node, material, job_of, number, timeout, outcomes[node.role().index()]));
    co_await runtime::when_all(std::move(running));
    // A node does not end: it keeps answering those who come back.
    co_await node.loop().sleep_for(std::chrono::seconds(60));
  };
}

}  // namespace witan::protocols::test
