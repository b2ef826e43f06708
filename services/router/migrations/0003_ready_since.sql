-- While a moment is handed out: since when it had waited for a person, should it come back.
ALTER TABLE moments ADD COLUMN ready_since bigint;
