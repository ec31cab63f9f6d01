// Errors as values. A Code maps to exactly one gRPC status; the message says which request or party, what was expected
// and what came. Bugs of ours are assertions (base/check.h), never an Error.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace witan {

/// Numbers are those of gRPC status codes.
enum class Code : std::uint8_t {
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

/// Text of a code as gRPC writes it, e.g. "INVALID_ARGUMENT".
const char* to_string(Code code);

struct Error {
  Code code;
  std::string message;

  /// The same error with more context in front: "context: message".
  Error within(std::string_view context) && { return {code, fmt::format("{}: {}", context, message)}; }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// `return fail(Code::not_found, "key {} is not here", id);`
template <class... Args>
std::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}
inline std::unexpected<Error> fail(Error error) {
  return std::unexpected(std::move(error));
}

}  // namespace witan

/// Returns the error of a Result from the enclosing function (not for coroutines: those use `co_await ok(...)`).
#define WITAN_TRY(expression)                                      \
  do {                                                             \
    if (auto witan_try_result = (expression); !witan_try_result)   \
      return std::unexpected(std::move(witan_try_result).error()); \
  } while (false)
#define WITAN_CONCAT_INNER(a, b) a##b
#define WITAN_CONCAT(a, b) WITAN_CONCAT_INNER(a, b)
/// `WITAN_ASSIGN(auto value, parse(text));`
#define WITAN_ASSIGN(declaration, expression) \
  WITAN_ASSIGN_INNER(WITAN_CONCAT(witan_result_, __COUNTER__), declaration, expression)
#define WITAN_ASSIGN_INNER(name, declaration, expression)     \
  auto name = (expression);                                   \
  if (!name) return std::unexpected(std::move(name).error()); \
  declaration = *std::move(name)
