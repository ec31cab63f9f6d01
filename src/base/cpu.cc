#include "base/cpu.h"

namespace witan {

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    CpuFeatures out;
    out.vaes = __builtin_cpu_supports("vaes") != 0;
    out.avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                 __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
    out.avx512_ifma = out.avx512 && __builtin_cpu_supports("avx512ifma") != 0;
    out.avx512_vnni = out.avx512 && __builtin_cpu_supports("avx512vnni") != 0;
    return out;
  }();
  return features;
}

}  // namespace witan
