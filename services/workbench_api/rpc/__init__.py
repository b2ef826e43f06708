"""The gRPC face of the workbench; the only place in it that imports grpc."""
