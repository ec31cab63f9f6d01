#include "cli/keygen.h"

#include <thread>

#include "api/client.h"
#include "cli/decryption.h"
#include "crypto/eip712.h"

namespace witan::cli {
namespace {

using Clock = std::chrono::steady_clock;

template <class IdType>
IdType random_id(std::uint8_t type) {
  OsRng rng;
  auto bytes = rng.bytes<32>();
  bytes[0] = type;
  return IdType(bytes);
}

crypto::Eip712Domain keygen_domain() {
  crypto::Eip712Domain domain = example_domain();
  domain.name = "KMSGeneration";
  return domain;
}

/// Key requests carry extra data of version 2: context and epoch (responses.md 4.3).
Bytes extra_data() {
  Bytes out{2};
  append(out, default_context_id().view());
  append(out, default_epoch_id().view());
  return out;
}

/// The signature recovers to the party's address.
Status check_signature(const PartyInfo& party, const crypto::Digest& struct_hash, ByteView signature) {
  WITAN_ASSIGN(const auto signer,
               crypto::recover_address(crypto::eip712_digest(keygen_domain(), struct_hash), signature));
  if (signer.text() != party.signer)
    return fail(Code::failed_precondition, "party {} signed as {}, expected {}", party.id, signer.text(), party.signer);
  return {};
}

Result<api::KeyGenResult> wait_for_key(const api::KmsClient& client, const std::string& id,
                                       Clock::time_point deadline) {
  for (;;) {
    auto result = client.get_insecure_key_gen_result({id});
    if (result || result.error().code != Code::unavailable || Clock::now() > deadline) return result;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Result<std::vector<crypto::TypedKeyDigest>> typed_digests(const api::KeyGenResult& result) {
  std::vector<crypto::TypedKeyDigest> out;
  for (const auto& entry : result.key_digests) {
    if (entry.digest.size() != 32) return fail(Code::failed_precondition, "a digest has {} bytes", entry.digest.size());
    crypto::TypedKeyDigest typed{
        entry.key_type == "PublicKey" ? crypto::KeyDigestType::public_key : crypto::KeyDigestType::compressed_key_set,
        {}};
    std::ranges::copy(entry.digest, typed.digest.begin());
    out.push_back(typed);
  }
  return out;
}

}  // namespace

Result<DealtKey> deal_key(const Committee& committee, const DealOrder& order) {
  const auto begun = Clock::now();
  const auto deadline = begun + order.timeout;
  DealtKey out;
  out.key = random_id<KeyId>(4);
  out.preprocessing = random_id<PreprocId>(3);
  if (order.import_client_key) {
    const auto folder = committee.party(1).folder / "import";
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    std::filesystem::copy_file(*order.import_client_key, folder / (out.key.hex() + ".bin"), code);
    if (code) return fail(Code::unavailable, "cannot hand the client key to party 1: {}", code.message());
  }

  api::KeyGenPreprocRequest preproc;
  preproc.request_id = out.preprocessing.hex();
  preproc.params = order.params == "default" ? api::FheParameter::default_params : api::FheParameter::test_params;
  preproc.domain = to_message(keygen_domain());
  preproc.extra_data = extra_data();
  api::KeyGenRequest request;
  request.request_id = out.key.hex();
  request.preproc_id = out.preprocessing.hex();
  request.domain = to_message(keygen_domain());
  request.extra_data = extra_data();

  std::vector<api::KmsClient> clients;
  for (const PartyInfo& party : committee.parties) clients.emplace_back(api::ClientOptions{.address = party.address()});
  for (std::size_t i = 0; i < clients.size(); ++i) {
    auto sent = clients[i].insecure_key_gen_preproc(preproc);
    if (!sent && sent.error().code == Code::unimplemented)
      return fail(Code::failed_precondition, "these nodes do not deal keys; start a committee with --test-nodes");
    if (!sent) return fail(Error(sent.error()).within(fmt::format("preprocessing at party {}", i + 1)));
    auto result = clients[i].get_insecure_key_gen_preproc_result({*preproc.request_id});
    if (!result) return fail(Error(result.error()).within(fmt::format("preprocessing at party {}", i + 1)));
    WITAN_TRY(check_signature(committee.parties[i],
                              crypto::prep_keygen_verification(out.preprocessing.bytes(), preproc.extra_data),
                              result->external_signature));
  }
  for (std::size_t i = 0; i < clients.size(); ++i)
    if (auto sent = clients[i].insecure_key_gen(request); !sent)
      return fail(Error(sent.error()).within(fmt::format("key generation at party {}", i + 1)));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const PartyInfo& party = committee.parties[i];
    auto result = wait_for_key(clients[i], *request.request_id, deadline);
    if (!result) return fail(Error(result.error()).within(fmt::format("key generation at party {}", party.id)));
    WITAN_ASSIGN(const auto digests, typed_digests(*result));
    WITAN_TRY(check_signature(
        party, crypto::keygen_verification(out.preprocessing.bytes(), out.key.bytes(), digests, request.extra_data),
        result->external_signature));
    std::map<std::string, Bytes> theirs;
    for (const auto& entry : result->key_digests) theirs[entry.key_type] = entry.digest;
    if (i > 0 && theirs != out.digests)
      return fail(Code::failed_precondition, "party {} has other key digests than party 1", party.id);
    out.digests = std::move(theirs);
    out.signers[party.id] = party.signer;
  }
  out.origin = "dealt";
  for (const PartyStatus& status : committee_status(committee))
    for (const auto& [id, origin] : status.keys)
      if (id == out.key.hex()) out.origin = origin;
  out.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  return out;
}

}  // namespace witan::cli
