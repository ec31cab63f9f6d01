#include "store/journal/record_check.h"

#include <nmmintrin.h>

#include <fstream>
#include <system_error>

namespace witan::store {

std::uint32_t crc32c(std::uint32_t crc, ByteView data) {
  std::uint64_t state = ~crc;
  std::size_t at = 0;
  for (; at + 8 <= data.size(); at += 8) state = _mm_crc32_u64(state, load_le<std::uint64_t>(data.data() + at));
  auto narrow = static_cast<std::uint32_t>(state);
  for (; at < data.size(); ++at) narrow = _mm_crc32_u8(narrow, data[at]);
  return ~narrow;
}

std::uint32_t record_check(std::string_view table, ByteView key, ByteView value) {
  ByteArray<5> separator{};
  store_le(static_cast<std::uint32_t>(key.size()), separator.data() + 1);
  return crc32c(crc32c(crc32c(crc32c(0, as_bytes(table)), separator), key), value);
}

namespace {

constexpr std::size_t kHeaderBytes = 32;
constexpr std::size_t kFrameHeaderBytes = 24;
constexpr std::uint32_t kMagic = 0x377f0682;  // the lowest bit tells the byte order of the checksums

struct Checksum {
  std::uint32_t s0 = 0, s1 = 0;

  void add(ByteView words, bool big_endian) {
    for (std::size_t i = 0; i + 8 <= words.size(); i += 8) {
      const auto word = [&](std::size_t at) {
        return big_endian ? load_be<std::uint32_t>(words.data() + at) : load_le<std::uint32_t>(words.data() + at);
      };
      s0 += word(i) + s1;
      s1 += word(i + 4) + s0;
    }
  }
  friend bool operator==(const Checksum&, const Checksum&) = default;
};

/// Checksums are stored big endian whatever their word order is.
Checksum stored_checksum(const std::uint8_t* at) {
  return {load_be<std::uint32_t>(at), load_be<std::uint32_t>(at + 4)};
}

struct WalHeader {
  bool big_endian = false;
  std::size_t page_bytes = 0;
  ByteArray<8> salt{};
  Checksum checksum;
};

Result<WalHeader> parse_header(const ByteArray<kHeaderBytes>& raw) {
  const auto magic = load_be<std::uint32_t>(raw.data());
  WalHeader header;
  header.big_endian = (magic & 1) != 0;
  header.page_bytes = load_be<std::uint32_t>(raw.data() + 8);
  std::memcpy(header.salt.data(), raw.data() + 16, 8);
  header.checksum.add(ByteView(raw).first(24), header.big_endian);
  if ((magic & ~1u) != kMagic || header.checksum != stored_checksum(raw.data() + 24) || header.page_bytes < 512 ||
      header.page_bytes > 65536 || !std::has_single_bit(header.page_bytes))
    return fail(Code::data_loss, "its header is damaged");
  return header;
}

}  // namespace

Status check_wal(const std::filesystem::path& wal_file) {
  std::ifstream in(wal_file, std::ios::binary);
  ByteArray<kHeaderBytes> raw{};
  if (!in.read(reinterpret_cast<char*>(raw.data()), kHeaderBytes)) return {};  // not there, or nothing was written yet
  if (raw == ByteArray<kHeaderBytes>{}) return {};  // made, but its header never reached the disk: so no frame did
  WITAN_ASSIGN(const WalHeader header, parse_header(raw));

  Checksum previous = header.checksum;  // as stored in the frame before: a damaged page spoils its own frame only
  std::size_t frame_number = 0, first_bad = 0, whole_transactions_behind = 0;
  Bytes frame(kFrameHeaderBytes + header.page_bytes);
  while (in.read(reinterpret_cast<char*>(frame.data()), static_cast<std::streamsize>(frame.size()))) {
    ++frame_number;
    Checksum sum = previous;
    sum.add(ByteView(frame).first(8), header.big_endian);
    sum.add(ByteView(frame).subspan(kFrameHeaderBytes), header.big_endian);
    const Checksum stored = stored_checksum(frame.data() + 16);
    const bool fits = sum == stored && std::memcmp(frame.data() + 8, header.salt.data(), 8) == 0;
    const bool ends_transaction = load_be<std::uint32_t>(frame.data() + 4) != 0;
    if (!fits && first_bad == 0) first_bad = frame_number;
    if (fits && first_bad != 0 && ends_transaction) ++whole_transactions_behind;
    previous = stored;
  }
  if (whole_transactions_behind >= 2)
    return fail(Code::data_loss, "frame {} is damaged and {} transactions follow it", first_bad,
                whole_transactions_behind);
  return {};
}

}  // namespace witan::store
