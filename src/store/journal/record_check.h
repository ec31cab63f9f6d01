// What finds damage that SQLite itself does not: SQLite's pages carry no checksums, and its log is cut silently at the
// first frame that does not fit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace witan::store {

/// CRC-32C (RFC 3720, appendix B.4) of `data`, continuing from `crc`, which is 0 at the start.
std::uint32_t crc32c(std::uint32_t crc, ByteView data);

/// The check value of a record: CRC-32C of table || 0x00 || u32le(len(key)) || key || value.
std::uint32_t record_check(std::string_view table, ByteView key, ByteView value);

/// Reads a WAL file (https://www.sqlite.org/fileformat2.html, section 4) as SQLite's recovery does, up to the first frame
/// whose salt or checksum does not fit. Every transaction is synced before the next one is written, so behind that frame
/// at most one further transaction can be whole: the one a power cut tore. data_loss if there are more, or if the
/// header is damaged; success for a missing or empty file. Damage inside the very last transaction looks like a torn
/// one and is not found.
Status check_wal(const std::filesystem::path& wal_file);

}  // namespace witan::store
