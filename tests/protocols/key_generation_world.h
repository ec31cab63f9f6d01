// The material of a key generation, made by a committee in the simulator, and what it opens to.
#pragma once

#include <array>
#include <map>
#include <memory>

#include "mpc/draw_keys_for_test.h"
#include "protocols/key_generation.h"
#include "protocols/preprocessing_impl.h"

namespace witan::protocols::test {

template <class Id>
Id id(std::uint8_t first) {
  ByteArray<32> bytes{};
  bytes[0] = first;
  return Id(bytes);
}

/// Keeps everything, by order and unit; outlives crashes, as a disk does.
class MemoryMaterial final : public MaterialStore, public MaterialSource {
 public:
  explicit MemoryMaterial(const MaterialPlan& plan) : plan_(plan) {}
  runtime::Task<Status> put(std::size_t order, std::uint64_t first, SessionId session, Secret<Bytes> content) override {
    const std::size_t unit = plan_[order].unit_bytes();
    for (std::size_t at = 0; at < content.reveal().size(); at += unit, ++first) {
      const auto piece = ByteView(content.reveal()).subspan(at, std::min(unit, content.reveal().size() - at));
      units_[{order, first}] = Bytes(piece.begin(), piece.end());
    }
    sessions_.insert_or_assign(order, session);
    co_return Status{};
  }
  runtime::Task<Status> drop(std::size_t order, UnitRange units) override {
    for (std::uint64_t unit = units.first; unit < units.first + units.count; ++unit) units_.erase({order, unit});
    co_return Status{};
  }
  runtime::Task<Result<Secret<Bytes>>> get(std::size_t order, std::uint64_t first, std::uint64_t count) override {
    for (std::uint64_t unit = first; unit < first + count; ++unit) ++taken[{order, unit}];
    co_return read(order, first, count);
  }
  Result<SessionId> session(std::size_t order) const override { return sessions_.at(order); }
  Result<Secret<Bytes>> read(std::size_t order, std::uint64_t first, std::uint64_t count) const {
    Bytes out;
    for (std::uint64_t unit = first; unit < first + count; ++unit) {
      const auto found = units_.find({order, unit});
      if (found == units_.end()) return fail(Code::not_found, "unit {} of order {}", unit, order);
      append(out, found->second);
    }
    return Secret<Bytes>(std::move(out));
  }

  std::map<std::pair<std::size_t, std::uint64_t>, int> taken;  // how often a unit was asked for

