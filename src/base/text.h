// Text that others are to read.
#pragma once

#include <string_view>

namespace witan {

/// At most so many bytes, cut between UTF-8 characters.
inline std::string_view cut(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  std::size_t size = max_bytes;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace witan
