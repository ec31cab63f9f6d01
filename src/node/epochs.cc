#include "node/epochs.h"

#include "base/codec.h"
#include "base/log.h"

namespace witan::node {
namespace {

constexpr const char* kType = "EpochData";
constexpr std::uint32_t kProvisionalLayout = 1, kLayout = 2;
constexpr std::uint64_t kMaxBytes = 1 << 20;

Epoch make_epoch(const EpochId& id, const ContextId& context, mpc::EpochKeys keys) {
  auto shared = std::make_shared<const mpc::EpochKeys>(std::move(keys));
  auto masks = std::make_shared<const mpc::MaskGenerator>(shared->set_keys());
  return {id, context, std::move(shared), std::move(masks)};
}

}  // namespace

Status EpochStore::load(CommitteeSize committee, Role self) {
  WITAN_ASSIGN(const auto names, vault_.list(kType));
  for (const auto& name : names) {
    WITAN_ASSIGN(Bytes plain, vault_.get(name, kMaxBytes));
    const Secret<Bytes> record(std::move(plain));
    Reader reader(record.reveal());
    const std::uint32_t layout = reader.u32();
    if (!reader.failed() && layout == kProvisionalLayout)
      return fail(Code::data_loss,
                  "{} in {} is of layout 1: epochs of a provisional set-up cannot be used, nor keys that were shared "
                  "in one; make a "
                  "new epoch and new keys in a fresh folder, or remove that object if the epoch has no keys",
                  name.path(), vault_.describe());
    if (layout != kLayout) reader.mark_failed();
    const auto id = reader.id<EpochId>();
    const auto context = reader.id<ContextId>();
    if (reader.failed() || id.bytes() != name.id)
      return fail(Code::data_loss, "{} in the private vault is damaged", name.path());
    auto keys = mpc::EpochKeys::decode(reader.raw(reader.remaining()));
    if (!keys) return fail(std::move(keys).error().within(name.path()));
    if (keys->committee() != committee || keys->self() != self)
      return fail(Code::data_loss, "{} holds the keys of party {} of {}, this node is party {} of {}", name.path(),
                  keys->self().number(), keys->committee().parties(), self.number(), committee.parties());
    log::info("epoch {}", id.hex());
    epochs_.emplace(id, make_epoch(id, context, *std::move(keys)));
  }
  return {};
}

Status EpochStore::add(const EpochId& id, const ContextId& context, const mpc::EpochKeys& keys) {
  const Secret<Bytes> encoded = keys.encode();
  WITAN_ASSIGN(auto writer, vault_.create({kType, std::nullopt, id.bytes()}));
  WITAN_TRY(writer->write(Writer().u32(kLayout).id(id).id(context).view()));
  WITAN_TRY(writer->write(encoded.reveal()));
  WITAN_TRY(writer->finish());
  epochs_.emplace(id, make_epoch(id, context, keys.duplicate()));
  return {};
}

const Epoch* EpochStore::find(const EpochId& id) const {
  const auto it = epochs_.find(id);
  return it == epochs_.end() ? nullptr : &it->second;
}

}  // namespace witan::node
