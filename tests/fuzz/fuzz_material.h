// The preprocessing whose material the target `material` reads.
#pragma once

#include "node/material.h"

namespace witan::fuzz {

inline PreprocId material_id() {
  return PreprocId(ByteArray<32>{3});
}

inline protocols::MaterialPlan material_plan() {
  using Kind = protocols::MaterialOrder::Kind;
  return {{.kind = Kind::bits, .word_bits = 128, .count = 10},  // the last unit has two bits
          {.kind = Kind::noises, .word_bits = 64, .count = 20, .bound_log2 = 3},
          {.kind = Kind::slice, .word_bits = 64, .inputs = 3, .outputs = 8}};
}

}  // namespace witan::fuzz
