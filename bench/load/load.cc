// Decryptions per second of a running committee, and how long each takes: closed loop, so many in flight, every request to
// all parties, done when all have answered. One JSON line per number in flight.
//
//   witan_load --dir COMMITTEE --key KEY --type u64 --value N --format big-compressed --ciphertext FILE
//              --in-flight 1,16,64,256 --seconds 10
#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <deque>
#include <iostream>

#include "api/codec.h"
#include "cli/committee.h"
#include "cli/decryption.h"
#include "coprocessor/coprocessor.h"
#include "crypto/hash.h"

namespace witan::load {
namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* kMethod = "/kms_service.v1.CoreServiceEndpoint/PublicDecryptSync";
constexpr auto kTimeout = std::chrono::seconds(60);

struct Options {
  std::filesystem::path dir, ciphertext;
  std::string key, type, value, format = "big-compressed";
  std::vector<std::size_t> in_flight = {1, 16, 64, 256};
  double seconds = 10, warm_up = 2;
};

struct Outcome {
  std::vector<double> milliseconds;
  std::uint64_t failed = 0, refused = 0, wrong = 0;
  double seconds = 0;
};

class Load {
 public:
  Load(const cli::Committee& committee, api::PublicDecryptionRequest request, Bytes expected)
      : request_(std::move(request)), expected_(std::move(expected)) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    for (const cli::PartyInfo& party : committee.parties)
      stubs_.push_back(std::make_unique<grpc::GenericStub>(
          grpc::CreateCustomChannel(party.address(), grpc::InsecureChannelCredentials(), arguments)));
  }

  Outcome run(std::size_t in_flight, double warm_up, double seconds) {
    const auto begun = Clock::now();
    const auto counted_from =
        begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(warm_up));
    const auto end = counted_from + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    Outcome out;
    std::size_t running = 0;
    for (std::size_t i = 0; i < in_flight; ++i, ++running) start();
    while (running > 0) {
      void* tag = nullptr;
      bool ok = false;
      if (!queue_.Next(&tag, &ok)) break;
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      Decryption& decryption = *call->decryption;
      judge(*call, decryption, out);
      if (--decryption.left > 0) continue;
      const auto now = Clock::now();
      if (decryption.good && now >= counted_from && now < end)
        out.milliseconds.push_back(std::chrono::duration<double, std::milli>(now - decryption.begun).count());
      delete call->decryption;
      --running;
      if (now >= end) continue;
      start();
      ++running;
    }
    out.seconds = seconds;
    return out;
  }

 private:
  struct Decryption {
    Clock::time_point begun;
    std::size_t left = 0;
    bool good = true;
  };
  struct Call {
    Decryption* decryption = nullptr;
    grpc::ClientContext context;
    grpc::ByteBuffer response;
    grpc::Status status;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  };

  void start() {
    request_.request_id = cli::random_request_id().hex();
    const Bytes wire = api::encode(request_);
    const grpc::Slice slice(wire.data(), wire.size());
    const grpc::ByteBuffer buffer(&slice, 1);
    auto* decryption = new Decryption{Clock::now(), stubs_.size(), true};
    for (const auto& stub : stubs_) {
      auto* call = new Call;
      call->decryption = decryption;
      call->context.set_deadline(std::chrono::system_clock::now() + kTimeout);
      call->reader = stub->PrepareUnaryCall(&call->context, kMethod, buffer, &queue_);
      call->reader->StartCall();
      call->reader->Finish(&call->response, &call->status, call);
    }
  }

  void judge(const Call& call, Decryption& decryption, Outcome& out) const {
    if (!call.status.ok()) {
      decryption.good = false;
      (call.status.error_code() == grpc::RESOURCE_EXHAUSTED ? out.refused : out.failed) += 1;
      return;
    }
    std::vector<grpc::Slice> slices;
    Bytes wire;
    if (call.response.Dump(&slices).ok())
      for (const grpc::Slice& slice : slices) wire.insert(wire.end(), slice.begin(), slice.end());
    const auto response = api::decode<api::PublicDecryptionResponse>(wire);
    if (response && response->payload && response->payload->plaintexts.size() == 1 &&
        response->payload->plaintexts[0].bytes == expected_)
      return;
    decryption.good = false;
    ++out.wrong;
  }

  api::PublicDecryptionRequest request_;
  const Bytes expected_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  grpc::CompletionQueue queue_;
};

double quantile(std::vector<double>& sorted, double fraction) {
  return sorted.empty() ? 0
                        : sorted[std::min(sorted.size() - 1,
                                          static_cast<std::size_t>(fraction * static_cast<double>(sorted.size())))];
}

Status run(const Options& options) {
  WITAN_ASSIGN(const cli::Committee committee, cli::load_committee(options.dir));
  WITAN_ASSIGN(const tfhe::FheType type, tfhe::parse_fhe_type(options.type));
  WITAN_ASSIGN(const tfhe::U256 value, tfhe::parse_value(type, options.value));
  WITAN_ASSIGN(const auto format, coprocessor::parse_format(options.format));
  WITAN_ASSIGN(const Bytes ciphertext, cli::read_file(options.ciphertext));
  api::PublicDecryptionRequest request;
  request.key_id = options.key;
  request.domain = cli::to_message(cli::example_domain());
  const auto handle = crypto::keccak256(ciphertext);
  request.ciphertexts.push_back({ciphertext, static_cast<std::int32_t>(type), Bytes(handle.begin(), handle.end()),
                                 static_cast<api::CiphertextFormat>(format)});
  Load load(committee, std::move(request),
            value.to_le_bytes(static_cast<std::size_t>(tfhe::info(type).plaintext_bytes)));
  for (const std::size_t in_flight : options.in_flight) {
    Outcome outcome = load.run(in_flight, options.warm_up, options.seconds);
    auto& times = outcome.milliseconds;
    std::ranges::sort(times);
    fmt::print(
        R"({{"in_flight": {}, "per_second": {:.1f}, "p50_ms": {:.2f}, "p99_ms": {:.2f}, "count": {}, "failed": {}, "refused": {}, "wrong": {}}})"
        "\n",
        in_flight, static_cast<double>(times.size()) / outcome.seconds, quantile(times, 0.5), quantile(times, 0.99),
        times.size(), outcome.failed, outcome.refused, outcome.wrong);
    std::fflush(stdout);
    if (outcome.wrong > 0) return fail(Code::internal, "{} answers were wrong", outcome.wrong);
  }
  return {};
}

}  // namespace
}  // namespace witan::load

int main(int argc, char** argv) {
  witan::load::Options options;
  CLI::App app("load on a running committee", "witan_load");
  app.add_option("--dir", options.dir, "folder of the committee")->required();
  app.add_option("--key", options.key, "id of the key")->required();
  app.add_option("--type", options.type, "bool, u8, ...")->required();
  app.add_option("--value", options.value, "what the ciphertext holds")->required();
  app.add_option("--format", options.format, "of the ciphertext");
  app.add_option("--ciphertext", options.ciphertext, "file")->required();
  app.add_option("--in-flight", options.in_flight, "how many at once")->delimiter(',');
  app.add_option("--seconds", options.seconds, "counted, for each");
  app.add_option("--warm-up", options.warm_up, "seconds before, not counted");
  CLI11_PARSE(app, argc, argv);
  const auto done = witan::load::run(options);
  if (done) return 0;
  std::cerr << "error: " << done.error().message << "\n";
  return 1;
}
