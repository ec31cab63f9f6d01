#include <nlohmann/json.hpp>

#include "node/config.h"

namespace witan::node {

std::string to_json(const Config& config) {
  using json = nlohmann::ordered_json;
  const auto vault = [](const VaultConfig& from) -> json {
    return {{"storage", {{"file", {{"path", from.path.string()}, {"prefix", from.prefix}}}}}};
  };
  const auto& committee = config.threshold;
  json peers = json::array();
  for (const PeerConfig& peer : committee.peers)
    peers.push_back({{"party_id", peer.party_id},
                     {"address", peer.address},
                     {"port", peer.port},
                     {"mpc_identity", peer.mpc_identity},
                     {"tls_cert", {{"path", peer.ca_cert.string()}}}});
  json out;
  out["service"] = {{"listen_address", config.service.listen_address},
                    {"listen_port", config.service.listen_port},
                    {"timeout_secs", config.service.timeout.count()},
                    {"grpc_max_message_size", config.service.grpc_max_message_size_bytes}};
  out["telemetry"] = json::object();
  if (config.metrics_address) out["telemetry"]["metrics_bind_address"] = config.metrics_address->text();
  out["public_vault"] = vault(config.public_vault);
  out["private_vault"] = vault(config.private_vault);
  out["journal"] = {{"path", config.journal_path.string()}};
  out["log"] = json::object();
  if (!config.log_file.empty()) out["log"]["file"] = config.log_file.string();
  out["threshold"] = {
      {"listen_address", committee.listen_address},
      {"listen_port", committee.listen_port},
      {"threshold", committee.threshold},
      {"my_id", committee.my_id},
      {"dec_capacity", committee.dec_capacity},
      {"min_dec_cache", committee.min_dec_cache},
      {"tls",
       {{"manual",
         {{"cert", {{"path", committee.tls_cert.string()}}}, {"key", {{"path", committee.tls_key.string()}}}}}}},
      {"core_to_core_net",
       {{"network_timeout", committee.round_timeout.count()},
        {"decrypt_timeout", committee.decrypt_timeout.count()},
        {"resend_after_ms", committee.resend_after.count()},
        {"keygen_timeout", committee.keygen_timeout.count()}}},
      {"peers", std::move(peers)}};
  out["rate_limiter_conf"] = {{"bucket_size", config.rate_limits.bucket_size},
                              {"pub_decrypt", config.rate_limits.pub_decrypt},
                              {"new_epoch", config.rate_limits.new_epoch},
                              {"keygen", config.rate_limits.keygen},
                              {"preproc", config.rate_limits.preproc}};
  out["internal_config"] = {
      {"compute_threads", config.compute_threads},          {"decryption_memory_bytes", config.decryption_memory_bytes},
      {"decryptions_at_once", config.decryptions_at_once},  {"squashings_at_once", config.squashings_at_once},
      {"material_path", config.material_folder().string()}, {"message_delay_ms", config.message_delay.count()},
      {"unused_materials", config.unused_materials}};
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";  // paths are any bytes
}

}  // namespace witan::node
