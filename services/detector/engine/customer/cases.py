"""The rows that only some customers have: handset changes and complaints, and what rules ask of them. Compiled.

Rows are chained from the record; a type has a bound per customer, beyond which the oldest gives way.
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.kernel import get64, is_older, local_day, set64, set_order
from services.detector.engine.customer.layout import (
    CASE_WORDS,
    CASES,
    COMPLAINT,
    COMPLAINT_AT,
    COMPLAINT_BITS,
    COMPLAINT_ID,
    COMPLAINT_OPENED,
    COMPLAINT_RANK,
    COMPLAINTS_KEPT,
    NEXT,
    SWAP,
    SWAP_AT,
    SWAP_BITS,
    SWAP_EVENT,
    SWAP_MODEL,
    SWAP_PREVIOUS,
    SWAP_RANK,
    SWAPS_KEPT,
    TYPE,
)

# --- cases ---------------------------------------------------------------------------------------------------------


@kernel
def new_case(st: Any, s: Any, pool: Any, meta: Any, type_: Any) -> Any:
    """Return an empty row of the pool, first in the customer's chain."""
    row = meta[0]
    if row != 0:
        meta[0] = pool[row, NEXT]
    else:
        row = meta[1]
        meta[1] += 1
    for j in range(CASE_WORDS):
        pool[row, j] = 0
    pool[row, TYPE] = type_
    pool[row, NEXT] = st[s, CASES]
    st[s, CASES] = row
    return row


@kernel
def drop_case(st: Any, s: Any, pool: Any, meta: Any, row: Any) -> None:
    """Take a row out of the chain and give it back."""
    before = np.int64(0)
    at = np.int64(st[s, CASES])
    while at != row:
        before = at
        at = np.int64(pool[at, NEXT])
    if before == 0:
        st[s, CASES] = pool[row, NEXT]
    else:
        pool[before, NEXT] = pool[row, NEXT]
    pool[row, TYPE] = 0
    pool[row, NEXT] = meta[0]
    meta[0] = row


@kernel
def to_front(st: Any, s: Any, pool: Any, row: Any) -> None:
    """Move a row to the front of the chain, whose rows lie in the order in which the log told of them, newest first."""
    before = np.int64(0)
    at = np.int64(st[s, CASES])
    while at != row:
        before = at
        at = np.int64(pool[at, NEXT])
    if before != 0:
        pool[before, NEXT] = pool[row, NEXT]
        pool[row, NEXT] = st[s, CASES]
        st[s, CASES] = row


@kernel
def find_case(st: Any, s: Any, pool: Any, type_: Any, key_word: Any, key: Any) -> Any:
    """Return the row of this type with this key; 0 when there is none."""
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == type_ and get64(pool, row, key_word) == key:
            return row
        row = np.int64(pool[row, NEXT])
    return row


@kernel
def room_for(st: Any, s: Any, pool: Any, meta: Any, type_: Any, at_word: Any, rank_word: Any, kept: Any,
             at: Any, high: Any, low: Any) -> Any:  # fmt: skip
    """Return a row for a new case of this type: a fresh one, or the oldest when there are enough; 0 when it is
    older yet."""
    count = 0
    oldest = np.int64(0)
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == type_:
            count += 1
            if oldest == 0 or not is_older(
                pool, row, at_word, rank_word,
                get64(pool, oldest, at_word), get64(pool, oldest, rank_word), get64(pool, oldest, rank_word + 2),
            ):  # fmt: skip
                oldest = row  # of equals the one further down, which came first
        row = np.int64(pool[row, NEXT])
    if count < kept:
        return np.int64(new_case(st, s, pool, meta, type_))
    if is_older(pool, oldest, at_word, rank_word, at, high, low):
        return np.int64(0)
    drop_case(st, s, pool, meta, oldest)
    return np.int64(new_case(st, s, pool, meta, type_))


@kernel
def take_swap(st: Any, s: Any, pool: Any, meta: Any, at: Any, high: Any, low: Any, model: Any, previous: Any,
              ident: Any, bits: Any) -> Any:  # fmt: skip
    """Keep a handset change; False when it is known already, or older than all that are kept."""
    if find_case(st, s, pool, SWAP, SWAP_EVENT, ident) != 0:
        return False
    row = room_for(st, s, pool, meta, SWAP, SWAP_AT, SWAP_RANK, SWAPS_KEPT, at, high, low)
    if row == 0:
        return False
    set_order(pool, row, SWAP_AT, SWAP_RANK, at, high, low)
    set64(pool, row, SWAP_MODEL, model)
    set64(pool, row, SWAP_PREVIOUS, previous)
    set64(pool, row, SWAP_EVENT, ident)
    pool[row, SWAP_BITS] = bits
    return True


