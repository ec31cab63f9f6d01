// A look at protobuf bytes before they are parsed: how many fields, how large. Private to this folder.
#pragma once

#include "base/bytes.h"
#include "base/error.h"

namespace witan::api {

/// Bounds of a message most of whose bytes are elements of one repeated sub-message.
struct WireShape {
  std::uint32_t bulk_field;        // its number; elements are length-delimited
  std::size_t max_bulk_elements;   // of the message
  std::size_t max_element_fields;  // of one element, counted as they lie on the wire
  std::size_t max_other_bytes;     // of all other fields together, tags and lengths included
};

/// invalid_argument if the bytes are no sequence of protobuf fields (groups are not accepted) or exceed a bound.
Status check_shape(ByteView wire, const WireShape& shape);

}  // namespace witan::api
