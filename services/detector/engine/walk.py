"""The walk over Avro bodies: one compiled pass that fills columns, hashes ids, checks keys, and is sure or says so.

Bounds are checked at every step, numbers must be in their shortest form, texts ASCII, enums known: a record that is
anything else is left to be read alone.
"""

from typing import Any

import numpy as np

from schemas.limits import EARLIEST_MS
from services.detector.engine.frames import KEY, KEY_END, VALUE, VALUE_END
from services.detector.engine.jit import entry, kernel
from services.detector.engine.layout import INT32_MAX
from services.detector.engine.wire import (
    ACCEPTED,
    ALONE,
    AS_CYCLE,
    BOOLEAN,
    CUSTOMER,
    ENUM,
    FNV_OFFSET,
    FNV_PRIME,
    INT_BITS,
    IS_TICK,
    KEYED_WITH_SOURCE,
    LATEST_MS,
    NULL_LONG,
    NULL_TEXT,
    PAYLOAD_COLUMNS,
    TEXT,
    TEXTS,
    TICK,
    TO_CODE,
    TO_CUSTOMER,
    TO_EVENT_ID,
    TO_HISTORY,
    TO_INGESTED,
    TO_OCCURRED,
    TO_SOURCE,
    USAGE,
    B,
    hash_bytes,
    mixed,
)

_NOT_ASCII = 0x80


@kernel
def _varint(data: Any, p: Any, end: Any) -> Any:
    """Return the zigzag number at p and where it ends; -1 when it is cut off or not in its shortest form."""
    v = np.uint64(0)
    shift = np.uint64(0)
    while p < end:
        x = np.uint64(data[p])
        p += 1
        if shift == 63 and x > 1:
            return np.int64(0), -1
        v |= (x & np.uint64(127)) << shift
        if x < 128:
            if x == 0 and shift > 0:
                return np.int64(0), -1
            return np.int64(v >> np.uint64(1)) ^ -np.int64(v & np.uint64(1)), p
        shift += np.uint64(7)
        if shift > 63:
            return np.int64(0), -1
    return np.int64(0), -1


@kernel
def _letter(byte: Any) -> Any:
    """Six bits of a byte that keep its order (not strictly): digits and letters apart, what is between them joined."""
    b = np.int64(byte)
    if b < 48:
        return np.int64(1)
    if b < 58:
        return b - 46
    if b < 65:
        return np.int64(12)
    if b < 91:
        return b - 53
    if b < 97:
        return np.int64(38)
    return min(b - 58, np.int64(63))


@entry
def _rank(data: Any, source: Any, source_end: Any, event: Any, event_end: Any) -> Any:
    """Two numbers that order (source, event_id) as text does: 2 letters of the source, 18 of the id."""
    high = np.int64(0)
    low = np.int64(0)
    for j in range(2):
        high = high << 6 | (_letter(data[source + j]) if source + j < source_end else np.int64(0))
    for j in range(8):
        high = high << 6 | (_letter(data[event + j]) if event + j < event_end else np.int64(0))
    for j in range(8, 18):
        low = low << 6 | (_letter(data[event + j]) if event + j < event_end else np.int64(0))
    return high, low


