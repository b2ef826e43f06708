"""Bytes of the event log ⇄ columns: record batches, Avro bodies, dead letters. Compiled; knows no rule."""
