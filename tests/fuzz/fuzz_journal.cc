// The journal's file: opened as found on disk, then, if it opens, read and written.
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

}  // namespace

void fuzz_one(ByteView input) {
  const auto file = folder() / "journal.db";
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(file.string() + suffix);
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
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
