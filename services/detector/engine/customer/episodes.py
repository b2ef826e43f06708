"""The life of a moment: raised, told again, resolved; hysteresis, cool-down, due times. Compiled; knows no rule.

A rule has one episode row per customer, or one per case where its moments are about cases (complaints). The row stays
after the episode has ended, for its revision, its cool-down and whether the rule is armed.
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.case_layout import ORDER_AT, ORDER_WAIT
from services.detector.engine.customer.cases import drop_case, find_case, new_case
from services.detector.engine.customer.kernel import HOUR_MS, MINUTE_MS, get64, set64
from services.detector.engine.customer.layout import (
    CASES,
    COMPLAINT,
    COMPLAINT_ID,
    DISARMED,
    DUE,
    EPISODE,
    EPISODE_AT,
    EPISODE_BITS,
    EPISODE_COOL_DAY,
    EPISODE_DAY,
    EPISODE_DUE,
    EPISODE_EXPIRES,
    EPISODE_KEPT,
    EPISODE_KEY,
    EPISODE_RULE,
    EPISODE_WATCH,
    FLAGS,
    HELD,
    HELD_BITS,
    HELD_RULE,
    HELD_WEEK,
    INT32_MAX,
    LIVE_BITS,
    LIVE_SHIFT,
    NEXT,
    OPEN,
    ORDER_CASE,
    PENDING,
    REVISION_SHIFT,
    TYPE,
)

_STEPS = 7
HELD_WEEKS = 8
"""How many weeks the memory of a condition reaches back."""
NOTHING, RAISED, UPDATED, RESOLVED = range(4)
"""What a judgement tells; the numbers of MomentState."""


@kernel
def find_episode(st: Any, s: Any, pool: Any, rule: Any, by_case: bool, key: Any) -> Any:
    """Return the rule's row, or its row for this key where it has one per case; 0 when there is none."""
    row = np.int64(st[s, CASES])
    while row != 0:
        is_rules = pool[row, TYPE] == EPISODE and pool[row, EPISODE_RULE] == rule
        if is_rules and (not by_case or get64(pool, row, EPISODE_KEY) == key):
            return row
        row = np.int64(pool[row, NEXT])
    return row


@kernel
def find_step(st: Any, s: Any, pool: Any, rule: Any, step: Any) -> Any:
    """Return the row of a step of the rule; 0 when there is none. Rules of cycles without steps have step 0."""
    row = np.int64(st[s, CASES])
    while row != 0:
        is_rules = pool[row, TYPE] == EPISODE and pool[row, EPISODE_RULE] == rule
        if is_rules and pool[row, EPISODE_KEY] & _STEPS == step:
            return row
        row = np.int64(pool[row, NEXT])
    return row


@kernel
def may_open_cycle(pool: Any, row: Any, key: Any) -> Any:
    """True when no episode is open, and none of this or a later cycle was."""
    return row == 0 or (pool[row, EPISODE_BITS] & OPEN == 0 and key > get64(pool, row, EPISODE_KEY))


@kernel
def open_nowhere(pool: Any, key: Any, expires: Any, day: Any) -> None:
    """Put an episode that leaves no row into row 0, to be told from there."""
    set64(pool, np.int64(0), EPISODE_KEY, key)
    set64(pool, np.int64(0), EPISODE_EXPIRES, expires)
    pool[0, EPISODE_BITS] = np.int32(1 << REVISION_SHIFT | OPEN)
    pool[0, EPISODE_DAY] = np.int32(day)


@kernel
def close_nowhere(pool: Any) -> None:
    """Empty row 0 again."""
    set64(pool, np.int64(0), EPISODE_KEY, np.int64(0))
    set64(pool, np.int64(0), EPISODE_EXPIRES, np.int64(0))
    pool[0, EPISODE_BITS] = 0
    pool[0, EPISODE_DAY] = 0


