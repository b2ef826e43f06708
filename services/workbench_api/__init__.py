"""The workbench: owns a task from its dispatch to its end, and hands it to people over gRPC."""
