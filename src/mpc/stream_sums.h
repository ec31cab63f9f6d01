// Sums of AES streams times small integer vectors: what base draws and zero sharings consist of (mpc.md 17.3). A base draw adds, for
// every set A, a word of psi0 times the four coefficients of S_A(alpha); a zero sharing adds, for every set E and every coefficient
// i of chi, a word times those of X^i alpha^e prod_{j in E} (alpha - alpha_j). For n <= 15 all of these coefficients fit 16 bits, so
// that a block costs 32 products of 16 bits.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "algebra/gr.h"
#include "base/secret.h"
#include "mpc/prss_aes.h"
#include "mpc/sum_kernels.h"

namespace witan::mpc {

/// The instructions that the products take; AES has its own choice (mpc/prss_aes.h). The bits are the same with all of them.
enum class SumTarget : std::uint8_t { scalar, avx2, avx512_vnni };
inline constexpr std::array kSumTargets = {SumTarget::avx512_vnni, SumTarget::avx2, SumTarget::scalar};  // best first
/// "AVX-512-VNNI", "AVX2", "scalar".
const char* to_string(SumTarget target);
/// Does this processor have it?
bool available(SumTarget target);
/// What sums use from now on in this process; nothing: the best, as without a call. For tests and benchmarks; programs never call
/// it. Precondition (checked): available.
void choose_sum_target(std::optional<SumTarget> target);
SumTarget sum_target();

/// Nothing changes after construction: threads may share it. The keys are wiped on destruction. No branch and no address depends on
/// a key or on a block.
template <algebra::Word Z>
class StreamSums {
 public:
  struct Stream {
    std::size_t key;     // position among the keys
    std::uint64_t high;  // the upper half of its blocks; the lower half is the counter
    std::array<std::int16_t, 4> factor;
  };
  StreamSums(std::span<const SetKey> keys, std::span<const Stream> streams);

  /// What a call works on; one may serve many calls of one thread. Wiped on destruction.
  class Scratch {
   public:
    Scratch() : memory_(std::vector<Memory>(1)) {}

   private:
    friend StreamSums;
    struct alignas(64) Memory {
      std::array<u128, sums::kStreams * sums::kCounters> blocks;
      std::array<std::int64_t, sums::kMaxSums> sums;
    };
    Secret<std::vector<Memory>> memory_;
  };

  /// out[l].value = sum over the streams of (AES of (first + l, high) mod 2^k) * factor, for Sharing = Share<Z> or BaseShare<Z>.
  template <class Sharing>
  void sums(std::uint64_t first, std::span<Sharing> out, Scratch& scratch) const;

 private:
  struct Tile {
    std::size_t first, count;  // streams
    std::size_t factors;       // where those of its pairs begin
  };

  AesKeys keys_;
  std::vector<Stream> streams_;
  std::vector<Tile> tiles_;
  std::vector<std::uint32_t> factors_;
  algebra::Gr<Z> offset_;
};

}  // namespace witan::mpc
