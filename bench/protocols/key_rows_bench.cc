// The local part of a key generation at one party with the default parameters (protocols/key_rows.h): one kernel of each component, as
// the compute pool gets them. `all_rows_s` is the time of all rows of the component on one core, `transforms` the number of transforms
// of size N that they take, each modulo `primes` primes of 47 bits.
//
// Sums: docs/performance.md. Lower bound of the SnS bootstrap key: 8262 rows of 3 transforms modulo 6 primes, 148,716 of size 2048, each
// 11 * 1024 butterflies of eight vector operations. At two operations on eight doubles per cycle that is 5,632 cycles, some 0.2 s.
#include <benchmark/benchmark.h>

#include "../bench_rng.h"
#include "protocols/key_rows.h"

namespace witan::protocols {
namespace {

template <Word Z>
std::vector<Share<Z>> random_shares(std::size_t count, Rng& rng) {
  std::vector<Share<Z>> out(count);
  for (auto& share : out) share.value = algebra::random_element<Z>(rng);
  return out;
}

template <Word Z>
void rows(benchmark::State& state, const tfhe::Component& component, std::size_t inputs) {
  BenchRng rng;
  const auto under = random_shares<Z>(component.mask_words(), rng);
  const auto input = random_shares<Z>(inputs, rng);
  const BodyRows<Z> kernel(component, tfhe::MaskReader({tfhe::key_set_seed(1), {}}), under, input);
  const RowRange range{0, std::min(rows_per_kernel(component), component.rows)};
  const auto noises = random_shares<Z>(elements_of(component, range).count, rng);
  const auto products = random_shares<Z>(inputs_of(component, range).count * component.mask_words() / 4, rng);
  for (auto _ : state) benchmark::DoNotOptimize(kernel.compute(range, {.noises = noises, .products = products}));
  const auto all = static_cast<double>(component.rows);
  state.counters["rows"] = static_cast<double>(range.count);
  if (component.shape != tfhe::RowShape::lwe)
    state.counters["transforms"] = all * static_cast<double>(component.glwe_dimension + 1);
  state.counters["all_rows_s"] =
      benchmark::Counter(static_cast<double>(range.count) / all,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

/// One slice of products of a component at one party: all its inputs, 256 outputs.
template <Word Z>
void products(benchmark::State& state, const ProductSlicePlan& plan, std::uint64_t all) {
  BenchRng rng;
  const auto x = random_shares<Z>(plan.inputs, rng), y = random_shares<Z>(plan.outputs, rng),
             z = random_shares<Z>(plan.products() / 4, rng);
  SliceDifferences<Z> differences{.eps = std::vector<Z>(plan.inputs, 3), .rho = std::vector<Gr<Z>>(plan.outputs / 4)};
  std::vector<Share<Z>> out(plan.products() / 4);
  for (auto _ : state) {
    multiply_slice<Z>({x, y, z}, differences, 0, plan.inputs, out, plan.outputs / 4);
    benchmark::ClobberMemory();
  }
  state.counters["all_products_s"] =
      benchmark::Counter(static_cast<double>(plan.products()) / static_cast<double>(all),
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

const bool registered = [] {
  const tfhe::Params params = tfhe::params_by_name("default").value();
  for (const ComponentPlan& part : plan_key_generation(params, KeySource::all_new).value().components) {
    const tfhe::Component component = part.component;
    const std::size_t inputs = component.input ? tfhe::key_bits(params, *component.input) : 0;
    const std::string name = to_string(component.kind);
    const auto targets = tfhe::vector_targets();
    for (const tfhe::VectorTarget& target : {targets.front(), targets.back()}) {
      benchmark::RegisterBenchmark(("rows/" + name + "/" + target.name).c_str(), [component, inputs,
                                                                                  target](benchmark::State& state) {
        tfhe::choose_vector_target(target.id);
        component.word_bits == 64 ? rows<Z64>(state, component, inputs) : rows<Z128>(state, component, inputs);
        tfhe::choose_vector_target(0);
      })->Unit(benchmark::kMillisecond);
    }
    if (part.slices.empty()) continue;
    benchmark::RegisterBenchmark(("products/" + name).c_str(), [slice = part.slices.front(), all = part.products(),
                                                                narrow = part.ring() ==
                                                                         Ring::gr64](benchmark::State& state) {
      narrow ? products<Z64>(state, slice, all) : products<Z128>(state, slice, all);
    })->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace witan::protocols
