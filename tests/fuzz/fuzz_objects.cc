// tfhe-rs objects: every reader, chosen by the name in the envelope; what is read is written back, and read again.
#include "fuzz/fuzz.h"
#include "tfhe_rs/inspect.h"
#include "tfhe_rs/objects.h"

namespace witan::fuzz {
namespace {

template <class Object>
void round_trip(Result<Object> object, Result<Object> (*read)(ByteView, tfhe_rs::Trailing)) {
  if (!object) return;
  const Bytes written = tfhe_rs::to_bytes(*object);
  WITAN_CHECK(written.size() == tfhe_rs::size_bytes(*object));
  const auto again = read(written, tfhe_rs::Trailing::reject);
  WITAN_CHECK(again.has_value());
  WITAN_CHECK(tfhe_rs::to_bytes(*again) == written);
}

}  // namespace

void fuzz_one(ByteView input) {
  static_cast<void>(tfhe_rs::inspect(input));
  using enum tfhe_rs::Trailing;
  round_trip(tfhe_rs::read_radix(input, ignore), tfhe_rs::read_radix);
  round_trip(tfhe_rs::read_compressed_list(input, ignore), tfhe_rs::read_compressed_list);
  round_trip(tfhe_rs::read_squashed(input, ignore), tfhe_rs::read_squashed);
  round_trip(tfhe_rs::read_squashed_list(input, ignore), tfhe_rs::read_squashed_list);
  round_trip(tfhe_rs::read_seeded(input, ignore), tfhe_rs::read_seeded);
  round_trip(tfhe_rs::read_compact_list(input, ignore), tfhe_rs::read_compact_list);
  round_trip(tfhe_rs::read_compressed_public_key(input, ignore), tfhe_rs::read_compressed_public_key);
  round_trip(tfhe_rs::read_server_key(input, ignore), tfhe_rs::read_server_key);
  static_cast<void>(tfhe_rs::read_public_key(input, ignore));
  static_cast<void>(tfhe_rs::read_key_set(input, ignore));
  static_cast<void>(tfhe_rs::read_client_key(input, ignore));
}

}  // namespace witan::fuzz
