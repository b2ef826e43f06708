"""The loops over events and customers. They know no rule: the table of `hooks` says what to call, and when."""

from typing import Any

import numpy as np

from services.detector.engine.codegen.calls import (
    AT_CALENDAR,
    EVENT_SHIFT,
    IS_HISTORY,
    MAY_RAISE,
    call_quick,
    fill_frame,
    new_frame,
    set_table,
)
from services.detector.engine.codegen.hooks import END, FIRST, GENERAL, LIVE, PARAMETERS, QUICK
from services.detector.engine.codegen.jit import entry, inlined
from services.detector.engine.codegen.prefetch import prefetch
from services.detector.engine.customer.bills import take_bill, take_order_days
from services.detector.engine.customer.cases import take_complaint, take_swap
from services.detector.engine.customer.episodes import refresh_due
from services.detector.engine.customer.findings import (
    BEYOND_RINGS,
    BUFFER_ROWS,
    CLAMPED,
    DUPLICATES,
    LATE,
    STALE,
)
from services.detector.engine.customer.forgetting import FORGETS, forget_rows
from services.detector.engine.customer.inquiries import take_inquiry
from services.detector.engine.customer.journeys import take_journey
from services.detector.engine.customer.kernel import (
    MINUTE_MS,
    VOICE,
    add_usage,
    is_duplicate,
    local_day,
    observe,
    take_balance,
    take_line,
    take_profile,
    take_roaming,
)
from services.detector.engine.customer.layout import (
    BALANCE,
    BILLS,
    CODES,
    CONTACTS,
    CONTACTS_KEPT,
    DAILY_DAYS,
    DAILY_KINDS,
    DAYS,
    DUE,
    FLAGS,
    HAS_PROFILE,
    HOURLY_HOURS,
    HOURS,
    LINE_RANK,
    MONTHS,
    NAMED_SHIFT,
    OTHER_IDS,
    PENDING,
    PLAN_FEE,
    SWAP_HISTORY,
    USAGE_IDS,
)
from services.detector.engine.customer.occasions import at_due, at_event, at_nominal_hour, begin_wait, left_open
from services.detector.engine.customer.orders import take_categories, take_order
from services.detector.engine.log_format import wire

FUTURE_TOLERANCE_MS = 300_000
_AHEAD = 32
"""For how many events at once memory is asked for, so many events ahead. A request takes its turn until its address is
translated: in a loop of their own many wait at the same time, between events each would be waited for."""


@inlined
def take_event(st: Any, s: Any, pool: Any, meta: Any, months: Any, kind: Any, at: Any, history: bool, ident: Any,
               high: Any, low: Any, payloads: Any, i: Any, code: Any, profiles: Any, counts: Any) -> Any:  # fmt: skip
    """Put one event into the state. Returns whether it is to be judged (the newest of its kind), and the row of its
    case; of usage, which has none, its code."""
    if kind == wire.USAGE:
        observe(st, s, local_day(at))
        if not add_usage(st, s, months, at, code, payloads[i, 0], payloads[i, 1], payloads[i, 2], payloads[i, 3]):
            counts[BEYOND_RINGS] += 1
        return True, np.int64(code)
    if kind == wire.BALANCE:
        return take_balance(st, s, at, high, low, payloads[i, 0], code & 7), np.int64(0)
    if kind == wire.LINE:
        return take_line(st, s, at, high, low, code & 7, payloads[i, 0], ident), np.int64(0)
    if kind == wire.BILL:
        is_judged = take_bill(
            st, s, at, high, low, payloads[i, 3], payloads[i, 0], payloads[i, 1], payloads[i, 2], payloads[i, 4]
        )
        return is_judged, np.int64(0)
    if kind == wire.CUSTOMER:
        named, is_first = st[s, CODES] >> NAMED_SHIFT & 255, st[s, FLAGS] & HAS_PROFILE == 0
        is_newest = take_profile(st, s, at, high, low, profiles, payloads[i, 0])
        if is_newest:
            names = st[s, CODES] >> NAMED_SHIFT & 255
            take_categories(st, s, pool, meta, named, names, local_day(at), is_first)
        return is_newest, np.int64(0)
    return _take_case(st, s, pool, meta, kind, at, history, ident, high, low, payloads, i, code)