 private:
  const MaterialPlan& plan_;
  std::map<std::pair<std::size_t, std::uint64_t>, Bytes> units_;
  std::map<std::size_t, SessionId> sessions_;
};

/// What a committee makes for these orders, without faults.
struct MadeMaterial {
  MadeMaterial(CommitteeSize size, MaterialPlan what, std::uint64_t seed)
      : committee(size), orders(std::move(what)), epoch(size, seed) {
    for (int i = 0; i < size.parties(); ++i) material.push_back(std::make_unique<MemoryMaterial>(orders));
    int done = 0;
    runtime::sim::World world(
        {.seed = seed, .committee = committee, .router = {}}, [&](runtime::sim::Node& node) -> runtime::Task<void> {
          const auto signatories = epoch.signatories(node.role());
          Preprocessing run(
              {node.router(), node.journal(), node.compute(), epoch.keys(node.role()), signatories, default_epoch_id()},
              id<PreprocId>(1), 0, orders, *material[node.role().index()],
              {.variant = mpc::variant_for(committee),
               .batch_elements = 4096,
               .delay = std::chrono::milliseconds(700)});
          const Status status = co_await run.run();
          if (!status) throw std::runtime_error(status.error().message);
          if (std::exchange(made, run.content()) != run.content() && done > 0)
            throw std::runtime_error("parties have other material");
          ++done;
          co_await node.loop().sleep_for(std::chrono::seconds(300));
        });
    world.run(std::chrono::seconds(10'000));
    if (done != size.parties()) throw std::runtime_error("the preprocessing did not end");
  }

  /// What all parties' shares of these elements open to.
  template <Word Z>
  std::vector<Gr<Z>> open_material(std::size_t order) const {
    std::vector<Role> roles;
    std::vector<std::vector<Gr<Z>>> words;
    for (int i = 0; i < committee.parties(); ++i) {
      const auto content = material[static_cast<std::size_t>(i)]->read(order, 0, orders[order].units()).value();
      roles.emplace_back(i + 1);
      words.emplace_back(content.reveal().size() / sizeof(Gr<Z>));
      std::memcpy(words.back().data(), content.reveal().data(), content.reveal().size());
    }
    const std::vector<std::span<const Gr<Z>>> views(words.begin(), words.end());
    const auto opened = algebra::open_batch<Z>(committee, roles, views);
    if (!opened || !opened->wrong.empty()) throw std::runtime_error("the material is not shared with degree t");
    return opened->values;
  }
  /// Of an order of noises.
  std::vector<tfhe::i64> open_noises(std::size_t order) const {
    std::vector<tfhe::i64> out;
    const auto take = [&](const auto& elements) {
      for (const auto& element : elements)
        for (const auto word : element.c)
          if (out.size() < orders[order].count) out.push_back(static_cast<tfhe::i64>(word));
    };
    if (orders[order].word_bits == 64)
      take(open_material<Z64>(order));
    else
      take(open_material<Z128>(order));
    return out;
  }
  /// Of an order of bits in GR(2^128,4).
  std::vector<std::uint8_t> open_bits(std::size_t order) const {
    std::vector<std::uint8_t> out;
    for (const auto& bit : open_material<Z128>(order)) {
      if (!bit.in_base_ring() || bit.c[0] > 1) throw std::runtime_error("a bit is neither 0 nor 1");
      out.push_back(static_cast<std::uint8_t>(bit.c[0]));
    }
    return out;
  }

  CommitteeSize committee;
  MaterialPlan orders;
  mpc::test::DealtEpoch epoch;
  crypto::Digest made{};
  std::vector<std::unique_ptr<MemoryMaterial>> material;
};

/// For which keys a preprocessing was made, and which keys a generation makes of its material.
struct Keys {
  const char* name;
  KeySource material = KeySource::all_new, source = KeySource::all_new;
};
inline constexpr Keys kAllNew{"all new"}, kExisting{"existing", KeySource::existing, KeySource::existing},
    kExistingOfFullMaterial{"existing, with material for new ones", KeySource::all_new, KeySource::existing},
    kExistingButOprf{"existing but OPRF", KeySource::existing_but_oprf, KeySource::existing_but_oprf};

/// One key generation of a committee, as far as its material. Keys that exist were dealt.
struct Scene : MadeMaterial {
  Scene(std::string_view params, CommitteeSize size, std::uint64_t seed = 5, const Keys& keys = kAllNew)
      : Scene(plan_key_generation(tfhe::params_by_name(params).value(), keys.material).value(), size, seed,
              keys.source) {}
  Scene(KeyPlan what, CommitteeSize size, std::uint64_t seed, KeySource makes_keys = KeySource::all_new)
      : MadeMaterial(size, KeyMaterial(what).orders, seed), plan(std::move(what)), layout(plan), source(makes_keys) {
    deal_existing_keys();
  }

  /// Shares of all keys that the generation does not make.
  void deal_existing_keys() {
    runtime::sim::SimRng rng(6, 7);
    secret = tfhe::generate_secret_keys(plan.params, rng);
    std::vector<KeyShares> shares(static_cast<std::size_t>(committee.parties()));
    for (std::size_t k = 0; k < tfhe::kKeyNames; ++k) {
      const auto key = static_cast<tfhe::KeyName>(k);
      if (makes(source, key)) continue;
      std::vector<std::vector<Share<Z128>>> by_party(shares.size());
      for (const std::uint8_t bit : secret.bits(key)) {
        const auto dealt =
            algebra::deal<Z128>(Gr<Z128>::from_base(bit), committee.threshold(), committee.parties(), rng);
        for (std::size_t i = 0; i < dealt.size(); ++i) by_party[i].push_back(dealt[i]);
      }
      for (std::size_t i = 0; i < shares.size(); ++i) shares[i].keys[k] = SharedKey(by_party[i]);
    }
    for (KeyShares& one : shares) existing.push_back(std::make_shared<const KeyShares>(std::move(one)));
  }

  KeyGenerationJob job() const {
    KeyGenerationJob out{.key = id<KeyId>(2),
                         .preprocessing = id<PreprocId>(1),
                         .material = made,
                         .plan = plan,
                         .source = source,
                         .options = {}};
    out.options.tag = Bytes(32, 2);
    return out;
  }
  /// In the order of generation.
  std::vector<tfhe::i64> noises() const {
    std::vector<tfhe::i64> out;
    for (const std::size_t order : layout.noises) std::ranges::copy(open_noises(order), std::back_inserter(out));
    return out;
  }
  /// That come out of the generation: made of the material, or existing.
  tfhe::SecretKeySet keys() const {
    std::array<std::vector<std::uint8_t>, tfhe::kKeyNames> keys;
    for (std::size_t k = 0; k < tfhe::kKeyNames; ++k) {
      const auto dealt = secret.bits(static_cast<tfhe::KeyName>(k));
      if (!makes(source, static_cast<tfhe::KeyName>(k))) keys[k].assign(dealt.begin(), dealt.end());
    }
    const auto bits = layout.bits ? open_bits(*layout.bits) : std::vector<std::uint8_t>{};
    std::size_t at = 0;
    for (const KeyBits& key : plan.key_bits)
      for (std::uint64_t i = 0; i < key.count; ++i, ++at)
        if (makes(source, key.key)) keys[static_cast<std::size_t>(key.key)].push_back(bits.at(at));
    std::vector<std::uint8_t> all;
    for (const auto& key : keys) all.insert(all.end(), key.begin(), key.end());
    return tfhe::secret_keys_from_bits(plan.params, all).value();
  }

  KeyPlan plan;
  KeyMaterial layout;
  KeySource source;
  tfhe::SecretKeySet secret;                               // of keys that exist
  std::vector<std::shared_ptr<const KeyShares>> existing;  // by party
};

}  // namespace witan::protocols::test