@entry
def _cycle(data: Any, start: Any, end: Any) -> Any:
    """Return the months since 2000 of `YYYY-MM`; -1 when it is none."""
    if end - start != 7 or data[start + 4] != 45:
        return np.int64(-1)
    number = np.int64(0)
    for j in (0, 1, 2, 3, 5, 6):
        digit = np.int64(data[start + j]) - 48
        if digit < 0 or digit > 9:
            return np.int64(-1)
        number = number * 10 + digit
    month = number % 100
    if number < 200001 or month < 1 or month > 12:
        return np.int64(-1)
    return (number // 100 - 2000) * 12 + month - 1


@kernel
def _is_ascii(data: Any, start: Any, end: Any) -> Any:
    seen = 0
    for j in range(start, end):
        seen |= data[j]
    return seen < _NOT_ASCII


@kernel
def _is_key(keys: Any, start: Any, end: Any, customer: Any) -> Any:
    """True when these bytes are exactly the decimal form of the customer id."""
    if start < 0 or end <= start or end - start > 19 or customer <= 0:
        return False
    v = np.int64(0)
    for j in range(start, end):
        digit = np.int64(keys[j]) - 48
        if digit < 0 or digit > 9 or (j == start and digit == 0):
            return False
        v = v * 10 + digit
    return v == customer


@kernel
def _texts_bits(data: Any, p: Any, end: Any, capabilities: Any) -> Any:
    """Return the bits of the known words in an array of texts in one block, and where it ends; -1 when unsure."""
    count, p = _varint(data, p, end)
    if p < 0 or count < 0 or count > 64:
        return 0, -1
    bits = 0
    for _ in range(count):
        size, p = _varint(data, p, end)
        if p < 0 or size < 0 or size > end - p or not _is_ascii(data, p, p + size):
            return 0, -1
        key = mixed(hash_bytes(data, p, p + size, np.uint64(FNV_OFFSET)))
        for bit in range(capabilities.size):
            if capabilities[bit] == key:
                bits |= 1 << bit
        p += size
    if count > 0:
        last, p = _varint(data, p, end)
        if p < 0 or last != 0:
            return 0, -1
    return bits, p


@kernel
def _walk(  # noqa: C901  # one pass over one record; leaving it in one piece keeps it in registers
    data: Any, p: Any, end: Any, i: Any, n_steps: Any, steps: Any, capabilities: Any, kind: Any,
    customer: Any, occurred: Any, ingested: Any, history: Any, ident: Any, rank: Any, payload: Any, code: Any,
    texts: Any,
) -> Any:  # fmt: skip
    """Read one body into row i; False when it must be read alone. Every step is checked against the end."""
    event = event_end = source = source_end = 0
    bits = np.int64(0)
    seed = np.uint64(FNV_OFFSET)
    for k in range(n_steps):
        type_ = steps[k, 0]
        place = steps[k, 1]
        value = np.int64(0)
        if type_ == BOOLEAN:
            if p >= end or data[p] > 1:
                return False
            value = np.int64(data[p])
            p += 1
        elif type_ == TEXTS:
            value, p = _texts_bits(data, p, end, capabilities)
            if p < 0:
                return False
        else:
            value, p = _varint(data, p, end)
            if p < 0:
                return False
            is_text = type_ == TEXT
            if type_ == NULL_LONG or type_ == NULL_TEXT:  # noqa: SIM109  # no tuples in kernels
                if value < 0 or value > 1:
                    return False
                is_text = type_ == NULL_TEXT and value == 1
                if value == 1:
                    value, p = _varint(data, p, end)
                    if p < 0:
                        return False
            if type_ == ENUM and (value < 0 or value >= steps[k, 3]):
                return False
            if type_ != ENUM and steps[k, 3] == INT_BITS and (value > INT32_MAX or value < -INT32_MAX - 1):
                return False
            if is_text:
                start, stop = p, p + value
                if value < 0 or value > 1024 or stop > end or not _is_ascii(data, start, stop):
                    return False
                p = stop
                if place == TO_EVENT_ID:
                    event, event_end = start, stop
                elif place == TO_SOURCE:
                    source, source_end = start, stop
                    seed = hash_bytes(data, start, stop, np.uint64(FNV_OFFSET))
                    seed = (seed ^ np.uint64(124)) * np.uint64(FNV_PRIME)
                elif place < TO_CODE:
                    if steps[k, 2] == AS_CYCLE:
                        value = _cycle(data, start, stop)
                        if value < 0:
                            return False
                    else:
                        from_seed = seed if steps[k, 2] == KEYED_WITH_SOURCE else np.uint64(FNV_OFFSET)
                        value = mixed(hash_bytes(data, start, stop, from_seed))
                    if place <= B:
                        texts[i, 2 * place] = start
                        texts[i, 2 * place + 1] = stop
        if place < TO_CODE:
            payload[i, place] = value
        elif place == TO_CODE:
            bits |= value << steps[k, 2]
        elif place == TO_CUSTOMER:
            customer[i] = value
        elif place == TO_OCCURRED:
            occurred[i] = value
        elif place == TO_INGESTED:
            ingested[i] = value
        elif place == TO_HISTORY:
            history[i] = value != 0
    code[i] = bits
    if event_end - event < 1 or event_end - event > 64 or source_end - source < 1 or source_end - source > 32:
        return False
    if occurred[i] < EARLIEST_MS or occurred[i] >= LATEST_MS or ingested[i] < EARLIEST_MS or ingested[i] >= LATEST_MS:
        return False
    ident[i] = mixed(hash_bytes(data, event, event_end, seed))
    if kind != USAGE:
        rank[i, 0], rank[i, 1] = _rank(data, source, source_end, event, event_end)
    return p == end


@entry
def read_records(
    data: Any, spans: Any, of_schema: Any, kinds: Any, lengths: Any, steps: Any, capabilities: Any, status: Any,
    kind: Any, customer: Any, occurred: Any, ingested: Any, history: Any, ident: Any, rank: Any, payload: Any,
    code: Any, texts: Any,
) -> Any:  # fmt: skip
    """Walk all records; fill the columns, `status` per record; return how many were not accepted as events.

    data (uint8): where the records are; spans: see `frames`. Columns of records that were not accepted hold anything.
    """
    others = 0
    for i in range(spans.shape[0]):
        start = spans[i, VALUE]
        end = spans[i, VALUE_END]
        status[i] = ALONE
        if start >= 0 and end - start >= 6 and data[start] == 0:
            schema_id = (
                np.int64(data[start + 1]) << 24 | np.int64(data[start + 2]) << 16
                | np.int64(data[start + 3]) << 8 | np.int64(data[start + 4])
            )  # fmt: skip
            program = of_schema[schema_id] if schema_id < of_schema.size else -1
            if program >= 0:
                kind[i] = kinds[program]
                if kinds[program] == TICK:
                    status[i] = IS_TICK
                elif kinds[program] != CUSTOMER:
                    for k in range(PAYLOAD_COLUMNS):
                        payload[i, k] = 0
                    rank[i, 0] = rank[i, 1] = 0
                    if (
                        _walk(
                            data, start + 5, end, i, lengths[program], steps[program], capabilities, kinds[program],
                            customer, occurred, ingested, history, ident, rank, payload, code, texts,
                        )
                        and _is_key(data, spans[i, KEY], spans[i, KEY_END], customer[i])
                    ):  # fmt: skip
                        status[i] = ACCEPTED
        if status[i] != ACCEPTED:
            others += 1
    return others


def text_rank(source: str, event_id: str) -> tuple[int, int]:
    """Return the two numbers that order events of one instant."""
    raw = np.frombuffer(source.encode() + event_id.encode(), np.uint8)
    cut = len(source.encode())
    high, low = _rank(raw, 0, cut, cut, raw.size)
    return int(high), int(low)


def cycle_number(text: str) -> int:
    """Return the months since 2000 of `YYYY-MM`; -1 when it is none."""
    return int(_cycle(np.frombuffer(text.encode() or b"\0", np.uint8), 0, len(text.encode())))