@inlined
def _take_case(st: Any, s: Any, pool: Any, meta: Any, kind: Any, at: Any, history: bool, ident: Any, high: Any,
               low: Any, payloads: Any, i: Any, code: Any) -> Any:  # fmt: skip
    """The same for the kinds that have rows of their own."""
    if kind == wire.ORDER:
        take_order_days(st, s, at, code, payloads[i, 2])
        row = take_order(st, s, pool, meta, at, high, low, payloads[i, 0], ident, code, history)
        return row != 0, row
    if kind == wire.INQUIRY:
        row = take_inquiry(st, s, pool, meta, at, high, low, payloads[i, 0], payloads[i, 1], code, history)
        return row != 0, row
    if kind == wire.ROAMING:
        take_roaming(st, s, at)
        row = take_journey(st, s, pool, meta, at, high, low, payloads[i, 0], payloads[i, 1], code)
        return row != 0, row
    if kind == wire.HANDSET:
        bits = code & 0x7F | (SWAP_HISTORY if history else 0)
        return take_swap(st, s, pool, meta, at, high, low, payloads[i, 0], payloads[i, 1], ident, bits), np.int64(0)
    if kind == wire.COMPLAINT:
        return True, take_complaint(st, s, pool, meta, at, high, low, payloads[i, 0], code)
    return True, np.int64(0)


@inlined
def ask_ahead(st: Any, slots: Any, kinds: Any, occurred: Any, codes: Any, first: Any, last: Any) -> None:
    """Ask for the lines of records that events first..last-1 will need: the order of `layout.RECORD` is for this."""
    for i in range(first, last):
        prefetch(st, slots[i], 0)
    for i in range(first, last):
        s = slots[i]
        if kinds[i] == wire.USAGE:
            prefetch(st, s, USAGE_IDS)
            prefetch(st, s, PLAN_FEE)
            prefetch(st, s, HOURS + HOURLY_HOURS - 1)
            prefetch(st, s, MONTHS)
            prefetch(st, s, BILLS)
            day = local_day(occurred[i])
            prefetch(st, s, DAYS + day % DAILY_DAYS * DAILY_KINDS)
            prefetch(st, s, DAYS + (day - 1) % DAILY_DAYS * DAILY_KINDS)
            if codes[i] & 3 == VOICE:
                prefetch(st, s, CONTACTS)
                prefetch(st, s, CONTACTS + 2 * CONTACTS_KEPT - 1)
        else:
            prefetch(st, s, BALANCE)
            prefetch(st, s, LINE_RANK)
            prefetch(st, s, OTHER_IDS)


