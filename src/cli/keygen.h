// Dealing a key in a committee of test nodes.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/ids.h"
#include "cli/committee.h"

namespace witan::cli {

struct DealOrder {
  std::string params = "test";
  std::optional<std::filesystem::path> import_client_key;
  std::chrono::seconds timeout{600};
};

struct DealtKey {
  KeyId key;
  PreprocId preprocessing;
  std::string origin;
  std::map<std::string, Bytes> digests;  // by object type; the same at all parties
  std::map<int, std::string> signers;    // party -> address, external signature verified
  double seconds = 0;
};

/// InsecureKeyGenPreproc and InsecureKeyGen at every party; all must give the same digests and sign them.
Result<DealtKey> deal_key(const Committee& committee, const DealOrder& order);

}  // namespace witan::cli
