"""What is called at an event, at a due time, and for what loading left open. Compiled; knows no rule."""

from typing import Any

import numpy as np

from services.detector.engine.codegen.calls import AT_COUNTS, HAS_WAITED, IS_HISTORY, MAY_RAISE, call_judge, integers_of
from services.detector.engine.codegen.hooks import (
    CODE,
    DUE_TIMES,
    END,
    EPISODE,
    FIRST,
    GENERAL,
    HOURS,
    JUDGE,
    LEFT_OPEN,
    NEEDS_PROFILE,
    NOMINAL_HOURS,
    NUMBER,
    PARAMETERS,
    SLOT,
    WAITS,
)
from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.case_layout import ORDER_AT, ORDER_EVENT, ORDER_RANK, ORDER_WAIT
from services.detector.engine.customer.cases import find_case
from services.detector.engine.customer.episodes import drop_orphans
from services.detector.engine.customer.findings import CASES_EVICTED, COUNTERS, COUNTS, RULE, RULE_FAILED
from services.detector.engine.customer.kernel import HOUR_MS, get64, is_older, local_day, set64
from services.detector.engine.customer.layout import (
    CASES,
    COMPLAINT,
    COMPLAINT_ID,
    COMPLAINT_OPENED,
    EPISODE_AT,
    EPISODE_BITS,
    EPISODE_DUE,
    EPISODE_KEY,
    EPISODE_RULE,
    FLAGS,
    HAS_PROFILE,
    LINE_AT,
    LINE_EVENT,
    NEXT,
    OPEN,
    ORDER_CASE,
    PENDING,
    TYPE,
)
from services.detector.engine.customer.layout import EPISODE as EPISODE_TYPE
from services.detector.engine.language.rule_forms import BY_COMPLAINT, BY_LINE, EPISODES

_WAITED = MAY_RAISE | HAS_WAITED
_BY_LINE, _BY_COMPLAINT = EPISODES.index(BY_LINE), EPISODES.index(BY_COMPLAINT)


@kernel
def visit(hooks: Any, e: Any, frame: Any, s: Any, case: Any, at: Any, day: Any, log: Any, occurred: Any, key: Any,
          key_at: Any, flags: Any, out: Any, n: Any) -> Any:  # fmt: skip
    """Call entry e; put its number and the risk inputs into what it found. Returns the next free row."""
    counts = integers_of(frame, AT_COUNTS, COUNTERS)
    failed = counts[RULE_FAILED]
    found = call_judge(
        hooks[e, JUDGE], frame, hooks[e, PARAMETERS], s, case, at, day, log, occurred, key, key_at, flags, n
    )
    if found < n:  # it gave up as a whole
        counts[RULE_FAILED] += 1
    if counts[RULE_FAILED] != failed:
        counts[COUNTS + hooks[e, NUMBER]] += counts[RULE_FAILED] - failed
    if found < n:
        return n
    for row in range(n, found):
        out[row, RULE] = hooks[e, NUMBER]
        call_judge(hooks[GENERAL, END], frame, 0, s, 0, at, day, log, occurred, key, key_at, flags, row)
    return found


@kernel
def at_event(st: Any, s: Any, pool: Any, meta: Any, hooks: Any, e: Any, frame: Any, case: Any, at: Any, day: Any,
             log: Any, ident: Any, flags: Any, out: Any, n: Any, counts: Any) -> Any:  # fmt: skip
    """Judge one rule at an event, or end what it has open; return the next free row."""
    key, key_at = ident, at
    episode = hooks[e, EPISODE]
    if episode == _BY_COMPLAINT:
        counts[CASES_EVICTED] += drop_orphans(st, s, pool, meta, hooks[e, CODE])
        if case == 0:
            return n
        key, key_at = get64(pool, case, COMPLAINT_ID), np.int64(0)
    elif episode == _BY_LINE:
        key, key_at = get64(st, s, LINE_EVENT), get64(st, s, LINE_AT)
    return visit(hooks, e, frame, s, case, at, day, log, at, key, key_at, flags, out, n)


@kernel
def at_nominal_hour(hooks: Any, frame: Any, s: Any, day: Any, at: Any, log: Any, mask: Any, out: Any, n: Any) -> Any:
    """Judge the calendar rules whose slots are in `mask`; return the next free row."""
    none = np.int64(0)
    for e in range(hooks[NOMINAL_HOURS, FIRST], hooks[NOMINAL_HOURS, END]):
        if mask & hooks[e, SLOT]:
            n = visit(hooks, e, frame, s, none, at, day, log, at, none, none, none, out, n)
    return n


@kernel
def begin_wait(pool: Any, row: Any, hooks: Any) -> Any:
    """Note when an order must be looked at first by rules that wait; False when there are none."""
    if hooks[WAITS, FIRST] == hooks[WAITS, END]:
        return False
    pool[row, ORDER_WAIT] = np.int32(hooks[hooks[WAITS, FIRST], HOURS])
    return True


