#include "node/attempts.h"

#include "base/codec.h"

namespace witan::node {

using runtime::ok;

namespace {

constexpr const char* kTable = "attempts";

Bytes journal_key(const ByteArray<32>& id, crypto::SessionKind kind) {
  return Writer().u8(static_cast<std::uint8_t>(kind)).raw(id).take();
}

}  // namespace

Result<std::uint16_t> next_attempt(const runtime::Journal& journal, const ByteArray<32>& id, crypto::SessionKind kind) {
  WITAN_ASSIGN(const auto stored, journal.get(kTable, journal_key(id, kind)));
  if (!stored) return std::uint16_t{0};
  Reader reader(*stored);
  const std::uint16_t last = reader.u16();
  WITAN_TRY(reader.finish("a record of the table attempts"));
  return static_cast<std::uint16_t>(last + 1);
}

runtime::Task<Status> record_attempt(runtime::Journal& journal, ByteArray<32> id, crypto::SessionKind kind,
                                     std::uint16_t attempt) {
  const std::uint16_t least = co_await ok(next_attempt(journal, id, kind));
  if (attempt < least)
    co_return fail(Code::internal, "attempt {} of {} was to be used again, the next one is {}", attempt, to_hex(id),
                   least);
  std::vector<runtime::Change> changes;
  changes.push_back({runtime::Change::Kind::put, kTable, journal_key(id, kind), Writer().u16(attempt).take()});
  co_return co_await journal.commit(std::move(changes));
}

}  // namespace witan::node
