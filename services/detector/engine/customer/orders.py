"""Service orders of a customer, and what is active of the eight service categories. Compiled.

A row per order event, bounded; per category the memory says whether it is active and when it last was. Rules about
first times ask how long a category was inactive before an order, which is noted in the order's row when it comes.
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import inlined, kernel
from services.detector.engine.customer.case_layout import (
    IS_PAST,
    NAMED_AHEAD_DAYS,
    NAMED_CATEGORY,
    NAMED_DAY,
    NAMED_NOTE,
    NEVER_SEEN,
    ORDER_AT,
    ORDER_BITS,
    ORDER_EVENT,
    ORDER_KEY,
    ORDER_RANK,
    ORDER_UNSEEN,
    ORDER_WAIT,
    ORDERS_KEPT,
)
from services.detector.engine.customer.cases import find_case, new_case, room_for
from services.detector.engine.customer.kernel import DAY0, get64, is_older, local_day, set64, set_order
from services.detector.engine.customer.layout import (
    CASES,
    CATEGORIES,
    CATEGORIES_KEPT,
    JOINED,
    NAMED_CASE,
    NEXT,
    ORDER_CASE,
    TYPE,
)
from services.detector.engine.log_format import wire

_ACTIONS = wire.SYMBOLS[wire.ORDER]["action"]
_CATEGORIES = wire.SYMBOLS[wire.ORDER]["category"]
SUBSCRIBE, CANCEL, CHANGE, RENEW = (_ACTIONS.index(word) for word in ("SUBSCRIBE", "CANCEL", "CHANGE", "RENEW"))
ADDON, CORE = 1 << 8, 1 << 10
"""Bits of an order's code; see wire.PLACES."""
_VOICE_PLAN = _CATEGORIES.index("VOICE_PLAN")
_ACTIVE = 1 << 15
_DAY_MAX = _ACTIVE - 1

assert len(_CATEGORIES) == CATEGORIES_KEPT + 1  # UNKNOWN has no memory


@inlined
def action_of(code: Any) -> Any:
    """Return the action of an order's code."""
    return code & 7


@inlined
def category_of(code: Any) -> Any:
    """Return the category of an order's code; 0 = unknown."""
    return (code >> 3) & 15


@inlined
def is_plan_order(code: Any) -> Any:
    """True for the order of a plan, or of another plan."""
    is_plan = category_of(code) == _VOICE_PLAN and code & ADDON == 0
    return is_plan and (action_of(code) == SUBSCRIBE or action_of(code) == CHANGE)  # no tuples in kernels


# --- categories ----------------------------------------------------------------------------------------------------


@kernel
def category_note(st: Any, s: Any, category: Any) -> Any:
    """Return what is noted of a category: ACTIVE bit, and the last day plus one since 2000; 0 = nothing."""
    if category < 1 or category > CATEGORIES_KEPT:
        return np.int64(0)
    word = CATEGORIES + (category - 1) // 2
    return (np.int64(st[s, word]) >> ((category - 1) % 2 * 16)) & 0xFFFF


@kernel
def note_category(st: Any, s: Any, category: Any, active: bool, day: Any) -> None:
    """Note a category as active or not from a day on, unless a later day is noted already."""
    if category < 1 or category > CATEGORIES_KEPT:
        return
    note = _noted(category_note(st, s, category), active, day)
    word = CATEGORIES + (category - 1) // 2
    shift = (category - 1) % 2 * 16
    kept = np.int64(st[s, word]) & (0xFFFF << (16 - shift))
    st[s, word] = np.int32(kept | note << shift)


@kernel
def _noted(note: Any, active: bool, day: Any) -> Any:
    """Return the note of a category that is active or not from a day on: the same when a later day is noted."""
    if day < noted_day(note):
        return np.int64(note)
    return np.int64(min(np.int64(day) - DAY0 + 1, np.int64(_DAY_MAX)) + (_ACTIVE if active else 0))


@inlined
def noted_day(note: Any) -> Any:
    """Return the local day of a note; 0 = none."""
    return (note & _DAY_MAX) + DAY0 - 1 if note != 0 else np.int64(0)


@inlined
def is_active(note: Any) -> Any:
    """True when the note says that the category is active."""
    return note & _ACTIVE != 0


