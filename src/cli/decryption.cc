#include "cli/decryption.h"

#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "api/client.h"

namespace witan::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::set<int> numbers_after(const std::string& text, std::string_view label) {
  std::set<int> out;
  const auto at = text.find(label);
  if (at == std::string::npos) return out;
  int value = 0;
  for (std::size_t i = at + label.size(); i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    if (c >= '0' && c <= '9') {
      value = value * 10 + (c - '0');
    } else {
      if (value > 0) out.insert(value);
      value = 0;
      if (c != ',') break;
    }
  }
  return out;
}

api::PublicDecryptionRequest request_message(const DecryptionOrder& order) {
  api::PublicDecryptionRequest out;
  out.request_id = order.request.hex();
  out.key_id = order.key.hex();
  out.domain = to_message(order.domain);
  out.extra_data = order.extra_data;
  for (const CiphertextInput& input : order.ciphertexts) {
    api::TypedCiphertext ciphertext;
    ciphertext.ciphertext = input.bytes;
    ciphertext.fhe_type = static_cast<std::int32_t>(input.type);
    ciphertext.external_handle = input.handle;
    ciphertext.ciphertext_format = static_cast<api::CiphertextFormat>(input.format);
    out.ciphertexts.push_back(std::move(ciphertext));
  }
  return out;
}

/// Asks one party until it answers, fails for good, or the time is over.
PartyAnswer ask(const PartyInfo& party, const api::PublicDecryptionRequest& request, const client::Question& question,
                Clock::time_point deadline, const std::atomic<bool>& enough) {
  PartyAnswer out;
  const auto begun = Clock::now();
  const api::KmsClient client({.address = party.address()});
  bool sent = false;
  while (Clock::now() < deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    // Once enough have answered, a slow party gets a moment more, a dead one none.
    const auto patience = enough ? std::min(left, std::chrono::milliseconds(300)) : left;
    Error error{Code::unavailable, ""};
    if (!sent) {
      auto accepted = client.public_decrypt(request, {.timeout = patience, .stop = {}});
      sent = accepted || accepted.error().code == Code::already_exists;
      if (!sent) error = accepted.error();
    }
    if (sent) {
      auto response = client.get_public_decryption_result({*request.request_id}, {.timeout = patience, .stop = {}});
      if (response) {
        auto signer = crypto::Address::parse(party.signer);
        auto verified = signer ? client::verify_answer(question, *response, *signer)
                               : Result<client::Answer>(fail(Error(signer.error())));
        if (verified)
          out.verified = *std::move(verified);
        else
          out.error = verified.error().message;
        out.response = *std::move(response);
        break;
      }
      error = response.error();
    }
    out.error = fmt::format("{}: {}", to_string(error.code), error.message);
    const bool again = error.code == Code::unavailable || error.code == Code::deadline_exceeded ||
                       error.code == Code::resource_exhausted;
    if (!again || enough) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  if (out.error.empty() && !out.response) out.error = "no answer in time";
  out.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  return out;
}

/// What the nodes themselves saw of their peers.
void ask_for_liars(const Committee& committee, const DecryptionOrder& order, DecryptionReport& report) {
  std::map<int, int> lied, other;
  for (const auto& [party, answer] : report.answers) {
    if (!answer.verified) continue;
    const api::KmsClient client({.address = committee.party(party).address(), .timeout = std::chrono::seconds(2)});
    const auto statuses = client.get_request_statuses({{order.request.hex()}, {}});
    if (!statuses) continue;
    for (const auto& status : statuses->statuses) {
      const std::string text = status.error_message.value_or("");
      for (const int role : numbers_after(text, "lied=")) ++lied[role];
      for (const int role : numbers_after(text, "other=")) ++other[role];
    }
  }
  // One node's word is not enough: t + 1 must have seen the lie.
  for (const auto& [role, witnesses] : lied)
    if (witnesses > committee.threshold) report.lied.push_back(role);
  for (const auto& [role, witnesses] : other)
    if (witnesses > committee.threshold) report.other.push_back(role);
}

}  // namespace

