"""NS1: when a customer may be contacted, in the local time of where they are.

Owns the windows; that a contact is allowed otherwise is policy's business. A day whose kind is unknown counts as a rest
day, which opens later. Source: NS1 of the catalogue, docs/decisions/0061-quiet-hours.md.
"""

import datetime as dt
import functools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.router.calendar_cn import is_rest_day
from services.router.model import DAY_MS, HOME_ZONE, HOUR_MS, MINUTE_MS

JITTER_MS = HOUR_MS  # what was held is released over the first hour of a window
HORIZON_MS = 7 * DAY_MS
WORKDAY_OPEN = ((9 * 60, 12 * 60), (14 * 60, 20 * 60 + 30))  # minutes of the local day, half-open
REST_DAY_OPEN = ((10 * 60, 12 * 60), (14 * 60, 20 * 60 + 30))
URGENT_SMS_UNTIL = 21 * 60 + 30  # AN5 and AN11 may pass as SMS until then
_DAY_MINUTES = 24 * 60
_EPOCH = dt.date(1970, 1, 1)

Span = tuple[int, int]
RestDay = Callable[[int], bool | None]


@dataclass(frozen=True, slots=True)
class ContactHours:
    """What decides about one customer's windows. zone: the visited one abroad, else home. quiet_windows: their own."""

    zone: str = HOME_ZONE
    quiet_windows: tuple[str, ...] = ()
    urgent_sms: bool = False


def current_span(at_ms: int, hours: ContactHours, *, rest_day: RestDay = is_rest_day) -> Span | None:
    """The open window that contains this instant, or None when contact is closed."""
    return next((span for span in _spans_from(at_ms, hours, rest_day) if span[0] <= at_ms < span[1]), None)


def next_span(at_ms: int, hours: ContactHours, *, rest_day: RestDay = is_rest_day) -> Span | None:
    """The window that is open now or opens next within 7 days; None when there is none."""
    return next((span for span in _spans_from(at_ms, hours, rest_day) if span[1] > at_ms), None)


def contact_windows(
    at_ms: int, until_ms: int, hours: ContactHours, *, rest_day: RestDay = is_rest_day
) -> tuple[Span, ...]:
    """All windows from now until the moment ends, at most 7 days ahead; half-open, in order, not overlapping."""
    end = min(until_ms, at_ms + HORIZON_MS)
    spans = (span for span in _spans_from(at_ms, hours, rest_day) if span[1] > at_ms and span[0] < end)
    return tuple((opens, min(closes, end)) for opens, closes in spans)


def release_at_ms(
    at_ms: int, ready_since_ms: int, key: str, hours: ContactHours, *, rest_day: RestDay = is_rest_day
) -> int | None:
    """When a moment may go out: `at_ms` itself, or later; None when no window opens within 7 days.

    What was held over a closed time is spread over the first hour of the window, always the same for the same key;
    what became ready within the window goes at once.
    """
    span = next_span(at_ms, hours, rest_day=rest_day)
    if span is None:
        return None
    opens, closes = span
    if at_ms >= opens and ready_since_ms >= opens:
        return at_ms
    spread = min(JITTER_MS, closes - opens)
    return max(at_ms, opens + zlib.crc32(key.encode()) % spread)


def _spans_from(at_ms: int, hours: ContactHours, rest_day: RestDay) -> Iterator[Span]:
    """Windows of yesterday (zones differ) to a week ahead, in order."""
    day = at_ms // DAY_MS
    for number in range(day - 1, day + HORIZON_MS // DAY_MS + 2):
        known = rest_day(number)
        yield from _day_spans(number, hours, known is not False)


@functools.lru_cache(maxsize=8192)
def _day_spans(day: int, hours: ContactHours, is_rest: bool) -> tuple[Span, ...]:
    midnight_ms = _local_midnight_ms(day, hours.zone)
    if midnight_ms is None:
        return ()
    spans: tuple[Span, ...] = REST_DAY_OPEN if is_rest else WORKDAY_OPEN
    if hours.urgent_sms:
        spans = (*spans[:-1], (spans[-1][0], URGENT_SMS_UNTIL))
    for quiet in hours.quiet_windows:
        for closed in _closed_minutes(quiet):
            spans = tuple(part for span in spans for part in _without(span, closed))
    return tuple((midnight_ms + opens * MINUTE_MS, midnight_ms + closes * MINUTE_MS) for opens, closes in spans)


def _local_midnight_ms(day: int, zone: str) -> int | None:
    """Where the local day begins; None for a zone that nobody knows: then nothing is open."""
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return None
    midnight = dt.datetime.combine(_EPOCH + dt.timedelta(days=day), dt.time(), tzinfo=info)
    return round(midnight.timestamp() * 1000)


def _closed_minutes(window: str) -> tuple[Span, ...]:
    """`HH:MM-HH:MM` as minutes of the day, in two parts when it passes midnight; unreadable closes the whole day."""
    try:
        opens, closes = (int(part[:2]) * 60 + int(part[3:]) for part in window.split("-"))
    except ValueError:
        return ((0, _DAY_MINUTES),)
    if opens < closes:
        return ((opens, closes),)
    return ((opens, _DAY_MINUTES), (0, closes))


def _without(span: Span, closed: Span) -> tuple[Span, ...]:
    before, after = (span[0], min(span[1], closed[0])), (max(span[0], closed[1]), span[1])
    return tuple(part for part in (before, after) if part[0] < part[1])
