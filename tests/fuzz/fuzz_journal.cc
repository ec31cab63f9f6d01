// The journal's files: one byte says how many pages the file has, its log (-wal) follows. Opened as found on disk, then, if it
// opens, read and written.
#include <unistd.h>

#include <fstream>

#include "fuzz/fuzz.h"
#include "runtime/loop.h"
#include "store/journal/sqlite_journal.h"

namespace witan::fuzz {
namespace {

const std::filesystem::path& folder() {
  static const auto path = [] {
    std::string name = "/dev/shm/witan-fuzz-XXXXXX";
    WITAN_CHECK(mkdtemp(name.data()) != nullptr);
    return std::filesystem::path(name);
  }();
  return path;
}

void write(const std::filesystem::path& file, ByteView content) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
}

constexpr std::size_t kPageBytes = 4096;

}  // namespace

void fuzz_one(ByteView input) {
  if (input.empty()) return;
  const auto file = folder() / "journal.db";
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(file.string() + suffix);
  const ByteView content = input.subspan(1);
  const std::size_t database = std::min<std::size_t>(content.size(), std::size_t{input[0]} * kPageBytes);
  write(file, content.first(database));
  if (database < content.size()) write(file.string() + "-wal", content.subspan(database));
  runtime::ThreadLoop loop;
  store::JournalOptions options;
  options.file = file;
  auto journal = store::SqliteJournal::open(options, loop);
  if (!journal) {
    WITAN_CHECK(!journal.error().message.empty());
    return;
  }
  static_cast<void>((*journal)->for_each("requests", [](ByteView, ByteView) { return true; }));
  std::vector<runtime::Change> changes;
  changes.push_back({runtime::Change::Kind::put, "requests", {1}, {2}});
  if (loop.run((*journal)->commit(std::move(changes)))) WITAN_CHECK((*journal)->get("requests", Bytes{1})->has_value());
}

}  // namespace witan::fuzz
