// Durable state of a node. Every change of state is a record in the journal before its effect leaves the node; a
// restart reads the records back. Records are small (at most kMaxRecordBytes); large objects are files of the vault.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "runtime/task.h"

namespace witan::runtime {

struct Change {
  enum class Kind : std::uint8_t {
    put,      // insert or replace
    put_new,  // insert; if the key exists the whole batch fails with already_exists and nothing is changed
    erase,    // remove if present
  };
  Kind kind = Kind::put;
  std::string table;  // [a-z_]{1,32}
  Bytes key;          // at most 256 bytes
  Bytes value;
};

/// A number below 2^63 as a key: 8 bytes, big endian, so keys are in the order of the numbers.
inline Bytes number_key(std::uint64_t number) {
  Bytes out(8);
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  return out;
}

/// Nothing if the key is no number.
inline std::optional<std::uint64_t> number_of(ByteView key) {
  if (key.size() != 8 || key[0] > 0x7f) return std::nullopt;
  std::uint64_t out = 0;
  for (const std::uint8_t byte : key) out = out << 8 | byte;
  return out;
}

class Journal {
 public:
  static constexpr std::size_t kMaxRecordBytes = 128u << 20;

  virtual ~Journal() = default;

  /// Applies all changes or none; resumes on the loop thread once they are on disk. Commits that arrive together share
  /// one sync. Errors: already_exists (a put_new key is there), unavailable (disk), invalid_argument (limits).
  virtual Task<Status> commit(std::vector<Change> changes) = 0;

  /// Reads committed state; the loop thread may call it (microseconds).
  virtual Result<std::optional<Bytes>> get(const std::string& table, ByteView key) const = 0;
  /// Visits the records of a table in key order until the visitor returns false.
  virtual Status for_each(const std::string& table,
                          const std::function<bool(ByteView key, ByteView value)>& visitor) const = 0;
};

}  // namespace witan::runtime
