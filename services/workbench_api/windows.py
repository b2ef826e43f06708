"""Contact windows and local half-days: when a customer may be contacted. Pure; all instants UTC milliseconds.

The router computes the windows; here they are only kept. No window means no contact.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

LOCAL: Final = ZoneInfo("Asia/Shanghai")
NEVER_MS: Final = 2**53  # later than any instant in use, and exact in every client
_NOON_HOUR: Final = 12


class Window(NamedTuple):
    """A span in which contact is allowed, half-open."""

    opens_at_ms: int
    closes_at_ms: int


def is_open(windows: Sequence[Window], now_ms: int) -> bool:
    """True when contact is allowed at this instant."""
    return any(window.opens_at_ms <= now_ms < window.closes_at_ms for window in windows)


def next_open_ms(windows: Sequence[Window], from_ms: int) -> int:
    """The first instant from `from_ms` on at which contact is allowed; NEVER_MS when none is left."""
    starts = [max(window.opens_at_ms, from_ms) for window in windows if window.closes_at_ms > from_ms]
    return min(starts, default=NEVER_MS)


def local_date(now_ms: int) -> date:
    """The customers' local date."""
    return datetime.fromtimestamp(now_ms / 1000, LOCAL).date()


def next_half_day_ms(now_ms: int) -> int:
    """Start of the local half-day after the one that contains `now_ms`: noon or midnight."""
    local = datetime.fromtimestamp(now_ms / 1000, LOCAL)
    if local.hour < _NOON_HOUR:
        return int(local.replace(hour=_NOON_HOUR, minute=0, second=0, microsecond=0).timestamp() * 1000)
    midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), LOCAL)
    return int(midnight.timestamp() * 1000)
