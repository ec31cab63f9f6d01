#include "mpc/epoch_keys.h"

#include "base/check.h"
#include "base/codec.h"
#include "crypto/separators.h"

namespace witan::mpc {
namespace {

constexpr std::uint32_t kLayout = 2;  // 1: set keys alone

std::vector<PartySet> own_zero_sets(CommitteeSize committee, Role self) {
  std::vector<PartySet> out;
  for (const PartySet excluded : zero_sets(committee))
    if (!excluded.contains(self)) out.push_back(excluded);
  return out;
}

std::size_t own_key_sets(CommitteeSize committee, Role self) {
  std::size_t out = 0;
  for (const PartySet set : key_sets(committee)) out += set.contains(self);
  return out;
}

Result<Secret<std::vector<SetKey>>> read_keys(Reader& reader, std::size_t expected) {
  if (reader.count(sizeof(SetKey)) != expected)
    return fail(Code::data_loss, "the record of epoch keys has another number of keys than the committee has sets");
  Secret out{std::vector<SetKey>(expected)};
  for (SetKey& key : out.reveal_mutable()) key = reader.array<16>();
  return out;
}

}  // namespace

template <Word Z>
SetKey agreed_key(const Gr<Z>& element) {
  ByteArray<Gr<Z>::kSizeBytes> encoded;
  element.encode(encoded.data());
  SetKey out;
  crypto::Shake256(crypto::separators::kAgreeRandom).update(encoded).finish(out);
  wipe(encoded.data(), encoded.size());
  return out;
}
template SetKey agreed_key(const Gr<Z64>&);
template SetKey agreed_key(const Gr<Z128>&);

EpochKeys::EpochKeys(SetKeys set_keys, ZeroKeys zero_keys, Secret<std::vector<Share<Z64>>> zero_shares)
    : set_keys_(std::move(set_keys)), zero_keys_(std::move(zero_keys)), zero_shares_(std::move(zero_shares)) {
  WITAN_CHECK(set_keys_.committee() == zero_keys_.committee() && set_keys_.self() == zero_keys_.self());
  WITAN_CHECK(zero_shares_.reveal().size() == zero_sets(committee()).size());
}

Secret<Bytes> EpochKeys::encode() const {
  Bytes out;
  // No reallocation: no stale copy.
  out.reserve(64 + 16 * (set_keys_.size() + zero_keys_.size()) + Gr<Z64>::kSizeBytes * zero_shares_.reveal().size());
  append_le<std::uint32_t>(out, kLayout);
  out.push_back(static_cast<std::uint8_t>(committee().parties()));
  out.push_back(static_cast<std::uint8_t>(committee().threshold()));
  out.push_back(static_cast<std::uint8_t>(self().number()));
  append_le<std::uint64_t>(out, set_keys_.size());
  for (std::size_t i = 0; i < set_keys_.size(); ++i) append(out, set_keys_.key(i));
  append_le<std::uint64_t>(out, zero_keys_.size());
  for (std::size_t i = 0; i < zero_keys_.size(); ++i) append(out, zero_keys_.key(i));
  append_le<std::uint64_t>(out, zero_shares_.reveal().size());
  for (const Share<Z64>& share : zero_shares_.reveal()) {
    out.resize(out.size() + Gr<Z64>::kSizeBytes);
    share.value.encode(out.data() + out.size() - Gr<Z64>::kSizeBytes);
  }
  return Secret<Bytes>(std::move(out));
}

Result<EpochKeys> EpochKeys::decode(ByteView record) {
  Reader reader(record);
  const auto layout = reader.u32();
  const int n = reader.u8(), t = reader.u8(), role = reader.u8();
  const auto committee = CommitteeSize::make(n, t);
  if (layout != kLayout || reader.failed() || !committee || role < 1 || role > n || zero_sets(*committee).empty())
    return fail(Code::data_loss, "the record of epoch keys is damaged or of an unknown layout");
  WITAN_ASSIGN(auto keys, read_keys(reader, own_key_sets(*committee, Role(role))));
  WITAN_ASSIGN(auto zero_keys, read_keys(reader, own_zero_sets(*committee, Role(role)).size()));
  const std::size_t families = zero_sets(*committee).size();
  if (reader.count(Gr<Z64>::kSizeBytes) != families)
    return fail(Code::data_loss, "the record of epoch keys has another number of shares than the family has keys");
  Secret shares{std::vector<Share<Z64>>(families)};
  for (Share<Z64>& share : shares.reveal_mutable()) {
    const ByteView raw = reader.raw(Gr<Z64>::kSizeBytes);
    if (!reader.failed()) share.value = Gr<Z64>::decode(raw.data());
  }
  WITAN_TRY(reader.finish("the record of epoch keys"));
  return EpochKeys(SetKeys(*committee, Role(role), std::move(keys)),
                   ZeroKeys(*committee, Role(role), std::move(zero_keys)), std::move(shares));
}

}  // namespace witan::mpc
