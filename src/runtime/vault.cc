#include "runtime/vault.h"

namespace witan::runtime {

std::string ObjectName::path() const {
  std::string out = type;
  if (epoch) out += '/' + epoch->hex();
  return out + '/' + to_hex(id);
}

Status Vault::put(const ObjectName& name, ByteView content) {
  WITAN_ASSIGN(auto writer, create(name));
  WITAN_TRY(writer->write(content));
  return writer->finish();
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