crypto::Eip712Domain example_domain() {
  crypto::Eip712Domain domain;
  domain.name = "Decryption";
  domain.version = "1";
  store_be<std::uint64_t>(54321, domain.chain_id.data() + 24);
  domain.verifying_contract = crypto::Address::parse("0x037D0C1aA70ABE155DD611A033bF2D6F97D7b857").value();
  return domain;
}

api::Eip712DomainMsg to_message(const crypto::Eip712Domain& domain) {
  api::Eip712DomainMsg out;
  out.name = domain.name;
  out.version = domain.version;
  out.chain_id.assign(domain.chain_id.begin(), domain.chain_id.end());
  out.verifying_contract = domain.verifying_contract.text();
  if (domain.salt) out.salt = Bytes(domain.salt->begin(), domain.salt->end());
  return out;
}

RequestId random_request_id() {
  return random_id<RequestId>(1);
}

Result<DecryptionReport> decrypt(const Committee& committee, const DecryptionOrder& order) {
  client::Question question{order.request, {order.domain, {}, order.extra_data}, {}};
  for (const CiphertextInput& input : order.ciphertexts) {
    WITAN_ASSIGN(const auto handle, crypto::handle_word(input.handle));
    question.signing.handles.push_back(handle);
    question.types.push_back(input.type);
  }
  const auto request = request_message(order);
  const auto begun = Clock::now();
  const auto deadline = begun + order.timeout;
  // All honest parties answer, and there are at least so many; t + 1 would contain one of them.
  const auto needed = 2 * static_cast<std::size_t>(committee.threshold) + 1;

  DecryptionReport report;
  std::mutex mutex;
  std::atomic<bool> enough = false;
  const auto run = [&](const PartyInfo& party) {
    PartyAnswer answer = ask(party, request, question, deadline, enough);
    const std::lock_guard lock(mutex);
    report.answers.emplace(party.id, std::move(answer));
    std::size_t good = 0;
    for (const auto& [id, each] : report.answers) good += each.verified.has_value();
    if (good > 2 * static_cast<std::size_t>(committee.threshold)) enough = true;
  };
  {
    std::vector<std::jthread> asking;
    for (const int id : order.first) asking.emplace_back([&, id] { run(committee.party(id)); });
    if (!order.first.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    for (const PartyInfo& party : committee.parties)
      if (std::ranges::find(order.first, party.id) == order.first.end())
        asking.emplace_back([&, party] { run(party); });
  }
  report.seconds = std::chrono::duration<double>(Clock::now() - begun).count();

  std::map<int, client::Answer> verified;
  std::string details;
  for (const auto& [id, answer] : report.answers) {
    if (answer.verified) {
      verified.emplace(id, *answer.verified);
    } else {
      details += fmt::format("\n  party {}: {}", id, answer.error);
      if (!answer.response) report.silent.push_back(id);
    }
  }
  auto agreed = client::agree(verified, needed);
  if (!agreed) return fail(Error{agreed.error().code, agreed.error().message + details});
  report.agreed = *std::move(agreed);
  ask_for_liars(committee, order, report);
  // A node that lies to its peers may answer its client well or not at all: it is a liar, not silent.
  std::erase_if(report.silent, [&](int id) { return std::ranges::find(report.lied, id) != report.lied.end(); });
  return report;
}

Result<Bytes> read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return fail(Code::not_found, "cannot read {}", file.string());
  Bytes out(static_cast<std::size_t>(in.tellg()));
  in.seekg(0);
  if (!in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size())))
    return fail(Code::not_found, "cannot read {}", file.string());
  return out;
}

Status write_file(const std::filesystem::path& file, ByteView content) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  if (!out.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size())) ||
      !out.flush())
    return fail(Code::unavailable, "cannot write {}", file.string());
  return {};
}

Result<Bytes> read_public_object(const Committee& committee, const std::string& type, const KeyId& key) {
  for (const PartyInfo& party : committee.parties)
    if (auto bytes = read_file(party.public_vault() / type / key.hex())) return bytes;
  return fail(Code::not_found, "no party of {} publishes {}/{}; see: witan committee status --dir {}",
              committee.folder.string(), type, key.hex(), committee.folder.string());
}

}  // namespace witan::cli
