// A key generation whose preprocessing comes from a dealer who knows everything: secret keys, noises and slices of products are dealt to
// the parties of a committee; what the parties then compute and open is compared with what the dealer computes from the keys.
#pragma once

#include <algorithm>
#include <memory>

#include "algebra/decode.h"
#include "protocols/key_assembly.h"
#include "protocols/key_rows.h"
#include "support/support.h"

namespace witan::protocols::test {

/// Draws like RngNoise and keeps what was drawn, component after component.
class RecordedNoise final : public tfhe::NoiseSource {
 public:
  explicit RecordedNoise(Rng& rng) : source_(rng) {}
  void fill(tfhe::TUniform distribution, std::span<tfhe::i64> out) override {
    source_.fill(distribution, out);
    drawn.insert(drawn.end(), out.begin(), out.end());
  }
  std::vector<tfhe::i64> drawn;

 private:
  tfhe::RngNoise source_;
};

template <Word Z>
using ByParty = std::vector<std::vector<Share<Z>>>;

/// Sharings of degree t of base-ring words.
template <Word Z, class Value>
ByParty<Z> deal_all(CommitteeSize committee, std::span<const Value> values, Rng& rng) {
  ByParty<Z> out(static_cast<std::size_t>(committee.parties()));
  for (const Value value : values) {
    const auto shares =
        algebra::deal<Z>(Gr<Z>::from_base(static_cast<Z>(value)), committee.threshold(), committee.parties(), rng);
    for (std::size_t i = 0; i < out.size(); ++i) out[i].push_back(shares[i]);
  }
  return out;
}

/// What all parties' shares open to, if they lie on polynomials of degree <= t, every one of them.
template <Word Z>
std::vector<Gr<Z>> open_all(CommitteeSize committee, const ByParty<Z>& shares) {
  std::vector<Role> roles;
  std::vector<std::vector<Gr<Z>>> words;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    roles.emplace_back(static_cast<int>(i) + 1);
    words.emplace_back();
    for (const Share<Z>& share : shares[i]) words.back().push_back(share.value);
  }
  const std::vector<std::span<const Gr<Z>>> views(words.begin(), words.end());
  const auto opened = algebra::open_batch<Z>(committee, roles, views);
  if (!opened || !opened->wrong.empty()) throw std::runtime_error("the shares are no sharings of degree t");
  return opened->values;
}

struct KeyWorld {
  CommitteeSize committee;
  tfhe::Params params;
  u128 seed;
  tfhe::KeySetOptions options;
  tfhe::SecretKeySet keys;
  tfhe::CompressedKeySet dealt;                // from the keys themselves
  std::vector<std::vector<tfhe::i64>> noises;  // of each component, in row order
  std::vector<KeyShares> shares;               // by party
  std::vector<tfhe::Component> components;
  mutable witan::test::SeededRng rng;

  KeyWorld(std::string_view name, int parties, int threshold)
      : committee(CommitteeSize::make(parties, threshold).value()),
        params(tfhe::params_by_name(name).value()),
        rng(fmt::format("key world {} {}", name, parties)) {
    seed = rng.next<u128>();
    options.tag = Bytes(32, 7);
    keys = tfhe::generate_secret_keys(params, rng);
    RecordedNoise noise(rng);
    dealt = tfhe::generate_key_set(params, keys, seed, noise, options);
    components = tfhe::key_components(params);
    std::size_t at = 0;
    for (const auto& component : components) {
      const std::size_t count = component.rows * component.body_words();
      noises.emplace_back(noise.drawn.begin() + static_cast<std::ptrdiff_t>(at),
                          noise.drawn.begin() + static_cast<std::ptrdiff_t>(at + count));
      at += count;
    }
    shares.resize(static_cast<std::size_t>(parties));
    for (std::size_t k = 0; k < tfhe::kKeyNames; ++k) {
      const auto by_party = deal_all<Z128>(committee, keys.bits(static_cast<tfhe::KeyName>(k)), rng);
      for (std::size_t i = 0; i < shares.size(); ++i) shares[i].keys[k] = SharedKey(by_party[i]);
    }
  }

  std::size_t parties() const { return shares.size(); }
  tfhe::MaskReader mask(const tfhe::Component& component) const {
    return tfhe::MaskReader(
        {tfhe::key_set_seed(seed), tfhe::StreamPosition::from_bytes(component.stream_offset_bytes)});
  }
  template <Word Z>
  SecretShares<Z> input(const tfhe::Component& component, std::size_t party) const {
    return component.input ? key_in_ring<Z>(shares[party].of(*component.input)) : SecretShares<Z>{};
  }

