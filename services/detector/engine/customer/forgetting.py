"""What is forgotten at the daily sweep: rows that no rule can ask for any more. Compiled; knows no rule."""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.case_layout import (
    COMPLAINT_DAYS,
    COUNTRY_AT,
    COUNTRY_DAYS,
    EPISODE_DAYS,
    INQUIRY_AT,
    INQUIRY_DAYS,
    NAMED_DAY,
    ORDER_AT,
    ORDER_DAYS,
)
from services.detector.engine.customer.cases import drop_case, find_case
from services.detector.engine.customer.episodes import HELD_WEEKS, week_of
from services.detector.engine.customer.kernel import get64, local_day
from services.detector.engine.customer.layout import (
    CASES,
    COMPLAINT,
    COMPLAINT_AT,
    COMPLAINT_ID,
    COUNTRY_CASE,
    DISARMED,
    EPISODE,
    EPISODE_BITS,
    EPISODE_COOL_DAY,
    EPISODE_DAY,
    EPISODE_EXPIRES,
    EPISODE_KEY,
    HELD,
    HELD_WEEK,
    INQUIRY_CASE,
    NAMED_CASE,
    NEXT,
    OPEN,
    ORDER_CASE,
    TYPE,
)

FORGETS = 1 << 62
"""Bit of sweep masks: rows are forgotten, beside the slots of rules below it."""
FORGET_MINUTE = 5
"""Minute of the local day at which rows are forgotten, before the rules of that minute are judged."""


@kernel
def forget_rows(st: Any, s: Any, pool: Any, meta: Any, day: Any, at: Any) -> None:
    """Drop the rows of a customer that are too old at the nominal instant `at` of a local day."""
    row = np.int64(st[s, CASES])
    while row != 0:
        following = np.int64(pool[row, NEXT])
        type_ = pool[row, TYPE]
        if type_ == EPISODE:
            is_old = _is_over(st, s, pool, row, day, at)
        elif type_ == ORDER_CASE:
            is_old = _is_before(pool, row, ORDER_AT, day - ORDER_DAYS)
        elif type_ == INQUIRY_CASE:
            is_old = _is_before(pool, row, INQUIRY_AT, day - INQUIRY_DAYS)
        elif type_ == COUNTRY_CASE:
            is_old = _is_before(pool, row, COUNTRY_AT, day - COUNTRY_DAYS)
        elif type_ == COMPLAINT:
            is_old = _is_before(pool, row, COMPLAINT_AT, day - COMPLAINT_DAYS)
        elif type_ == NAMED_CASE:
            is_old = pool[row, NAMED_DAY] < day - ORDER_DAYS
        elif type_ == HELD:
            is_old = pool[row, HELD_WEEK] <= week_of(day) - HELD_WEEKS
        else:
            is_old = False
        if is_old:
            drop_case(st, s, pool, meta, row)
        row = following


@kernel
def _is_before(pool: Any, row: Any, at_word: Any, day: Any) -> Any:
    return local_day(get64(pool, row, at_word)) < day


@kernel
def _is_over(st: Any, s: Any, pool: Any, row: Any, day: Any, at: Any) -> Any:
    """True when nothing that can still come would look at this episode's row."""
    bits = pool[row, EPISODE_BITS]
    if bits & DISARMED or (bits & OPEN and at < get64(pool, row, EPISODE_EXPIRES)):
        return False
    if pool[row, EPISODE_COOL_DAY] > day or pool[row, EPISODE_DAY] >= day - EPISODE_DAYS:
        return False
    return find_case(st, s, pool, COMPLAINT, COMPLAINT_ID, get64(pool, row, EPISODE_KEY)) == 0
