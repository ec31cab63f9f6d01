# Generated protobuf and gRPC code. Only transport and api see it.
