// AES without AES instructions and without tables: four blocks as eight planes, plane b holding bit b of every byte. The byte of
// row r and column c of block i (FIPS 197, 3.4) is bit 16 i + 4 c + r of each plane. All steps are logic on whole words.
#include <bit>
#include <cstring>

#include "base/secret.h"
#include "mpc/aes_kernels.h"

namespace witan::mpc::aes {
namespace {

using u64 = std::uint64_t;
using u128 = unsigned __int128;

struct Planes {
  u64 bit[8];
};

static_assert(std::endian::native == std::endian::little);

/// Bit j of byte i becomes bit i of byte j.
u64 transposed(u64 x) {
  u64 t = (x ^ x >> 7) & 0x00aa00aa00aa00aa;
  x ^= t ^ t << 7;
  t = (x ^ x >> 14) & 0x0000cccc0000cccc;
  x ^= t ^ t << 14;
  t = (x ^ x >> 28) & 0x00000000f0f0f0f0;
  return x ^ t ^ t << 28;
}

Planes to_planes(const std::uint8_t* blocks) {
  Planes out{};
  for (unsigned i = 0; i < 8; ++i) {
    u64 bytes;
    std::memcpy(&bytes, blocks + 8 * i, 8);
    bytes = transposed(bytes);
    for (unsigned b = 0; b < 8; ++b) out.bit[b] |= (bytes >> 8 * b & 0xff) << 8 * i;
  }
  return out;
}

void from_planes(const Planes& planes, std::uint8_t* blocks) {
  for (unsigned i = 0; i < 8; ++i) {
    u64 bytes = 0;
    for (unsigned b = 0; b < 8; ++b) bytes |= (planes.bit[b] >> 8 * i & 0xff) << 8 * b;
    bytes = transposed(bytes);
    std::memcpy(blocks + 8 * i, &bytes, 8);
  }
}

Planes operator^(const Planes& a, const Planes& b) {
  Planes out;
  for (unsigned i = 0; i < 8; ++i) out.bit[i] = a.bit[i] ^ b.bit[i];
  return out;
}

/// From degree 14 to 7, modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2).
Planes reduced(u64 (&product)[15]) {
  for (unsigned i = 14; i >= 8; --i)
    for (const unsigned step : {8u, 7u, 5u, 4u}) product[i - step] ^= product[i];
  Planes out;
  std::memcpy(out.bit, product, sizeof out.bit);
  return out;
}

Planes multiply(const Planes& a, const Planes& b) {
  u64 product[15] = {};
  for (unsigned i = 0; i < 8; ++i)
    for (unsigned j = 0; j < 8; ++j) product[i + j] ^= a.bit[i] & b.bit[j];
  return reduced(product);
}

Planes squared(const Planes& a) {
  u64 product[15] = {};
  for (unsigned i = 0; i < 8; ++i) product[2 * i] = a.bit[i];
  return reduced(product);
}

/// FIPS 197, 5.1.1: the inverse as the power 254 (0 stays 0), then the affine map.
Planes sub_bytes(const Planes& x) {
  const Planes x2 = squared(x), x3 = multiply(x2, x);
  const Planes x12 = squared(squared(x3)), x15 = multiply(x12, x3);
  const Planes x240 = squared(squared(squared(squared(x15))));
  const Planes inverse = multiply(multiply(x240, x12), x2);
  Planes out;
  for (unsigned i = 0; i < 8; ++i) {
    out.bit[i] = inverse.bit[i];
    for (const unsigned step : {4u, 5u, 6u, 7u}) out.bit[i] ^= inverse.bit[(i + step) % 8];
    if (0x63 >> i & 1) out.bit[i] = ~out.bit[i];
  }
  return out;
}

/// 5.1.2: row r moves left by r columns.
Planes shift_rows(const Planes& x) {
  Planes out = x;
  for (u64& plane : out.bit) {
    const u64 row1 = plane & 0x2222222222222222, row2 = plane & 0x4444444444444444, row3 = plane & 0x8888888888888888;
    plane = (plane & 0x1111111111111111) | (row1 >> 4 & 0x0fff0fff0fff0fff) | (row1 << 12 & 0xf000f000f000f000) |
            (row2 >> 8 & 0x00ff00ff00ff00ff) | (row2 << 8 & 0xff00ff00ff00ff00) | (row3 >> 12 & 0x000f000f000f000f) |
            (row3 << 4 & 0xfff0fff0fff0fff0);
  }
  return out;
}

/// What stands in row r + 1 of the same column.
Planes next_row(const Planes& x) {
  Planes out = x;
  for (u64& plane : out.bit) plane = (plane >> 1 & 0x7777777777777777) | (plane << 3 & 0x8888888888888888);
  return out;
}

/// 4.2.1: times x.
Planes xtime(const Planes& a) {
  return {{a.bit[7], a.bit[0] ^ a.bit[7], a.bit[1], a.bit[2] ^ a.bit[7], a.bit[3] ^ a.bit[7], a.bit[4], a.bit[5],
           a.bit[6]}};
}

/// 5.1.3: row r becomes 2 a_r + 3 a_(r+1) + a_(r+2) + a_(r+3).
Planes mix_columns(const Planes& a) {
  const Planes next = next_row(a), pair = a ^ next;
  return xtime(pair) ^ next ^ next_row(next_row(pair));
}

Planes round_key(const KeyGroup& group, std::size_t r) {
  return to_planes(&group.round[r][0][0]);
}

/// Block i under key i of the group.
void encrypt_group(const KeyGroup& group, std::uint8_t* blocks) {
  Planes state = to_planes(blocks) ^ round_key(group, 0);
  for (std::size_t r = 1; r < kRounds; ++r) state = mix_columns(shift_rows(sub_bytes(state))) ^ round_key(group, r);
  from_planes(shift_rows(sub_bytes(state)) ^ round_key(group, kRounds), blocks);
}

void expand(const std::uint8_t* keys, std::size_t groups, KeyGroup* out) {
  for (std::size_t g = 0; g < groups; ++g) {
    Planes key = to_planes(keys + g * kGroup * kBlockBytes);
    std::memcpy(out[g].round[0], keys + g * kGroup * kBlockBytes, kGroup * kBlockBytes);
    for (std::size_t r = 1; r <= kRounds; ++r) {
      const Planes substituted = next_row(sub_bytes(key));
      for (unsigned b = 0; b < 8; ++b) {
        u64 word = substituted.bit[b] >> 12 & 0x000f000f000f000f;  // of the last column
        if (kRoundConstants[r - 1] >> b & 1) word ^= 0x0001000100010001;
        u64& plane = key.bit[b];
        plane ^= (plane & 0x0fff0fff0fff0fff) << 4;
        plane ^= (plane & 0x00ff00ff00ff00ff) << 8;
        plane ^= word | word << 4 | word << 8 | word << 12;
      }
      from_planes(key, &out[g].round[r][0][0]);
    }
    wipe(&key, sizeof key);
  }
}

void encrypt_each(const KeyGroup* keys, std::size_t groups, std::uint8_t* blocks) {
  for (std::size_t g = 0; g < groups; ++g) encrypt_group(keys[g], blocks + g * kGroup * kBlockBytes);
}

void encrypt_counters(const KeyGroup* keys, std::size_t lane, std::uint64_t first, std::uint64_t high,
                      std::size_t count, std::uint8_t* out) {
  KeyGroup same;
  for (std::size_t r = 0; r <= kRounds; ++r)
    for (auto& block : same.round[r]) std::memcpy(block, keys->round[r][lane], kBlockBytes);
  for (std::size_t at = 0; at < count; at += kGroup) {
    u64 blocks[2 * kGroup] = {};
    for (std::size_t i = 0; i < kGroup; ++i) blocks[2 * i] = first + at + i, blocks[2 * i + 1] = high;
    auto* const bytes = reinterpret_cast<std::uint8_t*>(blocks);
    encrypt_group(same, bytes);
    std::memcpy(out + kBlockBytes * at, bytes, kBlockBytes * (count - at < kGroup ? count - at : kGroup));
  }
  wipe(&same, sizeof same);
}

void add_pairs(const KeyGroup* keys, std::size_t groups, std::uint64_t first, std::size_t count, unsigned bits,
               std::uint8_t* out) {
  const u128 low_bits = (u128{1} << bits) - 1;
  for (std::size_t b = 0; b < count; ++b)
    for (std::size_t g = 0; g < groups; ++g) {
      u128 sums[kGroup] = {};
      for (const u64 counter : {first + 2 * b, first + 2 * b + 1}) {
        u128 blocks[kGroup] = {counter, counter, counter, counter};
        encrypt_group(keys[g], reinterpret_cast<std::uint8_t*>(blocks));
        for (std::size_t i = 0; i < kGroup; ++i) sums[i] += blocks[i] & low_bits;
      }
      std::memcpy(out + (b * groups + g) * sizeof sums, sums, sizeof sums);
    }
}

}  // namespace

const Kernels kPortable{
    .expand = expand, .encrypt_each = encrypt_each, .encrypt_counters = encrypt_counters, .add_pairs = add_pairs};

}  // namespace witan::mpc::aes
