// Whole operations with the default parameters, one repetition at a time, so that scripts/bench.py can alternate them with
// bench/tfhe_rs, which does the same to the same files.
//
//   witan_evaluate inputs FOLDER                a dealt key set and two clients' lists in a new folder: key_set, pair, value
//   witan_evaluate keyset FOLDER                deals a key set into a vault in a new folder
//   witan_evaluate serve KEY_SET PAIR VALUE     loads a key set and two compact lists (one value of two blocks; one u64), then does
//                                               one repetition per line of standard input: pbs64, pbs128 or expand
//   witan_evaluate confirm                      deals a key set in memory, makes the test ciphertext of its confirmation piece by piece,
//                                               and decrypts it; "working_bytes" is what that takes beside the key set,
//                                               times are those of the processor
//
// --target NAME in front of these forces vector instructions, e.g. AVX2. Every answer is one line of JSON, times in seconds.
// One thread.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>

#include "insecure/dealing.h"
#include "store/vault_file/file_vault.h"
#include "tfhe/encrypt.h"
#include "tfhe/evaluate.h"
#include "tfhe/keygen.h"
#include "tfhe/test_ciphertext.h"
#include "tfhe_rs/ciphertexts.h"

namespace witan {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point begun, Clock::time_point ended = Clock::now()) {
  return std::chrono::duration<double>(ended - begun).count();
}

/// The value of a line of /proc/self/status, in bytes.
std::uint64_t memory(std::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name)) return 1024 * std::stoull(line.substr(line.find_first_of("0123456789")));
  return 0;
}

Status choose_target(std::string_view name) {
  for (const tfhe::VectorTarget& target : tfhe::vector_targets()) {
    if (target.name != name) continue;
    tfhe::choose_vector_target(target.id);
    return {};
  }
  return fail(Code::invalid_argument, "this processor or build has no vector target '{}'", name);
}

Status save(const std::filesystem::path& file, ByteView bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  return out ? Status{} : Status(fail(Code::unavailable, "cannot write {}", file.native()));
}

Result<Bytes> load(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return fail(Code::not_found, "cannot read {}", file.native());
  Bytes out(static_cast<std::size_t>(in.tellg()));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
  if (!in) return fail(Code::unavailable, "cannot read {}", file.native());
  return out;
}

/// A list of one unsigned value as a client sends it.
Result<Bytes> client_list(const tfhe::CompactPublicKey& key, std::size_t blocks, Rng& rng) {
  tfhe::CompactValue value{tfhe::UnsignedKind{blocks}, {}};
  for (std::size_t i = 0; i < blocks; ++i)
    value.blocks.push_back(static_cast<std::uint8_t>(rng.next<std::uint8_t>() % 4));
  WITAN_ASSIGN(auto list, tfhe::encrypt_compact_list(key, std::span(&value, 1), rng));
  return tfhe_rs::to_bytes(tfhe_rs::CompactListObject{std::move(list), {}});
}

struct DealtSet {
  node::KeyObjects objects;
  std::filesystem::path key_set, public_key;
  double seconds = 0;
};

/// Secret keys, public objects of them: made, written, hashed, synced.
Result<DealtSet> deal(const std::filesystem::path& folder) {
  const auto begun = Clock::now();
  OsRng rng;
  WITAN_ASSIGN(const tfhe::Params params, tfhe::params_by_name("default"));
  WITAN_ASSIGN(
      const auto vault,
      store::FileVault::open(
          {.root = folder, .prefix = "PUB", .visibility = store::FileVaultOptions::Visibility::public_objects}));
  const KeyId key(rng.bytes<32>());
  const tfhe::SecretKeySet keys = tfhe::generate_secret_keys(params, rng);
  DealtSet out;
  WITAN_ASSIGN(out.objects, insecure::write_public_objects(params, keys, key, *vault, rng));
  out.seconds = seconds(begun);
  out.key_set = folder / "PUB/CompressedXofKeySet" / key.hex();
  out.public_key = folder / "PUB/PublicKey" / key.hex();
  return out;
}

Status key_set(const std::filesystem::path& folder) {
  WITAN_ASSIGN(const DealtSet dealt, deal(folder));
  fmt::print("{{\"seconds\": {:.6f}, \"peak_bytes\": {}, \"bytes\": {}, \"target\": \"{}\"}}\n", dealt.seconds,
             memory("VmHWM"), dealt.objects.key_set.size_bytes, tfhe::vector_target().name);
  return {};
}

