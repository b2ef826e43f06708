"""Bills of the last cycles, and what orders say about plan and contract. Compiled; knows no rule.

`cycle` is months since 2000. Of several bills for one cycle the later counts: for the newest cycle by (occurred_at,
source, event_id), for an earlier one by the minute.
"""

from typing import Any

import numpy as np

from schemas.limits import CYCLE_AHEAD_MONTHS
from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.kernel import (
    MINUTE_MS,
    first_day_of,
    get64,
    is_older,
    line_status,
    local_day,
    month_of,
    set_order,
)
from services.detector.engine.customer.layout import (
    ABROAD,
    BILL_AT,
    BILL_CYCLE,
    BILL_CYCLES,
    BILL_KINDS,
    BILL_PLAN_FEE,
    BILL_RANK,
    BILLS,
    EXPLAINED_DAY,
    FIRST_DAY,
    FLAGS,
    INT32_MAX,
    MONTH_CHARGE,
    NEWEST_MONTH,
    PLAN_BEFORE,
    PLAN_DAY,
    RENEWED,
)

BILL_TOTAL, BILL_OUT_OF_BUNDLE, BILL_MAKE_UP = range(3)
_MINUTE = 3
PLANNED_DAYS = 400
"""How long before it begins a plan may be ordered; beyond, the day is an error, and would be the newest for ever."""
JUDGED_MONTHS = 2
"""A bill is judged when its cycle is at most so many months before the month of its bill run."""
_SUBSCRIBE, _CHANGE, _RENEW = 1, 3, 4
_VOICE_PLAN = 1
_ACTIVE = 1
LONG_AGO_DAYS = 100_000


@kernel
def take_bill(st: Any, s: Any, at: Any, high: Any, low: Any, cycle: Any, total: Any, plan_fee: Any,
              out_of_bundle: Any, make_up: Any) -> Any:  # fmt: skip
    """Keep a bill; True when it is to be judged: it counts for the newest cycle, and is not about long ago."""
    newest = np.int64(st[s, BILL_CYCLE])
    age = month_of(local_day(at)) - cycle
    if cycle <= newest - BILL_CYCLES or cycle < 1 or age < -CYCLE_AHEAD_MONTHS:
        return False
    word = BILLS + cycle % BILL_CYCLES * BILL_KINDS
    if cycle < newest:
        if at // MINUTE_MS >= st[s, word + _MINUTE]:
            _set_bill(st, s, word, at, total, out_of_bundle, make_up)
        return False
    if cycle == newest and is_older(st, s, BILL_AT, BILL_RANK, at, high, low):
        return False
    for passed in range(max(newest + 1, cycle - BILL_CYCLES + 1), cycle):
        _set_bill(st, s, BILLS + passed % BILL_CYCLES * BILL_KINDS, np.int64(0), np.int64(0), np.int64(0), np.int64(0))
    st[s, BILL_CYCLE] = cycle
    set_order(st, s, BILL_AT, BILL_RANK, at, high, low)
    st[s, BILL_PLAN_FEE] = _bounded(plan_fee)
    _set_bill(st, s, word, at, total, out_of_bundle, make_up)
    return 0 <= age <= JUDGED_MONTHS


