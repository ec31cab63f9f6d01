#include "transport/stream.h"

#include <grpcpp/impl/codegen/proto_utils.h>

namespace witan::transport {

PacketService::PacketService(Connect connect, Ping ping) : connect_(std::move(connect)), ping_(std::move(ping)) {
  using grpc::internal::RpcMethod;
  AddMethod(new grpc::internal::RpcServiceMethod(
      kConnectMethod, RpcMethod::BIDI_STREAMING,
      new grpc::internal::BidiStreamingHandler<PacketService, grpc::ByteBuffer, grpc::ByteBuffer>(
          [](PacketService* service, grpc::ServerContext* context, AcceptedStream::Call* call) {
            AcceptedStream stream(*context, *call);
            return service->connect_(*context, stream);
          },
          this)));
  AddMethod(new grpc::internal::RpcServiceMethod(
      kPingMethod, RpcMethod::NORMAL_RPC,
      new grpc::internal::RpcMethodHandler<PacketService, v1::PingRequest, v1::PingResponse,
                                           google::protobuf::MessageLite, google::protobuf::MessageLite>(
          [](PacketService* service, grpc::ServerContext* context, const v1::PingRequest* request,
             v1::PingResponse* response) { return service->ping_(*context, *request, *response); },
          this)));
}

}  // namespace witan::transport