Status inputs(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  WITAN_ASSIGN(const DealtSet dealt, deal(folder / "vault"));
  WITAN_ASSIGN(const Bytes bytes, load(dealt.public_key));
  WITAN_ASSIGN(const auto public_key, tfhe_rs::read_public_key(bytes, tfhe_rs::Trailing::reject));
  OsRng rng;
  WITAN_ASSIGN(const Bytes pair, client_list(public_key, 2, rng));
  WITAN_ASSIGN(const Bytes value, client_list(public_key, 32, rng));
  WITAN_TRY(save(folder / "pair", pair));
  WITAN_TRY(save(folder / "value", value));
  std::filesystem::rename(dealt.key_set, folder / "key_set");
  fmt::print("{{\"seconds\": {:.6f}}}\n", dealt.seconds);
  return {};
}

/// Keys of everything that is measured.
struct Keys {
  tfhe::ComputeKey compute;
  tfhe::CastKey cast;
  tfhe::SnsKey sns;
  tfhe::SnsCompressionKey compression;
  tfhe::u64 max_noise_level = 0;
  Bytes tag;
};

Result<Keys> load_keys(const std::filesystem::path& file) {
  tfhe::CompressedKeySet set;
  {
    WITAN_ASSIGN(const Bytes bytes, load(file));
    WITAN_ASSIGN(set, tfhe_rs::read_key_set(bytes));
  }
  WITAN_TRY(tfhe::check(set));
  Keys keys;
  keys.compute = tfhe::prepare_compute_key(set.server_key);
  WITAN_ASSIGN(keys.cast, tfhe::prepare_cast_key(set.server_key));
  WITAN_ASSIGN(keys.sns, tfhe::prepare_sns_key(set.server_key));
  WITAN_ASSIGN(keys.compression, tfhe::prepare_sns_compression_key(set.server_key));
  keys.max_noise_level = set.server_key.max_noise_level;
  keys.tag = set.server_key.tag;
  return keys;
}

struct Inputs {
  tfhe::Block block, pair;
  tfhe::LookupTable table;
  Bytes list;  // of one u64
};

Result<Inputs> load_inputs(const Keys& keys, const std::filesystem::path& pair_file,
                           const std::filesystem::path& value_file) {
  WITAN_ASSIGN(const Bytes pair, load(pair_file));
  WITAN_ASSIGN(const auto object, tfhe_rs::read_compact_list(pair, tfhe_rs::Trailing::reject));
  WITAN_TRY(tfhe::check(object.list));
  WITAN_ASSIGN(const auto blocks, tfhe::expand_compact_list(keys.compute, keys.cast, object.list));
  WITAN_ASSIGN(auto pairs, tfhe::pair_blocks(blocks, keys.max_noise_level));
  Inputs out{
      blocks.at(0), std::move(pairs.at(0)), tfhe::make_lookup_table(keys.compute, [](tfhe::u64 x) { return x; }), {}};
  WITAN_ASSIGN(out.list, load(value_file));
  return out;
}

/// A client's list of one u64 to the bytes of a BigCompressed, as coprocessors do it.
Status expand(const Keys& keys, ByteView list) {
  const auto begun = Clock::now();
  WITAN_ASSIGN(const auto object, tfhe_rs::read_compact_list(list, tfhe_rs::Trailing::reject));
  WITAN_TRY(tfhe::check(object.list));
  WITAN_ASSIGN(const auto blocks, tfhe::expand_compact_value(keys.compute, keys.cast, object.list, 0));
  const auto expanded = Clock::now();
  WITAN_ASSIGN(const auto pairs, tfhe::pair_blocks(blocks, keys.max_noise_level));
  WITAN_ASSIGN(const auto squashed, tfhe::squash(keys.compute, keys.sns, std::span(pairs)));
  const auto done = Clock::now();
  WITAN_ASSIGN(auto packed, tfhe::compress(keys.compression, std::span<const tfhe::SquashedBlock>(squashed)));
  const Bytes bytes = tfhe_rs::big_compressed(tfhe::FheType::uint64, std::move(packed), keys.tag);
  fmt::print(
      "{{\"seconds\": {:.9f}, \"expansion\": {:.9f}, \"squashing\": {:.9f}, \"compression\": {:.9f}, \"bytes\": {}}}\n",
      seconds(begun), seconds(begun, expanded), seconds(expanded, done), seconds(done), bytes.size());
  return {};
}

template <class Work>
Status timed(const Work& work) {
  const auto begun = Clock::now();
  const auto result = work();
  const double taken = seconds(begun);
  if (!result) return fail(result.error());
  fmt::print("{{\"seconds\": {:.9f}}}\n", taken);
  return {};
}

