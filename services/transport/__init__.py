"""Kafka, PostgreSQL and gRPC plumbing that knows no business word."""
