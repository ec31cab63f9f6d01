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
  return Writer().u8(1).raw(contexts).u64(sequence).take();
}

Result<SessionRecord> SessionRecord::decode(ByteView record) {
  Reader reader(record);
  SessionRecord out;
  if (reader.u8() != 1) reader.mark_failed();
  out.contexts = reader.array<32>();
  out.sequence = reader.u64();
  WITAN_TRY(reader.finish("a record of the table sessions"));
  return out;
}

Bytes sent_key(std::uint64_t sequence) {
  Bytes out(8);
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(sequence >> (56 - 8 * i));
  return out;
}

runtime::Change forget_message(std::uint64_t sequence) {
  return {runtime::Change::Kind::erase, kSentTable, sent_key(sequence), {}};
}

runtime::Task<runtime::SentLookup> JournalSentStore::find(SessionId session, runtime::Step step, Role) {
  using Kind = runtime::SentLookup::Kind;
  const auto id = session.bytes();
  const auto bound = journal_.get(kSessionsTable, id);
  if (!bound || !*bound) co_return runtime::SentLookup{};
  const auto record = SessionRecord::decode(**bound);
  if (!record || step != kDecryptShares) co_return runtime::SentLookup{.kind = Kind::finished, .payload = nullptr};
  auto sent = journal_.get(kSentTable, sent_key(record->sequence));
  if (!sent || !*sent) co_return runtime::SentLookup{.kind = Kind::finished, .payload = nullptr};
  co_return runtime::SentLookup{.kind = Kind::found, .payload = runtime::make_payload(**std::move(sent))};
}

template class BasicPublicDecryption<DecryptionRules>;

}  // namespace witan::protocols