@kernel
def _waited(st: Any, s: Any, pool: Any, hooks: Any, frame: Any, log: Any, out: Any, n: Any) -> Any:
    """Judge the rules whose wait is over, the order that is due first before the others; return the next free row."""
    row = _due_order(st, s, pool, log)
    while row != 0:
        hours = pool[row, ORDER_WAIT]
        pool[row, ORDER_WAIT] = 0
        at = get64(pool, row, ORDER_AT)
        due = at + hours * HOUR_MS
        for e in range(hooks[WAITS, FIRST], hooks[WAITS, END]):  # in order of their hours
            if hooks[e, HOURS] == hours:
                key = get64(pool, row, ORDER_EVENT)
                n = visit(hooks, e, frame, s, row, due, local_day(due), log, at, key, at, _WAITED, out, n)
            elif hooks[e, HOURS] > hours and pool[row, ORDER_WAIT] == 0:
                pool[row, ORDER_WAIT] = np.int32(hooks[e, HOURS])
        row = _due_order(st, s, pool, log)
    return n


@kernel
def _due_order(st: Any, s: Any, pool: Any, log: Any) -> Any:
    """Return the row of the waiting order that is due first, of equals the first in order; 0 when none is due."""
    found, earliest = np.int64(0), np.int64(log)
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == ORDER_CASE and pool[row, ORDER_WAIT] != 0:
            due = get64(pool, row, ORDER_AT) + pool[row, ORDER_WAIT] * HOUR_MS
            if due < earliest or (due == earliest and (found == 0 or not _is_before(pool, found, row))):
                found, earliest = row, due
        row = np.int64(pool[row, NEXT])
    return found


@kernel
def _is_before(pool: Any, row: Any, other: Any) -> Any:
    """True when an order comes before another in the order of events."""
    high, low = get64(pool, row, ORDER_RANK), get64(pool, row, ORDER_RANK + 2)
    return is_older(pool, other, ORDER_AT, ORDER_RANK, get64(pool, row, ORDER_AT), high, low)


@kernel
def at_due(st: Any, s: Any, pool: Any, hooks: Any, frame: Any, log: Any, out: Any, n: Any) -> Any:
    """Judge what waited long enough, then the open episodes that are due; return the next free row."""
    n = _waited(st, s, pool, hooks, frame, log, out, n)
    row = np.int64(st[s, CASES])
    while row != 0:
        following = np.int64(pool[row, NEXT])
        due = get64(pool, row, EPISODE_DUE) if pool[row, TYPE] == EPISODE_TYPE else np.int64(0)
        if due != 0 and due <= log and pool[row, EPISODE_BITS] & OPEN != 0:
            set64(pool, row, EPISODE_DUE, np.int64(0))
            key, key_at = get64(pool, row, EPISODE_KEY), get64(pool, row, EPISODE_AT)
            for e in range(hooks[DUE_TIMES, FIRST], hooks[DUE_TIMES, END]):
                if hooks[e, CODE] != pool[row, EPISODE_RULE]:
                    continue
                case = np.int64(0)
                if hooks[e, EPISODE] == _BY_COMPLAINT:
                    case = find_case(st, s, pool, COMPLAINT, COMPLAINT_ID, key)
                    if case == 0:
                        continue
                n = visit(hooks, e, frame, s, case, due, local_day(due), log, due, key, key_at, 0, out, n)
        row = following
    return n


@kernel
def left_open(st: Any, s: Any, pool: Any, hooks: Any, frame: Any, log: Any, out: Any, n: Any) -> Any:
    """Tell what history left open; clear PENDING unless a profile is still missing. Returns the next free row."""
    has_profile = st[s, FLAGS] & HAS_PROFILE != 0
    waits = False
    for e in range(hooks[LEFT_OPEN, FIRST], hooks[LEFT_OPEN, END]):
        is_known = has_profile or hooks[e, NEEDS_PROFILE] == 0
        if hooks[e, EPISODE] == _BY_LINE:
            if get64(st, s, LINE_AT) != 0 and not is_known:
                waits = True
            elif get64(st, s, LINE_AT) != 0:
                key_at = get64(st, s, LINE_AT)
                n = _tell(hooks, e, frame, s, np.int64(0), log, key_at, get64(st, s, LINE_EVENT), key_at, out, n)
            continue
        case = np.int64(st[s, CASES])
        while case != 0:
            if pool[case, TYPE] == COMPLAINT and not is_known:
                waits = True
            elif pool[case, TYPE] == COMPLAINT:
                key, occurred = get64(pool, case, COMPLAINT_ID), get64(pool, case, COMPLAINT_OPENED)
                n = _tell(hooks, e, frame, s, case, log, occurred, key, np.int64(0), out, n)
            case = np.int64(pool[case, NEXT])
    if not waits:
        st[s, FLAGS] &= ~PENDING
    return n


@kernel
def _tell(hooks: Any, e: Any, frame: Any, s: Any, case: Any, log: Any, occurred: Any, key: Any, key_at: Any, out: Any,
          n: Any) -> Any:  # fmt: skip
    """Judge as of now what happened while loading, if the rule has anything to say to it."""
    day = local_day(log)
    return visit(hooks, e, frame, s, case, log, day, log, occurred, key, key_at, MAY_RAISE | IS_HISTORY, out, n)
