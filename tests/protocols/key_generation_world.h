// The material of a key generation, made by a committee in the simulator, and what it opens to.
#pragma once

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
          Preprocessing run({node.router(), node.journal(), node.compute(), epoch.keys(node.role()), signatories},
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

/// One key generation of a committee, as far as its material.
struct Scene : MadeMaterial {
  Scene(std::string_view params, CommitteeSize size, std::uint64_t seed = 5)
      : Scene(plan_key_generation(tfhe::params_by_name(params).value(), KeySource::all_new).value(), size, seed) {}
  Scene(KeyPlan what, CommitteeSize size, std::uint64_t seed)
      : MadeMaterial(size, KeyMaterial(what).orders, seed), plan(std::move(what)), layout(plan) {}

  KeyGenerationJob job() const {
    KeyGenerationJob out{
        .key = id<KeyId>(2), .preprocessing = id<PreprocId>(1), .material = made, .plan = plan, .options = {}};
    out.options.tag = Bytes(32, 2);
    return out;
  }
  /// In the order of generation.
  std::vector<tfhe::i64> noises() const {
    std::vector<tfhe::i64> out;
    for (const std::size_t order : layout.noises) std::ranges::copy(open_noises(order), std::back_inserter(out));
    return out;
  }
  tfhe::SecretKeySet keys() const { return tfhe::secret_keys_from_bits(plan.params, open_bits(*layout.bits)).value(); }

  KeyPlan plan;
  KeyMaterial layout;
};

}  // namespace witan::protocols::test
