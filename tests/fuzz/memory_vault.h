// A vault whose objects are in memory, for what reads vaults.
#pragma once

#include <algorithm>
#include <map>

#include "runtime/vault.h"

namespace witan::fuzz {

class MemoryVault final : public runtime::Vault {
 public:
  std::map<runtime::ObjectName, Bytes> objects;

  Result<std::unique_ptr<runtime::ObjectWriter>> create(const runtime::ObjectName& name) override {
    if (objects.contains(name)) return fail(Code::already_exists, "{}", name.path());
    return std::make_unique<Writing>(objects, name);
  }
  Result<std::unique_ptr<runtime::ObjectReader>> open(const runtime::ObjectName& name) const override {
    const auto it = objects.find(name);
    if (it == objects.end()) return fail(Code::not_found, "{}", name.path());
    return std::make_unique<Reading>(it->second);
  }
  Result<bool> exists(const runtime::ObjectName& name) const override { return objects.contains(name); }
  Result<std::vector<runtime::ObjectName>> list(const std::string& type) const override {
    std::vector<runtime::ObjectName> out;
    for (const auto& [name, content] : objects)
      if (name.type == type) out.push_back(name);
    return out;
  }
  Status erase(const runtime::ObjectName& name) override {
    objects.erase(name);
    return {};
  }
  Status sync(const runtime::ObjectName& name) override {
    if (!objects.contains(name)) return fail(Code::not_found, "{}", name.path());
    return {};
  }
  std::string describe() const override { return "memory vault"; }

 private:
  struct Writing final : runtime::ObjectWriter {
    Writing(std::map<runtime::ObjectName, Bytes>& all, runtime::ObjectName own) : objects(all), name(std::move(own)) {}
    Status write(ByteView piece) override {
      append(content, piece);
      return {};
    }
    Status finish() override {
      objects.emplace(name, std::move(content));
      return {};
    }
    std::map<runtime::ObjectName, Bytes>& objects;
    runtime::ObjectName name;
    Bytes content;
  };
  struct Reading final : runtime::ObjectReader {
    explicit Reading(ByteView bytes) : content(bytes) {}
    std::uint64_t size_bytes() const override { return content.size(); }
    Result<std::size_t> read(MutableByteView out) override {
      const std::size_t size = std::min(out.size(), content.size() - at);
      std::ranges::copy(content.subspan(at, size), out.begin());
      at += size;
      return size;
    }
    ByteView content;
    std::size_t at = 0;
  };
};

}  // namespace witan::fuzz
