// Assertions for our own bugs. They stay on in every build: a broken invariant in a key server stops the process.
#pragma once

namespace witan::detail {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define WITAN_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::witan::detail::check_failed(#condition, __FILE__, __LINE__))
