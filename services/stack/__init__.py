"""The local stack: real Kafka and PostgreSQL, every service as a process of its own, and the supervisor above them."""
