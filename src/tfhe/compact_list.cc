// Compact lists: what a client sends (tfhe-formats.md 7).
#include <algorithm>

#include "base/check.h"
#include "tfhe/encrypt.h"
#include "tfhe/poly.h"

namespace witan::tfhe {
namespace {

// Well above any list that a client can prove; bounds the work before it is done.
constexpr std::size_t kMaxListCiphertexts = 1 << 16;
constexpr std::size_t kMaxListValues = 1 << 16;
constexpr std::size_t kMaxKeyDimension = 1 << 16;

template <Word W>
std::span<const W> part(const std::vector<W>& data, std::size_t index, std::size_t size) {
  return std::span(data).subspan(index * size, size);
}

/// One mask and the bodies that share it, for at most n messages.
class BinEncryption {
 public:
  BinEncryption(const CompactPublicKey& key, Rng& rng)
      : n_(key.params.lwe_dimension), mask_(n_), masked_body_(n_), noise_(key.params.noise), rng_(rng) {
    Secret<Bits> r(random_bits());
    const auto factor = SecretFactor<u64>::of_bits(n_, r.reveal());
    factor.multiply_add(mask_, part(key.data, 0, n_));
    factor.multiply_add(masked_body_, part(key.data, 1, n_));
    Secret<std::vector<i64>> e(std::vector<i64>(n_, 0));
    RngNoise(rng_).fill(noise_, e.reveal_mutable());
    for (std::size_t i = 0; i < n_; ++i) mask_[i] += static_cast<u64>(e.reveal()[i]);
  }
  ~BinEncryption() { wipe(masked_body_.data(), masked_body_.size() * sizeof(u64)); }

  std::span<const u64> mask() const { return mask_; }
  void append_bodies(std::span<const u64> plaintexts, std::vector<u64>& out) {
    Secret<std::vector<i64>> e(std::vector<i64>(plaintexts.size()));
    RngNoise(rng_).fill(noise_, e.reveal_mutable());
    // Mask times X^i: <mask X^i, s> is coefficient n - 1 - i of mask * rev(s).
    for (std::size_t i = 0; i < plaintexts.size(); ++i)
      out.push_back(masked_body_[n_ - 1 - i] + static_cast<u64>(e.reveal()[i]) + plaintexts[i]);
  }

 private:
  Bits random_bits() {
    Bits bits(n_);
    rng_.fill(bits);
    for (std::uint8_t& bit : bits) bit &= 1;
    return bits;
  }

  std::size_t n_;
  std::vector<u64> mask_, masked_body_;
  TUniform noise_;
  Rng& rng_;
};

Result<std::vector<u64>> messages_of(const CompactPublicKey& key, std::span<const CompactValue> values,
                                     ListPacking packing) {
  const u64 message_modulus = key.params.space.message_modulus;
  std::vector<u64> blocks;
  for (const CompactValue& value : values) {
    if (value.blocks.size() != block_count(value.kind) || value.blocks.empty())
      return fail(Code::invalid_argument, "{} blocks given for a value that is {}", value.blocks.size(),
                  describe(value.kind));
    for (const std::uint8_t block : value.blocks) {
      if (block >= message_modulus)
        return fail(Code::invalid_argument, "block value {} is not below the message modulus {}", block,
                    message_modulus);
      blocks.push_back(block);
    }
  }
  if (packing == ListPacking::single_blocks) return blocks;
  std::vector<u64> packed((blocks.size() + 1) / 2);
  for (std::size_t i = 0; i < blocks.size(); ++i) packed[i / 2] += blocks[i] * (i % 2 ? message_modulus : 1);
  return packed;
}

}  // namespace

DataKind kind_of(FheType type) {
  if (type == FheType::boolean) return BooleanKind{};
  return UnsignedKind{static_cast<std::size_t>(info(type).blocks)};
}

Result<CompactValue> compact_value(FheType type, const U256& value) {
  WITAN_ASSIGN(auto blocks, to_blocks(type, value));
  return CompactValue{kind_of(type), std::move(blocks)};
}

Result<CompactList> encrypt_compact_list(const CompactPublicKey& key, std::span<const CompactValue> values, Rng& rng,
                                         ListPacking packing) {
  const std::size_t n = key.params.lwe_dimension;
  if (values.empty()) return fail(Code::invalid_argument, "a compact list needs at least one value");
  if (key.data.size() != 2 * n || n == 0)
    return fail(Code::invalid_argument, "public key has {} words, its dimension {} wants {}", key.data.size(), n,
                2 * n);
  WITAN_ASSIGN(std::vector<u64> messages, messages_of(key, values, packing));
  const u64 modulus = key.params.space.message_modulus;
  CompactList list{.data = {},
                   .lwe_dimension = n,
                   .ciphertext_count = messages.size(),
                   .degree = (packing == ListPacking::pairs ? modulus * modulus : modulus) - 1,
                   .space = key.params.space,
                   .expansion = key.params.expansion,
                   .kinds = {}};
  for (const CompactValue& value : values) list.kinds.push_back(value.kind);
  std::vector<u64> bodies;
  for (u64& message : messages) message <<= delta_log2<u64>(key.params.space);
  for (std::size_t at = 0; at < messages.size(); at += n) {
    BinEncryption bin(key, rng);
    list.data.insert(list.data.end(), bin.mask().begin(), bin.mask().end());
    bin.append_bodies(std::span(messages).subspan(at, std::min(n, messages.size() - at)), bodies);
  }
  wipe(messages.data(), messages.size() * sizeof(u64));
  list.data.insert(list.data.end(), bodies.begin(), bodies.end());
  WITAN_TRY(check(list));
  return list;
}

Lwe<u64> compact_list_element(const CompactList& list, std::size_t index) {
  WITAN_CHECK(index < list.ciphertext_count);
  const std::size_t n = list.lwe_dimension;
  const std::size_t bins = (list.ciphertext_count + n - 1) / n;
  Lwe<u64> out(n);
  multiply_by_monomial<u64>(out.mask(), part(list.data, index / n, n), index % n);
  out.body() = list.data[bins * n + index];
  return out;
}

Status check(const CompactList& list) {
  const std::size_t n = list.lwe_dimension, count = list.ciphertext_count;
  if (n < 1 || n > kMaxKeyDimension)
    return fail(Code::invalid_argument, "compact list of dimension {}, expected 1 to {}", n, kMaxKeyDimension);
  if (count < 1 || count > kMaxListCiphertexts)
    return fail(Code::invalid_argument, "compact list of {} ciphertexts, expected 1 to {}", count, kMaxListCiphertexts);
  if (list.data.size() != (count + n - 1) / n * n + count)
    return fail(Code::invalid_argument, "compact list has {} words, {} ciphertexts of dimension {} take {}",
                list.data.size(), count, n, (count + n - 1) / n * n + count);
  if (list.kinds.empty() || list.kinds.size() > kMaxListValues)
    return fail(Code::invalid_argument, "compact list describes {} values, expected 1 to {}", list.kinds.size(),
                kMaxListValues);
  std::size_t blocks = 0;
  for (const DataKind& kind : list.kinds) {
    const std::size_t size = block_count(kind);
    if (size < 1 || size > 2 * kMaxListCiphertexts - blocks)
      return fail(Code::invalid_argument, "compact list describes a value that is {}", describe(kind));
    blocks += size;
  }
  const std::size_t expected = list.is_packed() ? (blocks + 1) / 2 : blocks;
  if (count != expected)
    return fail(Code::invalid_argument, "compact list has {} ciphertexts, its values take {}", count, expected);
  return {};
}

}  // namespace witan::tfhe
