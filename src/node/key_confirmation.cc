#include "node/key_confirmation.h"

#include "base/log.h"
#include "node/block_counter.h"

namespace witan::node {

using protocols::KeyConfirmation;
using runtime::ok;
using runtime::Task;
using runtime::Work;
using tfhe::TestCiphertext;

namespace {

constexpr std::uint64_t kMaxRecordBytes = 64u << 20;

runtime::ObjectName record_name(const KeyId& key) {
  return {"KeyConfirmation", std::nullopt, key.bytes()};
}

std::uint64_t blocks_of(const TestCiphertext& test) {
  std::uint64_t out = test.expanded.size();
  for (const auto& glwe : test.compressed) out += glwe.bodies().size();
  return out;
}

std::string text_of(runtime::RoleSet roles) {
  std::string out;
  for (const Role role : roles) out += fmt::format("{}{}", out.empty() ? "" : ",", role.number());
  return out.empty() ? "none" : out;
}

}  // namespace

Result<TestCiphertext> load_test_ciphertext(const runtime::Vault& private_vault, const KeyId& key,
                                            const tfhe::Params& params) {
  const runtime::ObjectName name = record_name(key);
  WITAN_ASSIGN(const Bytes record, private_vault.get(name, kMaxRecordBytes));
  auto out = TestCiphertext::decode(record, params);
  if (!out) return fail(std::move(out).error().within(name.path()));
  return out;
}

Status erase_test_ciphertext(runtime::Vault& private_vault, const KeyId& key) {
  return private_vault.erase(record_name(key));
}

Task<Result<std::unique_ptr<KeyConfirmation>>> confirm_key(ConfirmationParty party, KeyToConfirm key,
                                                           runtime::Duration patience) {
  runtime::Loop& loop = party.compute.loop();
  const auto begun = loop.now();
  const auto test = std::make_shared<const TestCiphertext>(
      co_await ok(co_await protocols::make_test_ciphertext(party.compute, std::move(key.set), key.key)));
  const auto made = loop.now();

  BlockCounter blocks(party.journal);
  co_await ok(blocks.add(key.key, key.epoch, blocks_of(*test)));
  protocols::DecryptionParty lent{party.router, party.journal, party.compute, std::move(key.shares),
                                  std::move(key.masks)};
  if (key.resumed) lent.resend_after = {};
  const auto binding = lent.binding = std::make_shared<protocols::Binding>();
  binding->changes = [&blocks, &key] { return std::vector{blocks.record(key.key, key.epoch)}; };
  lent.work = Work::preprocessing;
  auto confirmation = std::make_unique<KeyConfirmation>(std::move(lent), key.key, *test, key.sequence);
  const Status confirmed = co_await confirmation->run(patience);
  binding->changes = nullptr;  // what it refers to ends here
  const auto report = confirmation->report();
  if (!report.lied.empty() || !report.other.empty())
    log::warn("key {}: in its confirmation parties {} sent wrong shares, parties {} shares of other content",
              key.key.hex(), text_of(report.lied), text_of(report.other));
  co_await ok(confirmed);

  const auto milliseconds = [](runtime::Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  };
  log::info("key {}: confirmed; its test ciphertext took {} ms, the opening {} ms; agreed {}, not heard yet {}",
            key.key.hex(), milliseconds(made - begun), milliseconds(loop.now() - made), text_of(report.agreed),
            text_of(report.silent));
  const auto store = [test, id = key.key, &vault = party.private_vault]() -> Status {
    // One may be there from a confirmation that a restart has interrupted before the key was published, or from a try that has failed.
    WITAN_TRY(erase_test_ciphertext(vault, id));
    return vault.put(record_name(id), test->encode());
  };
  co_await ok(co_await party.disk.repeat(
      [&]() -> Task<Status> { co_return co_await party.compute(Work::preprocessing, store); }));
  co_return confirmation;
}

Task<void> log_late_liars(runtime::Loop& loop, KeyConfirmation& confirmation, KeyId key) {
  co_await confirmation.watch_late(loop.after(kWatchLateShares), [&](Role role) {
    const bool other = confirmation.report().other.contains(role);
    log::warn("key {}: party {} sent {}, after the key was confirmed", key.hex(), role.number(),
              other ? "shares of other content" : "wrong shares");
  });
}

}  // namespace witan::node
