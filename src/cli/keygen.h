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

/// How long the command waits for parties that may not be needed.
struct KeyWaits {
  /// For one that cannot be reached: it counts as gone then, until it is back. One that comes back later is too late for a preprocessing, but
  /// not for the phase after it.
  std::chrono::milliseconds gone = std::chrono::seconds(10), gone_online = std::chrono::seconds(60);
  /// For one that is still at it when n - t others are done; at least as long as those took.
  std::chrono::milliseconds slow = std::chrono::seconds(60);
};

struct KeyOrder {
  std::string params = "test";
  bool dealt = false;
  std::optional<std::filesystem::path> import_client_key = std::nullopt;  // to deal instead of a new one
  std::optional<ExistingKeyOrder> existing = std::nullopt;  // not with `dealt`; `params` are those of that key
  std::optional<PreprocId> preprocessing =
      std::nullopt;                   // a finished one, whose material the key is made of; not with `dealt`
  std::chrono::seconds timeout{600};  // of everything
  KeyWaits waits = {};
  std::stop_token stop = {};  // requested: as when the time is over
  std::function<void(const PreprocId&, const KeyId&)> begins = [](const PreprocId&, const KeyId&) {};
  std::function<void(const KeyProgress&)> progress = [](const KeyProgress&) {};
  std::function<void(const std::string&)> says = [](const std::string&) {};  // what the user should know meanwhile
};

struct NewKey {
  KeyId key;
  PreprocId preprocessing;
  std::string origin, params;            // as t + 1 of the signers say; "unknown" if not so many say the same
  std::map<std::string, Bytes> digests;  // by object type; the same at all signers
  std::map<int, std::string> signers;    // party -> address, external signature verified; at least n - t
  std::map<int, std::string> failed;     // party -> why it is none of them; at most t
  double preprocessing_seconds = 0, seconds = 0;
};

/// Asks every party at once, waits for their answers and verifies them. At least n-t parties must have the key, with the same digests,
/// signed; whoever has others, or is still at it when it need not be waited for any longer, is among `failed`. A dealt key needs all of them.
/// Ends within seconds when the time is over, when it shall stop, or when too many parties have failed, or cannot be reached, for it to
/// succeed; but while nobody at all can be reached it waits: it is the network here. What it has begun is aborted then, unless enough parties
/// have complete material, or a party has the key already. Error: deadline_exceeded, cancelled, unavailable, or failed_precondition (no n-t
/// parties have the same digests), with what each party said.
Result<NewKey> make_key(const Committee& committee, const KeyOrder& order);

/// AbortKeyGen at all parties, all at once, for at most five seconds. not_found: nothing of it is there (any more). A party that does not
/// answer is noted in the committee's folder; make_key() tells it first of all.
std::map<int, Status> abort_preprocessing(const Committee& committee, const PreprocId& id);

}  // namespace witan::cli
