"""A page of state ⇄ bytes: columns of 512 customers, their cases in chain order, the texts they need; zstd.

What a page holds follows from the log up to its offset alone: rows of the pool are numbered anew, texts are sorted.
"""

import json
import struct
from dataclasses import dataclass
from typing import Any

import cramjam
import numpy as np
import numpy.typing as npt

from services.detector.engine.codegen.jit import entry
from services.detector.engine.customer.case_layout import COUNTRY_KEY, COUNTRY_ZONE, INQUIRY_AREA
from services.detector.engine.customer.layout import (
    BRAND,
    CASE_WORDS,
    CASES,
    COMPLAINT,
    COMPLAINT_ID,
    COUNTRY_CASE,
    DEPUTY,
    INQUIRY_CASE,
    NEXT,
    OWNER,
    PAGE_ROWS,
    STATE_VERSION,
    SWAP,
    SWAP_MODEL,
    SWAP_PREVIOUS,
    TYPE,
    WORDS,
)
from services.detector.engine.errors import StateUnreadable

_HEADER = struct.Struct("<4sHHIIIqq")
_MAGIC = b"KSPG"
_PAYLOAD_BYTES_MAX = 64 << 20
_ZSTD_LEVEL = -1
"""A fifth less time than level 1 for a tenth more bytes: pages are most of what a turn costs."""
Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Page:
    """A page's bytes; it contains the log up to next_offset (exclusive)."""

    next_offset: int
    rows: int
    payload: bytes


@dataclass(frozen=True)
class PageContent:
    """What a page's bytes say. cases: the chains of its customers, one after the other; CASES of a record is how many.

    history_tick: see Partition: the partition's own memory at the page's offset.
    """

    records: Int32s  # (rows, WORDS)
    cases: Int32s  # (n, CASE_WORDS)
    texts: dict[int, str]
    history_since_tick: bool


def encode_page(content: PageContent) -> bytes:
    """Return the bytes of a page."""
    texts = json.dumps({str(k): v for k, v in sorted(content.texts.items())}, ensure_ascii=False).encode()
    rows, cases = len(content.records), len(content.cases)
    raw = bytearray(_HEADER.size + 4 * (rows * WORDS + cases * CASE_WORDS) + len(texts))
    _HEADER.pack_into(
        raw, 0, _MAGIC, STATE_VERSION, WORDS, rows, cases, len(texts), int(content.history_since_tick), 0
    )  # fmt: skip
    columns, chains = _columns(raw, rows, cases)
    columns[:] = content.records.T
    chains[:] = content.cases.T
    raw[len(raw) - len(texts) :] = texts
    return bytes(cramjam.zstd.compress(raw, level=_ZSTD_LEVEL))


def decode_page(payload: bytes) -> PageContent:
    """Return what a page holds; raises StateUnreadable."""
    try:
        raw = bytes(cramjam.zstd.decompress(payload))
        magic, version, words, rows, cases, text_bytes, flags, _ = _HEADER.unpack_from(raw)
    except (cramjam.DecompressionError, struct.error) as fault:
        raise StateUnreadable(f"page cannot be unpacked: {fault}") from fault
    if magic != _MAGIC or version != STATE_VERSION or words != WORDS:
        raise StateUnreadable(f"page of layout {version} with {words} words; this engine has {STATE_VERSION}, {WORDS}")
    body = _HEADER.size
    record_bytes, case_bytes = 4 * rows * WORDS, 4 * cases * CASE_WORDS
    if rows > PAGE_ROWS or len(raw) != body + record_bytes + case_bytes + text_bytes or len(raw) > _PAYLOAD_BYTES_MAX:
        raise StateUnreadable("page has another size than it says")
    columns, chains = _columns(raw, rows, cases)
    texts = {int(k): v for k, v in json.loads(raw[body + record_bytes + case_bytes :]).items()}
    return PageContent(np.ascontiguousarray(columns.T), np.ascontiguousarray(chains.T), texts, bool(flags & 1))


def _columns(raw: bytes | bytearray, rows: int, cases: int) -> tuple[Int32s, Int32s]:
    """The records and the cases in a page's bytes: (WORDS, rows) and (CASE_WORDS, cases), without a copy."""
    records = np.frombuffer(raw, np.int32, rows * WORDS, _HEADER.size)
    chains = np.frombuffer(raw, np.int32, cases * CASE_WORDS, _HEADER.size + records.nbytes)
    return records.reshape(WORDS, rows), chains.reshape(CASE_WORDS, cases)


def text_keys(records: Int32s, cases: Int32s) -> npt.NDArray[np.int64]:
    """Return every text key that these records and cases refer to, ascending, without 0."""
    found = [_int64(records, word) for word in (OWNER, DEPUTY, BRAND)]
    swaps, complaints = cases[cases[:, TYPE] == SWAP], cases[cases[:, TYPE] == COMPLAINT]
    found += [_int64(swaps, SWAP_MODEL), _int64(swaps, SWAP_PREVIOUS), _int64(complaints, COMPLAINT_ID)]
    inquiries, countries = cases[cases[:, TYPE] == INQUIRY_CASE], cases[cases[:, TYPE] == COUNTRY_CASE]
    found += [_int64(inquiries, INQUIRY_AREA), _int64(countries, COUNTRY_KEY), _int64(countries, COUNTRY_ZONE)]
    keys = np.unique(np.concatenate(found))
    used: npt.NDArray[np.int64] = keys[keys != 0]
    return used


def _int64(table: Int32s, word: int) -> npt.NDArray[np.int64]:
    high, low = table[:, word + 1].astype(np.int64), table[:, word].astype(np.int64)
    found: npt.NDArray[np.int64] = high << 32 | low & 0xFFFFFFFF
    return found


@entry
def count_cases(records: Any, pool: Any, counts: Any) -> int:
    """Fill how many cases each record has; return how many there are together."""
    total = 0
    for s in range(records.shape[0]):
        counts[s] = 0
        row = records[s, CASES]
        while row != 0:
            counts[s] += 1
            row = pool[row, NEXT]
        total += counts[s]
    return total


@entry
def copy_cases(records: Any, pool: Any, cases: Any) -> None:
    """Copy the chains of the records, one after the other, in chain order, with NEXT cleared."""
    n = 0
    for s in range(records.shape[0]):
        row = records[s, CASES]
        while row != 0:
            for j in range(CASE_WORDS):
                cases[n, j] = pool[row, j]
            cases[n, NEXT] = 0
            n += 1
            row = pool[row, NEXT]


@entry
def place_cases(records: Any, cases: Any, pool: Any, meta: Any) -> None:
    """Put chains back: CASES of each record is how many it has; becomes its first row in the pool."""
    n = 0
    for s in range(records.shape[0]):
        count = records[s, CASES]
        records[s, CASES] = 0
        for k in range(count):
            row = meta[1]
            meta[1] += 1
            for j in range(CASE_WORDS):
                pool[row, j] = cases[n, j]
            if k == 0:
                records[s, CASES] = row
            else:
                pool[row - 1, NEXT] = row
            n += 1
