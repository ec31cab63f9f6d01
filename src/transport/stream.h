// Blocking streams of byte buffers over gRPC, of the dialling and of the accepting side. Blocking on purpose: with one
// connection and one pair of threads per stream, most of the work of a stream (TLS included) is done by its own threads, and
// the scheduler keeps bulk streams (nice 19) behind urgent ones. Not all of it: with gRPC's strategy "epoll1" any thread may
// serve any connection. With "poll" a thread waits for its own connection only, but each event wakes several threads, which
// costs a third of the decryptions per second (bench/transport and `./dev bench service` measure both, see GRPC_POLL_STRATEGY).
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/method_handler.h>
#include <grpcpp/support/sync_stream.h>

#include <functional>
#include <memory>

#include "witan_transport.pb.h"

namespace witan::transport {

class Stream {
 public:
  virtual ~Stream() = default;
  /// False: the stream has ended.
  virtual bool read(grpc::ByteBuffer& packet) = 0;
  virtual bool write(const grpc::ByteBuffer& packet) = 0;
  /// Any thread: what waits in read() and write() returns.
  virtual void cancel() = 0;
};

inline constexpr const char* kConnectMethod = "/witan.transport.v1.PeerService/Connect";
inline constexpr const char* kPingMethod = "/witan.transport.v1.PeerService/Ping";

class DialledStream final : public Stream {
 public:
  /// Blocks until the connection stands or has failed. `context` outlives the stream.
  DialledStream(grpc::Channel& channel, grpc::ClientContext& context)
      : context_(context),
        call_(grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
            &channel, grpc::internal::RpcMethod(kConnectMethod, grpc::internal::RpcMethod::BIDI_STREAMING), &context)) {
  }
  bool read(grpc::ByteBuffer& packet) override { return call_->Read(&packet); }
  bool write(const grpc::ByteBuffer& packet) override { return call_->Write(packet); }
  void cancel() override { context_.TryCancel(); }
  /// How the stream ended, once it has.
  grpc::Status finish() { return call_->Finish(); }

 private:
  grpc::ClientContext& context_;
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> call_;
};

class AcceptedStream final : public Stream {
 public:
  using Call = grpc::ServerReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
  AcceptedStream(grpc::ServerContext& context, Call& call) : context_(context), call_(call) {}
  bool read(grpc::ByteBuffer& packet) override { return call_.Read(&packet); }
  bool write(const grpc::ByteBuffer& packet) override { return call_.Write(packet); }
  void cancel() override { context_.TryCancel(); }

 private:
  grpc::ServerContext& context_;
  Call& call_;
};

/// The service with packets as bytes. The generated one would parse and copy each of them.
class PacketService final : public grpc::Service {
 public:
  using Connect = std::function<grpc::Status(grpc::ServerContext&, AcceptedStream&)>;
  using Ping = std::function<grpc::Status(grpc::ServerContext&, const v1::PingRequest&, v1::PingResponse&)>;

  PacketService(Connect connect, Ping ping);

 private:
  Connect connect_;
  Ping ping_;
};

}  // namespace witan::transport
