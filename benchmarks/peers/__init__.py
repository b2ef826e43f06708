"""Other engines on the workload "rings"; see docs/decisions/0083-peers-in-the-benchmark.md."""
