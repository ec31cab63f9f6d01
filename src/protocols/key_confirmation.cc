#include "protocols/key_confirmation.h"

#include "protocols/key_confirmation_impl.h"

namespace witan::protocols {

using runtime::Compute;
using runtime::Work;
using tfhe::TestCiphertextMaker;

Task<Result<tfhe::TestCiphertext>> make_test_ciphertext(Compute& compute,
                                                        std::shared_ptr<const tfhe::CompressedKeySet> set, KeyId key) {
  using SharedMaker = std::shared_ptr<TestCiphertextMaker>;
  auto begin = [set = std::move(set), key]() -> Result<SharedMaker> {
    WITAN_ASSIGN(auto begun, TestCiphertextMaker::begin(set, key));
    return std::make_shared<TestCiphertextMaker>(std::move(begun));
  };
  const SharedMaker maker = co_await ok(co_await compute(Work::preprocessing, std::move(begin)));
  while (!maker->done()) co_await compute(Work::preprocessing, [maker] { maker->next(); });
  co_return maker->take();
}

std::vector<SquashedCiphertext> forms_of(const tfhe::TestCiphertext& test) {
  const auto form = [](CiphertextFormat format, SquashedBlocks blocks, const SquashedBlocks& content) {
    return SquashedCiphertext{.format = format,
                              .type = tfhe::FheType::uint64,
                              .blocks = std::move(blocks),
                              .content = content_of_blocks(content),
                              .v = 1};
  };
  std::vector<SquashedCiphertext> out;
  out.push_back(form(CiphertextFormat::big_expanded, test.expanded, test.expanded));
  out.push_back(form(CiphertextFormat::big_compressed, test.compressed, tfhe::extract_all<Z128>(test.compressed)));
  return out;
}

namespace {

std::string components(tfhe::Confirmed which) {
  std::string out;
  for (auto kind = tfhe::ComponentKind::public_key; kind <= tfhe::ComponentKind::oprf_bsk;
       kind = static_cast<tfhe::ComponentKind>(static_cast<int>(kind) + 1))
    if (tfhe::confirmed(kind) == which) out += fmt::format("{}{}", out.empty() ? "" : ", ", to_string(kind));
  return out;
}

}  // namespace

std::string suspects(bool expanded_is_wrong, bool compressed_is_wrong) {
  const char *const squashed = to_string(tfhe::KeyName::sns), *const packed = to_string(tfhe::KeyName::sns_compression);
  if (!compressed_is_wrong) return fmt::format("the shares of key {} alone", squashed);
  if (!expanded_is_wrong)
    return fmt::format("rows of {}, or the shares of key {}", components(tfhe::Confirmed::by_compressed_form), packed);
  return fmt::format("rows of {}, or the shares of keys {} and {} both", components(tfhe::Confirmed::by_both_forms),
                     squashed, packed);
}

template class BasicPublicDecryption<ConfirmationRules>;
template class BasicKeyConfirmation<ConfirmationRules>;

}  // namespace witan::protocols