@kernel
def _set_bill(st: Any, s: Any, word: Any, at: Any, total: Any, out_of_bundle: Any, make_up: Any) -> None:
    st[s, word + BILL_TOTAL] = _bounded(total)
    st[s, word + BILL_OUT_OF_BUNDLE] = _bounded(out_of_bundle)
    st[s, word + BILL_MAKE_UP] = _bounded(make_up)
    st[s, word + _MINUTE] = np.int32(at // MINUTE_MS)


@kernel
def _bounded(fen: Any) -> Any:
    return np.int32(min(max(fen, -np.int64(INT32_MAX)), np.int64(INT32_MAX)))


@kernel
def bill_sum(st: Any, s: Any, what: Any, first: Any, last: Any) -> Any:
    """Return the sum over the known bills of the cycles first..last, both included."""
    newest = np.int64(st[s, BILL_CYCLE])
    total = np.int64(0)
    for cycle in range(max(first, newest - BILL_CYCLES + 1, np.int64(1)), min(last, newest) + 1):
        total += st[s, BILLS + cycle % BILL_CYCLES * BILL_KINDS + what]
    return total


@kernel
def bills_known(st: Any, s: Any, first: Any, last: Any) -> Any:
    """Return for how many of the cycles first..last, both included, a bill is known."""
    newest = np.int64(st[s, BILL_CYCLE])
    count = 0
    for cycle in range(max(first, newest - BILL_CYCLES + 1, np.int64(1)), min(last, newest) + 1):
        if st[s, BILLS + cycle % BILL_CYCLES * BILL_KINDS + _MINUTE] != 0:
            count += 1
    return count


@kernel
def take_order_days(st: Any, s: Any, at: Any, code: Any, effective_on: Any) -> None:
    """Note what an order says about plan and contract. effective_on: local day, 0 = not told."""
    action, category, is_addon = code & 7, (code >> 3) & 31, (code >> 8) & 1
    if is_addon:
        return
    if action == _RENEW:
        st[s, RENEWED] = max(np.int64(st[s, RENEWED]), np.int64(at // MINUTE_MS))
    is_plan = action == _SUBSCRIBE or action == _CHANGE  # no tuples in kernels
    if category == _VOICE_PLAN and is_plan:
        day = effective_on if effective_on > 0 else local_day(at)
        if day <= local_day(at) + PLANNED_DAYS:
            _note_plan(st, s, day)


@kernel
def _note_plan(st: Any, s: Any, day: Any) -> None:
    """Keep the two latest local days from which a plan holds."""
    newest = np.int64(st[s, PLAN_DAY])
    if day > newest:
        st[s, PLAN_DAY], st[s, PLAN_BEFORE] = day, newest
    elif day < newest:
        st[s, PLAN_BEFORE] = max(np.int64(st[s, PLAN_BEFORE]), day)


@kernel
def days_since_change(st: Any, s: Any, day: Any) -> Any:
    """Return the local days since the newest plan change, suspension or travel; LONG_AGO_DAYS when there was none."""
    if line_status(st, s) > _ACTIVE or st[s, FLAGS] & ABROAD:
        return np.int64(0)
    plan = np.int64(st[s, PLAN_DAY])
    if plan > day:  # it has not begun
        plan = np.int64(st[s, PLAN_BEFORE]) if st[s, PLAN_BEFORE] <= day else np.int64(0)
    newest = max(plan, np.int64(st[s, EXPLAINED_DAY]))
    return day - newest if newest != 0 else np.int64(LONG_AGO_DAYS)


@kernel
def used_in_month(st: Any, s: Any, word: Any, day: Any) -> Any:
    """Return what one word says about the local month of `day`: 0 when that is not the newest month of usage."""
    return np.int64(st[s, word]) if month_of(day) == st[s, NEWEST_MONTH] else np.int64(0)


@kernel
def accrued(st: Any, s: Any, day: Any) -> Any:
    """Return the charge of the local month of `day`, fen."""
    return used_in_month(st, s, MONTH_CHARGE, day)


@kernel
def observed_months(st: Any, s: Any, day: Any) -> Any:
    """Return how many whole local months before that of `day` were observed."""
    first = np.int64(st[s, FIRST_DAY])
    if first == 0:
        return np.int64(0)
    month = month_of(first)
    if first != first_day_of(month):
        month += 1
    return max(month_of(day) - month, np.int64(0))


@kernel
def bill_age_days(st: Any, s: Any, day: Any) -> Any:
    """Return the local days since the newest bill; LONG_AGO_DAYS when there is none."""
    if st[s, BILL_CYCLE] == 0:
        return np.int64(LONG_AGO_DAYS)
    return day - local_day(get64(st, s, BILL_AT))


@kernel
def years_since_joining(st: Any, s: Any, day: Any, joined: Any) -> Any:
    """Return how many years ago a day was when its anniversary is kept on `day`, else 0; 29 February on the 28th."""
    if joined <= 0 or joined >= day:
        return np.int64(0)
    month, began = month_of(day), month_of(joined)
    if (month - began) % 12 != 0:
        return np.int64(0)
    wanted = joined - first_day_of(began)
    last = first_day_of(month + 1) - first_day_of(month) - 1
    return (month - began) // 12 if day - first_day_of(month) == min(wanted, last) else np.int64(0)