@entry
def apply_events(  # noqa: C901  # the loop that everything is for; what it calls is inlined
    first: Any, last: Any, slots: Any, kinds: Any, offsets: Any, occurred: Any, ingested: Any, histories: Any,
    idents: Any, ranks: Any, payloads: Any, codes: Any, profiles: Any, st: Any, pool: Any, meta: Any, months: Any,
    hooks: Any, has_rules: bool, lateness: Any, page_next: Any, page_due: Any, out: Any, outf: Any,
    counts: Any,
) -> Any:  # fmt: skip
    """Apply events first..last-1 in log order; returns how far it came and how many findings there are.

    It comes less far when the buffer of findings is nearly full: call again from there with the buffer emptied.
    """
    n = np.int64(0)
    full = BUFFER_ROWS - hooks[GENERAL, FIRST]
    frame = new_frame()
    fill_frame(frame, st, pool, meta, out, outf, counts, counts)  # events need no calendar
    for i in range(first, last):
        if n > full:
            return i, n
        if (i - first) % _AHEAD == 0:
            ahead = i if i == first else i + _AHEAD
            ask_ahead(st, slots, kinds, occurred, codes, ahead, min(i + 2 * _AHEAD, last))
        s = slots[i]
        if offsets[i] < page_next[s >> 9]:
            continue
        kind = kinds[i]
        if is_duplicate(st, s, idents[i], kind == wire.USAGE):
            counts[DUPLICATES] += 1
            continue
        at = occurred[i]
        log = ingested[i]
        history = histories[i]
        if not history:
            if at > log + FUTURE_TOLERANCE_MS:
                at = log
                counts[CLAMPED] += 1
            elif log - at > lateness[kind]:
                counts[LATE] += 1
            if st[s, FLAGS] & PENDING and has_rules:
                n = left_open(st, s, pool, hooks, frame, log, out, n)
                refresh_due(st, s, pool, page_due)
        fresh, case = take_event(
            st, s, pool, meta, months, kind, at, history, idents[i], ranks[i, 0], ranks[i, 1], payloads, i, codes[i],
            profiles, counts,
        )  # fmt: skip
        if not fresh:
            counts[STALE] += 1
        elif kind == wire.ORDER and not history and has_rules and begin_wait(pool, case, hooks):
            refresh_due(st, s, pool, page_due)
        if (history or not has_rules) and (kind == wire.LINE or kind == wire.COMPLAINT):
            st[s, FLAGS] |= PENDING
            refresh_due(st, s, pool, page_due)
        if not fresh:
            continue
        day = local_day(at)
        flags = (IS_HISTORY if history else MAY_RAISE) | (np.int64(kind) + 1) << EVENT_SHIFT
        for e in range(hooks[kind, FIRST], hooks[kind, END]):
            if st[s, FLAGS] & hooks[e, LIVE] == 0:
                quick = hooks[e, QUICK]
                if quick == 0 or call_quick(quick, frame, hooks[e, PARAMETERS], s, case, at, day, flags) == 0:
                    continue
            before = n
            n = at_event(st, s, pool, meta, hooks, e, frame, case, at, day, log, idents[i], flags, out, n, counts)
            if n != before:
                refresh_due(st, s, pool, page_due)
    return last, n


OFFSET, DAY, AT, LOG, MASK, IS_QUIET = range(6)
"""Columns of visits: place of the tick; local day, nominal instant, time of the tick; calendar rules, 0 = look at due
minutes; whether no history came before the tick."""


@entry
def visit_customers(
    first: Any, last: Any, slots: Any, since: Any, first_visit: Any, last_visit: Any, visits: Any, calendars: Any,
    st: Any, pool: Any, meta: Any, hooks: Any, page_next: Any, page_due: Any, out: Any, outf: Any, counts: Any,
) -> Any:  # fmt: skip
    """Let the customers in slots[first..last-1] make visits first_visit..last_visit-1, from since[i] on, in order.

    Returns how far it came and how many findings there are; call again from there with the buffer emptied.
    """
    n = np.int64(0)
    full = BUFFER_ROWS - hooks[GENERAL, FIRST]
    frame = new_frame()
    fill_frame(frame, st, pool, meta, out, outf, counts, calendars)
    calendars_at = calendars.ctypes.data
    for i in range(first, last):
        s = slots[i]
        for k in range(max(since[i], first_visit), last_visit):
            if visits[k, OFFSET] < page_next[s >> 9]:
                continue
            if n > full:
                since[i] = k
                return i, n
            log = visits[k, LOG]
            before = n
            if visits[k, MASK] & FORGETS:
                forget_rows(st, s, pool, meta, visits[k, DAY], visits[k, AT])
            if visits[k, MASK] != 0:
                set_table(frame, AT_CALENDAR, calendars_at + k * calendars.shape[1] * calendars.itemsize)
                n = at_nominal_hour(hooks, frame, s, visits[k, DAY], visits[k, AT], log, visits[k, MASK], out, n)
                if n != before:
                    refresh_due(st, s, pool, page_due)
            elif st[s, DUE] != 0 and st[s, DUE] <= log // MINUTE_MS:
                if st[s, FLAGS] & PENDING and visits[k, IS_QUIET] != 0:
                    n = left_open(st, s, pool, hooks, frame, log, out, n)
                n = at_due(st, s, pool, hooks, frame, log, out, n)
                refresh_due(st, s, pool, page_due)
    return last, n
