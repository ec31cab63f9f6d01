#include "node/epochs.h"

#include "base/codec.h"
#include "base/log.h"

namespace witan::node {
namespace {

constexpr const char* kType = "EpochData";
constexpr std::uint32_t kLayout = 1;
constexpr std::uint64_t kMaxBytes = 1 << 20;

}  // namespace

const char* to_string(EpochOrigin origin) {
  return origin == EpochOrigin::robust ? "robust" : "provisional";
}

Status EpochStore::load(CommitteeSize committee, Role self) {
  WITAN_ASSIGN(const auto names, vault_.list(kType));
  for (const auto& name : names) {
    WITAN_ASSIGN(Bytes plain, vault_.get(name, kMaxBytes));
    const Secret<Bytes> record(std::move(plain));
    Reader reader(record.reveal());
    if (reader.u32() != kLayout) reader.mark_failed();
    const auto id = reader.id<EpochId>();
    const auto context = reader.id<ContextId>();
    const std::uint8_t origin = reader.u8();
    if (reader.failed() || id.bytes() != name.id || origin < 1 || origin > 2)
      return fail(Code::data_loss, "{} in the private vault is damaged", name.path());
    auto keys = mpc::SetKeys::decode(reader.raw(reader.remaining()));
    if (!keys) return fail(std::move(keys).error().within(name.path()));
    if (keys->committee() != committee || keys->self() != self)
      return fail(Code::data_loss, "{} holds the set keys of party {} of {}, this node is party {} of {}", name.path(),
                  keys->self().number(), keys->committee().parties(), self.number(), committee.parties());
    log::info("epoch {}: {}", id.hex(), to_string(static_cast<EpochOrigin>(origin)));
    epochs_.emplace(id,
                    Epoch{id, context, static_cast<EpochOrigin>(origin), std::make_shared<mpc::MaskGenerator>(*keys)});
  }
  return {};
}

Status EpochStore::add(const EpochId& id, const ContextId& context, EpochOrigin origin, const mpc::SetKeys& keys) {
  const Secret<Bytes> encoded = keys.encode();
  WITAN_ASSIGN(auto writer, vault_.create({kType, std::nullopt, id.bytes()}));
  WITAN_TRY(writer->write(Writer().u32(kLayout).id(id).id(context).u8(static_cast<std::uint8_t>(origin)).view()));
  WITAN_TRY(writer->write(encoded.reveal()));
  WITAN_TRY(writer->finish());
  epochs_.emplace(id, Epoch{id, context, origin, std::make_shared<mpc::MaskGenerator>(keys)});
  return {};
}

Status EpochStore::erase(const EpochId& id) {
  epochs_.erase(id);
  return vault_.erase({kType, std::nullopt, id.bytes()});
}

const Epoch* EpochStore::find(const EpochId& id) const {
  const auto it = epochs_.find(id);
  return it == epochs_.end() ? nullptr : &it->second;
}

}  // namespace witan::node
