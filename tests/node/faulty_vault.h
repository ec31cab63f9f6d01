// A vault on a disk that fails: full, or with a sync that fails behind the rename, so that nobody knows what is there, or with other
// bytes than were written.
#pragma once

#include <atomic>
#include <functional>

#include "fuzz/memory_vault.h"

namespace witan::node::test {

class FaultyVault final : public runtime::Vault {
 public:
  int full = 0;                             // so many objects cannot be created
  int unknown = 0;                          // so many are there although finish() says unavailable
  mutable std::atomic<int> unreadable = 0;  // so many cannot be opened
  int not_erased = 0;                       // so many are still there
  bool sync_fails = false;
  int syncs = 0;                                                      // that succeeded
  std::function<void(const runtime::ObjectName&)> on_create;          // before anything is done
  std::function<void(const runtime::ObjectName&, Bytes&)> on_finish;  // what the disk makes of what was written
  fuzz::MemoryVault inner;

  Result<std::unique_ptr<runtime::ObjectWriter>> create(const runtime::ObjectName& name) override {
    if (on_create) on_create(name);
    if (full > 0 && full-- > 0) return fail(Code::unavailable, "the disk is full");
    WITAN_ASSIGN(auto writer, inner.create(name));
    return std::make_unique<Writing>(*this, name, std::move(writer));
  }
  Result<std::unique_ptr<runtime::ObjectReader>> open(const runtime::ObjectName& name) const override {
    if (unreadable > 0 && unreadable-- > 0) return fail(Code::unavailable, "the disk cannot be read");
    return inner.open(name);
  }
  Result<bool> exists(const runtime::ObjectName& name) const override { return inner.exists(name); }
  Result<std::vector<runtime::ObjectName>> list(const std::string& type) const override { return inner.list(type); }
  Status erase(const runtime::ObjectName& name) override {
    if (not_erased > 0 && not_erased-- > 0) return fail(Code::unavailable, "the disk cannot be written");
    return inner.erase(name);
  }
  Status sync(const runtime::ObjectName& name) override {
    if (sync_fails) return fail(Code::unavailable, "the disk does not sync");
    ++syncs;
    return inner.sync(name);
  }
  std::string describe() const override { return inner.describe(); }

 private:
  struct Writing final : runtime::ObjectWriter {
    Writing(FaultyVault& of, runtime::ObjectName as, std::unique_ptr<runtime::ObjectWriter> to)
        : vault(of), name(std::move(as)), writer(std::move(to)) {}
    Status write(ByteView piece) override { return writer->write(piece); }
    Status finish() override {
      WITAN_TRY(writer->finish());
      if (vault.on_finish) vault.on_finish(name, vault.inner.objects.at(name));
      if (vault.unknown > 0 && vault.unknown-- > 0) return fail(Code::unavailable, "the folder does not sync");
      return {};
    }
    FaultyVault& vault;
    const runtime::ObjectName name;
    std::unique_ptr<runtime::ObjectWriter> writer;
  };
};

}  // namespace witan::node::test
