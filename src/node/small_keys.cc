#include "node/small_keys.h"

#include <algorithm>

#include "tfhe_rs/objects.h"

namespace witan::node {

using runtime::Compute;
using runtime::ok;
using runtime::Task;
using runtime::Work;

namespace {

constexpr std::size_t kRowsPerKernel = 16;  // of 2048 coefficients and 128 bits: 2 ms

/// An object of a vault as what a parser reads.
class VaultSource final : public tfhe_rs::Source {
 public:
  explicit VaultSource(runtime::ObjectReader& reader) : reader_(reader) {}
  std::uint64_t size_bytes() const override { return reader_.size_bytes(); }
  Result<std::size_t> read(MutableByteView out) override { return reader_.read(out); }

 private:
  runtime::ObjectReader& reader_;
};

/// The set, and what has been made of it. What of the set is not needed, or not any more, goes before the next part is expanded.
struct Expansion {
  tfhe::CompressedServerKey server_key;
  std::shared_ptr<SmallKeys> keys = std::make_shared<SmallKeys>();
};
using SharedExpansion = std::shared_ptr<Expansion>;

Result<SharedExpansion> read_set(const runtime::Vault& vault, const KeyId& id) {
  WITAN_ASSIGN(const auto reader, vault.open({"CompressedXofKeySet", std::nullopt, id.bytes()}));
  VaultSource source(*reader);
  WITAN_ASSIGN(tfhe::CompressedKeySet set, tfhe_rs::stream_key_set(source));
  WITAN_TRY(tfhe::check(set));
  auto out = std::make_shared<Expansion>();
  tfhe::CompressedServerKey& key = out->server_key = std::move(set.server_key);
  key.cast.reset();
  key.compression.reset();
  key.sns_compression.reset();
  key.rerandomization.reset();
  key.oprf.reset();
  out->keys->max_noise_level = key.max_noise_level;
  return out;
}

/// `seeded` and `key` lie in `work`, which every kernel keeps.
template <tfhe::Word W>
Task<void> expand_rows(Compute& compute, SharedExpansion work, const tfhe::SeededBsk<W>& seeded,
                       tfhe::BlindRotationKey<W>& key) {
  for (std::size_t row = 0; row < key.rows(); row += kRowsPerKernel)
    co_await compute(Work::preprocessing, [work, &seeded, &key, row] {
      key.expand_rows(seeded, row, std::min(kRowsPerKernel, key.rows() - row));
    });
}

}  // namespace

Task<Result<std::shared_ptr<const SmallKeys>>> expand_small_keys(Compute& compute, const runtime::Vault& vault,
                                                                 KeyId id) {
  const auto bulk = [&compute](auto kernel) { return compute(Work::preprocessing, std::move(kernel)); };
  auto work = co_await ok(co_await bulk([&vault, id] { return read_set(vault, id); }));
  tfhe::CompressedServerKey& key = work->server_key;
  SmallKeys& keys = *work->keys;

  co_await ok(co_await bulk([work]() -> Status {  // the largest by far
    WITAN_ASSIGN(work->keys->sns, tfhe::prepare_sns_key(work->server_key, tfhe::Rows::none));
    return {};
  }));
  co_await expand_rows(compute, work, key.sns->bootstrap.bsk, keys.sns.rotation);

  co_await bulk([work] {
    work->server_key.sns.reset();
    work->keys->compute = tfhe::prepare_compute_key(work->server_key, tfhe::Rows::none);
  });
  co_await expand_rows(compute, work, key.bootstrap.bsk, keys.compute.rotation);

  if (key.decompression) {
    co_await ok(co_await bulk([work]() -> Status {
      WITAN_ASSIGN(work->keys->decompression, tfhe::prepare_decompression_key(work->server_key, tfhe::Rows::none));
      return {};
    }));
    co_await expand_rows(compute, work, key.decompression->bootstrap.bsk, keys.decompression->rotation);
  }
  // What is left of the set is released on the pool too.
  co_return co_await bulk(
      [work = std::move(work)]() -> std::shared_ptr<const SmallKeys> { return std::move(work->keys); });
}

}  // namespace witan::node
