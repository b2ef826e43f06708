"""Records of the event log: unpacked, decoded to one table, or told apart as poison."""
