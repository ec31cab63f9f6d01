#include "node/validation.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/ed25519.h"
#include "crypto/extra_data.h"
#include "tfhe_rs/ciphertexts.h"

namespace witan::node {

Result<crypto::Eip712Domain> validate_domain(const std::optional<api::Eip712DomainMsg>& domain) {
  if (!domain) return fail(Code::invalid_argument, "domain is missing");
  crypto::Eip712Domain out;
  if (domain->name.size() > 1024 || domain->version.size() > 1024)
    return fail(Code::invalid_argument, "domain: name and version have at most 1024 bytes");
  out.name = domain->name;
  out.version = domain->version;
  if (domain->chain_id.empty() || domain->chain_id.size() > 32)
    return fail(Code::invalid_argument, "domain: chain_id has 1 to 32 bytes, not {}", domain->chain_id.size());
  std::ranges::copy(domain->chain_id, out.chain_id.end() - static_cast<std::ptrdiff_t>(domain->chain_id.size()));
  auto contract = crypto::Address::parse(domain->verifying_contract);
  if (!contract) return fail(std::move(contract).error().within("domain: verifying_contract"));
  out.verifying_contract = *contract;
  if (domain->salt) {
    if (domain->salt->size() != 32)
      return fail(Code::invalid_argument, "domain: salt has 32 bytes, not {}", domain->salt->size());
    out.salt.emplace();
    std::ranges::copy(*domain->salt, out.salt->begin());
  }
  return out;
}

Result<std::vector<api::SigningScheme>> validate_schemes(const std::vector<api::Open<api::SigningScheme>>& schemes) {
  std::vector<api::SigningScheme> out;
  for (const auto& scheme : schemes) {
    if (scheme.number < 0 || scheme.number > 4)
      return fail(Code::invalid_argument, "signing_schemes: {} is no SigningSchemeType", scheme.number);
    if (scheme.number > 1)
      return fail(Code::unimplemented, "signing_schemes: ML-DSA signatures are not available in this version");
    if (std::ranges::find(out, scheme.value()) == out.end()) out.push_back(scheme.value());
  }
  return out;
}

void warn_about_extra_data(const Bytes& extra_data, const RequestId& request, const ContextId& context,
                           const EpochId& epoch) {
  const auto parsed = crypto::ExtraData::parse(extra_data);
  if (!parsed) return;
  if (parsed->context && *parsed->context != context)
    log::warn("request {}: its extra data names context {}, the request context {}", request.hex(),
              parsed->context->hex(), context.hex());
  if (parsed->epoch && *parsed->epoch != epoch)
    log::warn("request {}: its extra data names epoch {}, the request epoch {}", request.hex(), parsed->epoch->hex(),
              epoch.hex());
}

Status validate_extra_data(ByteView extra_data) {
  if (extra_data.size() > kMaxExtraDataBytes)
    return fail(Code::invalid_argument, "extra_data has {} bytes, at most {} are accepted", extra_data.size(),
                kMaxExtraDataBytes);
  return {};
}

Result<DecryptionFields> validate_decryption(const api::PublicDecryptionRequest& request) {
  DecryptionFields out;
  WITAN_ASSIGN(out.request, required_id<RequestId>(request.request_id, "request_id"));
  WITAN_ASSIGN(out.key, required_id<KeyId>(request.key_id, "key_id"));
  WITAN_ASSIGN(out.context, id_or(request.context_id, default_context_id(), "context_id"));
  WITAN_ASSIGN(out.epoch, id_or(request.epoch_id, default_epoch_id(), "epoch_id"));
  WITAN_ASSIGN(out.signing.domain, validate_domain(request.domain));
  WITAN_TRY(validate_extra_data(request.extra_data));
  out.signing.extra_data = request.extra_data;
  WITAN_ASSIGN(out.schemes, validate_schemes(request.signing_schemes));
  if (request.ciphertexts.empty() || request.ciphertexts.size() > 0xffff)
    return fail(Code::invalid_argument, "a request has 1 to 65535 ciphertexts, not {}", request.ciphertexts.size());
  for (std::size_t i = 0; i < request.ciphertexts.size(); ++i) {
    const api::TypedCiphertext& ciphertext = request.ciphertexts[i];
    const std::string where = fmt::format("ciphertext {}", i);
    auto type = tfhe::fhe_type_from_number(ciphertext.fhe_type);
    if (!type) return fail(std::move(type).error().within(where));
    if (ciphertext.ciphertext_format.number < 0 || ciphertext.ciphertext_format.number > 3)
      return fail(Code::invalid_argument, "{}: {} is no CiphertextFormat", where, ciphertext.ciphertext_format.number);
    auto handle = crypto::handle_word(ciphertext.external_handle);
    if (!handle) return fail(std::move(handle).error().within(where));
    out.signing.handles.push_back(*handle);
    out.ciphertexts.push_back(
        {static_cast<protocols::CiphertextFormat>(ciphertext.ciphertext_format.number), *type, i});
  }
  return out;
}

std::uint64_t ciphertext_memory_bytes(const CiphertextRef& ref, const tfhe::Params& params) {
  const auto& type = tfhe::info(ref.type);
  const auto lwe_bytes = [&](tfhe::KeyName key, std::uint64_t word_bytes) {
    return (tfhe::key_bits(params, key) + 1) * word_bytes;
  };
  const auto packed = static_cast<std::uint64_t>(type.packed_blocks), plain = static_cast<std::uint64_t>(type.blocks);
  std::uint64_t squashed = packed * lwe_bytes(protocols::decryption_key(ref.format), sizeof(u128));
  if (ref.format == protocols::CiphertextFormat::big_compressed && params.sns_compression) {  // a mask per GLWE
    const std::uint64_t per_glwe = params.sns_compression->lwe_per_glwe;
    const std::uint64_t masks = (packed + per_glwe - 1) / per_glwe;
    squashed = (masks * tfhe::key_bits(params, tfhe::KeyName::sns_compression) + packed) * sizeof(u128);
  }
  // Blocks as they come and in pairs.
  return squashed + (is_small(ref.format) ? (plain + packed) * lwe_bytes(tfhe::KeyName::glwe, sizeof(tfhe::u64)) : 0);
}

Result<ParsedCiphertext> parse_ciphertext(const CiphertextRef& ref, ByteView bytes, const tfhe::Params& params) {
  ParsedCiphertext out;
  out.ref = ref;
  out.bytes_digest = crypto::sha256(bytes);
  const auto parse = [&]() -> Status {
    switch (ref.format) {
      case protocols::CiphertextFormat::big_compressed: {
        WITAN_ASSIGN(out.squashed, tfhe_rs::parse_big_compressed(bytes, params, ref.type));
        return {};
      }
      case protocols::CiphertextFormat::big_expanded: {
        WITAN_ASSIGN(out.squashed, tfhe_rs::parse_big_expanded(bytes, params, ref.type));
        return {};
      }
      case protocols::CiphertextFormat::small_expanded: {
        WITAN_ASSIGN(out.blocks, tfhe_rs::parse_small_expanded(bytes, params, ref.type));
        return {};
      }
      case protocols::CiphertextFormat::small_compressed: {
        WITAN_ASSIGN(out.list, tfhe_rs::parse_small_compressed(bytes, params, ref.type));
        return {};
      }
    }
    return fail(Code::invalid_argument, "unknown format");
  };
  if (Status parsed = parse(); !parsed)
    return fail(Error{Code::invalid_argument, std::move(parsed).error().message}.within(
        fmt::format("ciphertext {}", ref.index)));
  return out;
}

std::vector<api::TypedSignature> sign_with_schemes(const crypto::SigningKey& key,
                                                   const std::vector<api::SigningScheme>& schemes,
                                                   const crypto::ExternalSignature& external,
                                                   crypto::Separator separator, ByteView payload) {
  std::vector<api::TypedSignature> out;
  for (const api::SigningScheme scheme : schemes) {
    if (scheme == api::SigningScheme::ecdsa_256k1) {
      out.push_back({scheme, Bytes(external.begin(), external.end())});
    } else {
      const auto signature = crypto::Ed25519Key::derive(key).sign(separator, payload);
      out.push_back({scheme, Bytes(signature.begin(), signature.end())});
    }
  }
  return out;
}

}  // namespace witan::node