@kernel
def take_categories(st: Any, s: Any, pool: Any, meta: Any, before: Any, after: Any, day: Any, is_first: bool) -> None:
    """Note what a newer customer record names (bits of categories), against what the record before named.

    What it newly names is kept for the order that says so as well and comes later. The first record of a customer tells
    no news, unless they have just joined.
    """
    if before | after == 0:
        return
    is_no_news = is_first and (st[s, JOINED] == 0 or abs(day - st[s, JOINED]) > NAMED_AHEAD_DAYS)
    for category in range(1, CATEGORIES_KEPT + 1):
        bit = 1 << (category - 1)
        if after & bit:
            note = category_note(st, s, category)
            note_category(st, s, category, True, day)
            is_new = before & bit == 0 and not is_active(note) and not is_no_news
            if is_new and is_active(category_note(st, s, category)):
                _keep_named(st, s, pool, meta, category, day, note)
        elif before & bit:
            note_category(st, s, category, False, day)


@kernel
def _named(st: Any, s: Any, pool: Any, category: Any) -> Any:
    """Return the row of a category that a customer record newly named; 0 when there is none."""
    row = np.int64(st[s, CASES])
    while row != 0 and (pool[row, TYPE] != NAMED_CASE or pool[row, NAMED_CATEGORY] != category):
        row = np.int64(pool[row, NEXT])
    return row


@kernel
def _keep_named(st: Any, s: Any, pool: Any, meta: Any, category: Any, day: Any, note: Any) -> None:
    """Keep that a customer record newly named a category on a day, and what was noted of it before."""
    row = _named(st, s, pool, category)
    if row == 0:
        row = np.int64(new_case(st, s, pool, meta, NAMED_CASE))
    pool[row, NAMED_CATEGORY] = np.int32(category)
    pool[row, NAMED_DAY] = np.int32(day)
    pool[row, NAMED_NOTE] = np.int32(note)


# --- orders --------------------------------------------------------------------------------------------------------


@kernel
def take_order(st: Any, s: Any, pool: Any, meta: Any, at: Any, high: Any, low: Any, key: Any, ident: Any, code: Any,
               history: bool) -> Any:  # fmt: skip
    """Keep an order and what it says of its category; return its row, 0 when it is known or older than all kept."""
    category, day = category_of(code), local_day(at)
    if find_case(st, s, pool, ORDER_CASE, ORDER_EVENT, ident) != 0:
        return np.int64(0)
    is_newest = not _has_newer(st, s, pool, category, at, high, low)
    row = room_for(st, s, pool, meta, ORDER_CASE, ORDER_AT, ORDER_RANK, ORDERS_KEPT, at, high, low)
    if row == 0:
        return row
    named = _named(st, s, pool, category)
    if named != 0 and day > pool[named, NAMED_DAY] + NAMED_AHEAD_DAYS:
        named = np.int64(0)
    note = np.int64(pool[named, NAMED_NOTE]) if named != 0 else category_note(st, s, category)
    set64(pool, row, ORDER_KEY, key)
    set64(pool, row, ORDER_EVENT, ident)
    set_order(pool, row, ORDER_AT, ORDER_RANK, at, high, low)
    pool[row, ORDER_BITS] = np.int32(code | (IS_PAST if history else 0))
    pool[row, ORDER_UNSEEN] = np.int32(_unseen_days(note, category, day))
    pool[row, ORDER_WAIT] = 0
    action = action_of(code)
    if is_newest and action != 0:
        note_category(st, s, category, action != CANCEL, day)
        if named != 0:
            pool[named, NAMED_NOTE] = np.int32(_noted(note, action != CANCEL, day))
    return row


@kernel
def _unseen_days(note: Any, category: Any, day: Any) -> Any:
    if is_active(note) or category == 0:
        return np.int64(0)
    if note == 0:
        return np.int64(NEVER_SEEN)
    return max(day - noted_day(note), np.int64(0))


@kernel
def _has_newer(st: Any, s: Any, pool: Any, category: Any, at: Any, high: Any, low: Any) -> Any:
    """True when a kept order of the category is newer."""
    row = np.int64(st[s, CASES])
    while row != 0:
        is_same = pool[row, TYPE] == ORDER_CASE and category_of(pool[row, ORDER_BITS]) == category
        if is_same and is_older(pool, row, ORDER_AT, ORDER_RANK, at, high, low):
            return True
        row = np.int64(pool[row, NEXT])
    return False


# --- what rules ask of orders --------------------------------------------------------------------------------------


