// What this processor has beyond the build's baseline (cmake/flags.cmake), for kernels that choose their code at run time.
#pragma once

namespace witan {

/// From CPUID, and only what the operating system keeps across threads. Valgrind answers CPUID itself and hides all of these.
struct CpuFeatures {
  bool vaes = false;    // AES on 256 bits
  bool avx512 = false;  // F, BW, DQ and VL
  bool avx512_ifma = false;
  bool avx512_vnni = false;
};

/// Looked up once.
const CpuFeatures& cpu_features();

}  // namespace witan
