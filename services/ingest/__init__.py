"""Ingest: three doors (HTTP, gRPC, files), one path: map, validate, encode, publish, acknowledge."""
