"""The detector: event log in, moments out; its state is a pure function of the log."""