@kernel
def hold(st: Any, s: Any, pool: Any, meta: Any, rule: Any, day: Any) -> None:
    """Remember that the condition of a rule held in the week that closed with the Monday `day`."""
    row = np.int64(st[s, CASES])
    while row != 0 and (pool[row, TYPE] != HELD or pool[row, HELD_RULE] != rule):
        row = np.int64(pool[row, NEXT])
    if row == 0:
        row = np.int64(new_case(st, s, pool, meta, HELD))
        pool[row, HELD_RULE] = rule
    week = week_of(day)
    passed = week - pool[row, HELD_WEEK]
    if passed > 0:
        pool[row, HELD_BITS] = (pool[row, HELD_BITS] << passed if passed < HELD_WEEKS else 0) & (
            1 << HELD_WEEKS
        ) - 1 | 1
        pool[row, HELD_WEEK] = week


@kernel
def weeks_held(st: Any, s: Any, pool: Any, rule: Any, day: Any, weeks: Any) -> Any:
    """Return in how many of the last `weeks` closed weeks the condition of a rule held."""
    row = np.int64(st[s, CASES])
    while row != 0 and (pool[row, TYPE] != HELD or pool[row, HELD_RULE] != rule):
        row = np.int64(pool[row, NEXT])
    if row == 0:
        return 0
    count = 0
    for n in range(HELD_WEEKS):
        week = pool[row, HELD_WEEK] - n
        if (pool[row, HELD_BITS] >> n) & 1 and week_of(day) - weeks < week <= week_of(day):
            count += 1
    return count


@kernel
def week_of(day: Any) -> Any:
    """Return the week of a local day, weeks since 1970 from Monday on."""
    return (day + 3) // 7


@kernel
def is_open(pool: Any, row: Any, at: Any) -> Any:
    """True when the row has an episode that has neither ended nor expired."""
    return row != 0 and pool[row, EPISODE_BITS] & OPEN != 0 and at < get64(pool, row, EPISODE_EXPIRES)


@kernel
def has_open(st: Any, s: Any, pool: Any, rule: Any, at: Any) -> Any:
    """True when the customer has an open episode of a rule."""
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == EPISODE and pool[row, EPISODE_RULE] == rule and is_open(pool, row, at):
            return True
        row = np.int64(pool[row, NEXT])
    return False


@kernel
def end_if(pool: Any, row: Any, at: Any, ends: bool) -> Any:
    """Close an open episode whose end condition holds; an expired one closes silently. Returns RESOLVED or NOTHING."""
    if row == 0 or pool[row, EPISODE_BITS] & OPEN == 0:
        return NOTHING
    if at >= get64(pool, row, EPISODE_EXPIRES):
        pool[row, EPISODE_BITS] &= ~OPEN
        set64(pool, row, EPISODE_DUE, np.int64(0))
        return NOTHING
    if not ends:
        return NOTHING
    pool[row, EPISODE_BITS] = (pool[row, EPISODE_BITS] & ~OPEN) + (1 << REVISION_SHIFT)
    set64(pool, row, EPISODE_DUE, np.int64(0))
    return RESOLVED


@kernel
def update_if(pool: Any, row: Any, watch: Any, expires: Any, due: Any, now: Any) -> Any:
    """Tell an open episode again when what it watches has changed. Returns UPDATED or NOTHING."""
    set64(pool, row, EPISODE_DUE, due if due > now else np.int64(0))
    if pool[row, EPISODE_WATCH] == np.int32(watch):
        return NOTHING
    pool[row, EPISODE_WATCH] = np.int32(watch)
    pool[row, EPISODE_BITS] += 1 << REVISION_SHIFT
    set64(pool, row, EPISODE_EXPIRES, expires)
    return UPDATED


@kernel
def may_open(pool: Any, row: Any, day: Any) -> Any:
    """True when neither an open episode, nor a missing re-arming, nor the cool-down forbids to raise."""
    if row == 0:
        return True
    return pool[row, EPISODE_BITS] & (OPEN | DISARMED) == 0 and day >= pool[row, EPISODE_COOL_DAY]


@kernel
def rearm(pool: Any, row: Any) -> None:
    """Let the rule raise again."""
    if row != 0:
        pool[row, EPISODE_BITS] &= ~DISARMED


