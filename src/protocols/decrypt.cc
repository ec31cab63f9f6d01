#include "protocols/decrypt.h"

#include "protocols/decrypt_impl.h"

namespace witan::protocols {

tfhe::KeyName decryption_key(CiphertextFormat format) {
  return format == CiphertextFormat::big_compressed ? tfhe::KeyName::sns_compression : tfhe::KeyName::sns;
}

crypto::Digest content_of_blocks(std::span<const tfhe::Lwe<Z128>> blocks) {
  crypto::Sha256 hash;
  for (const auto& block : blocks)
    hash.update({reinterpret_cast<const std::uint8_t*>(block.data.data()), block.data.size() * sizeof(Z128)});
  return hash.finish();
}

crypto::Digest mask_context(const KeyId& key, const SquashedCiphertext& ciphertext) {
  const Bytes numbers = Writer()
                            .u32(static_cast<std::uint32_t>(ciphertext.format))
                            .u32(static_cast<std::uint32_t>(ciphertext.type))
                            .u32(ciphertext.v)
                            .take();
  return crypto::Shake256(crypto::separators::kMaskContext)
      .update(key.view())
      .update(numbers)
      .update(ciphertext.content)
      .finish();
}

Bytes SessionRecord::encode() const {
  return Writer().u8(1).raw(contexts).take();
}

Result<SessionRecord> SessionRecord::decode(ByteView record) {
  Reader reader(record);
  SessionRecord out;
  if (reader.u8() != 1) reader.mark_failed();
  out.contexts = reader.array<32>();
  WITAN_TRY(reader.finish("a record of the table sessions"));
  return out;
}

runtime::Change forget_message(const RequestId& request) {
  const auto id = crypto::session_id(request.bytes(), crypto::SessionKind::public_decryption, 0, 0).bytes();
  return {runtime::Change::Kind::erase, kSentTable, Bytes(id.begin(), id.end()), {}};
}

runtime::Task<runtime::SentLookup> JournalSentStore::find(SessionId session, runtime::Step step, Role) {
  using Kind = runtime::SentLookup::Kind;
  const auto id = session.bytes();
  if (const auto bound = journal_.get(kSessionsTable, id); !bound || !*bound) co_return runtime::SentLookup{};
  auto sent = journal_.get(kSentTable, id);
  if (!sent || !*sent || step != kDecryptShares)
    co_return runtime::SentLookup{.kind = Kind::finished, .payload = nullptr};
  co_return runtime::SentLookup{.kind = Kind::found, .payload = runtime::make_payload(**std::move(sent))};
}

template class BasicPublicDecryption<DecryptionRules>;

}  // namespace witan::protocols
