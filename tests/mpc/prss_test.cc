#include "mpc/prss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <thread>

#include "algebra/decode.h"
#include "mpc/set_keys_for_test.h"
#include "support/support.h"

namespace witan::mpc {
namespace {

using test::make_set_keys;
using witan::test::hex;
using witan::test::read_json;

template <Word Z>
Gr<Z> element(const nlohmann::json& text) {
  const Bytes raw = hex(text.get<std::string>());
  EXPECT_EQ(raw.size(), Gr<Z>::kSizeBytes);
  return Gr<Z>::decode(raw.data());
}

SetKey key_from(const nlohmann::json& text) {
  const Bytes raw = hex(text.get<std::string>());
  SetKey out{};
  std::copy(raw.begin(), raw.end(), out.begin());
  return out;
}

SessionId session_from(const nlohmann::json& text) {
  return {load_le<u128>(hex(text.get<std::string>()).data())};
}

crypto::Digest digest_from(const nlohmann::json& text) {
  const Bytes raw = hex(text.get<std::string>());
  crypto::Digest out{};
  std::copy(raw.begin(), raw.end(), out.begin());
  return out;
}

Z128 signed_decimal(std::string text) {
  const bool negative = text.starts_with('-');
  Z128 value = 0;
  for (const char c : text.substr(negative ? 1 : 0)) value = value * 10 + static_cast<Z128>(c - '0');
  return negative ? -value : value;
}

SetKey vector_key(std::size_t, PartySet set) {
  return test::key_of_members("AGREERND", set);
}

template <Word Z>
Gr<Z> open_all(CommitteeSize committee, const std::vector<Share<Z>>& shares) {
  std::vector<Role> roles;
  std::vector<Gr<Z>> word;
  for (int i = 1; i <= committee.parties(); ++i) {
    roles.push_back(Role(i));
    word.push_back(shares[static_cast<std::size_t>(i - 1)].value);
  }
  const auto decoded = algebra::decode_reference<Z>(committee, roles, word, 0);
  EXPECT_TRUE(decoded);
  return decoded->secret();
}

TEST(KeySets, AreLexicographicAndAsManyAsTheSpecSays) {
  struct Row {
    int n, t;
    std::size_t sets, own;
  };
  for (const Row& row :
       {Row{4, 1, 4, 3}, Row{5, 1, 5, 4}, Row{7, 2, 21, 15}, Row{10, 3, 120, 84}, Row{13, 4, 715, 495}}) {
    const auto committee = CommitteeSize::make(row.n, row.t).value();
    const auto sets = key_sets(committee);
    EXPECT_EQ(sets.size(), row.sets);
    EXPECT_TRUE(std::ranges::is_sorted(sets, {}, [](PartySet set) { return set.members(); }));
    EXPECT_EQ(std::set<PartySet>(sets.begin(), sets.end()).size(), row.sets);
    for (int i = 1; i <= row.n; ++i)
      EXPECT_EQ(static_cast<std::size_t>(std::ranges::count_if(sets, [&](PartySet s) { return s.contains(Role(i)); })),
                row.own);
  }
}

// tests/data/mpc/prf_prss.json, "prf"
TEST(Prf, VectorsOfEveryPurpose) {
  const auto vectors = read_json("mpc/prf_prss.json");
  int seen = 0;
  for (const auto& e : vectors.at("prf")) {
    const SetKey key = key_from(e.at("set_key"));
    const SessionId session = session_from(e.at("sid"));
    const auto derived = [&](PrfPurpose purpose, const char* name) {
      const SetKey out = prf_key(key, session, purpose);
      EXPECT_EQ(to_hex(out), e.at(name).get<std::string>()) << name;
      return Prf(out);
    };
    const Prf psi = derived(PrfPurpose::psi, "psi_key"), chi = derived(PrfPurpose::chi, "chi_key");
    const Prf psi0 = derived(PrfPurpose::psi0, "psi0_key"), chi_zero = derived(PrfPurpose::chi_zero, "zero_key");
    EXPECT_EQ(to_hex(mask_base_key(key)), e.at("mask_base_key").get<std::string>());
    const SetKey phi_key = mask_keys(AesKeys(std::vector<SetKey>{mask_base_key(key)}),
                                     mask_key_input(session, digest_from(e.at("phi_context"))))
                               .reveal()[0];
    EXPECT_EQ(to_hex(phi_key), e.at("phi_key").get<std::string>());
    for (const auto& v : e.at("phi_bd1_2pow110"))
      EXPECT_TRUE(mask_draw(Prf(phi_key).word<Z128>(v.at("ctr").get<std::uint64_t>())) ==
                  signed_decimal(v.at("value").get<std::string>()));
    const auto values = [&]<Word Z>(Z) {
      for (const auto& v : e.at("psi"))
        EXPECT_EQ(psi.element<Z>(v.at("ctr").get<std::uint64_t>(), 0), element<Z>(v.at("value")));
      for (const auto& v : e.at("chi"))
        EXPECT_EQ(chi.element<Z>(v.at("ctr").get<std::uint64_t>(), v.at("j").get<std::uint8_t>()),
                  element<Z>(v.at("value")));
      for (const auto& v : e.at("chi_zero"))
        EXPECT_EQ(chi_zero.element<Z>(v.at("ctr").get<std::uint64_t>(), v.at("j").get<std::uint8_t>()),
                  element<Z>(v.at("value")));
      for (const auto& v : e.at("psi0")) {
        Z expected = 0;  // a number, most significant digit first
        for (const char c : v.at("value").get<std::string>())
          expected = static_cast<Z>((expected << 4) | static_cast<Z>(c <= '9' ? c - '0' : c - 'a' + 10));
        EXPECT_TRUE(psi0.word<Z>(v.at("ctr").get<std::uint64_t>()) == expected);
      }
      ++seen;
    };
    if (e.at("k") == 64)
      values(Z64{});
    else
      values(Z128{});
  }
  EXPECT_EQ(seen, 6);
}

template <Word Z>
void check_prss(const nlohmann::json& e) {
  const auto committee = CommitteeSize::make(e.at("n").get<int>(), e.at("t").get<int>()).value();
  const SessionId session = session_from(e.at("sid"));
  const auto keys = make_set_keys(committee, vector_key);
  for (const char* name : {"f_A_first_set", "f_A_last_set"}) {
    std::uint16_t bits = 0;
    for (const int member : e.at(name).at("set").get<std::vector<int>>())
      bits = static_cast<std::uint16_t>(bits | 1u << (member - 1));
    for (int i = 1; i <= committee.parties(); ++i)
      EXPECT_EQ(algebra::set_polynomial<Z>(PartySet(bits).outside(committee), Role(i)),
                element<Z>(e.at(name).at("values").at(static_cast<std::size_t>(i - 1))));
  }
  for (int i = 1; i <= committee.parties(); ++i) {
    const auto index = static_cast<std::size_t>(i - 1);
    const Prss<Z> prss(keys[index], session);
    for (const auto& v : e.at("prss"))
      EXPECT_EQ(prss.random(v.at("ctr").get<std::uint64_t>()).value, element<Z>(v.at("shares").at(index)));
    for (const auto& v : e.at("przs"))
      EXPECT_EQ(prss.zero(v.at("ctr").get<std::uint64_t>()).value, element<Z>(v.at("shares").at(index)));
  }
}

/// Runs on one set of instructions. One that the processor lacks is skipped under its name.
class AesTargets : public testing::TestWithParam<AesTarget> {
 protected:
  void SetUp() override {
    if (!available(GetParam())) GTEST_SKIP() << "this processor has no " << to_string(GetParam());
    choose_aes_target(GetParam());
    EXPECT_EQ(aes_target(), GetParam());
  }
  void TearDown() override { choose_aes_target(std::nullopt); }
};
INSTANTIATE_TEST_SUITE_P(Each, AesTargets, testing::ValuesIn(kAesTargets), [](const auto& info) {
  std::string name = to_string(info.param);
  std::erase(name, '-');
  return name;
});

SetKey block_of(const char* text) {
  return key_from(text);
}

// FIPS 197, appendices A.1 (the last round key, seen through a block), B and C.1.
TEST_P(AesTargets, EncryptTheVectorsOfTheStandard) {
  struct Row {
    const char *key, *block, *result;
  };
  for (const Row& row :
       {Row{"000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"},
        Row{"2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734",
            "3925841d02dc09fbdc118597196a0b32"}}) {
    for (std::size_t place = 0; place < 5; ++place) {  // wherever the key stands
      std::vector<SetKey> keys(5), blocks(5);
      keys[place] = block_of(row.key);
      blocks[place] = block_of(row.block);
      AesKeys(keys).encrypt_each(blocks);
      EXPECT_EQ(to_hex(blocks[place]), row.result);
    }
  }
}

// Every number of keys and blocks around whole vectors against OpenSSL.
TEST_P(AesTargets, ManyKeysAndStreamsEqualOpenSsl) {
  witan::test::SeededRng rng("aes keys");
  for (std::size_t count = 0; count <= 41; ++count) {
    std::vector<SetKey> many(count), blocks(count);
    for (std::size_t i = 0; i < count; ++i) {
      rng.fill(many[i]);
      rng.fill(blocks[i]);
    }
    if (count > 1) many[0].fill(0xff), blocks[1].fill(0xff);
    const AesKeys keys(many);
    auto encrypted = blocks;
    keys.encrypt_each(encrypted);
    for (std::size_t i = 0; i < count; ++i) {
      crypto::Aes128(many[i]).encrypt(blocks[i]);
      EXPECT_EQ(encrypted[i], blocks[i]);
      const std::uint64_t first = i == 3 ? ~std::uint64_t{0} - 40 : 1000 * i;
      std::vector<u128> got(count);
      Bytes expected(16 * count);
      keys.encrypt_counters(i, first, 0, got);
      crypto::Aes128(many[i]).encrypt_counters(first, expected);
      for (std::size_t j = 0; j < count; ++j) EXPECT_TRUE(got[j] == load_le<u128>(expected.data() + 16 * j));
      const std::uint64_t high = i == 5 ? ~std::uint64_t{0} : rng.next<std::uint64_t>();
      keys.encrypt_counters(i, first, high, got);
      for (std::size_t j = 0; j < count; ++j) {
        SetKey block;
        store_le(u128{high} << 64 | (first + j), block.data());
        crypto::Aes128(many[i]).encrypt(block);
        EXPECT_TRUE(got[j] == load_le<u128>(block.data()));
      }
    }
  }
}

TEST_P(AesTargets, SumsOfPairsOfDrawsEqualTheirDefinition) {
  witan::test::SeededRng rng("sums of pairs");
  for (const std::size_t count : {1u, 3u, 4u, 5u, 15u, 16u, 17u, 33u}) {
    std::vector<SetKey> many(count);
    for (SetKey& key : many) rng.fill(key);
    const AesKeys keys(many);
    for (const std::size_t pairs : {0u, 1u, 2u, 3u, 4u, 5u, 8u, 11u})
      for (const unsigned bits : {65u, 111u, 127u}) {
        const std::uint64_t first = pairs == 3 ? ~std::uint64_t{0} - 5 : 7 * pairs;
        std::vector<u128> sums(pairs * keys.row_size());
        keys.add_pairs(first, bits, sums);
        for (std::size_t i = 0; i < count; ++i) {
          const Prf prf(many[i]);
          for (std::size_t b = 0; b < pairs; ++b) {
            const u128 low_bits = (u128{1} << bits) - 1;
            const u128 expected =
                (prf.word<Z128>(first + 2 * b) & low_bits) + (prf.word<Z128>(first + 2 * b + 1) & low_bits);
            EXPECT_TRUE(sums[b * keys.row_size() + i] == expected) << count << " " << pairs << " " << bits;
          }
        }
      }
  }
}

/// Masks as mpc.md 8.5 defines them, set by set and draw by draw.
std::vector<Gr<Z128>> reference_masks(const SetKeys& keys, SessionId session, const crypto::Digest& context,
                                      std::size_t first, std::size_t count) {
  const auto input = mask_key_input(session, context);
  std::vector<Gr<Z128>> out(count);
  for (std::size_t set = 0; set < keys.size(); ++set) {
    const crypto::Aes128 base(mask_base_key(keys.key(set)));
    SetKey key;
    std::copy_n(input.begin(), 16, key.begin());
    base.encrypt(key);
    for (std::size_t i = 0; i < 16; ++i) key[i] ^= input[16 + i];
    base.encrypt(key);
    const Prf prf(key);
    const auto polynomial = algebra::set_polynomial<Z128>(keys.sets()[set].outside(keys.committee()), keys.self());
    for (std::size_t q = 0; q < count; ++q)
      for (const std::uint64_t counter : {2 * (first + q), 2 * (first + q) + 1})
        out[q] += polynomial * mask_draw(prf.word<Z128>(counter));
  }
  return out;
}

/// Every pair of instruction sets of the two kernels that masks consist of.
class MaskTargets : public testing::TestWithParam<std::tuple<AesTarget, algebra::DotTarget>> {
 protected:
  void SetUp() override {
    const auto [aes, dot] = GetParam();
    if (!available(aes)) GTEST_SKIP() << "this processor has no " << to_string(aes);
    if (!available(dot)) GTEST_SKIP() << "this processor has no " << to_string(dot);
    choose_aes_target(aes);
    algebra::choose_dot_target(dot);
  }
  void TearDown() override {
    choose_aes_target(std::nullopt);
    algebra::choose_dot_target(std::nullopt);
  }
};
INSTANTIATE_TEST_SUITE_P(Each, MaskTargets,
                         testing::Combine(testing::ValuesIn(kAesTargets), testing::ValuesIn(algebra::kDotTargets)),
                         [](const auto& info) {
                           std::string name = std::string(to_string(std::get<0>(info.param))) + "_" +
                                              to_string(std::get<1>(info.param));
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(MaskTargets, EqualTheDefinition) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {13, 4}}) {
    const auto keys = make_set_keys(CommitteeSize::make(n, t).value(), std::string("targets"));
    for (const std::size_t party : {std::size_t{0}, keys.size() - 1}) {
      const MaskGenerator generator(keys[party]);
      for (const auto [first, count] : {std::pair{0u, 1u}, {5u, 3u}, {0u, 20u}}) {
        const auto masks = generator.masks({23}, crypto::Digest{8}, first, count).value();
        const auto expected = reference_masks(keys[party], {23}, crypto::Digest{8}, first, count);
        for (std::size_t q = 0; q < count; ++q) EXPECT_EQ(masks.reveal()[q].value, expected[q]) << n << " " << q;
      }
    }
  }
}

// tests/data/mpc/prf_prss.json, "prss": shares of every party at (4,1), (7,2), (13,4).
TEST(Prss, VectorsOfEveryParty) {
  const auto vectors = read_json("mpc/prf_prss.json");
  for (const auto& e : vectors.at("prss")) {
    if (e.at("k") == 64) {
      check_prss<Z64>(e);
      continue;
    }
    check_prss<Z128>(e);
    const auto committee = CommitteeSize::make(e.at("n").get<int>(), e.at("t").get<int>()).value();
    const auto keys = make_set_keys(committee, vector_key);
    for (const auto& v : e.at("mask")) {
      ASSERT_EQ(v.at("ctr"), 0);
      std::vector<Share<Z128>> shares;
      for (std::size_t i = 0; i < keys.size(); ++i) {
        shares.push_back(MaskGenerator(keys[i])
                             .masks(session_from(e.at("sid")), digest_from(v.at("phi_context")), 0, 1)
                             .value()
                             .reveal()[0]);
        EXPECT_EQ(shares.back().value, element<Z128>(v.at("shares").at(i)));
      }
      EXPECT_EQ(open_all<Z128>(committee, shares),
                Gr<Z128>::from_base(signed_decimal(v.at("secret_signed").get<std::string>())));
    }
  }
}

/// SHAKE256(label || "#" || counter), 16 bytes, for counters 0, 1, ...
class LabelledNumbers {
 public:
  explicit LabelledNumbers(std::string label) : label_(std::move(label)) {}
  Z128 next() {
    return load_le<Z128>(crypto::shake256(as_bytes(label_ + "#" + std::to_string(counter_++)), 16).data());
  }

