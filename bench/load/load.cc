// Decryptions of a running committee by a client that speaks to all parties. One JSON line per figure.
//
// Closed loop: so many in flight, a decryption is done when all parties have answered.
//   witan_load --dir COMMITTEE --key KEY --case u64,1,big-compressed,FILE --in-flight 1,16,64,256 --seconds 10
// Open loop: so many begin per second, whatever becomes of them; a line every --report seconds. Latencies count from the instant at
// which a decryption was to begin, so that this program's own lateness is in them. A party that refuses is asked again,
// as long as others have not refused too; a decryption is answered when n - t parties have answered, refused when all refuse.
//   witan_load --dir COMMITTEE --key KEY --case ... --case ... --at-most 4 --rate 2000 --seconds 600 --report 10
#include <absl/synchronization/mutex.h>
#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <queue>
#include <random>
#include <unordered_set>

#include "api/codec.h"
#include "cli/committee.h"
#include "cli/decryption.h"
#include "coprocessor/coprocessor.h"
#include "crypto/hash.h"

namespace witan::load {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
constexpr const char* kMethod = "/kms_service.v1.CoreServiceEndpoint/PublicDecryptSync";
constexpr auto kTimeout = std::chrono::seconds(60);
constexpr auto kFirstPause = milliseconds(200), kLongestPause = milliseconds(2000);
constexpr std::size_t kMostRunning = 4000;  // of the open loop; above, none is begun

struct Options {
  std::filesystem::path dir;
  std::string key;
  std::vector<std::string> cases;
  std::vector<std::size_t> in_flight = {1, 16, 64, 256};
  double rate = 0, seconds = 10, warm_up = 2, report = 10;
  std::size_t at_most = 1;
  std::uint32_t seed = 1;
};

struct Case {
  api::TypedCiphertext ciphertext;
  Bytes expected;
};

struct Counts {
  std::vector<double> milliseconds;  // of answered ones
  std::uint64_t begun = 0, refused = 0, failed = 0, wrong = 0, asked_again = 0, not_begun = 0;
  std::uint64_t errors = 0;  // of single parties, other than refusals
};

/// Unary calls of one method, all on one completion queue.
class Load {
 public:
  Load(const cli::Committee& committee, const std::string& key, std::vector<Case> cases, const Options& options)
      : cases_(std::move(cases)), options_(options), random_(options.seed) {
    request_.key_id = key;
    request_.domain = cli::to_message(cli::example_domain());
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    for (const cli::PartyInfo& party : committee.parties)
      stubs_.push_back(std::make_unique<grpc::GenericStub>(
          grpc::CreateCustomChannel(party.address(), grpc::InsecureChannelCredentials(), arguments)));
    needed_ = stubs_.size() - (stubs_.size() - 1) / 3;
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  /// Nobody waits for what is still under way: answers that were not needed, or not in time.
  ~Load() {
    for (Call* call : calls_) call->context.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) delete static_cast<Call*>(tag);
  }

  /// Closed loop.
  Counts keep_in_flight(std::size_t count) {
    const auto end = Clock::now() + of_seconds(options_.warm_up + options_.seconds);
    counted_from_ = Clock::now() + of_seconds(options_.warm_up);
    counted_until_ = end;
    needed_ = stubs_.size();
    for (std::size_t i = 0; i < count; ++i) begin(Clock::now());
    while (running_ > 0) {
      take(again_.empty() ? Clock::time_point::max() : again_.top().when);
      while (!again_.empty() && again_.top().when <= Clock::now()) ask_again();
      while (running_ < count && Clock::now() < end) begin(Clock::now());
    }
    return std::exchange(counts_, {});
  }

  /// Open loop; `report` gets the counts of each interval.
  void keep_pace(const std::function<void(double, Counts)>& report) {
    const auto begun = Clock::now(), end = begun + of_seconds(options_.seconds);
    counted_from_ = begun;
    counted_until_ = Clock::time_point::max();
    const auto interval = of_seconds(1 / options_.rate);
    auto next = begun, next_report = begun + of_seconds(options_.report);
    while (Clock::now() < end || running_ > 0) {
      for (const auto now = Clock::now(); next <= now && now < end; next += interval)
        if (running_ < kMostRunning)
          begin(next);
        else
          ++counts_.not_begun;
      const bool over = Clock::now() >= end;
      const auto until =
          std::min(over ? Clock::now() + milliseconds(100) : next, again_.empty() ? next_report : again_.top().when);
      while (take(until) &&
             Clock::now() < until) {  // answers may keep coming; the next decryption does not wait for the last
      }
      while (!again_.empty() && again_.top().when <= Clock::now()) ask_again();
      if (Clock::now() < next_report) continue;
      next_report += of_seconds(options_.report);
      report(std::chrono::duration<double>(Clock::now() - begun).count(), std::exchange(counts_, {}));
    }
    report(std::chrono::duration<double>(Clock::now() - begun).count(), std::exchange(counts_, {}));
  }