@kernel
def orders_cancelled(st: Any, s: Any, pool: Any, day: Any, days: Any) -> Any:
    """Return how many orders of add-ons, core ones among them, were cancelled within so many local days: those that end
    with a day, or with that of a later one that reach back to it; the most of them. So it is no matter which of two
    became known first."""
    most = _cancelled_on(st, s, pool, day - days, day)
    row = np.int64(st[s, CASES])
    while row != 0:
        if _is_cancelled_addon(pool, row, day + 1, day + days):
            last = local_day(get64(pool, row, ORDER_AT))
            most = max(most, _cancelled_on(st, s, pool, last - days, last))
        row = np.int64(pool[row, NEXT])
    return most


@kernel
def _cancelled_on(st: Any, s: Any, pool: Any, first: Any, last: Any) -> Any:
    count = 0
    row = np.int64(st[s, CASES])
    while row != 0:
        if _is_cancelled_addon(pool, row, first, last):
            other = np.int64(pool[row, NEXT])  # an order cancelled by several events counts once
            while other != 0 and not (
                _is_cancelled_addon(pool, other, first, last)
                and get64(pool, other, ORDER_KEY) == get64(pool, row, ORDER_KEY)
            ):
                other = np.int64(pool[other, NEXT])
            if other == 0:
                count += 1
        row = np.int64(pool[row, NEXT])
    return count


@kernel
def was_cancelled(st: Any, s: Any, pool: Any, of: Any, days: Any) -> Any:
    """True when an add-on of the category of order `of` was cancelled at most so many local days before it."""
    if of == 0:
        return False
    at = get64(pool, of, ORDER_AT)
    day = local_day(at)
    row = np.int64(st[s, CASES])
    while row != 0:
        if (
            _is_cancelled_addon(pool, row, day - days, day)
            and get64(pool, row, ORDER_AT) <= at
            and category_of(pool[row, ORDER_BITS]) == category_of(pool[of, ORDER_BITS])
        ):
            return True
        row = np.int64(pool[row, NEXT])
    return False


@kernel
def came_back(st: Any, s: Any, pool: Any, at: Any, days: Any) -> Any:
    """True when a kept order subscribes or renews after an instant what was cancelled so many local days before it."""
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == ORDER_CASE and get64(pool, row, ORDER_AT) > at:
            action = action_of(pool[row, ORDER_BITS])
            is_back = action == SUBSCRIBE or action == RENEW  # no tuples in kernels
            if is_back and was_cancelled(st, s, pool, row, days):
                return True
        row = np.int64(pool[row, NEXT])
    return False


@kernel
def ordered_later(st: Any, s: Any, pool: Any, action: Any, categories: Any, at: Any) -> Any:
    """True when a kept order does this to one of the categories (bits) after an instant."""
    row = np.int64(st[s, CASES])
    while row != 0:
        is_later = pool[row, TYPE] == ORDER_CASE and get64(pool, row, ORDER_AT) > at
        if is_later and is_order(pool, row, action, categories):
            return True
        row = np.int64(pool[row, NEXT])
    return False


@kernel
def plan_ordered_at(st: Any, s: Any, pool: Any) -> Any:
    """Return when a plan was ordered last, as far as orders are kept, ms; 0 when there is none."""
    newest = np.int64(0)
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == ORDER_CASE and is_plan_order(pool[row, ORDER_BITS]):
            newest = max(newest, get64(pool, row, ORDER_AT))
        row = np.int64(pool[row, NEXT])
    return newest


@kernel
def tenure_at(st: Any, s: Any, pool: Any, of: Any) -> Any:
    """Return the local days from joining to order `of`; -NEVER_SEEN when one of them is not known."""
    if of == 0 or st[s, JOINED] == 0:
        return np.int64(-NEVER_SEEN)
    return np.int64(local_day(get64(pool, of, ORDER_AT)) - st[s, JOINED])


@kernel
def _is_cancelled_addon(pool: Any, row: Any, first: Any, last: Any) -> Any:
    if pool[row, TYPE] != ORDER_CASE or action_of(pool[row, ORDER_BITS]) != CANCEL:
        return False
    if pool[row, ORDER_BITS] & (ADDON | CORE) == 0:
        return False
    return first <= local_day(get64(pool, row, ORDER_AT)) <= last


@kernel
def is_order(pool: Any, row: Any, action: Any, categories: Any) -> Any:
    """True when an order does this to one of the categories (bits)."""
    code = np.int64(pool[row, ORDER_BITS])
    return row != 0 and action_of(code) == action and (categories >> category_of(code)) & 1 != 0
