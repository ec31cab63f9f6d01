// Large objects of a node: public ones that strangers read, private ones that hold shares (service.md 8).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"

namespace witan::runtime {

/// `<Type>/[<epoch hex>/]<id hex>`, service.md 8.1.
struct ObjectName {
  std::string type;  // e.g. "PublicKey", "FheKeyInfo"; [A-Za-z0-9]{1,40}
  std::optional<EpochId> epoch;
  ByteArray<32> id{};

  std::string path() const;
  friend auto operator<=>(const ObjectName&, const ObjectName&) = default;
};

/// Receives an object piece by piece while it is being written.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual Status write(ByteView piece) = 0;
  /// Makes the object durable and visible under its name; before that nothing is visible. Dropping the writer without
  /// finish() removes what was written. Errors: already_exists; unavailable (disk full, read-only, ...): whether the object is there is
  /// unknown, see Vault::put_again().
  virtual Status finish() = 0;
};

/// Reads an object from its start.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  virtual std::uint64_t size_bytes() const = 0;
  /// Fills at most out.size() bytes and returns how many; 0 at the end.
  virtual Result<std::size_t> read(MutableByteView out) = 0;
};

class Vault {
 public:
  static constexpr std::uint64_t kMaxObjectBytes = std::uint64_t{2} << 30;

  virtual ~Vault() = default;
  /// Objects are never overwritten: creating an existing name is already_exists.
  virtual Result<std::unique_ptr<ObjectWriter>> create(const ObjectName& name) = 0;
  virtual Result<std::unique_ptr<ObjectReader>> open(const ObjectName& name) const = 0;  // not_found
  virtual Result<bool> exists(const ObjectName& name) const = 0;
  /// Names of one type, of all epochs, sorted.
  virtual Result<std::vector<ObjectName>> list(const std::string& type) const = 0;
  virtual Status erase(const ObjectName& name) = 0;  // success if it is not there
  /// Makes the name of an object durable that is visible. Errors: not_found, unavailable.
  virtual Status sync(const ObjectName& name) = 0;
  /// For status messages, e.g. "file vault at <path>".
  virtual std::string describe() const = 0;

  /// create + write + finish.
  Status put(const ObjectName& name, ByteView content);
  /// put() of pieces, for who may have tried it before with an error that leaves open what is there: an object with this very content is made
  /// durable. Error: already_exists if it has other content.
  Status put_again(const ObjectName& name, std::span<const ByteView> pieces);
  /// open + read all; resource_exhausted above max_bytes.
  Result<Bytes> get(const ObjectName& name, std::uint64_t max_bytes) const;
};

}  // namespace witan::runtime
