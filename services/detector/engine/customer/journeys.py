"""Where a customer has roamed: a row per country, with its newest event. Compiled."""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.case_layout import (
    COUNTRIES_KEPT,
    COUNTRY_AT,
    COUNTRY_BITS,
    COUNTRY_KEY,
    COUNTRY_RANK,
    COUNTRY_UNSEEN,
    COUNTRY_ZONE,
    NEVER_SEEN,
)
from services.detector.engine.customer.cases import find_case, room_for, to_front
from services.detector.engine.customer.kernel import get64, is_older, local_day, set64, set_order
from services.detector.engine.customer.layout import (
    ABROAD,
    CASES,
    COUNTRY_CASE,
    FLAGS,
    NEXT,
    TYPE,
)
from services.detector.engine.log_format import scan, wire

LANDED = wire.SYMBOLS[wire.ROAMING]["state"].index("LANDED")
HOME_COUNTRY = scan.text_key("CN")
"""Landing here is coming home; Hong Kong, Macao and Taiwan have codes of their own and are roaming."""


@kernel
def take_journey(st: Any, s: Any, pool: Any, meta: Any, at: Any, high: Any, low: Any, key: Any, zone: Any,
                 code: Any) -> Any:  # fmt: skip
    """Keep a roaming event; return the row of its country, 0 when it is not the newest of all."""
    day = local_day(at)
    is_newest = not _has_newer(st, s, pool, at, high, low)
    row = find_case(st, s, pool, COUNTRY_CASE, COUNTRY_KEY, key)
    unseen = np.int64(NEVER_SEEN)
    if row == 0:
        row = room_for(st, s, pool, meta, COUNTRY_CASE, COUNTRY_AT, COUNTRY_RANK, COUNTRIES_KEPT, at, high, low)
        if row == 0:
            return row
        set64(pool, row, COUNTRY_KEY, key)
    elif is_older(pool, row, COUNTRY_AT, COUNTRY_RANK, at, high, low):
        return np.int64(0)
    else:
        unseen = max(day - local_day(get64(pool, row, COUNTRY_AT)), np.int64(0))
    set_order(pool, row, COUNTRY_AT, COUNTRY_RANK, at, high, low)
    to_front(st, s, pool, row)
    set64(pool, row, COUNTRY_ZONE, zone)
    pool[row, COUNTRY_BITS] = np.int32(code)
    pool[row, COUNTRY_UNSEEN] = np.int32(unseen)
    if not is_newest:
        return np.int64(0)
    st[s, FLAGS] &= ~ABROAD
    if code & 3 == LANDED and key != HOME_COUNTRY:
        st[s, FLAGS] |= ABROAD
    return row


@kernel
def _has_newer(st: Any, s: Any, pool: Any, at: Any, high: Any, low: Any) -> Any:
    """True when a kept roaming event is newer."""
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == COUNTRY_CASE and is_older(pool, row, COUNTRY_AT, COUNTRY_RANK, at, high, low):
            return True
        row = np.int64(pool[row, NEXT])
    return False
