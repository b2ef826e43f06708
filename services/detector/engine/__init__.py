"""The engine: columns of events in, moments out; pure and synchronous, all state a function of the log."""