 private:
  std::string label_;
  int counter_ = 0;
};

/// Shares of every key bit by party, as the vectors draw them: first the bits, then t coefficients for each.
std::vector<std::vector<Gr<Z128>>> vector_key_shares(int n, int t, const std::string& key_bits) {
  LabelledNumbers numbers("witan-nf-" + std::to_string(n) + "-" + std::to_string(t));
  for (const char bit : key_bits) EXPECT_EQ(numbers.next() & 1, static_cast<Z128>(bit - '0'));
  std::vector<std::vector<Gr<Z128>>> out(static_cast<std::size_t>(n));
  for (const char bit : key_bits) {
    std::vector<Gr<Z128>> polynomial = {Gr<Z128>::from_base(static_cast<Z128>(bit - '0'))};
    for (int j = 0; j < t; ++j) {
      polynomial.emplace_back();
      for (Z128& c : polynomial.back().c) c = numbers.next();
    }
    for (int i = 1; i <= n; ++i)
      out[static_cast<std::size_t>(i - 1)].push_back(
          algebra::evaluate<Z128>(polynomial, algebra::evaluation_point<Z128>(Role(i))));
  }
  return out;
}

// tests/data/threshold-tfhe/noiseflood_vectors.json: partial decryptions plus masks, of every party of three committees.
TEST(MaskGenerator, MaskedSharesOfTheNoiseFloodVectors) {
  const auto vectors = read_json("threshold-tfhe/noiseflood_vectors.json");
  ASSERT_EQ(vectors.size(), 3u);
  for (const auto& e : vectors) {
    const int n = e.at("n"), t = e.at("t");
    const auto committee = CommitteeSize::make(n, t).value();
    const auto keys = make_set_keys(committee, [&](std::size_t index, PartySet) {
      SetKey key;
      const Z128 number =
          LabelledNumbers("set-" + std::to_string(n) + "-" + std::to_string(t) + "-" + std::to_string(index)).next();
      store_le(number, key.data());
      return key;
    });
    const auto key_shares = vector_key_shares(n, t, e.at("key_bits").get<std::string>());
    const auto session = session_from(e.at("session_id_le_hex"));
    const auto context = digest_from(e.at("mask_context_hex"));
    const auto& ciphertexts = e.at("ciphertexts");
    std::vector<std::vector<Share<Z128>>> by_block(ciphertexts.size());
    for (std::size_t party = 0; party < static_cast<std::size_t>(n); ++party) {
      const auto masks = MaskGenerator(keys[party]).masks(session, context, 0, ciphertexts.size()).value();
      Bytes masked(64 * ciphertexts.size());
      for (std::size_t q = 0; q < ciphertexts.size(); ++q) {
        const Bytes mask = hex(ciphertexts.at(q).at("mask_hex").get<std::string>());
        const Bytes body = hex(ciphertexts.at(q).at("body_hex").get<std::string>());
        Gr<Z128> share = Gr<Z128>::from_base(load_le<Z128>(body.data()));
        for (std::size_t j = 0; j < mask.size() / 16; ++j)
          share -= key_shares[party][j] * load_le<Z128>(mask.data() + 16 * j);
        share += masks.reveal()[q].value;
        share.encode(masked.data() + 64 * q);
        by_block[q].push_back({share});
        if (e.contains("masked_shares_hex")) EXPECT_EQ(share, element<Z128>(e.at("masked_shares_hex").at(q).at(party)));
      }
      EXPECT_EQ(to_hex(crypto::sha256(masked)), e.at("masked_shares_sha256_per_party").at(party).get<std::string>());
    }
    for (std::size_t q = 0; q < ciphertexts.size(); ++q) {
      const Bytes opened = hex(e.at("opened_le_hex").at(q).get<std::string>());
      EXPECT_EQ(open_all<Z128>(committee, by_block[q]), Gr<Z128>::from_base(load_le<Z128>(opened.data())));
    }
  }
}

// security.md S9 and S37: with f_A the secrets are small integers.
TEST(MaskGenerator, SecretsStayWithinTheBoundOverManyDraws) {
  struct Row {
    int n, t;
    std::size_t blocks;
  };
  for (const Row& row : {Row{4, 1, 4000}, Row{7, 2, 1000}, Row{13, 4, 1000}}) {
    const auto committee = CommitteeSize::make(row.n, row.t).value();
    std::vector<Role> roles;
    std::vector<std::vector<Gr<Z128>>> words;
    for (const auto& own : make_set_keys(committee, std::string("bound"))) {
      roles.push_back(own.self());
      std::vector<Gr<Z128>> word;
      const auto masks = MaskGenerator(own).masks({17}, crypto::Digest{9}, 0, row.blocks);
      for (const auto& share : masks.value().reveal()) word.push_back(share.value);
      words.push_back(std::move(word));
    }
    const std::vector<std::span<const Gr<Z128>>> views(words.begin(), words.end());
    const auto opened = algebra::open_batch<Z128>(committee, roles, views);
    ASSERT_TRUE(opened && opened->wrong.empty());
    const Z128 bound = Z128{2} * key_sets(committee).size() << kMaskBoundLog2;
    std::size_t negative = 0;
    for (const auto& secret : opened->values) {
      EXPECT_TRUE(secret.in_base_ring());
      const bool below_zero = secret.c[0] >> 127;
      negative += below_zero;
      EXPECT_TRUE((below_zero ? -secret.c[0] : secret.c[0]) <= bound) << row.n;
      EXPECT_TRUE((below_zero ? -secret.c[0] : secret.c[0]) >= Z128{1} << 90) << "a mask that is no mask";
    }
    EXPECT_GT(negative, row.blocks / 2 - row.blocks / 10);
    EXPECT_LT(negative, row.blocks / 2 + row.blocks / 10);
  }
}

TEST(MaskGenerator, ThreadsShareOne) {
  const auto keys = make_set_keys(CommitteeSize::make(7, 2).value(), std::string("threads"));
  const MaskGenerator generator(keys[3]);
  const auto expected = generator.masks({5}, crypto::Digest{6}, 0, 300).value();
  std::array<int, 4> same{};
  {
    std::vector<std::jthread> threads;
    for (int& count : same)
      threads.emplace_back([&generator, &expected, &count] {
        const auto masks = generator.masks({5}, crypto::Digest{6}, 0, 300).value();
        for (std::size_t q = 0; q < 300; ++q) count += masks.reveal()[q].value == expected.reveal()[q].value;
      });
  }
  EXPECT_EQ(same, (std::array{300, 300, 300, 300}));
}

// security.md S4, S35: bound to session and context; the same pair repeats the same shares.
TEST(MaskGenerator, AreBoundToSessionAndContextAndRepeat) {
  const auto committee = CommitteeSize::make(4, 1).value();
  const auto keys = make_set_keys(committee, std::string("binding"));
  const MaskGenerator generator(keys[0]);
  const auto same = [&](SessionId a, int x, SessionId b, int y) {
    const auto first = generator.masks(a, crypto::Digest{static_cast<std::uint8_t>(x)}, 0, 8).value();
    const auto second = generator.masks(b, crypto::Digest{static_cast<std::uint8_t>(y)}, 0, 8).value();
    return static_cast<int>(std::ranges::count_if(std::vector{0, 1, 2, 3, 4, 5, 6, 7}, [&](int q) {
      return first.reveal()[static_cast<std::size_t>(q)].value == second.reveal()[static_cast<std::size_t>(q)].value;
    }));
  };
  EXPECT_EQ(same({1}, 1, {1}, 1), 8);
  EXPECT_EQ(same({1}, 1, {2}, 1), 0);
  EXPECT_EQ(same({1}, 1, {1}, 2), 0);
}

// security.md S35: block q uses draws 2q and 2q+1 whatever the number of blocks, in one piece or in many.
TEST(MaskGenerator, PiecesAreTheWhole) {
  const auto keys = make_set_keys(CommitteeSize::make(4, 1).value(), std::string("pieces"));
  const MaskGenerator generator(keys[1]);
  const auto whole = generator.masks({1}, crypto::Digest{1}, 0, 100).value();
  for (const auto [first, count] :
       {std::pair{0u, 3u}, {0u, 100u}, {3u, 1u}, {31u, 2u}, {32u, 68u}, {99u, 1u}, {50u, 0u}}) {
    const auto piece = generator.masks({1}, crypto::Digest{1}, first, count).value();
    ASSERT_EQ(piece.reveal().size(), count);
    for (std::size_t q = 0; q < count; ++q) EXPECT_EQ(piece.reveal()[q].value, whole.reveal()[first + q].value);
  }
}

TEST(Prss, SessionsRingsAndPurposesAreUnrelated) {
  const auto committee = CommitteeSize::make(4, 1).value();
  const auto keys = make_set_keys(committee, std::string("purposes"));
  std::set<std::string> seen;
  for (const unsigned session : {1u, 2u})
    for (const auto purpose : {PrfPurpose::psi, PrfPurpose::chi, PrfPurpose::psi0, PrfPurpose::chi_zero})
      EXPECT_TRUE(seen.insert(to_hex(prf_key(keys[0].key(0), {session}, purpose))).second);
  EXPECT_TRUE(seen.insert(to_hex(mask_base_key(keys[0].key(0)))).second);
}

// security.md S6: an element takes four blocks of psi, a zero sharing 4t of chi.
TEST(Prss, CountersEndWhereAKeyHasGivenItsBlocks) {
  const auto keys = make_set_keys(CommitteeSize::make(7, 2).value(), std::string("counters"));
  const Prss<Z64> prss(keys[0], {1});
  EXPECT_NE(prss.random(kMaxBlocksPerKey / 4 - 1).value, prss.random(0).value);
  EXPECT_NE(prss.zero(kMaxBlocksPerKey / 8 - 1).value, prss.zero(0).value);
  EXPECT_NE(prss.base(kMaxBlocksPerKey - 1).value, prss.base(0).value);
  EXPECT_DEATH((void)prss.base(kMaxBlocksPerKey), "kMaxBlocksPerKey");
  EXPECT_DEATH((void)prss.random(kMaxBlocksPerKey / 4), "kMaxBlocksPerKey");
  EXPECT_DEATH((void)prss.zero(kMaxBlocksPerKey / 8), "kMaxBlocksPerKey");
}

// security.md S6
// S37: a message plus its noise plus all masks never wraps into another box, for any committee that can be made.
TEST(MaskGenerator, MasksOfNoCommitteeWrap) {
  int committees = 0;
  for (int n = 1; n <= 40; ++n)
    for (int t = 0; t <= n; ++t) {
      const auto committee = CommitteeSize::make(n, t);
      u128 sets = 1;  // C(n, t)
      for (int i = 1; i <= t; ++i) sets = sets * static_cast<u128>(n - t + i) / static_cast<u128>(i);
      const bool wraps = 2 * sets * (u128{1} << kMaskBoundLog2) + (u128{1} << 70) >= u128{1} << 122;
      if (wraps) EXPECT_FALSE(committee) << n << " " << t;
      if (committee) {
        ++committees;
        EXPECT_EQ(u128{key_sets(*committee).size()}, sets);
      }
    }
  EXPECT_GT(committees, 10);
}

TEST(MaskGenerator, RefusesMoreBlocksThanAKeyServes) {
  const auto keys = make_set_keys(CommitteeSize::make(4, 1).value(), std::string("limit"));
  const MaskGenerator generator(keys[0]);
  constexpr std::size_t kLimit = kMaxBlocksPerKey / 2, kHuge = ~std::size_t{0};
  EXPECT_TRUE(generator.masks({1}, {}, kLimit - 1, 1));
  for (const auto& [first, count] :
       {std::pair{kLimit, std::size_t{1}}, {std::size_t{0}, kLimit + 1}, {kHuge, kHuge}, {kHuge, std::size_t{1}}})
    EXPECT_EQ(generator.masks({1}, {}, first, count).error().code, Code::invalid_argument);
}

}  // namespace
}  // namespace witan::mpc