@kernel
def open_episode(st: Any, s: Any, pool: Any, meta: Any, row: Any, rule: Any, key: Any, key_at: Any, expires: Any,
                 cool_day: Any, disarms: bool, kept: Any, watch: Any, due: Any, now: Any, day: Any) -> Any:  # fmt: skip
    """Open an episode, in the rule's row if it has one; return the row. The same key again counts its revisions on,
    and keeps its nominal day."""
    if row == 0:
        row = np.int64(new_case(st, s, pool, meta, EPISODE))
    revision = np.int32(0)
    if get64(pool, row, EPISODE_KEY) == key and get64(pool, row, EPISODE_AT) == key_at:
        revision = pool[row, EPISODE_BITS] >> REVISION_SHIFT
    if revision == 0:
        pool[row, EPISODE_DAY] = np.int32(day)
    st[s, FLAGS] |= np.int32(1 << (LIVE_SHIFT + rule % LIVE_BITS))
    pool[row, EPISODE_RULE] = rule
    pool[row, EPISODE_BITS] = np.int32((revision + 1) << REVISION_SHIFT | OPEN | (DISARMED if disarms else 0))
    set64(pool, row, EPISODE_KEY, key)
    set64(pool, row, EPISODE_AT, key_at)
    set64(pool, row, EPISODE_EXPIRES, expires)
    set64(pool, row, EPISODE_DUE, due if due > now else np.int64(0))
    pool[row, EPISODE_COOL_DAY] = cool_day
    pool[row, EPISODE_KEPT] = np.int32(max(min(kept, np.int64(INT32_MAX)), -np.int64(INT32_MAX)))
    pool[row, EPISODE_WATCH] = np.int32(watch)
    return row


@kernel
def drop_orphans(st: Any, s: Any, pool: Any, meta: Any, rule: Any) -> Any:
    """Forget the episodes of a rule about complaints that are no longer kept; return how many were open."""
    dropped = 0
    row = np.int64(st[s, CASES])
    while row != 0:
        following = np.int64(pool[row, NEXT])
        is_rules = pool[row, TYPE] == EPISODE and pool[row, EPISODE_RULE] == rule
        if is_rules and find_case(st, s, pool, COMPLAINT, COMPLAINT_ID, get64(pool, row, EPISODE_KEY)) == 0:
            dropped += pool[row, EPISODE_BITS] & OPEN
            drop_case(st, s, pool, meta, row)
        row = following
    return dropped


@kernel
def refresh_due(st: Any, s: Any, pool: Any, page_due: Any) -> None:
    """Set which rules have live rows, the minute at which the customer must be looked at next, and that of the page if
    it is earlier."""
    due = np.int64(1) << 62
    live = np.int64(0)
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == EPISODE and pool[row, EPISODE_BITS] & (OPEN | DISARMED):
            live |= np.int64(1) << (LIVE_SHIFT + pool[row, EPISODE_RULE] % LIVE_BITS)
        if pool[row, TYPE] == EPISODE and pool[row, EPISODE_BITS] & OPEN:
            at = get64(pool, row, EPISODE_DUE)
            if at != 0:
                due = min(due, at // MINUTE_MS)
        if pool[row, TYPE] == ORDER_CASE and pool[row, ORDER_WAIT] != 0:
            due = min(due, (get64(pool, row, ORDER_AT) + pool[row, ORDER_WAIT] * HOUR_MS) // MINUTE_MS)
        row = np.int64(pool[row, NEXT])
    st[s, FLAGS] = np.int32(st[s, FLAGS] & ((1 << LIVE_SHIFT) - 1) | live)
    if st[s, FLAGS] & PENDING:
        due = np.int64(1)
    st[s, DUE] = np.int32(due) if due < INT32_MAX else np.int32(0)
    page = s >> 9
    if st[s, DUE] != 0 and (page_due[page] == 0 or st[s, DUE] < page_due[page]):
        page_due[page] = st[s, DUE]


@kernel
def watched(value: Any, number: Any) -> Any:
    """Mix a number into the hash of what is watched."""
    x = np.uint64(value) ^ np.uint64(np.int64(number))
    x *= np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(29)
    return np.int64(x & np.uint64(0x7FFFFFFF))
