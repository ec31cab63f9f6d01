#include "api/wire_shape.h"

#include <optional>

namespace witan::api {
namespace {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  WireType type = kVarint;
  ByteView payload;            // of a length-delimited field
  std::size_t size_bytes = 0;  // with its tag
};

/// Steps through the fields of one message (https://protobuf.dev/programming-guides/encoding).
class FieldScanner {
 public:
  explicit FieldScanner(ByteView wire) : rest_(wire) {}
  bool at_end() const { return rest_.empty(); }

  std::optional<Field> next() {
    const std::size_t before = rest_.size();
    const auto tag = varint();
    if (!tag || *tag > 0xffffffffu || (*tag >> 3) == 0) return std::nullopt;
    Field field;
    field.number = static_cast<std::uint32_t>(*tag >> 3);
    field.type = static_cast<WireType>(*tag & 7);
    const auto payload_bytes = size_of_payload(field.type);
    if (!payload_bytes || *payload_bytes > rest_.size()) return std::nullopt;
    field.payload = rest_.first(*payload_bytes);
    rest_ = rest_.subspan(*payload_bytes);
    field.size_bytes = before - rest_.size();
    return field;
  }

 private:
  std::optional<std::uint64_t> size_of_payload(WireType type) {
    switch (type) {
      case kVarint:
        return varint() ? std::optional<std::uint64_t>(0) : std::nullopt;
      case kFixed64:
        return 8;
      case kFixed32:
        return 4;
      case kLengthDelimited:
        return varint();
    }
    return std::nullopt;  // groups, which proto3 does not have
  }

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return std::nullopt;
      const std::uint8_t byte = rest_.front();
      rest_ = rest_.subspan(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  ByteView rest_;
};

std::unexpected<Error> malformed() {
  return fail(Code::invalid_argument, "the bytes are no protobuf message");
}

Status check_element(ByteView element, const WireShape& shape) {
  std::size_t fields = 0;
  for (FieldScanner scan(element); !scan.at_end();) {
    if (!scan.next()) return malformed();
    if (++fields > shape.max_element_fields)
      return fail(Code::invalid_argument, "an element of field {} has more than {} fields", shape.bulk_field,
                  shape.max_element_fields);
  }
  return {};
}

}  // namespace

Status check_shape(ByteView wire, const WireShape& shape) {
  std::size_t elements = 0, other_bytes = 0;
  for (FieldScanner scan(wire); !scan.at_end();) {
    const auto field = scan.next();
    if (!field) return malformed();
    if (field->number == shape.bulk_field && field->type == kLengthDelimited) {
      if (++elements > shape.max_bulk_elements)
        return fail(Code::invalid_argument, "field {} has more than {} elements", shape.bulk_field,
                    shape.max_bulk_elements);
      WITAN_TRY(check_element(field->payload, shape));
    } else {
      other_bytes += field->size_bytes;
      if (other_bytes > shape.max_other_bytes)
        return fail(Code::invalid_argument, "the fields other than {} have more than {} bytes", shape.bulk_field,
                    shape.max_other_bytes);
    }
  }
  return {};
}

}  // namespace witan::api
