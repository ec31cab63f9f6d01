// The test ciphertext of key confirmation (lifecycle.md 9.4): a value that everybody knows, encrypted, squashed and compressed with the
// public material of a key. Deterministic: every party makes the same bytes. That the committee opens both forms to the value shows that
// its key shares belong to that material (protocols/key_confirmation.h).
//
//   coins       mask stream of the record "WITCONF_" || key id (tfhe-formats.md 11)
//   value       its first 8 bytes, little endian, a Uint64
//   list        one block per ciphertext under the public key; randomness: the following bytes, as encrypt_compact_list takes them
//   blocks      casting key switch, bootstrap                                 32 of them; equal to expand_compact_list()
//   pairs       key switch, Switch-and-Squash      -> form BigExpanded        16 of them; equal to squash()
//   packed      packing key switch                 -> form BigCompressed      equal to compress()
#pragma once

#include <memory>
#include <variant>

#include "base/ids.h"
#include "tfhe/bootstrap.h"
#include "tfhe/encrypt.h"
#include "tfhe/keygen.h"
#include "tfhe/packing.h"

namespace witan::tfhe {

/// Which forms are wrong if all rows of a component are. Drift zeros count as not_at_all: they are on the way, but of the parameters that
/// have them, `test`, no modulus switch leaves its bound, so that none is ever used.
enum class Confirmed : std::uint8_t {
  not_at_all,
  by_both_forms,       // used before the ciphertext is squashed
  by_compressed_form,  // used after that
};
Confirmed confirmed(ComponentKind kind);

struct TestCiphertext {
  u64 value = 0;
  std::vector<Lwe<u128>> expanded;            // pairs under S-bar, least significant first
  std::vector<PartialGlwe<u128>> compressed;  // the same as coefficients under C-bar

  Bytes encode() const;
  /// Error: data_loss; also if the sizes are not those of the parameters.
  static Result<TestCiphertext> decode(ByteView record, const Params& params);
  friend bool operator==(const TestCiphertext&, const TestCiphertext&) = default;
};

struct TestList {
  u64 value = 0;
  CompactList list;
};
/// Error: invalid_argument if the public key's length is not that of its parameters.
Result<TestList> make_test_list(const CompactPublicKey& public_key, const KeyId& key);

/// Makes the test ciphertext in pieces of about a millisecond. Rows of the key set are expanded once, a few at a time, for all blocks
/// together, and forgotten: beside the set (which it keeps) it takes `default` 7 MB, where the expanded keys would take gigabytes.
class TestCiphertextMaker {
 public:
  /// Errors: invalid_argument (parts of the set do not fit each other); failed_precondition (the set lacks a part, or has another
  /// order of operations than all sets that squash: key switch first, cast to the small key, blocks of 2 + 2 bits).
  static Result<TestCiphertextMaker> begin(std::shared_ptr<const CompressedKeySet> set, const KeyId& key);

  bool done() const { return done_; }
  /// The next piece. Precondition (checked): not done().
  void next();
  /// Precondition (checked): done(). Once.
  TestCiphertext take();

 private:
  /// One key switch of several LWEs.
  struct KeySwitch {
    const SeededKsk* key = nullptr;
    std::vector<Lwe<u64>> in, out;
    std::size_t next = 0;
    KeySwitch(const SeededKsk& ksk, std::vector<Lwe<u64>> lwes);
    bool advance();
  };
  /// One bootstrap of several LWEs over the same table.
  template <Word W>
  struct Bootstrap {
    const SeededBsk<W>* key = nullptr;
    std::vector<SwitchedLwe> in;
    std::vector<Glwe<W>> accumulators;
    std::optional<BlindRotationKey<W>>
        part;  // of the bits from `next_bit` on, while LWEs before `next_lwe` have taken their step
    std::size_t next_bit = 0, next_lwe = 0;
    Bootstrap(const SeededBootstrapKey<W>& bootstrap, const std::vector<Lwe<u64>>& lwes, const Glwe<W>& table);
    bool advance();
    std::vector<Lwe<W>> results() const;
  };
  struct Packing {
    const SeededPackingKsk<u128>* key = nullptr;
    std::vector<Lwe<u128>> in;
    std::size_t lwe_per_glwe = 0;
    std::vector<Glwe<u128>> out;
    std::size_t next = 0;
    Packing(const SeededSnsCompressionKey& compression, std::vector<Lwe<u128>> lwes);
    std::span<const Lwe<u128>> of_glwe(std::size_t number) const;
    bool advance();
  };
  enum class Stage : std::uint8_t { cast, bootstrap, keyswitch, squash, pack };

  TestCiphertextMaker(std::shared_ptr<const CompressedKeySet> set, const TestList& test);
  void begin_next_stage();

  std::shared_ptr<const CompressedKeySet> set_;
  TestCiphertext out_;
  Stage stage_ = Stage::cast;
  std::variant<KeySwitch, Bootstrap<u64>, Bootstrap<u128>, Packing> work_;
  bool done_ = false;
};

}  // namespace witan::tfhe
