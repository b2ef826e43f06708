"""Undecodable records → tails of dead letters: key, value and headers as message format v2 has them; tails → records of
a batch. Compiled.

A letter tells in decimal digits where its record stands in the log; what all letters of a partition, or of a reason,
have in common is handed over ready to be copied.
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import entry, kernel
from services.detector.engine.log_format.frames import KEY, KEY_END, VALUE, VALUE_END

HEAD_BYTES = 16
"""More than a record has before its tail."""
LETTER_BYTES = 64
"""More than a letter takes beside what is copied into it: its lengths and numbers."""
PREFIX, PLACE, CUT, OWN_KEY, REASONS = range(5)
"""What is copied: the beginning of the key; the headers up to the digits of the offset; the names of the headers that
tell a cut and the record's own key; from REASONS on a header per reason."""


@kernel
def _put_number(out: Any, p: Any, n: Any) -> Any:
    """Write a zigzag number, at least -1; return where it ends."""
    v = np.uint64(n << 1) ^ np.uint64(n >> 63)
    while v > np.uint64(127):
        out[p] = np.uint8(v & np.uint64(127) | np.uint64(128))
        v >>= np.uint64(7)
        p += 1
    out[p] = np.uint8(v)
    return p + 1


@kernel
def _put(out: Any, p: Any, data: Any, start: Any, end: Any) -> Any:
    """Copy bytes; return where they end."""
    for i in range(start, end):
        out[p] = data[i]
        p += 1
    return p


@kernel
def _number_size(n: Any) -> Any:
    """How many bytes a number takes that is not negative."""
    found = np.int64(1)
    while n > 63:
        n >>= 7
        found += 1
    return found


@kernel
def _digits(n: Any) -> Any:
    """How many digits a number has that is not negative."""
    found = np.int64(1)
    while n > 9:
        n //= 10
        found += 1
    return found


@kernel
def _put_digits(out: Any, p: Any, n: Any) -> Any:
    """Write a number in digits; return where they end."""
    end = p + _digits(n)
    for i in range(end - 1, p - 1, -1):
        out[i] = np.uint8(48 + n % 10)
        n //= 10
    return end


@entry
def write_letters(
    data: Any, spans: Any, offsets: Any, codes: Any, common: Any, bounds: Any, bytes_max: Any, out: Any, ends: Any
) -> Any:
    """Fill `out` with the tails of all letters, `ends` with where each ends; return how many bytes they are.

    codes (int64): which of the reasons, by record. common (uint8): what is copied; bounds: where each of it begins,
    and the end of the last. A record whose key and value have more than `bytes_max` is cut, and its key left out.
    """
    p = np.int64(0)
    for i in range(offsets.size):
        at = offsets[i]
        has_key = spans[i, KEY] >= 0
        key_size = spans[i, KEY_END] - spans[i, KEY] if has_key else np.int64(0)
        size = spans[i, VALUE_END] - spans[i, VALUE] if spans[i, VALUE] >= 0 else np.int64(-1)
        whole = max(size, np.int64(0))
        is_cut = whole + key_size > bytes_max

        p = _put_number(out, p, bounds[PREFIX + 1] - bounds[PREFIX] + _digits(at))
        p = _put_digits(out, _put(out, p, common, bounds[PREFIX], bounds[PREFIX + 1]), at)
        if is_cut:
            size = min(whole, np.int64(bytes_max))
        p = _put(out, _put_number(out, p, size), data, spans[i, VALUE], spans[i, VALUE] + max(size, np.int64(0)))

        p = _put_number(out, p, np.int64(5 if is_cut or has_key else 4))
        p = _put(out, p, common, bounds[PLACE], bounds[PLACE + 1])
        p = _put_digits(out, _put_number(out, p, _digits(at)), at)
        p = _put(out, p, common, bounds[REASONS + codes[i]], bounds[REASONS + codes[i] + 1])
        if is_cut:
            p = _put(out, p, common, bounds[CUT], bounds[CUT + 1])
            p = _put_digits(out, _put_number(out, p, _digits(whole)), whole)
        elif has_key:
            p = _put(out, p, common, bounds[OWN_KEY], bounds[OWN_KEY + 1])
            p = _put(out, _put_number(out, p, key_size), data, spans[i, KEY], spans[i, KEY_END])
        ends[i] = p
    return p


@entry
def frame_letters(tails: Any, ends: Any, first: Any, delta: Any, bytes_max: Any, out: Any) -> Any:
    """Fill `out` with the records of a batch from this tail on, the first at this difference in offset; return how many
    bytes and how many records they are: as many as fit, but the first of a batch in any case."""
    p = np.int64(0)
    n = np.int64(0)
    start = ends[first - 1] if first > 0 else np.int64(0)
    for i in range(first, ends.size):
        at = np.int64(delta + n)
        size = 2 + _number_size(at) + ends[i] - start
        if at > 0 and p + _number_size(size) + size > bytes_max:
            break
        p = _put_number(out, p, size)
        out[p] = np.uint8(0)  # attributes
        out[p + 1] = np.uint8(0)  # difference in time
        p = _put(out, _put_number(out, p + 2, at), tails, start, ends[i])
        start = ends[i]
        n += 1
    return p, n