Status serve(const char* key_file, const char* pair_file, const char* value_file) {
  const auto begun = Clock::now();
  WITAN_ASSIGN(const Keys keys, load_keys(key_file));
  fmt::print("{{\"seconds\": {:.6f}, \"peak_bytes\": {}, \"bytes\": {}, \"target\": \"{}\"}}\n", seconds(begun),
             memory("VmHWM"), memory("VmRSS"), tfhe::vector_target().name);
  std::fflush(stdout);
  WITAN_ASSIGN(const Inputs input, load_inputs(keys, pair_file, value_file));
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "pbs64") {
      WITAN_TRY(timed([&] { return tfhe::apply(keys.compute, input.table, input.block); }));
    } else if (line == "pbs128") {
      WITAN_TRY(timed([&] { return tfhe::squash(keys.compute, keys.sns, input.pair); }));
    } else if (line == "expand") {
      WITAN_TRY(expand(keys, input.list));
    } else {
      return fail(Code::invalid_argument, "'{}': expected pbs64, pbs128 or expand", line);
    }
    std::fflush(stdout);
  }
  return {};
}

/// Of this thread: pieces of a millisecond are measured on busy machines too.
double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

Status confirm() {
  OsRng rng;
  WITAN_ASSIGN(const tfhe::Params params, tfhe::params_by_name("default"));
  const KeyId key(rng.bytes<32>());
  const tfhe::SecretKeySet keys = tfhe::generate_secret_keys(params, rng);
  tfhe::RngNoise noise(rng);
  const auto set = std::make_shared<const tfhe::CompressedKeySet>(
      tfhe::generate_key_set(params, keys, rng.next<u128>(), noise, {.tag = Bytes(32, 1), .progress = {}}));
  const std::uint64_t held = memory("VmRSS");
  std::uint64_t most = held;
  std::vector<double> pieces;
  double before = processor_seconds();
  const auto ended = [&] {
    pieces.push_back(processor_seconds() - before);
    before += pieces.back();
  };
  WITAN_ASSIGN(auto maker, tfhe::TestCiphertextMaker::begin(set, key));
  ended();
  while (!maker.done()) {
    maker.next();
    ended();
    if (pieces.size() % 64 == 0) most = std::max(most, memory("VmRSS"));
  }
  const tfhe::TestCiphertext test = maker.take();
  std::ranges::sort(pieces);
  double sum = 0;
  for (const double piece : pieces) sum += piece;
  const auto value = [&](std::span<const tfhe::Lwe<u128>> lwes, tfhe::KeyName name) {
    std::vector<std::uint8_t> pairs;
    for (const auto& lwe : lwes) pairs.push_back(tfhe::decode_pair(tfhe::phase(lwe, keys.bits(name))));
    return tfhe::recombine(tfhe::FheType::uint64, pairs);
  };
  WITAN_ASSIGN(const tfhe::U256 expanded, value(test.expanded, tfhe::KeyName::sns));
  WITAN_ASSIGN(const tfhe::U256 packed,
               value(tfhe::extract_all<u128>(test.compressed), tfhe::KeyName::sns_compression));
  fmt::print(
      "{{\"seconds\": {:.6f}, \"pieces\": {}, \"median_piece\": {:.6f}, \"p99_piece\": {:.6f}, "
      "\"longest_piece\": {:.6f}, \"working_bytes\": {}, \"record_bytes\": {}, \"right\": {}, \"target\": \"{}\"}}\n",
      sum, pieces.size(), pieces[pieces.size() / 2], pieces[pieces.size() * 99 / 100], pieces.back(), most - held,
      test.encode().size(), expanded == tfhe::U256(test.value) && packed == tfhe::U256(test.value),
      tfhe::vector_target().name);
  return {};
}

Status run(std::span<char*> words) {
  if (words.size() >= 2 && std::string_view(words[0]) == "--target") {
    WITAN_TRY(choose_target(words[1]));
    words = words.subspan(2);
  }
  const std::string_view command = words.empty() ? std::string_view{} : words[0];
  if (command == "inputs" && words.size() == 2) return inputs(words[1]);
  if (command == "keyset" && words.size() == 2) return key_set(words[1]);
  if (command == "serve" && words.size() == 4) return serve(words[1], words[2], words[3]);
  if (command == "confirm" && words.size() == 1) return confirm();
  return fail(Code::invalid_argument,
              "expected [--target NAME] inputs FOLDER, keyset FOLDER, serve KEY_SET PAIR VALUE or confirm");
}

}  // namespace
}  // namespace witan

int main(int count, char** words) {
  const witan::Status done = witan::run(std::span(words, static_cast<std::size_t>(count)).subspan(1));
  if (done) return 0;
  fmt::print(stderr, "{}\n", done.error().message);
  return 1;
}
