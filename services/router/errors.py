"""What can go wrong in the router, one class per treatment."""


class RouterError(Exception):
    """Base of the router's own errors; never raised itself."""


class OwnershipLost(RouterError):
    """Another instance took a partition over: drop what was read of it, nothing was stored, and read no further."""

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(f"{topic} partition {partition} belongs to another instance now")
        self.topic = topic
        self.partition = partition


class RecordsRejected(RouterError):
    """PostgreSQL cannot hold or reckon with what a batch says; nothing of it was stored. Find and park the record."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database refuses a value: {reason}")
        self.reason = reason


class LogTooShort(RouterError):
    """A partition ends before the stored offset: topics and database do not belong together. The process stops."""

    def __init__(self, topic: str, partition: int, *, end: int, stored: int) -> None:
        super().__init__(f"{topic} partition {partition} ends at {end}, but records up to {stored} are stored")
        self.topic = topic
        self.partition = partition


class WorkbenchUnavailable(RouterError):
    """The workbench did not answer in time or drains. Retry with bounded back-off; what was sent may have arrived."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.call = call
        self.reason = reason


class WorkbenchRefused(RouterError):
    """The workbench refuses the call itself (token, role, arguments): retrying the same does not help."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.call = call
        self.reason = reason
