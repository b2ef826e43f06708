"""Small readers of bytes that the walk is made of: numbers, texts, keys, orders, months. Compiled, bounds checked.

Positions are addresses; `end` is the first address that does not belong to what is read.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from services.detector.engine.codegen.jit import entry, inlined, kernel
from services.detector.engine.codegen.memory import byte_at, int64_at

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
_MIX = 0xBF58476D1CE4E5B9
_HIGH_BITS = -0x7F7F7F7F7F7F7F80
"""The highest bit of each of eight bytes."""


@inlined
def varint(p: Any, end: Any) -> Any:
    """Return the zigzag number at p and where it ends; 0 there when there is none: 1 then tells that it is cut off, 0
    that it is not in its shortest form."""
    v = np.uint64(0)
    shift = np.uint64(0)
    while p < end:
        x = np.uint64(byte_at(p))
        p += 1
        if shift == 63 and x > 1:
            return np.int64(0), np.int64(0)
        v |= (x & np.uint64(127)) << shift
        if x < 128:
            if x == 0 and shift > 0:
                return np.int64(0), np.int64(0)
            return np.int64(v >> np.uint64(1)) ^ -np.int64(v & np.uint64(1)), p
        shift += np.uint64(7)
        if shift > 63:
            return np.int64(0), np.int64(0)
    return np.int64(1), np.int64(0)


@inlined
def is_ascii(p: Any, end: Any) -> Any:
    """True when no byte has its highest bit set."""
    seen = np.int64(0)
    while p + 8 <= end:
        seen |= int64_at(p)
        p += 8
    while p < end:
        seen |= byte_at(p)
        p += 1
    return seen & _HIGH_BITS == 0


@inlined
def hash_bytes(p: Any, end: Any, seed: Any) -> Any:
    """FNV-1a from a seed, over eight bytes at a time as long as there are so many, then over single ones."""
    x = seed
    while p + 8 <= end:
        x = (x ^ np.uint64(int64_at(p))) * np.uint64(FNV_PRIME)
        x ^= x >> np.uint64(32)
        p += 8
    while p < end:
        x = (x ^ np.uint64(byte_at(p))) * np.uint64(FNV_PRIME)
        p += 1
    return x


@inlined
def hash_after_source(seed: Any) -> Any:
    """The seed for a text of a source, from the source's hash."""
    return (seed ^ np.uint64(124)) * np.uint64(FNV_PRIME)


@inlined
def mixed(x: Any) -> Any:
    """Spread the bits of an FNV value; never 0, which means none."""
    x ^= x >> np.uint64(29)
    x *= np.uint64(_MIX)
    x ^= x >> np.uint64(32)
    return np.int64(x) if x != 0 else np.int64(1)


@inlined
def _letter(b: Any) -> Any:
    """Six bits of a byte that keep its order (not strictly): digits and letters apart, what is between them joined."""
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


@kernel
def _letters(p: Any, end: Any, first: Any, last: Any, before: Any) -> Any:
    """Append the letters first..last-1 of a text to a number; 0 for those beyond its end."""
    found = before
    for j in range(first, last):
        found = found << 6 | (_letter(byte_at(p + j)) if p + j < end else np.int64(0))
    return found


@inlined
def rank_of(source: Any, source_end: Any, event: Any, event_end: Any) -> Any:
    """Two numbers that order (source, event_id) as text does: 2 letters of the source, 18 of the id."""
    high = _letters(event, event_end, 0, 8, _letters(source, source_end, 0, 2, np.int64(0)))
    return high, _letters(event, event_end, 8, 18, np.int64(0))


@kernel
def cycle_of(start: Any, end: Any) -> Any:
    """Return the months since 2000 of `YYYY-MM`; -1 when it is none."""
    if end - start != 7 or byte_at(start + 4) != 45:
        return np.int64(-1)
    number = np.int64(0)
    for j in range(7):
        digit = byte_at(start + j) - 48
        if j != 4:
            if digit < 0 or digit > 9:
                return np.int64(-1)
            number = number * 10 + digit
    month = number % 100
    if number < 200001 or month < 1 or month > 12:
        return np.int64(-1)
    return (number // 100 - 2000) * 12 + month - 1


@inlined
def is_key(start: Any, end: Any, customer: Any) -> Any:
    """True when these bytes are exactly the decimal form of the customer id."""
    if end <= start or end - start > 19 or customer <= 0:
        return False
    v = np.int64(0)
    for p in range(start, end):
        digit = byte_at(p) - 48
        if digit < 0 or digit > 9:
            return False
        v = v * 10 + digit
    return v == customer and byte_at(start) != 48


@kernel
def texts_bits(p: Any, end: Any, known: Any, known_texts: Any) -> Any:
    """Return the bits of the known words in an array of texts in one block, and where it ends; 0 there when unsure.

    known: address of the words' keys.
    """
    count, p = varint(p, end)
    if p == 0 or count < 0 or count > 64:
        return np.int64(0), np.int64(0)
    bits = np.int64(0)
    for _ in range(count):
        size, p = varint(p, end)
        if p == 0 or size < 0 or size > end - p or not is_ascii(p, p + size):
            return np.int64(0), np.int64(0)
        key = mixed(hash_bytes(p, p + size, np.uint64(FNV_OFFSET)))
        for bit in range(known_texts):
            if int64_at(known + 8 * bit) == key:
                bits |= 1 << bit
        p += size
    if count > 0:
        last, p = varint(p, end)
        if p == 0 or last != 0:
            return np.int64(0), np.int64(0)
    return bits, p


@entry
def _text_key(data: Any, size: Any) -> Any:
    at = data.ctypes.data
    return mixed(hash_bytes(at, at + size, np.uint64(FNV_OFFSET)))


@entry
def _source_text_key(data: Any, source_size: Any, size: Any) -> Any:
    at = data.ctypes.data
    seed = hash_after_source(hash_bytes(at, at + source_size, np.uint64(FNV_OFFSET)))
    return mixed(hash_bytes(at + source_size, at + size, seed))


@entry
def _rank(data: Any, source_size: Any, size: Any) -> Any:
    at = data.ctypes.data
    return rank_of(at, at + source_size, at + source_size, at + size)


@entry
def _cycle(data: Any, size: Any) -> Any:
    at = data.ctypes.data
    return cycle_of(at, at + size)


def text_key(text: str) -> int:
    """Return the 64-bit key of a text; the same as the walk's."""
    raw = text.encode()
    return int(_text_key(_array(raw), len(raw)))


def source_text_key(source: str, text: str) -> int:
    """Return the 64-bit key of an id that is unique per source only."""
    before, raw = source.encode(), text.encode()
    return int(_source_text_key(_array(before + raw), len(before), len(before) + len(raw)))


def text_rank(source: str, event_id: str) -> tuple[int, int]:
    """Return the two numbers that order events of one instant."""
    before, raw = source.encode(), event_id.encode()
    high, low = _rank(_array(before + raw), len(before), len(before) + len(raw))
    return int(high), int(low)


def cycle_number(text: str) -> int:
    """Return the months since 2000 of `YYYY-MM`; -1 when it is none."""
    return int(_cycle(_array(text.encode()), len(text.encode())))


def _array(raw: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(raw or b"\0", np.uint8)
