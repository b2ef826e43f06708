"""Kafka's record batches, without their headers → where each record's key and value lie. One compiled pass, no objects.

Format: message format v2 of Apache Kafka. The broker checked every record when it took the batch, and the batch's
checksum is checked before this; bounds are checked all the same, since a wrong read could not be noticed later.
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import entry, kernel

KEY, KEY_END, VALUE, VALUE_END, SPANS = range(5)
"""Columns of spans; KEY or VALUE is -1 where a record has none."""


@kernel
def _number(data: Any, p: Any, end: Any) -> Any:
    """Return the zigzag number at p and where it ends; -1 when it is cut off."""
    v = np.uint64(0)
    shift = np.uint64(0)
    while p < end and shift <= 63:
        x = np.uint64(data[p])
        p += 1
        v |= (x & np.uint64(127)) << shift
        if x < 128:
            return np.int64(v >> np.uint64(1)) ^ -np.int64(v & np.uint64(1)), p
        shift += np.uint64(7)
    return np.int64(0), -1


@kernel
def _part(data: Any, p: Any, end: Any) -> Any:
    """Return where the bytes of a key or value begin (-1: none) and end, and where to read on (-1: cut off)."""
    size, p = _number(data, p, end)
    if p < 0 or size > end - p:
        return np.int64(-1), np.int64(-1), -1
    if size < 0:
        return np.int64(-1), np.int64(-1), p
    return np.int64(p), np.int64(p + size), p + size


@entry
def read_frames(data: Any, ends: Any, counts: Any, bases: Any, wanted: Any, offsets: Any, spans: Any) -> Any:
    """Fill `offsets` and `spans` with the records from offset `wanted` on; return how many, or -1 - batch when torn.

    data (uint8): the batches' records laid end to end; ends, counts, bases (int64): where each batch ends, how many
    records it has, and its first offset.
    """
    n = 0
    p = np.int64(0)
    for batch in range(ends.size):
        stop = ends[batch]
        for _ in range(counts[batch]):
            size, p = _number(data, p, stop)
            if p < 0 or size < 1 or size > stop - p:
                return -1 - batch
            end = p + size
            _, p = _number(data, p + 1, end)  # attributes: one byte, without meaning; then the time
            if p < 0:
                return -1 - batch
            delta, p = _number(data, p, end)
            if p < 0:
                return -1 - batch
            key, key_end, p = _part(data, p, end)
            if p < 0:
                return -1 - batch
            value, value_end, p = _part(data, p, end)
            if p < 0:
                return -1 - batch
            if bases[batch] + delta >= wanted:
                offsets[n] = bases[batch] + delta
                spans[n, KEY], spans[n, KEY_END] = key, key_end
                spans[n, VALUE], spans[n, VALUE_END] = value, value_end
                n += 1
            p = end
        if p != stop:
            return -1 - batch
    return n
