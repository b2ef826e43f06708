"""When the events of a story happen inside a session: a few seconds apart in the minutes before it."""

from services.simulator import local_time
from services.simulator.span import Span

BEFORE_SESSION_MS = 4 * local_time.MINUTE_MS
BEAT_MS = 5 * local_time.SECOND_MS


def beat(span: Span, day: int, number: int = 0, part: str = "am") -> int:
    """The instant of the n-th thing that happens to somebody in a session."""
    assert 0 <= number < 40
    return span.at(day, part) - BEFORE_SESSION_MS + number * BEAT_MS
