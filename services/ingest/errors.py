"""What stops a whole request or file, one class per treatment. Faults of single events are values (faults.py)."""

from schemas.reasons import Reason


class IngestError(Exception):
    """Base of the errors of this service; never raised itself."""


class RequestRefused(IngestError):
    """The request as a whole cannot be taken; the client must change it. Not retried. Doors map reason to a status."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Overloaded(IngestError):
    """More is in flight than allowed. The client waits and sends the same again."""

    def __init__(self, retry_seconds: float) -> None:
        super().__init__(f"too much in flight; retry in {retry_seconds:g} s")
        self.retry_seconds = retry_seconds


class BrokersUnavailable(IngestError):
    """The brokers did not acknowledge in time. Nothing is promised; the client sends the same again."""


class Draining(IngestError):
    """The process is stopping and takes nothing new. The client sends the same again, to another instance."""


class MappingFault(IngestError):
    """A mapping file has faults, each a sentence with the key it is about. Not retried: the file must be changed."""

    def __init__(self, path: str, faults: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {fault}" for fault in faults))
        self.path = path
        self.faults = faults


class FileRefused(IngestError):
    """The file cannot be read at all, or its checkpoint belongs to other contents. Not retried."""