  /// Packed shares of the products that the rows take, as the parties make them of slices, for each party. Only for the inputs of the rows.
  template <Word Z>
  ByParty<Z> products(const ComponentPlan& plan, RowRange rows) const {
    const tfhe::Component& component = plan.component;
    ByParty<Z> out(parties());
    const RowRange inputs = inputs_of(component, rows);
    const std::size_t stride = component.mask_words() / 4;
    for (auto& own : out) own.resize(inputs.count * stride);
    for (const ProductSlicePlan& slice : plan.slices) {
      std::vector<Z> x(slice.inputs), y(slice.outputs), z;
      for (Z& word : x) word = rng.next<Z>();
      for (Z& word : y) word = rng.next<Z>();
      for (std::size_t i = 0; i < inputs.count; ++i)
        for (const Z word : y) z.push_back(x[inputs.first + i] * word);
      const auto xs = deal_all<Z, Z>(committee, x, rng), ys = deal_all<Z, Z>(committee, y, rng),
                 zs = deal_all<Z, Z>(committee, z, rng);
      std::vector<SecretShares<Z>> packed_z;
      std::vector<SliceShares<Z>> own_slice;
      ByParty<Z> differences;
      for (std::size_t p = 0; p < parties(); ++p) {
        packed_z.push_back(packed<Z>(zs[p]));
        own_slice.push_back({xs[p], ys[p], packed_z[p].reveal()});
        const auto in = key_in_ring<Z>(shares[p].of(*component.input)),
                   all = key_in_ring<Z>(shares[p].of(component.under));
        const auto part = std::span(all.reveal()).subspan(slice.first_output, slice.outputs);
        differences.push_back(difference_shares<Z>(in.reveal(), part, own_slice[p]).reveal());
      }
      const auto opened =
          SliceDifferences<Z>::from_opened(open_all<Z>(committee, differences), slice.inputs, slice.outputs).value();
      for (std::size_t p = 0; p < parties(); ++p)
        multiply_slice<Z>(own_slice[p], opened, inputs.first, inputs.count,
                          std::span(out[p]).subspan(slice.first_output / 4), stride);
    }
    return out;
  }

  /// Opened elements of the rows, computed by every party in kernels of `rows_at_once`.
  template <Word Z>
  std::vector<Gr<Z>> bodies(const ComponentPlan& plan, RowRange rows, std::size_t rows_at_once) const {
    const tfhe::Component& component = plan.component;
    const std::size_t size = component.body_words(), stride = component.mask_words() / 4;
    const auto& all = noises[static_cast<std::size_t>(
        std::ranges::find(components, component.kind, &tfhe::Component::kind) - components.begin())];
    const auto noise_shares =
        deal_all<Z, tfhe::i64>(committee, std::span(all).subspan(rows.first * size, rows.count * size), rng);
    const auto product_shares = products<Z>(plan, rows);
    ByParty<Z> out(parties());
    for (std::size_t p = 0; p < parties(); ++p) {
      const auto noise = packed<Z>(noise_shares[p]);
      const auto under = key_in_ring<Z>(shares[p].of(component.under));
      const BodyRows<Z> kernel(component, mask(component), under.reveal(), input<Z>(component, p).reveal());
      const std::uint64_t start = elements_of(component, rows).first;
      for (std::size_t done = 0; done < rows.count; done += rows_at_once) {
        const RowRange part{rows.first + done, std::min(rows_at_once, rows.count - done)};
        const ElementRange elements = elements_of(component, part);
        const RowRange inputs = inputs_of(component, part);
        const auto part_products =
            inputs.count == 0
                ? std::span<const Share<Z>>{}
                : std::span<const Share<Z>>(product_shares[p])
                      .subspan((inputs.first - inputs_of(component, rows).first) * stride, inputs.count * stride);
        const auto computed =
            kernel.compute(part, {.noises = std::span(noise.reveal()).subspan(elements.first - start, elements.count),
                                  .products = part_products});
        out[p].insert(out[p].end(), computed.reveal().begin(), computed.reveal().end());
      }
    }
    return open_all<Z>(committee, out);
  }

  /// The whole key generation.
  tfhe::CompressedKeySet generate() const {
    const KeyPlan plan = plan_key_generation(params, KeySource::all_new).value();
    KeySetAssembly assembly(params, seed, options);
    for (std::size_t i = 0; i < plan.components.size(); ++i) {
      const ComponentPlan& part = plan.components[i];
      const std::size_t rows = part.component.rows, at_once = rows_per_kernel(part.component);
      const Status added = part.ring() == Ring::gr64 ? assembly.add<Z64>(i, bodies<Z64>(part, {0, rows}, at_once))
                                                     : assembly.add<Z128>(i, bodies<Z128>(part, {0, rows}, at_once));
      if (!added) throw std::runtime_error(added.error().message);
    }
    return assembly.take();
  }
};

}  // namespace witan::protocols::test
