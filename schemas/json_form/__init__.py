"""The JSON form of events: what the bytes say, whether a field is right, and the record of the Avro form. Pure."""
