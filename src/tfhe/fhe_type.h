// The plaintext types that the service decrypts, and how decoded blocks become a value: threshold-tfhe.md 7.1 and 7.3,
// tfhe-formats.md 14 and 19.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tfhe/u256.h"

namespace witan::tfhe {

/// Values are the FheTypes numbers of requests and handles.
enum class FheType : std::int32_t {
  boolean = 0,
  uint8 = 2,
  uint16 = 3,
  uint32 = 4,
  uint64 = 5,
  uint128 = 6,
  uint160 = 7,  // an address
  uint256 = 8,
};

/// The eight types in order of their number.
std::span<const FheType> all_fhe_types();

struct FheTypeInfo {
  FheType type;
  std::string_view name;        // as in FheTypes: "Uint64"
  std::string_view short_name;  // on the command line: "u64"
  int bits;                     // of the value; 1 for booleans
  int blocks;                   // 2-bit blocks of a FheUint: bits / 2, 1 for booleans
  int packed_blocks;            // blocks in pairs: ceil(blocks / 2)
  int packing_factor;           // floor(blocks / packed_blocks): 2, 1 for booleans
  int plaintext_bytes;          // of the decrypted value, little endian
  int container_bits;           // of the integer that recombination adds in: 64, 128 or 256
};
const FheTypeInfo& info(FheType type);

/// Error: invalid_argument; a number that FheTypes knows but the service does not decrypt is called by its name.
Result<FheType> fhe_type_from_number(std::int64_t number);
/// "bool", "u8" ... "u128", "u160" or "address", "u256", and the FheTypes names in any case.
Result<FheType> parse_fhe_type(std::string_view name);
/// Name of any number of FheTypes, e.g. 18 -> "Int4"; empty for a number that it does not have.
std::string_view fhe_type_name(std::int64_t number);

/// decode() of threshold-tfhe.md 7.3: an opened 128-bit phase to the pair's value 0..15, Delta = 2^123.
std::uint8_t decode_pair(u128 phase);

/// Recombines decoded blocks, least significant first, each worth 2 * packing_factor bits: blocks are added unmasked (a
/// carry ripples), the sum is cut to the bits that the blocks stand for and to the container, then to the type's bytes.
/// Error: invalid_argument unless there are packed_blocks (packing factor of the type) or blocks (packing factor 1).
Result<U256> recombine(FheType type, std::span<const std::uint8_t> decoded);

/// The value as 2-bit blocks, least significant first. Error: invalid_argument if it does not fit the type.
Result<std::vector<std::uint8_t>> to_blocks(FheType type, const U256& value);
/// Pairs low + 4 * high of 2-bit blocks; an odd last block stands alone.
std::vector<std::uint8_t> pair_blocks(std::span<const std::uint8_t> blocks);

/// Text of the command line: "true"/"false"/"0"/"1", decimal, or 0x hexadecimal. Error: invalid_argument.
Result<U256> parse_value(FheType type, std::string_view text);
/// "true" or "false", decimal, and 0x with 40 digits for an address.
std::string format_value(FheType type, const U256& value);

}  // namespace witan::tfhe
