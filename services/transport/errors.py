"""Errors of the plumbing, one class per treatment. Foreign errors are mapped to these in the adapters, nowhere else."""


class TransportError(Exception):
    """Base of what can go wrong between this process and a server; never raised itself."""


class TransportUnavailable(TransportError):
    """The server cannot be reached or did not answer in time. Retry with back-off; nothing is promised of the call."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"{target} is unavailable: {reason}")
        self.target = target
        self.reason = reason


class RecordTooLarge(TransportError):
    """A record exceeds what the brokers take. Never retried: the caller must make it smaller or refuse it."""

    def __init__(self, topic: str, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"a record of {size_bytes} bytes for {topic} is over the limit of {limit_bytes} bytes")
        self.topic = topic
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class UnknownTopic(TransportError):
    """The brokers know no such topic or partition. Not retried: the topics must be created first (`kairos topics`)."""

    def __init__(self, topic: str, partition: int | None = None) -> None:
        where = topic if partition is None else f"{topic} partition {partition}"
        super().__init__(f"unknown to the brokers: {where}")
        self.topic = topic
        self.partition = partition