@kernel
def take_complaint(st: Any, s: Any, pool: Any, meta: Any, at: Any, high: Any, low: Any, key: Any, bits: Any) -> Any:
    """Keep an event of a complaint; return its row, 0 when it is older than all complaints that are kept."""
    row = find_case(st, s, pool, COMPLAINT, COMPLAINT_ID, key)
    if row == 0:
        row = room_for(st, s, pool, meta, COMPLAINT, COMPLAINT_AT, COMPLAINT_RANK, COMPLAINTS_KEPT, at, high, low)
        if row == 0:
            return row
        set64(pool, row, COMPLAINT_ID, key)
        set64(pool, row, COMPLAINT_OPENED, at)
        set64(pool, row, COMPLAINT_AT, np.int64(0))
    if at < get64(pool, row, COMPLAINT_OPENED):
        set64(pool, row, COMPLAINT_OPENED, at)
    if not is_older(pool, row, COMPLAINT_AT, COMPLAINT_RANK, at, high, low):
        set_order(pool, row, COMPLAINT_AT, COMPLAINT_RANK, at, high, low)
        to_front(st, s, pool, row)
        pool[row, COMPLAINT_BITS] = bits
    return row


# --- what rules ask of cases ---------------------------------------------------------------------------------------


@kernel
def newest_swap(st: Any, s: Any, pool: Any, until: Any) -> Any:
    """Return the row of the newest handset change at or before an instant; 0 when there is none."""
    best = np.int64(0)
    row = np.int64(st[s, CASES])
    while row != 0:
        is_known = pool[row, TYPE] == SWAP and get64(pool, row, SWAP_AT) <= until
        if is_known and (best == 0 or _comes_before(pool, best, row)):
            best = row
        row = np.int64(pool[row, NEXT])
    return best


@kernel
def swaps_until(st: Any, s: Any, pool: Any, of: Any, days: Any) -> Any:
    """Return how many handset changes happened on the so many local days that end with that of change `of`."""
    count = 0
    last = local_day(get64(pool, of, SWAP_AT))
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == SWAP:
            day = local_day(get64(pool, row, SWAP_AT))
            if last - days < day <= last:
                count += 1
        row = np.int64(pool[row, NEXT])
    return count


@kernel
def model_last_seen(st: Any, s: Any, pool: Any, of: Any) -> Any:
    """Return until when the model of change `of` was in use before that change, ms; 0 when it never was.

    A model is in use from its change to the next one; the model that an event names as the previous one was in use at
    that instant.
    """
    if of == 0:
        return np.int64(0)
    model = get64(pool, of, SWAP_MODEL)
    seen = np.int64(0)
    if get64(pool, of, SWAP_PREVIOUS) == model:
        seen = get64(pool, of, SWAP_AT)
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == SWAP and row != of and _comes_before(pool, row, of):
            if get64(pool, row, SWAP_MODEL) == model:
                seen = max(seen, _in_use_until(st, s, pool, row))
            if get64(pool, row, SWAP_PREVIOUS) == model:
                seen = max(seen, get64(pool, row, SWAP_AT))
        row = np.int64(pool[row, NEXT])
    return seen


@kernel
def _comes_before(pool: Any, row: Any, other: Any) -> Any:
    """True when a change is the older one; of equals the one further down the chain, which came first."""
    if is_older(
        pool, other, SWAP_AT, SWAP_RANK,
        get64(pool, row, SWAP_AT), get64(pool, row, SWAP_RANK), get64(pool, row, SWAP_RANK + 2),
    ):  # fmt: skip
        return True
    if is_older(
        pool, row, SWAP_AT, SWAP_RANK,
        get64(pool, other, SWAP_AT), get64(pool, other, SWAP_RANK), get64(pool, other, SWAP_RANK + 2),
    ):  # fmt: skip
        return False
    following = np.int64(pool[other, NEXT])
    while following != 0 and following != row:
        following = np.int64(pool[following, NEXT])
    return following != 0


@kernel
def _in_use_until(st: Any, s: Any, pool: Any, of: Any) -> Any:
    """Return the instant of the change after `of`."""
    until = np.int64(1) << 62
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == SWAP and row != of and _comes_before(pool, of, row):
            until = min(until, get64(pool, row, SWAP_AT))
        row = np.int64(pool[row, NEXT])
    return until


@kernel
def same_topic_before(st: Any, s: Any, pool: Any, of: Any, days: Any) -> Any:
    """Return how many other complaints of the topic were opened at most so many local days before complaint `of`."""
    if of == 0:
        return 0
    topic = (pool[of, COMPLAINT_BITS] >> 3) & 7
    opened = get64(pool, of, COMPLAINT_OPENED)
    count = 0
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == COMPLAINT and row != of and (pool[row, COMPLAINT_BITS] >> 3) & 7 == topic:
            other = get64(pool, row, COMPLAINT_OPENED)
            if other <= opened and local_day(other) >= local_day(opened) - days:
                count += 1
        row = np.int64(pool[row, NEXT])
    return count


@kernel
def complaints_since(st: Any, s: Any, pool: Any, first: Any, last: Any) -> Any:
    """Return how many complaints were opened on the local days first..last."""
    count = 0
    row = np.int64(st[s, CASES])
    while row != 0:
        if pool[row, TYPE] == COMPLAINT and first <= local_day(get64(pool, row, COMPLAINT_OPENED)) <= last:
            count += 1
        row = np.int64(pool[row, NEXT])
    return count
