"""Faults of bytes and records at the contract's border."""

from schemas.reasons import DecodeReason


class Undecodable(Exception):
    """One record that cannot be decoded: goes to the dead-letter topic, never retried.

    reason: a code of the closed list. detail: for people; holds no contents of the record.
    """

    def __init__(self, reason: DecodeReason, detail: str = "") -> None:
        """Keep reason and detail."""
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class UndecodableChunk(Exception):
    """Bodies that could not be read as columns: decode them one by one, which isolates the poison record."""

    def __init__(self, name: str, detail: str) -> None:
        """Keep the record name and what went wrong."""
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail


class Unencodable(ValueError):
    """A record that does not fit its schema: a mistake of the programmer; the process stops."""

    def __init__(self, name: str, detail: str) -> None:
        """Keep the record name and what went wrong."""
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail
