"""Presence of a manager: what they say, and what the server concludes from missed offers and silence. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Presence(StrEnum):
    """Names as in the RPC contract, without the prefix PRESENCE_."""

    AVAILABLE = "AVAILABLE"
    BREAK = "BREAK"
    OFFLINE = "OFFLINE"
    NOT_RESPONDING = "NOT_RESPONDING"


@dataclass(frozen=True, kw_only=True)
class PresencePolicy:
    """After how many missed offers in a row, or how much silence, somebody who said they were there counts as away."""

    missed_offers_max: int = 2
    silence_ms: int = 60_000

    def __post_init__(self) -> None:
        if self.missed_offers_max < 1 or self.silence_ms <= 0:
            raise ValueError("missed_offers_max wants 1 or more, silence_ms more than 0")


@dataclass(frozen=True)
class Attendance:
    """What is kept of a manager: presence and offers missed in a row."""

    presence: Presence
    missed_offers: int = 0


def after_missed(attendance: Attendance, missed: int, *, policy: PresencePolicy) -> Attendance:
    """After `missed` more offers ran out; only somebody AVAILABLE stops responding."""
    count = attendance.missed_offers + missed
    if attendance.presence is Presence.AVAILABLE and count >= policy.missed_offers_max:
        return Attendance(Presence.NOT_RESPONDING, count)
    return Attendance(attendance.presence, count)


def after_act(attendance: Attendance) -> Attendance:
    """After the person did something: accepted, completed or declined."""
    if attendance.presence is Presence.NOT_RESPONDING:
        return Attendance(Presence.AVAILABLE)
    return Attendance(attendance.presence)


def is_silent(presence: Presence, last_seen_at_ms: int, now_ms: int, *, policy: PresencePolicy) -> bool:
    """True when somebody AVAILABLE has not been heard of for too long (real clock)."""
    return presence is Presence.AVAILABLE and now_ms - last_seen_at_ms >= policy.silence_ms