 private:
  struct Decryption {
    Clock::time_point begun;
    grpc::ByteBuffer wire;
    std::vector<const Bytes*> expected;
    std::size_t good = 0, calls = 0, refusals = 0;  // refusals: parties that wait to be asked again
    bool counted = false;
  };
  struct Call {
    std::shared_ptr<Decryption> decryption;
    std::size_t party = 0;
    milliseconds pause = kFirstPause;
    grpc::ClientContext context;
    grpc::ByteBuffer response;
    grpc::Status status;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  };
  struct Again {
    Clock::time_point when;
    std::shared_ptr<Decryption> decryption;
    std::size_t party;
    milliseconds pause;
    bool operator<(const Again& other) const { return when > other.when; }
  };

  static Clock::duration of_seconds(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  void begin(Clock::time_point planned) {
    auto decryption = std::make_shared<Decryption>();
    decryption->begun = planned;
    request_.request_id = cli::random_request_id().hex();
    request_.ciphertexts.clear();
    const std::size_t count = 1 + random_() % options_.at_most;
    for (std::size_t i = 0; i < count; ++i) {
      const Case& chosen = cases_[random_() % cases_.size()];
      request_.ciphertexts.push_back(chosen.ciphertext);
      decryption->expected.push_back(&chosen.expected);
    }
    const Bytes wire = api::encode(request_);
    const grpc::Slice slice(wire.data(), wire.size());
    decryption->wire = grpc::ByteBuffer(&slice, 1);
    ++running_;
    ++counts_.begun;
    for (std::size_t party = 0; party < stubs_.size(); ++party) call(decryption, party, kFirstPause);
  }

  void call(std::shared_ptr<Decryption> decryption, std::size_t party, milliseconds pause) {
    auto* call = new Call;
    calls_.insert(call);
    ++decryption->calls;
    call->decryption = std::move(decryption);
    call->party = party;
    call->pause = pause;
    call->context.set_deadline(std::chrono::system_clock::now() + kTimeout);
    call->reader = stubs_[party]->PrepareUnaryCall(&call->context, kMethod, call->decryption->wire, &queue_);
    call->reader->StartCall();
    call->reader->Finish(&call->response, &call->status, call);
  }

  /// One answer, if one comes until then or is there already.
  bool take(Clock::time_point until) {
    void* tag = nullptr;
    bool ok = false;
    if (until == Clock::time_point::max()) {
      if (!queue_.Next(&tag, &ok)) return false;
    } else {
      const auto wait = std::max<Clock::duration>(until - Clock::now(), Clock::duration::zero());
      const auto deadline = std::chrono::system_clock::now() + std::chrono::duration_cast<milliseconds>(wait);
      if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return false;
    }
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    calls_.erase(call.get());
    Decryption& decryption = *call->decryption;
    --decryption.calls;
    if (call->status.ok()) {
      (is_right(*call, decryption) ? decryption.good : counts_.wrong) += 1;
    } else if (call->status.error_code() == grpc::RESOURCE_EXHAUSTED) {
      ++decryption.refusals;
      again_.push(
          {Clock::now() + call->pause, call->decryption, call->party, std::min(2 * call->pause, kLongestPause)});
    } else {
      if (++counts_.errors <= 3)
        std::cerr << "party " << call->party + 1 << ": code " << call->status.error_code() << ", "
                  << call->status.error_message() << "\n";
    }
    settle(decryption);
    return true;
  }

  void ask_again() {
    const Again again = again_.top();
    again_.pop();
    Decryption& decryption = *again.decryption;
    --decryption.refusals;
    if (decryption.counted) return;
    ++counts_.asked_again;
    call(again.decryption, again.party, again.pause);
  }

  void settle(Decryption& decryption) {
    if (decryption.counted) return;
    const bool all_refuse = decryption.refusals == stubs_.size();
    const bool over = decryption.calls == 0 && decryption.refusals == 0;
    if (decryption.good < needed_ && !all_refuse && !over) return;
    decryption.counted = true;
    --running_;
    const auto now = Clock::now();
    if (all_refuse)
      ++counts_.refused;
    else if (decryption.good < needed_)
      ++counts_.failed;
    else if (now >= counted_from_ && now < counted_until_)
      counts_.milliseconds.push_back(std::chrono::duration<double, std::milli>(now - decryption.begun).count());
  }

  static bool is_right(const Call& call, const Decryption& decryption) {
    std::vector<grpc::Slice> slices;
    Bytes wire;
    if (call.response.Dump(&slices).ok())
      for (const grpc::Slice& slice : slices) wire.insert(wire.end(), slice.begin(), slice.end());
    const auto response = api::decode<api::PublicDecryptionResponse>(wire);
    return response && response->payload &&
           std::ranges::equal(
               response->payload->plaintexts, decryption.expected,
               [](const auto& plaintext, const Bytes* expected) { return plaintext.bytes == *expected; });
  }

  api::PublicDecryptionRequest request_;
  const std::vector<Case> cases_;
  const Options& options_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::size_t needed_ = 0;
  grpc::CompletionQueue queue_;
  std::unordered_set<Call*> calls_;  // under way
  std::priority_queue<Again> again_;
  std::size_t running_ = 0;
  Clock::time_point counted_from_, counted_until_;
  Counts counts_;
};

double quantile(std::vector<double>& sorted, double fraction) {
  return sorted.empty() ? 0
                        : sorted[std::min(sorted.size() - 1,
                                          static_cast<std::size_t>(fraction * static_cast<double>(sorted.size())))];
}

Result<Case> read_case(const std::string& text) {
  const auto words = CLI::detail::split(text, ',');
  if (words.size() != 4) return fail(Code::invalid_argument, "'{}' is not TYPE,VALUE,FORMAT,FILE", text);
  WITAN_ASSIGN(const tfhe::FheType type, tfhe::parse_fhe_type(words[0]));
  WITAN_ASSIGN(const tfhe::U256 value, tfhe::parse_value(type, words[1]));
  WITAN_ASSIGN(const auto format, coprocessor::parse_format(words[2]));
  WITAN_ASSIGN(const Bytes ciphertext, cli::read_file(words[3]));
  const auto handle = crypto::keccak256(ciphertext);
  return Case{{ciphertext, static_cast<std::int32_t>(type), Bytes(handle.begin(), handle.end()),
               static_cast<api::CiphertextFormat>(format)},
              value.to_le_bytes(static_cast<std::size_t>(tfhe::info(type).plaintext_bytes))};
}

void print(const std::string& what, double seconds, Counts counts) {
  auto& times = counts.milliseconds;
  std::ranges::sort(times);
  fmt::print(
      R"({{{}, "per_second": {:.1f}, "p50_ms": {:.2f}, "p99_ms": {:.2f}, "count": {}, "failed": {}, "refused": {}, "wrong": {}, "errors": {}, "asked_again": {}, "not_begun": {}}})"
      "\n",
      what, static_cast<double>(times.size()) / seconds, quantile(times, 0.5), quantile(times, 0.99), times.size(),
      counts.failed, counts.refused, counts.wrong, counts.errors, counts.asked_again, counts.not_begun);
  std::fflush(stdout);
}

Status run(const Options& options) {
  WITAN_ASSIGN(const cli::Committee committee, cli::load_committee(options.dir));
  std::vector<Case> cases;
  for (const std::string& text : options.cases) {
    WITAN_ASSIGN(cases.emplace_back(), read_case(text));
  }
  std::uint64_t wrong = 0;
  if (options.rate > 0) {
    Load load(committee, options.key, std::move(cases), options);
    double before = 0;
    load.keep_pace([&](double at, Counts counts) {
      wrong += counts.wrong;
      print(fmt::format(R"("at": {:.1f}, "begun": {})", at, counts.begun),
            std::max(at - std::exchange(before, at), 0.001), std::move(counts));
    });
  } else {
    for (const std::size_t in_flight : options.in_flight) {
      Load load(committee, options.key, cases, options);
      Counts counts = load.keep_in_flight(in_flight);
      wrong += counts.wrong;
      print(fmt::format(R"("in_flight": {})", in_flight), options.seconds, std::move(counts));
    }
  }
  if (wrong > 0) return fail(Code::internal, "{} answers were wrong", wrong);
  return {};
}

}  // namespace
}  // namespace witan::load

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the nodes do
  witan::load::Options options;
  CLI::App app("load on a running committee", "witan_load");
  app.add_option("--dir", options.dir, "folder of the committee")->required();
  app.add_option("--key", options.key, "id of the key")->required();
  app.add_option("--case", options.cases, "TYPE,VALUE,FORMAT,FILE of a ciphertext")->required();
  app.add_option("--in-flight", options.in_flight, "closed loop: how many at once")->delimiter(',');
  app.add_option("--rate", options.rate, "open loop: how many begin per second");
  app.add_option("--at-most", options.at_most, "ciphertexts in a request, from one on")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", options.seconds, "counted; in the closed loop for each number in flight");
  app.add_option("--warm-up", options.warm_up, "closed loop: seconds before, not counted");
  app.add_option("--report", options.report, "open loop: seconds between lines")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--seed", options.seed, "of the choice of ciphertexts");
  CLI11_PARSE(app, argc, argv);
  const auto done = witan::load::run(options);
  if (done) return 0;
  std::cerr << "error: " << done.error().message << "\n";
  return 1;
}
