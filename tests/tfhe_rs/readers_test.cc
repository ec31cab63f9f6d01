// Strictness of the readers: every position of a version tag, a variant, an Option and a count, found by the visitor
// itself, is broken once.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tfhe_rs/format.h"
#include "tfhe_rs/tfhe_rs_testing.h"

namespace {
std::atomic<std::size_t> largest_allocation{0};
}  // namespace

// Global, so that every allocation of a reader is seen. ThreadSanitizer has its own and cannot be joined.
#if !__has_feature(thread_sanitizer)
void* operator new(std::size_t size) {
  std::size_t seen = largest_allocation.load();
  while (size > seen && !largest_allocation.compare_exchange_weak(seen, size)) {
  }
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// NOLINTBEGIN(clang-analyzer-cplusplus.NewDelete): this is the release itself
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
// NOLINTEND(clang-analyzer-cplusplus.NewDelete)
#endif

namespace witan::tfhe_rs {
namespace {

enum class MarkKind : std::uint8_t { version, variant, boolean, count, text };
struct Mark {
  MarkKind kind;
  std::size_t offset;
};

/// Measures like SizeArchive and notes where the structure lies.
class Recorder {
 public:
  static constexpr bool kReading = false;
  const FormatOptions& options() const { return options_; }
  bool ok() const { return true; }
  const std::vector<Mark>& marks() const { return marks_; }
  std::size_t size() const { return at_; }
  template <class... Args>
  void error(fmt::format_string<Args...>, Args&&...) {}
  template <class T>
  void primitive(const T&) {
    at_ += sizeof(T);
  }
  void boolean(bool) { mark(MarkKind::boolean, 1); }
  std::uint32_t version(const char*, std::initializer_list<std::uint32_t> known) { return leaf_version(known); }
  std::uint32_t leaf_version(std::initializer_list<std::uint32_t> known) {
    mark(MarkKind::version, 4);
    return *known.begin();
  }
  void variant(const std::uint32_t&, std::uint32_t) { mark(MarkKind::variant, 4); }
  void only_variant(std::uint32_t, const char*) { mark(MarkKind::variant, 4); }
  void count(std::uint64_t) { mark(MarkKind::count, 8); }
  template <class W>
  void words(const std::vector<W>& values) {
    mark(MarkKind::count, 8);
    at_ += values.size() * sizeof(W);
  }
  void text(std::string_view value) {
    mark(MarkKind::text, 8);
    at_ += value.size();
  }

 private:
  void mark(MarkKind kind, std::size_t size) {
    marks_.push_back({kind, at_});
    at_ += size;
  }
  std::vector<Mark> marks_;
  std::size_t at_ = 0;
  FormatOptions options_;
};

template <class Object>
std::vector<Mark> marks_of(const Result<Object>& object, std::size_t size_bytes) {
  Recorder recorder;
  put_object(recorder, object.value());
  EXPECT_EQ(recorder.size(), size_bytes);
  return recorder.marks();
}

struct Sample {
  std::string file;
  Bytes bytes;
  std::vector<Mark> marks;
};

/// One object of each type.
const std::vector<Sample>& samples() {
  static const std::vector<Sample> made = [] {
    std::vector<Sample> out;
    const auto add = [&](const std::string& file, auto read) {
      Bytes bytes = test::read_data("tfhe/" + file);
      auto marks = marks_of(read(bytes, Trailing::reject), bytes.size());
      out.push_back({file, std::move(bytes), std::move(marks)});
    };
    add("native-1.7.0/test/small_expanded_uint8.bin", read_radix);
    add("native-1.7.0/test/small_expanded_bool.bin", read_radix);
    add("1.7.0/kms_test/ct_int8.bin", read_radix);
    add("native-1.7.0/test/small_compressed_list_mixed.bin", read_compressed_list);
    add("native-1.7.0/test/big_compressed_list_mixed.bin", read_squashed_list);
    add("native-1.7.0/test/big_expanded_uint8.bin", read_squashed);
    add("native-1.7.0/test/big_expanded_bool.bin", read_squashed);
    add("1.7.0/kms_test/ct_uint8.seeded.bin", read_seeded);
    add("1.7.0/kms_test/ct_bool.seeded.bin", read_seeded);
    add("native-1.7.0/test/compact_list.bin", read_compact_list);
    add("native-1.7.0/test/compact_public_key.bin", read_public_key);
    add("1.7.0/kms_test/compressed_compact_public_key.bin", read_compressed_public_key);
    add("1.7.0/multi/compressed_server_key.bin", read_server_key);
    add("native-1.7.0/test/compressed_xof_key_set.bin", read_key_set);
    add("native-1.7.0/test/client_key.bin", read_client_key);
    return out;
  }();
  return made;
}

void expect_refused(const Sample& sample, const Mark& mark, const Bytes& broken, std::string_view part) {
  const auto read = rewritten(broken);
  ASSERT_FALSE(read) << sample.file << " at " << mark.offset;
  EXPECT_EQ(read.error().code, Code::invalid_argument) << sample.file << " at " << mark.offset;
  EXPECT_NE(read.error().message.find(part), std::string::npos)
      << sample.file << " at " << mark.offset << ": " << read.error().message;
}

TEST(Readers, UnknownTagsVariantsAndOptionsAreRefusedWhereverTheyStand) {
  for (const Sample& sample : samples()) {
    Bytes bytes = sample.bytes;
    for (const Mark& mark : sample.marks) {
      std::uint8_t* at = bytes.data() + mark.offset;
      if (mark.kind == MarkKind::version || mark.kind == MarkKind::variant) {
        const auto good = load_le<std::uint32_t>(at);
        for (const std::uint32_t bad : {77u, 0x01000000u + good, ~0u}) {
          store_le(bad, at);
          expect_refused(sample, mark, bytes, mark.kind == MarkKind::version ? "version tag" : "variant");
        }
        store_le(good, at);
      } else if (mark.kind == MarkKind::boolean) {
        const std::uint8_t good = *at;
        *at = 2;
        expect_refused(sample, mark, bytes, "bool or Option");
        *at = good;
      }
    }
  }
}

TEST(Readers, CountsBeyondTheBytesFailBeforeMemoryIsSpent) {
  for (const Sample& sample : samples()) {
    Bytes bytes = sample.bytes;
    for (const Mark& mark : sample.marks) {
      if (mark.kind != MarkKind::count && mark.kind != MarkKind::text) continue;
      std::uint8_t* at = bytes.data() + mark.offset;
      const auto good = load_le<std::uint64_t>(at);
      for (const std::uint64_t bad : {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{1} << 61,
                                      std::uint64_t{bytes.size()}, std::uint64_t{bytes.size() - mark.offset - 7}}) {
        store_le(bad, at);
        largest_allocation = 0;
        expect_refused(sample, mark, bytes, "a list claims");
        EXPECT_LE(largest_allocation, 2 * bytes.size() + 4096) << sample.file << " at " << mark.offset;
      }
      // What still fits is read as something else or refused; it never costs more than a few times the bytes.
      for (const std::uint64_t other : {good + 1, (bytes.size() - mark.offset) / 16, std::uint64_t{0}}) {
        store_le(other, at);
        largest_allocation = 0;
        const auto read = rewritten(bytes);
        EXPECT_TRUE(read || read.error().code == Code::invalid_argument);
        EXPECT_LE(largest_allocation, 6 * bytes.size() + 100'000) << sample.file << " at " << mark.offset;
      }
      store_le(good, at);
    }
  }
}

TEST(Readers, TruncationAnywhereAndTrailingBytesAreErrors) {
  for (const Sample& sample : samples()) {
    const ByteView bytes = sample.bytes;
    const std::size_t step = std::max<std::size_t>(1, bytes.size() / 300);
    for (std::size_t cut = 0; cut < bytes.size(); cut += cut < 700 ? 1 : step)
      EXPECT_FALSE(rewritten(bytes.first(cut))) << sample.file << " cut at " << cut;
    for (const Mark& mark : sample.marks)
      EXPECT_FALSE(rewritten(bytes.first(mark.offset + 1))) << sample.file << " cut at " << mark.offset + 1;
    Bytes longer = sample.bytes;
    longer.push_back(0);
    const auto read = rewritten(longer);
    ASSERT_FALSE(read) << sample.file;
    EXPECT_NE(read.error().message.find("1 bytes follow"), std::string::npos) << read.error().message;
  }
}

// An error or another object, never a crash.
TEST(Readers, ChangedBytesNeverCrash) {
  for (const Sample& sample : samples()) {
    Bytes bytes = sample.bytes;
    if (bytes.size() > 100'000) continue;
    for (std::size_t at = 0; at < bytes.size(); at += at < 400 ? 1 : 97)
      for (const int value : {0x00, 0x01, 0x7f, 0xff}) {
        const std::uint8_t good = bytes[at];
        bytes[at] = static_cast<std::uint8_t>(value);
        if (const auto read = rewritten(bytes); read) {
          EXPECT_EQ(read->size(), bytes.size());
        }
        bytes[at] = good;
      }
  }
}

TEST(Readers, ModuliAndSizesThatTheFormatCannotMeanAreRefused) {
  // Inside of the first block of a FheUint8: data length, 65 * 8 bytes, then tag and value of the modulus.
  const Bytes good = test::read_data("tfhe/native-1.7.0/test/small_expanded_uint8.bin");
  const auto object = read_radix(good, Trailing::reject).value();
  const std::size_t words = object.blocks[0].lwe.data.size();
  const std::size_t data_at = 11 + 15 + 8 + std::string_view("high_level_api::FheUint").size() + 12 + 8 + 4 + 4 + 8;
  const std::size_t modulus_at = data_at + 8 * words + 4;
  const auto refused = [&](std::size_t at, std::uint64_t value, std::string_view part) {
    Bytes bad = good;
    store_le(value, bad.data() + at);
    const auto read = read_radix(bad, Trailing::reject);
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().message.find(part), std::string::npos) << read.error().message;
  };
  refused(modulus_at, 1u << 20, "native");
  refused(modulus_at + 16, 32, "native");
  refused(modulus_at + 16, 128, "native");
  refused(data_at - 8, 0, "no words");
  // An AES position beyond its block, a size 0 where n + 1 stands.
  Bytes seeded = test::read_data("tfhe/1.7.0/kms_test/ct_bool.seeded.bin");
  const std::size_t body_at = 11 + 15 + 8 + std::string_view("high_level_api::CompressedFheBool").size() + 12 + 8;
  const Bytes before = seeded;
  store_le<std::uint64_t>(0, seeded.data() + body_at + 12);
  EXPECT_NE(read_seeded(seeded, Trailing::reject).error().message.find("size is 0"), std::string::npos);
  seeded = before;
  const std::size_t byte_index_at = body_at + 20 + 20 + 16 + 8 + 16 + 4;
  ASSERT_EQ(load_le<std::uint64_t>(seeded.data() + byte_index_at), 0u);
  store_le<std::uint64_t>(16, seeded.data() + byte_index_at);
  EXPECT_NE(read_seeded(seeded, Trailing::reject).error().message.find("below 16"), std::string::npos);
}

TEST(Readers, SecretEntriesThatAreNoBitsAreRefused) {
  Bytes bytes = test::read_data("tfhe/native-1.7.0/test/client_key.bin");
  const Mark* first_words = nullptr;
  for (const Mark& mark : samples().back().marks)
    if (!first_words && mark.kind == MarkKind::count) first_words = &mark;
  bytes[first_words->offset + 8] = 2;
  EXPECT_NE(read_client_key(bytes).error().message.find("no bit"), std::string::npos);
}

TEST(Readers, WrongEnvelopesAreNamed) {
  const Bytes list = test::read_data("tfhe/native-1.7.0/test/big_compressed_uint8.bin");
  const auto message = read_radix(list, Trailing::ignore).error().message;
  EXPECT_NE(message.find("CompressedSquashedNoiseCiphertextList, expected high_level_api::FheBool"), std::string::npos)
      << message;
  Bytes other_version = list;
  other_version[10] = '6';
  EXPECT_NE(object_name(other_version).error().message.find("0.6"), std::string::npos);
  Bytes unversioned = list;
  unversioned[11] = 1;
  EXPECT_NE(object_name(unversioned).error().message.find("unversioned"), std::string::npos);
  EXPECT_FALSE(object_name({}));
  EXPECT_FALSE(read_key_set(Bytes(100, 7)));
  // A name that would write to a terminal does not reach the message.
  Bytes control = list;
  control[34] = 0x1b;
  EXPECT_EQ(read_radix(control, Trailing::ignore).error().message.find('\x1b'), std::string::npos);
  Bytes long_name = list;
  store_le<std::uint64_t>(129, long_name.data() + 26);
  EXPECT_NE(object_name(long_name).error().message.find("129 bytes"), std::string::npos);
}

}  // namespace
}  // namespace witan::tfhe_rs
