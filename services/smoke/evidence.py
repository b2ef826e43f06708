"""All that the checks look at, in plain values: what was sent, what the topics hold, what the tables say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Identity = tuple[str, str]
"""Source and event_id."""


@dataclass(frozen=True, kw_only=True)
class LoggedEvent:
    """An event as it stands on a topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    subject: str
    record: Mapping[str, Any]

    @property
    def identity(self) -> Identity:
        """Source and event_id."""
        return str(self.record["source"]), str(self.record["event_id"])


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A record on a dead-letter topic."""

    service: str
    reason: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class MomentRow:
    """A moment's row in the router's tables."""

    moment_id: str
    rule_id: str
    row_state: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message that the router sent by itself; business clock."""

    moment_id: str
    customer_id: int
    queued_at_ms: int


@dataclass(frozen=True, kw_only=True)
class ManagerLimit:
    """What a manager may hold."""

    manager_id: str
    capacity_units: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An event that a door refused, and the reason that was to be expected; None = refused against expectation."""

    identity: Identity
    door: str
    reasons: tuple[str, ...]
    expected: str | None


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A row of the truth file."""

    customer_id: int
    rule_id: str
    nominal_date: str
    why: str = ""
    final_state: str | None = None
    final_priority: int | None = None

    @property
    def key(self) -> tuple[int, str, str]:
        """What moments are compared by."""
        return self.customer_id, self.rule_id, self.nominal_date


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything. Instants are business UTC milliseconds unless a name says real; lists are in no particular order."""

    accepted: frozenset[Identity] = frozenset()
    refused: Sequence[Refused] = ()
    # Identities that had to be refused, whether or not a door answered about them one by one.
    must_be_refused: frozenset[Identity] = frozenset()
    events: Sequence[LoggedEvent] = ()
    moments: Sequence[Mapping[str, Any]] = ()
    task_events: Sequence[Mapping[str, Any]] = ()
    dead_letters: Sequence[DeadLetter] = ()
    poison: Sequence[bytes] = ()
    truth: Sequence[Expected] = ()
    # Rules of which the truth has every moment; it says nothing about others.
    covers: frozenset[str] = frozenset()
    # What `kairos rules backtest` found over the same log, and why it found nothing.
    backtested: Sequence[Mapping[str, Any]] = ()
    backtest_fault: str = ""
    # Clock of the log up to which all that was found live has been seen.
    seen_until_ms: int = 2**62
    moment_rows: Sequence[MomentRow] = ()
    messages: Sequence[Message] = ()
    managers: Sequence[ManagerLimit] = ()
    completed: frozenset[str] = frozenset()
    quiet_windows: Mapping[int, Sequence[str]] = field(default_factory=dict)
    logs: Sequence[Path] = ()
    # Texts that no log may contain, such as phone numbers, tokens and customer ids.
    private_texts: frozenset[str] = frozenset()
    # Source → events accepted, of the files that were replayed through mapping files.
    replayed: Mapping[str, int] = field(default_factory=dict)
    # Seconds that may pass until a suspension is known everywhere.
    grace_seconds: float = 10.0
