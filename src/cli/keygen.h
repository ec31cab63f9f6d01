// Making a key: by all parties together, or dealt by party 1 in a committee of test nodes.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "cli/committee.h"

namespace witan::cli {

/// What a node says of a key generation while it runs. Rate and time left are the node's: it knows what it had done before a restart.
struct KeyProgress {
  std::string stage;                   // "preprocessing", "online", ...
  std::uint64_t done = 0, total = 0;   // opened elements; total 0: not known yet
  double percent = 0;                  // of these
  std::optional<double> per_second;    // once it is known
  std::optional<double> seconds_left;  // at that rate
};

/// From the text of a request's status (docs/key_generation.md), as it came from the network: nothing if that is not what a node says.
std::optional<KeyProgress> parse_progress(std::string_view status);

/// A key set from secret keys that the committee has (UseExisting): new evaluation keys, the same PublicKey.
struct ExistingKeyOrder {
  KeyId key;
  bool keep_tag = false;  // objects carry the tag of that key set
};

struct KeyOrder {
  std::string params = "test";
  bool dealt = false;
  std::optional<std::filesystem::path> import_client_key = std::nullopt;  // to deal instead of a new one
  std::optional<ExistingKeyOrder> existing = std::nullopt;  // not with `dealt`; `params` are those of that key
  std::optional<PreprocId> preprocessing =
      std::nullopt;                   // a finished one, whose material the key is made of; not with `dealt`
  std::chrono::seconds timeout{600};  // of everything
  std::stop_token stop = {};          // requested: as when the time is over
  std::function<void(const PreprocId&, const KeyId&)> begins = [](const PreprocId&, const KeyId&) {};
  std::function<void(const KeyProgress&)> progress = [](const KeyProgress&) {};
};

struct NewKey {
  KeyId key;
  PreprocId preprocessing;
  std::string origin, params;
  std::map<std::string, Bytes> digests;  // by object type; the same at all parties
  std::map<int, std::string> signers;    // party -> address, external signature verified
  std::map<int, std::string> failed;     // party -> why it has no key; at most t
  double preprocessing_seconds = 0, seconds = 0;
};

/// Asks every party at once, waits for their answers and verifies them. At least n-t parties must have the key, with the same digests,
/// signed. A dealt key needs all of them. Ends within seconds when the time is over, when it shall stop, or when too many parties have failed,
/// or cannot be reached, for it to succeed. What it has begun is aborted then, unless enough parties have complete material, or a party has
/// the key already. Error: deadline_exceeded, cancelled, or unavailable, with what each party without a key said.
Result<NewKey> make_key(const Committee& committee, const KeyOrder& order);

/// AbortKeyGen at these parties (default: all), all at once, for at most five seconds. not_found: nothing of it is there (any more). A party
/// that does not answer is noted in the committee's folder; make_key() tells it first of all.
std::map<int, Status> abort_preprocessing(const Committee& committee, const PreprocId& id,
                                          const std::optional<std::vector<int>>& parties = std::nullopt);

}  // namespace witan::cli
