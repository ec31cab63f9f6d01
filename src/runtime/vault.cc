#include "runtime/vault.h"

#include <algorithm>

#include "base/secret.h"

namespace witan::runtime {

std::string ObjectName::path() const {
  std::string out = type;
  if (epoch) out += '/' + epoch->hex();
  return out + '/' + to_hex(id);
}

namespace {

Status put_pieces(Vault& vault, const ObjectName& name, std::span<const ByteView> pieces) {
  WITAN_ASSIGN(auto writer, vault.create(name));
  for (const ByteView piece : pieces) WITAN_TRY(writer->write(piece));
  return writer->finish();
}

bool consists_of(ByteView content, std::span<const ByteView> pieces) {
  for (const ByteView piece : pieces) {
    if (content.size() < piece.size() || !std::ranges::equal(content.first(piece.size()), piece)) return false;
    content = content.subspan(piece.size());
  }
  return content.empty();
}

}  // namespace

Status Vault::put(const ObjectName& name, ByteView content) {
  return put_pieces(*this, name, std::span(&content, 1));
}

Status Vault::put_again(const ObjectName& name, std::span<const ByteView> pieces) {
  const Status stored = put_pieces(*this, name, pieces);
  if (stored || stored.error().code != Code::already_exists) return stored;
  std::uint64_t size = 0;
  for (const ByteView piece : pieces) size += piece.size();
  auto there = get(name, size);
  if (!there && there.error().code == Code::resource_exhausted) return stored;  // it is longer
  if (!there) return fail(std::move(there).error());
  const Secret<Bytes> found(*std::move(there));
  if (!consists_of(found.reveal(), pieces)) return stored;
  return sync(name);
}

Result<Bytes> Vault::get(const ObjectName& name, std::uint64_t max_bytes) const {
  WITAN_ASSIGN(auto reader, open(name));
  if (reader->size_bytes() > max_bytes)
    return fail(Code::resource_exhausted, "{} has {} bytes, more than {}", name.path(), reader->size_bytes(),
                max_bytes);
  Bytes out(reader->size_bytes());
  std::size_t at = 0;
  while (at < out.size()) {
    WITAN_ASSIGN(const std::size_t n, reader->read(MutableByteView(out).subspan(at)));
    if (n == 0) return fail(Code::data_loss, "{} ended after {} of {} bytes", name.path(), at, out.size());
    at += n;
  }
  return out;
}

}  // namespace witan::runtime
