#include "node/gauges.h"

#include <algorithm>

#include "base/log.h"

namespace witan::node {

using metrics::Family;
using metrics::Type;

namespace {

Family single(const char* name, const char* help, double value, Type type = Type::gauge) {
  return {name, help, type, {{{}, value}}};
}
Family single(const char* name, const char* help, std::uint64_t value, Type type = Type::gauge) {
  return single(name, help, static_cast<double>(value), type);
}

void add_network(std::vector<Family>& out, const Core& core, const transport::Transport& transport) {
  const transport::Traffic traffic = transport.traffic();
  out.push_back(single("kms_network_rx_bytes_total", "Bytes of packets received from the other nodes.",
                       traffic.received_bytes, Type::counter));
  out.push_back(single("kms_network_tx_bytes_total", "Bytes of packets sent to the other nodes.", traffic.sent_bytes,
                       Type::counter));
  Family connected{"kms_peer_connected", "1 if both channels to the party stand.", Type::gauge, {}};
  Family round_trip{"kms_peer_round_trip_seconds", "Of the last heartbeat.", Type::gauge, {}};
  for (const transport::PeerStatus& peer : transport.peer_status()) {
    const metrics::Labels party = {{"party", std::to_string(peer.role.number())}};
    connected.samples.push_back({party, peer.connected ? 1.0 : 0.0});
    if (peer.round_trip) round_trip.samples.push_back({party, std::chrono::duration<double>(*peer.round_trip).count()});
  }
  out.push_back(std::move(connected));
  out.push_back(std::move(round_trip));
  const runtime::RouterUsage usage = core.router.usage();
  out.push_back(single("kms_active_sessions", "Sessions that are open.", usage.open_sessions));
  out.push_back(
      single("kms_inactive_sessions", "Sessions that peers have begun and this node has not.", usage.parked_sessions));
  const runtime::RouterCounters& counters = core.router.counters();
  Family dropped{"kms_network_dropped_frames_total", "Frames of peers that were not used.", Type::counter, {}};
  for (const auto& [why, count] :
       {std::pair("equivocation", counters.equivocations), std::pair("malformed", counters.malformed),
        std::pair("early_limit", counters.parked_refused), std::pair("early_expired", counters.parked_expired),
        std::pair("waiting_limit", counters.waiting_refused)})
    dropped.samples.push_back({{{"reason", why}}, static_cast<double>(count)});
  out.push_back(std::move(dropped));
}

void add_work(std::vector<Family>& out, const Core& core) {
  out.push_back(single("kms_rate_limiter_usage", "Tokens taken by requests being worked on.",
                       std::uint64_t{core.limiter.in_use()}));
  out.push_back(
      single("kms_rate_limiter_bucket_size", "Tokens there are.", std::uint64_t{core.config.rate_limits.bucket_size}));
  out.push_back(single("kms_decryptions_in_progress", "Decryptions being worked on.", core.admission.in_use()));
  out.push_back(single("kms_squashing_blocks_in_progress", "Blocks of Small ciphertexts that are to be squashed.",
                       core.squashings.in_use()));
  out.push_back(
      single("kms_decryption_memory_bytes", "Memory set aside for ciphertexts being worked on.", core.memory.in_use()));
  out.push_back(single("kms_background_tasks", "Tasks of requests on the loop.", core.scope.running()));
  const RequestStore::Decryptions decryptions = core.requests.decryptions();
  out.push_back(
      single("kms_meta_storage_pub_decryptions", "Public decryptions without an outcome.", decryptions.pending));
  out.push_back(single("kms_meta_storage_pub_decryptions_in_store",
                       "Public decryptions kept for polling, those without an outcome included.",
                       decryptions.pending + decryptions.finished));
}

void add_keys(std::vector<Family>& out, const Core& core, const PublicDecryptor& decryptor) {
  out.push_back(single("kms_fhe_key_cache_size", "Keys whose shares are in memory.", core.keys.loaded()));
  Family keys{"kms_fhe_keys", "Keys of this node, by what is known of their public objects.", Type::gauge, {}};
  std::map<PublicObjects, std::uint64_t> count = {
      {PublicObjects::unchecked, 0}, {PublicObjects::intact, 0}, {PublicObjects::damaged, 0}};
  std::vector<KeyBlocks> blocks;
  for (const KeyRecord* key : core.keys.all()) {
    ++count[core.keys.public_objects(*key)];
    const auto total = decryptor.blocks_decrypted(*key);
    if (total)
      blocks.push_back({key->key, key->epoch, *total});
    else
      log::error("metrics: {}", total.error().message);
  }
  for (const auto& [state, number] : count)
    keys.samples.push_back({{{"public_objects", to_string(state)}}, static_cast<double>(number)});
  out.push_back(std::move(keys));
  std::ranges::move(block_gauges(std::move(blocks)), std::back_inserter(out));
}

}  // namespace

std::vector<Family> block_gauges(std::vector<KeyBlocks> keys) {
  std::ranges::sort(keys, [](const KeyBlocks& a, const KeyBlocks& b) {
    return a.blocks != b.blocks ? a.blocks > b.blocks : a.key < b.key;
  });
  if (keys.size() > kMaxKeySeries) keys.resize(kMaxKeySeries);
  Family blocks{"kms_decrypted_blocks_total",
                "Blocks decrypted with a key in an epoch. Rotate the key before kms_decrypted_blocks_limit.",
                Type::counter,
                {}};
  for (const KeyBlocks& key : keys)
    blocks.samples.push_back(
        {{{"key_id", key.key.hex()}, {"epoch_id", key.epoch.hex()}}, static_cast<double>(key.blocks)});
  std::vector<Family> out;
  out.push_back(std::move(blocks));
  out.push_back(single("kms_decrypted_blocks_limit", "What noise flooding is good for.", BlockCounter::kAlarmBlocks));
  return out;
}

std::vector<Family> keygen_gauges(const std::vector<KeygenProgress>& runs) {
  Family stage{"kms_keygen_stage", "1 for the stage that a run is in; no series: nothing runs.", Type::gauge, {}};
  Family seconds{"kms_keygen_seconds", "Since the run began, or was taken up again.", Type::gauge, {}};
  Family done{"kms_keygen_elements_done", "Opened elements of the run.", Type::gauge, {}};
  Family total{"kms_keygen_elements", "Elements that the run opens in all.", Type::gauge, {}};
  Family part{"kms_keygen_percent", "Of the elements.", Type::gauge, {}};
  Family rate{"kms_keygen_elements_per_second", "On average over the attempt.", Type::gauge, {}};
  Family left{"kms_keygen_seconds_left", "At that rate.", Type::gauge, {}};
  Family excluded{"kms_keygen_excluded_parties", "Parties that the preprocessing goes on without.", Type::gauge, {}};
  Family convicted{"kms_keygen_convicted_parties", "Parties that have been seen to deviate.", Type::gauge, {}};
  for (const KeygenProgress& run : runs) {
    const metrics::Labels request = {{"request", run.kind == RequestKind::keygen ? "keygen" : "preprocessing"}};
    metrics::Labels staged = request;
    staged.emplace_back("stage", run.stage);
    stage.samples.push_back({staged, 1});
    seconds.samples.push_back({request, run.pace.seconds});
    done.samples.push_back({request, static_cast<double>(run.pace.done)});
    total.samples.push_back({request, static_cast<double>(run.pace.total)});
    part.samples.push_back({request, run.pace.percent()});
    rate.samples.push_back({request, run.pace.per_second});
    if (const auto remaining = run.pace.seconds_left()) left.samples.push_back({request, *remaining});
    if (run.kind == RequestKind::preprocessing)
      excluded.samples.push_back({request, static_cast<double>(run.excluded.size())});
    convicted.samples.push_back({request, static_cast<double>(run.convicted.size())});
  }
  return {std::move(stage), std::move(seconds), std::move(done),     std::move(total),    std::move(part),
          std::move(rate),  std::move(left),    std::move(excluded), std::move(convicted)};
}

std::vector<Family> gauges_of(const Core& core, const transport::Transport& transport,
                              const store::SqliteJournal& journal, const PublicDecryptor& decryptor,
                              const KeyGenerator& generator) {
  std::vector<Family> out;
  add_network(out, core, transport);
  add_work(out, core);
  add_keys(out, core, decryptor);
  const store::JournalQueue queue = journal.queue();
  out.push_back(single("kms_journal_queued_commits", "Commits that wait for the disk.", queue.commits));
  out.push_back(single("kms_journal_queued_bytes", "Of these commits.", queue.bytes));
  std::ranges::move(keygen_gauges(generator.progress()), std::back_inserter(out));
  return out;
}

}  // namespace witan::node
