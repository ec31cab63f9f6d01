// The file of a preprocessing's material as it is found on the disk. What opens can be read, each unit or a clear error; what was
// interrupted can be completed, and is complete then.
#include "fuzz/fuzz_material.h"
#include "fuzz/fuzz.h"
#include "fuzz/memory_folder.h"
#include "runtime/loop.h"

namespace witan::fuzz {
namespace {

using node::MaterialFile;
using protocols::MaterialPlan;

bool expected(const Error& error) {
  return error.code == Code::not_found || error.code == Code::data_loss;
}

}  // namespace

void fuzz_one(ByteView input) {
  const auto file = memory_folder() / material_id().hex();
  write_file(file, input);
  runtime::VirtualLoop loop;
  runtime::InlineCompute compute(loop);
  const MaterialPlan plan = material_plan();
  const auto open = [&](MaterialFile::State state) {
    return loop.run(MaterialFile::open(compute, memory_folder(), material_id(), plan, state));
  };
  const auto whole = open(MaterialFile::State::complete);
  WITAN_CHECK(whole.has_value() || whole.error().code == Code::data_loss);
  auto material = open(MaterialFile::State::interrupted);
  // What is complete is also good enough to go on with; what is not may be damaged from the header on.
  WITAN_CHECK(material.has_value() || (!whole.has_value() && material.error().code == Code::data_loss));
  if (!material) return;
  std::size_t missing = 0;
  for (std::size_t order = 0; order < plan.size(); ++order)
    for (std::uint64_t unit = 0; unit < plan[order].units(); ++unit) {
      const auto content = loop.run((*material)->get(order, unit, 1));
      if (content) {
        WITAN_CHECK(content->reveal().size() == node::material_bytes(plan[order], unit, 1));
        continue;
      }
      WITAN_CHECK(expected(content.error()));
      if (content.error().code != Code::not_found) continue;
      ++missing;
      WITAN_CHECK(!(*material)->is_complete());
      Bytes made(static_cast<std::size_t>(node::material_bytes(plan[order], unit, 1)), 5);
      WITAN_CHECK(loop.run((*material)->put(order, unit, SessionId{1}, Secret<Bytes>(std::move(made)))).has_value());
    }
  if ((*material)->is_complete()) {
    WITAN_CHECK(missing == 0);
    return;
  }
  const crypto::Digest content{7};
  WITAN_CHECK(loop.run((*material)->complete(content)).has_value());
  material->reset();
  const auto again = open(MaterialFile::State::complete);
  WITAN_CHECK(again.has_value() && (*again)->is_complete() && (*again)->content() == content);
}

}  // namespace witan::fuzz
