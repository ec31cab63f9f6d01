#include "node/epochs.h"

#include <array>

#include "base/codec.h"
#include "base/log.h"

namespace witan::node {
namespace {

constexpr const char* kType = "EpochData";
constexpr std::uint32_t kProvisionalLayout = 1, kLayout = 2;
constexpr std::uint64_t kMaxBytes = 1 << 20;

Epoch make_epoch(const EpochId& id, const ContextId& context, std::shared_ptr<const mpc::EpochKeys> keys) {
  auto masks = std::make_shared<const mpc::MaskGenerator>(keys->set_keys());
  return {id, context, std::move(keys), std::move(masks)};
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
    epochs_.emplace(id, make_epoch(id, context, std::make_shared<const mpc::EpochKeys>(*std::move(keys))));
  }
  return {};
}

runtime::Task<Status> EpochStore::add(runtime::Compute& compute, EpochId id, ContextId context,
                                      std::shared_ptr<const mpc::EpochKeys> keys) {
  if (epochs_.contains(id)) co_return fail(Code::already_exists, "epoch {} exists", id.hex());
  const auto store = [&vault = vault_, id, context, keys] {
    const Bytes head = Writer().u32(kLayout).id(id).id(context).take();
    const Secret<Bytes> encoded = keys->encode();
    return vault.put_again({kType, std::nullopt, id.bytes()}, std::array<ByteView, 2>{head, encoded.reveal()});
  };
  co_await runtime::ok(co_await compute(runtime::Work::preprocessing, store));
  epochs_.emplace(id, make_epoch(id, context, std::move(keys)));
  co_return Status{};
}

const Epoch* EpochStore::find(const EpochId& id) const {
  const auto it = epochs_.find(id);
  return it == epochs_.end() ? nullptr : &it->second;
}

}  // namespace witan::node
