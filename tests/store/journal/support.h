// A folder that goes away with the test, and short forms of what the journal tests do all the time.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "runtime/loop.h"
#include "store/journal/sqlite_journal.h"

namespace witan::store::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "witan-journal-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Bytes bytes(std::string_view text) {
  return Bytes(text.begin(), text.end());
}

inline runtime::Change put(std::string table, std::string_view key, std::string_view value) {
  return {runtime::Change::Kind::put, std::move(table), bytes(key), bytes(value)};
}
inline runtime::Change put_new(std::string table, std::string_view key, std::string_view value) {
  return {runtime::Change::Kind::put_new, std::move(table), bytes(key), bytes(value)};
}
inline runtime::Change erase(std::string table, std::string_view key) {
  return {runtime::Change::Kind::erase, std::move(table), bytes(key), {}};
}

/// The tables that a node has as trees of their own.
inline const std::vector<std::string> kNumbered = {"request_bodies", "request_results", "sent"};

inline runtime::Change put(std::string table, std::uint64_t number, std::string_view value) {
  return {runtime::Change::Kind::put, std::move(table), runtime::number_key(number), bytes(value)};
}
inline runtime::Change put_new(std::string table, std::uint64_t number, std::string_view value) {
  return {runtime::Change::Kind::put_new, std::move(table), runtime::number_key(number), bytes(value)};
}
inline runtime::Change erase(std::string table, std::uint64_t number) {
  return {runtime::Change::Kind::erase, std::move(table), runtime::number_key(number), {}};
}

inline std::vector<runtime::Change> changes(runtime::Change one) {
  std::vector<runtime::Change> out;
  out.push_back(std::move(one));
  return out;
}
inline std::vector<runtime::Change> changes(runtime::Change first, runtime::Change second) {
  auto out = changes(std::move(first));
  out.push_back(std::move(second));
  return out;
}

/// The value as text, "(none)" without one, or the text of the error's code.
inline std::string value_of(const runtime::Journal& journal, const std::string& table, std::string_view key) {
  auto value = journal.get(table, as_bytes(key));
  if (!value) return to_string(value.error().code);
  if (!*value) return "(none)";
  return std::string((*value)->begin(), (*value)->end());
}
inline std::string value_of(const runtime::Journal& journal, const std::string& table, std::uint64_t number) {
  const Bytes key = runtime::number_key(number);
  return value_of(journal, table, std::string_view(reinterpret_cast<const char*>(key.data()), key.size()));
}

}  // namespace witan::store::test
