#include "protocols/decrypt.h"

#include "protocols/decrypt_impl.h"

namespace witan::protocols {

tfhe::KeyName decryption_key(CiphertextFormat format) {
  return format == CiphertextFormat::big_compressed ? tfhe::KeyName::sns_compression : tfhe::KeyName::sns;
}

std::size_t SquashedBlocks::size() const {
  std::size_t out = lwes_.size();
  for (const auto& glwe : glwes_) out += glwe.bodies().size();
  return out;
}

void SquashedBlocks::push_back(tfhe::Lwe<Z128> block) {
  WITAN_CHECK(glwes_.empty());
  lwes_.push_back(std::move(block));
}

std::vector<SquashedBlocks::Piece> SquashedBlocks::pieces() const {
  constexpr std::size_t kLwesPerPiece = 32;     // of 6144 entries
  constexpr std::size_t kOfGlwePerPiece = 128;  // products of all of them at once, and their masks
  std::vector<Piece> out;
  for (std::size_t first = 0; first < lwes_.size(); first += kLwesPerPiece)
    out.push_back({.first = first, .count = std::min(kLwesPerPiece, lwes_.size() - first)});
  std::size_t before = 0;
  for (std::size_t g = 0; g < glwes_.size(); ++g) {
    const std::size_t bodies = glwes_[g].bodies().size();
    for (std::size_t first = 0; first < bodies; first += kOfGlwePerPiece)
      out.push_back({before + first, std::min(kOfGlwePerPiece, bodies - first), g, first});
    before += bodies;
  }
  return out;
}

Secret<std::vector<Share<Z128>>> SquashedBlocks::partial_decrypt(const SharedKey& key, const Piece& piece) const {
  if (glwes_.empty()) return protocols::partial_decrypt(key, lwes().subspan(piece.first, piece.count));
  return protocols::partial_decrypt(key, glwes_[piece.glwe], piece.first_in_glwe, piece.count);
}

crypto::Digest content_of_blocks(const SquashedBlocks& blocks) {
  WITAN_CHECK(blocks.glwes().empty());
  crypto::Sha256 hash;
  for (const auto& block : blocks.lwes())
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

SessionId DecryptionJob::session_of(std::size_t index) const {
  const bool numbered = kind == crypto::SessionKind::public_decryption;
  return crypto::session_id(request.bytes(), kind, 0, static_cast<std::uint16_t>(numbered ? index : 0));
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

runtime::Change forget_message(std::uint64_t sequence) {
  return {runtime::Change::Kind::erase, kSentTable, runtime::number_key(sequence), {}};
}

runtime::Task<runtime::SentLookup> JournalSentStore::find(SessionId session, runtime::Step step, Role) {
  using Kind = runtime::SentLookup::Kind;
  const auto id = session.bytes();
  const auto bound = journal_.get(kSessionsTable, id);
  if (!bound || !*bound) co_return runtime::SentLookup{};
  const auto record = SessionRecord::decode(**bound);
  if (!record || step != kDecryptShares) co_return runtime::SentLookup{.kind = Kind::finished, .payload = nullptr};
  auto sent = journal_.get(kSentTable, runtime::number_key(record->sequence));
  if (!sent || !*sent) co_return runtime::SentLookup{.kind = Kind::finished, .payload = nullptr};
  co_return runtime::SentLookup{.kind = Kind::found, .payload = runtime::make_payload(**std::move(sent))};
}

template class BasicPublicDecryption<DecryptionRules>;

}  // namespace witan::protocols
