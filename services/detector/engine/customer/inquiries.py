"""What a customer asked: a row per inquiry, with its newest state. Compiled."""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import inlined, kernel
from services.detector.engine.customer.case_layout import (
    INQUIRIES_KEPT,
    INQUIRY_AREA,
    INQUIRY_AT,
    INQUIRY_BITS,
    INQUIRY_ID,
    INQUIRY_OPENED,
    INQUIRY_RANK,
    IS_PAST,
    NEVER_SEEN,
)
from services.detector.engine.customer.cases import find_case, room_for, to_front
from services.detector.engine.customer.kernel import HOUR_MS, TZ_MS, get64, is_older, local_day, set64, set_order
from services.detector.engine.customer.layout import (
    CASES,
    INQUIRY_CASE,
    NEXT,
    TYPE,
)
from services.detector.engine.log_format import wire

OPENED = wire.SYMBOLS[wire.INQUIRY]["state"].index("OPENED")


@inlined
def topic_of(code: Any) -> Any:
    """Return the topic of an inquiry's code; 0 = unknown."""
    return code & 7


@inlined
def inquiry_state(code: Any) -> Any:
    """Return the state of an inquiry's code."""
    return (code >> 8) & 3


@kernel
def take_inquiry(st: Any, s: Any, pool: Any, meta: Any, at: Any, high: Any, low: Any, key: Any, area: Any, code: Any,
                 history: bool) -> Any:  # fmt: skip
    """Keep an event of an inquiry; return its row, 0 when a newer one is known or it is older than all kept."""
    row = find_case(st, s, pool, INQUIRY_CASE, INQUIRY_ID, key)
    if row == 0:
        row = room_for(st, s, pool, meta, INQUIRY_CASE, INQUIRY_AT, INQUIRY_RANK, INQUIRIES_KEPT, at, high, low)
        if row == 0:
            return row
        set64(pool, row, INQUIRY_ID, key)
        set64(pool, row, INQUIRY_OPENED, at)
        set64(pool, row, INQUIRY_AT, np.int64(0))
        pool[row, INQUIRY_BITS] = IS_PAST
    past = pool[row, INQUIRY_BITS] & IS_PAST if history else np.int32(0)
    pool[row, INQUIRY_BITS] = np.int32((pool[row, INQUIRY_BITS] & ~IS_PAST) | past)
    if at < get64(pool, row, INQUIRY_OPENED):
        set64(pool, row, INQUIRY_OPENED, at)
    if is_older(pool, row, INQUIRY_AT, INQUIRY_RANK, at, high, low):
        return np.int64(0)
    set_order(pool, row, INQUIRY_AT, INQUIRY_RANK, at, high, low)
    to_front(st, s, pool, row)
    pool[row, INQUIRY_BITS] = np.int32(code | past)
    set64(pool, row, INQUIRY_AREA, area)
    return row


# --- what rules ask of inquiries -----------------------------------------------------------------------------------


@kernel
def open_on_topic(st: Any, s: Any, pool: Any, of: Any, at: Any, days: Any, hours: Any) -> Any:
    """Return how many inquiries on the topic of inquiry `of` are open and were opened within so many local days, or
    hours where they are not 0: those that end at an instant, or at the opening of a later one that reach back to it;
    the most of them. So it is no matter which of two became known first."""
    topic = topic_of(pool[of, INQUIRY_BITS])
    if of == 0 or topic == 0:
        return 0
    most = _opened_until(st, s, pool, topic, at, days, hours)
    row = np.int64(st[s, CASES])
    while row != 0:
        opened = get64(pool, row, INQUIRY_OPENED)
        if _is_open(pool, row, topic) and opened > at > _window(opened, days, hours):
            most = max(most, _opened_until(st, s, pool, topic, opened, days, hours))
        row = np.int64(pool[row, NEXT])
    return most


@kernel
def _opened_until(st: Any, s: Any, pool: Any, topic: Any, last: Any, days: Any, hours: Any) -> Any:
    count = 0
    row = np.int64(st[s, CASES])
    while row != 0:
        is_within = _window(last, days, hours) < get64(pool, row, INQUIRY_OPENED) <= last
        if is_within and _is_open(pool, row, topic):
            count += 1
        row = np.int64(pool[row, NEXT])
    return count


@kernel
def _is_open(pool: Any, row: Any, topic: Any) -> Any:
    bits = pool[row, INQUIRY_BITS]
    return pool[row, TYPE] == INQUIRY_CASE and topic_of(bits) == topic and inquiry_state(bits) == OPENED


@kernel
def _window(last: Any, days: Any, hours: Any) -> Any:
    """Return the instant after which a window begins that ends at `last`."""
    if hours != 0:
        return last - hours * HOUR_MS
    return (local_day(last) - days) * 24 * HOUR_MS - TZ_MS - 1


@kernel
def first_asked(st: Any, s: Any, pool: Any, topic: Any, day: Any) -> Any:
    """Return when the first live inquiry on a topic was opened on a local day; 0 when there was none."""
    found = np.int64(0)
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == INQUIRY_CASE and topic_of(pool[row, INQUIRY_BITS]) == topic:
            opened = get64(pool, row, INQUIRY_OPENED)
            if pool[row, INQUIRY_BITS] & IS_PAST == 0 and local_day(opened) == day and (found == 0 or opened < found):
                found = opened
        row = np.int64(pool[row, NEXT])
    return found


@kernel
def days_unasked(st: Any, s: Any, pool: Any, topic: Any, day: Any) -> Any:
    """Return the local days since an inquiry on a topic was last opened before a day; NEVER_SEEN when none is kept."""
    newest = np.int64(0)
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == INQUIRY_CASE and topic_of(pool[row, INQUIRY_BITS]) == topic:
            opened = local_day(get64(pool, row, INQUIRY_OPENED))
            if newest < opened < day:
                newest = opened
        row = np.int64(pool[row, NEXT])
    return day - newest if newest != 0 else np.int64(NEVER_SEEN)
