#include "base/ids.h"

#include <algorithm>

#include "base/check.h"

namespace witan {
namespace {

/// Length in bytes of the white space character (ASCII or Unicode White_Space, UTF-8) at the start of `text`, 0 if
/// none.
std::size_t leading_space(std::string_view text) {
  if (text.empty()) return 0;
  const auto c = static_cast<unsigned char>(text[0]);
  if (c == ' ' || (c >= 0x09 && c <= 0x0d)) return 1;
  static constexpr std::string_view kTwo[] = {"\xc2\x85", "\xc2\xa0"};
  for (const auto s : kTwo)
    if (text.starts_with(s)) return 2;
  static constexpr std::string_view kThree[] = {
      "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84",
      "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a",
      "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
  for (const auto s : kThree)
    if (text.starts_with(s)) return 3;
  return 0;
}

std::string_view trim(std::string_view text) {
  while (const std::size_t n = leading_space(text)) text.remove_prefix(n);
  for (;;) {
    std::size_t cut = 0;
    for (std::size_t n = 1; n <= 3 && n <= text.size(); ++n)
      if (leading_space(text.substr(text.size() - n)) == n) cut = n;
    if (cut == 0) return text;
    text.remove_suffix(cut);
  }
}

}  // namespace

Result<ByteArray<32>> detail::id_from_bytes(ByteView bytes) {
  if (bytes.size() != 32) return fail(Code::invalid_argument, "an id has 32 bytes, this one {}", bytes.size());
  ByteArray<32> out;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  if (out == ByteArray<32>{}) return fail(Code::invalid_argument, "the all-zero id names nothing");
  return out;
}

Result<ByteArray<32>> detail::parse_id(std::string_view text) {
  text = trim(text);
  if (text.starts_with("0x")) text.remove_prefix(2);
  if (text.size() != 64)
    return fail(Code::invalid_argument, "an id has 64 hexadecimal digits, this one {} characters", text.size());
  auto bytes = from_hex(text);
  if (!bytes) return fail(std::move(bytes.error()).within("id"));
  return id_from_bytes(*bytes);
}

ContextId default_context_id() {
  ByteArray<32> bytes{7};
  bytes[31] = 1;
  return ContextId(bytes);
}

EpochId default_epoch_id() {
  ByteArray<32> bytes{8};
  bytes[31] = 1;
  return EpochId(bytes);
}

Role::Role(int number) : number_(static_cast<std::uint8_t>(number)) {
  WITAN_CHECK(number >= 1 && number <= kMax);
}

Result<Role> Role::parse(std::int64_t number) {
  if (number < 1 || number > kMax) return fail(Code::invalid_argument, "a role is 1..{}, not {}", kMax, number);
  return Role(static_cast<int>(number));
}

Result<CommitteeSize> CommitteeSize::make(int parties, int threshold) {
  constexpr int kMaxSets = 2047;  // threshold-tfhe.md 1.3: the masks of more sets would exceed half a box
  if (threshold < 1) return fail(Code::invalid_argument, "threshold {} is below 1", threshold);
  if (parties > Role::kMax)
    return fail(Code::invalid_argument, "{} parties, but the ring has points for {}", parties, Role::kMax);
  if (parties < 3 * threshold + 1)
    return fail(Code::invalid_argument, "{} parties tolerate fewer than {} faulty ones: n >= 3t+1", parties, threshold);
  std::int64_t sets = 1;
  for (int i = 1; i <= threshold; ++i) sets = sets * (parties - threshold + i) / i;
  if (sets > kMaxSets)
    return fail(Code::invalid_argument, "C({},{}) = {} sets exceed {}", parties, threshold, sets, kMaxSets);
  return CommitteeSize(parties, threshold);
}

}  // namespace witan
