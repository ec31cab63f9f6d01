// The journal's files: one byte says how many pages the file has, its log (-wal) follows. Opened as found on disk, then, if it
// opens, read and written.
#include "fuzz/fuzz.h"
#include "fuzz/memory_folder.h"
#include "node/request_store.h"
#include "protocols/decrypt.h"
#include "runtime/loop.h"
#include "store/journal/sqlite_journal.h"

namespace witan::fuzz {
namespace {

constexpr std::size_t kPageBytes = 4096;

}  // namespace

void fuzz_one(ByteView input) {
  if (input.empty()) return;
  const auto file = memory_folder() / "journal.db";
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(file.string() + suffix);
  const ByteView content = input.subspan(1);
  const std::size_t database = std::min<std::size_t>(content.size(), std::size_t{input[0]} * kPageBytes);
  write_file(file, content.first(database));
  if (database < content.size()) write_file(file.string() + "-wal", content.subspan(database));
  runtime::ThreadLoop loop;
  store::JournalOptions options;
  options.file = file;
  options.numbered = {node::kBodiesTable, node::kResultsTable, protocols::kSentTable};
  auto journal = store::SqliteJournal::open(options, loop);
  if (!journal) {
    WITAN_CHECK(!journal.error().message.empty());
    return;
  }
  for (const char* table : {"requests", node::kBodiesTable, node::kResultsTable, protocols::kSentTable})
    static_cast<void>((*journal)->for_each(table, [](ByteView, ByteView) { return true; }));
  using runtime::Change;
  const Bytes first = runtime::number_key(1), next = runtime::number_key(2);
  const auto commit = [&](std::vector<Change> changes) { return loop.run((*journal)->commit(std::move(changes))); };
  const auto has = [&](const char* table, ByteView key) { return (*journal)->get(table, key).value().has_value(); };
  if (!commit({{Change::Kind::put, "requests", {1}, {2}},
               {Change::Kind::put, node::kBodiesTable, first, {3}},
               {Change::Kind::put, protocols::kSentTable, first, {4}},
               {Change::Kind::erase, node::kResultsTable, next, {}}}))
    return;
  WITAN_CHECK(has("requests", Bytes{1}) && has(node::kBodiesTable, first) && has(protocols::kSentTable, first) &&
              !has(node::kResultsTable, next));
  if (!commit({{Change::Kind::erase, node::kBodiesTable, first, {}}})) return;
  const auto twice = commit({{Change::Kind::put, node::kResultsTable, next, {5}},
                             {Change::Kind::put_new, protocols::kSentTable, first, {6}}});
  WITAN_CHECK(!twice && !has(node::kResultsTable, next) && !has(node::kBodiesTable, first));
}

}  // namespace witan::fuzz
