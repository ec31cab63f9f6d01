#include "tfhe/fhe_type.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/check.h"

namespace witan::tfhe {
namespace {

constexpr int kBlockBits = 2;  // message bits of a block

constexpr FheTypeInfo row(FheType type, std::string_view name, std::string_view short_name, int bits, int container) {
  const int blocks = bits == 1 ? 1 : bits / kBlockBits;
  const int packed = (blocks + 1) / 2;
  return {.type = type,
          .name = name,
          .short_name = short_name,
          .bits = bits,
          .blocks = blocks,
          .packed_blocks = packed,
          .packing_factor = blocks / packed,
          .plaintext_bytes = (bits + 7) / 8,
          .container_bits = container};
}

constexpr std::array<FheTypeInfo, 8> kTypes{
    row(FheType::boolean, "Bool", "bool", 1, 64),       row(FheType::uint8, "Uint8", "u8", 8, 64),
    row(FheType::uint16, "Uint16", "u16", 16, 64),      row(FheType::uint32, "Uint32", "u32", 32, 64),
    row(FheType::uint64, "Uint64", "u64", 64, 64),      row(FheType::uint128, "Uint128", "u128", 128, 128),
    row(FheType::uint160, "Uint160", "u160", 160, 256), row(FheType::uint256, "Uint256", "u256", 256, 256),
};
constexpr auto kTypeValues = [] {
  std::array<FheType, kTypes.size()> out;
  for (std::size_t i = 0; i < kTypes.size(); ++i) out[i] = kTypes[i].type;
  return out;
}();

// FheTypes in order of their number (tfhe-formats.md 19).
constexpr std::string_view kFheTypeNames[] = {
    "Bool",        "Uint4",    "Uint8",   "Uint16",  "Uint32",  "Uint64",  "Uint128", "Uint160", "Uint256", "Uint512",
    "Uint1024",    "Uint2048", "Uint2",   "Uint6",   "Uint10",  "Uint12",  "Uint14",  "Int2",    "Int4",    "Int6",
    "Int8",        "Int10",    "Int12",   "Int14",   "Int16",   "Int32",   "Int64",   "Int128",  "Int160",  "Int256",
    "AsciiString", "Int512",   "Int1024", "Int2048", "Uint24",  "Uint40",  "Uint48",  "Uint56",  "Uint72",  "Uint80",
    "Uint88",      "Uint96",   "Uint104", "Uint112", "Uint120", "Uint136", "Uint144", "Uint152", "Uint168", "Uint176",
    "Uint184",     "Uint192",  "Uint200", "Uint208", "Uint216", "Uint224", "Uint232", "Uint240", "Uint248", "Int24",
    "Int40",       "Int48",    "Int56",   "Int72",   "Int80",   "Int88",   "Int96",   "Int104",  "Int112",  "Int120",
    "Int136",      "Int144",   "Int152",  "Int168",  "Int176",  "Int184",  "Int192",  "Int200",  "Int208",  "Int216",
    "Int224",      "Int232",   "Int240",  "Int248"};
static_assert(std::size(kFheTypeNames) == 84);

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::span<const FheType> all_fhe_types() {
  return kTypeValues;
}

const FheTypeInfo& info(FheType type) {
  const auto found = std::ranges::find(kTypes, type, &FheTypeInfo::type);
  WITAN_CHECK(found != kTypes.end());
  return *found;
}

std::string_view fhe_type_name(std::int64_t number) {
  const bool known = number >= 0 && number < static_cast<std::int64_t>(std::size(kFheTypeNames));
  return known ? kFheTypeNames[number] : std::string_view{};
}

Result<FheType> fhe_type_from_number(std::int64_t number) {
  for (const FheTypeInfo& row : kTypes)
    if (static_cast<std::int64_t>(row.type) == number) return row.type;
  const std::string_view name = fhe_type_name(number);
  if (name.empty()) return fail(Code::invalid_argument, "{} is the number of no FHE type", number);
  return fail(Code::invalid_argument,
              "FHE type {} ({}) is not decrypted here; Bool, Uint8, Uint16, Uint32, Uint64, Uint128, Uint160 and "
              "Uint256 are",
              name, number);
}

Result<FheType> parse_fhe_type(std::string_view name) {
  if (equal_ignoring_case(name, "address")) return FheType::uint160;
  for (const FheTypeInfo& row : kTypes)
    if (equal_ignoring_case(name, row.short_name) || equal_ignoring_case(name, row.name)) return row.type;
  return fail(Code::invalid_argument,
              "'{}' is no type; expected bool, u8, u16, u32, u64, u128, u160 (or address) or u256", name);
}

std::uint8_t decode_pair(u128 phase) {
  constexpr int kDeltaLog2 = 123;
  constexpr u128 kDelta = u128{1} << kDeltaLog2;
  if (phase > ~u128{0} - kDelta) return 0;  // a negative noise below zero; rounding up would leave the padding bit set
  return static_cast<std::uint8_t>(((phase + kDelta / 2) >> kDeltaLog2) % 16);
}

Result<U256> recombine(FheType type, std::span<const std::uint8_t> decoded) {
  const FheTypeInfo& row = info(type);
  const auto count = static_cast<int>(std::min<std::size_t>(decoded.size(), 1024));
  if (count != row.packed_blocks && count != row.blocks)
    return fail(Code::invalid_argument, "{} has {} blocks ({} packed), got {}", row.name, row.blocks, row.packed_blocks,
                decoded.size());
  const int bits_per_block = kBlockBits * (count == row.packed_blocks ? row.packing_factor : 1);
  U256 sum;
  int position = 0;
  for (int q = 0; q < count && position < row.container_bits; ++q, position += bits_per_block)
    sum.add_shifted(decoded[static_cast<std::size_t>(q)], position);
  return sum.low_bits(std::min(row.container_bits, count * bits_per_block)).low_bits(8 * row.plaintext_bytes);
}

Result<std::vector<std::uint8_t>> to_blocks(FheType type, const U256& value) {
  const FheTypeInfo& row = info(type);
  if (value.bit_length() > row.bits)
    return fail(Code::invalid_argument, "{} does not fit the {} bits of {}", value.decimal(), row.bits, row.name);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(row.blocks));
  for (int i = 0; i < row.blocks; ++i)
    out[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value.bits(kBlockBits * i, kBlockBits));
  return out;
}

std::vector<std::uint8_t> pair_blocks(std::span<const std::uint8_t> blocks) {
  std::vector<std::uint8_t> out((blocks.size() + 1) / 2);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    out[i / 2] = static_cast<std::uint8_t>(out[i / 2] | blocks[i] << (kBlockBits * (i % 2)));
  return out;
}

Result<U256> parse_value(FheType type, std::string_view text) {
  if (type == FheType::boolean && text == "true") return U256(1);
  if (type == FheType::boolean && text == "false") return U256(0);
  WITAN_ASSIGN(const U256 value, U256::parse(text));
  WITAN_TRY(to_blocks(type, value));
  return value;
}

std::string format_value(FheType type, const U256& value) {
  if (type == FheType::boolean) return value == U256() ? "false" : "true";
  if (type == FheType::uint160) return value.hex(40);
  return value.decimal();
}

}  // namespace witan::tfhe
