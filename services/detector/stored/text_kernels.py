"""Columns of text → the 64-bit keys and orders that the engine keeps in their place; the same as the walk makes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from services.detector.engine.codegen.jit import entry
from services.detector.engine.log_format.scan import FNV_OFFSET, cycle_of, hash_after_source, hash_bytes, mixed, rank_of

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@entry
def _identify(
    source: Any, source_ends: Any, seeds: Any, which: Any, ids: Any, ends: Any, ident: Any, rank: Any
) -> None:
    """Fill identity hashes, and orders where `rank` has rows. source: the few sources, end to end; seeds: room for one
    number of each; which: of a row."""
    sources_at, ids_at = source.ctypes.data, ids.ctypes.data
    for k in range(source_ends.size):
        start = sources_at + (source_ends[k - 1] if k > 0 else 0)
        seeds[k] = hash_after_source(hash_bytes(start, sources_at + source_ends[k], np.uint64(FNV_OFFSET)))
    start = ids_at
    for i in range(ends.size):
        k = which[i]
        ident[i] = mixed(hash_bytes(start, ids_at + ends[i], seeds[k]))
        if rank.shape[0] > 0:
            first = sources_at + (source_ends[k - 1] if k > 0 else 0)
            rank[i, 0], rank[i, 1] = rank_of(first, sources_at + source_ends[k], start, ids_at + ends[i])
        start = ids_at + ends[i]


@entry
def _keys(source: Any, source_ends: Any, which: Any, texts: Any, ends: Any, present: Any, keys: Any) -> None:
    """Fill the key of every text that is there; keyed with its source where there are sources."""
    sources_at, texts_at = source.ctypes.data, texts.ctypes.data
    start = texts_at
    for i in range(ends.size):
        seed = np.uint64(FNV_OFFSET)
        if source_ends.size > 0:
            k = which[i]
            first = sources_at + (source_ends[k - 1] if k > 0 else 0)
            seed = hash_after_source(hash_bytes(first, sources_at + source_ends[k], seed))
        keys[i] = mixed(hash_bytes(start, texts_at + ends[i], seed)) if present[i] else 0
        start = texts_at + ends[i]


@entry
def _cycles(texts: Any, ends: Any, found: Any) -> None:
    texts_at = texts.ctypes.data
    start = texts_at
    for i in range(ends.size):
        found[i] = cycle_of(start, texts_at + ends[i])
        start = texts_at + ends[i]


class Sources:
    """The column `source` of a table: few texts, and which of them each row has."""

    def __init__(self, column: pl.Series) -> None:
        words = column.unique(maintain_order=True)
        self.text, self.ends = _joined(words)
        self.which = (
            np.zeros(len(column), np.int64)
            if len(words) == 1
            else column.replace_strict(words, pl.Series(range(len(words)), dtype=pl.Int64)).to_numpy()
        )

    def identify(self, event_ids: pl.Series, *, with_rank: bool) -> tuple[Int64s, Int64s]:
        """Return the identity hash and the order (two numbers, zeros without) of every event."""
        n = len(event_ids)
        ident, rank = np.zeros(n, np.int64), np.zeros((n if with_rank else 0, 2), np.int64)
        seeds = np.zeros(len(self.ends), np.uint64)
        _identify(self.text, self.ends, seeds, self.which, *_joined(event_ids), ident, rank)
        return ident, rank if with_rank else np.zeros((n, 2), np.int64)

    def keys(self, texts: pl.Series) -> Int64s:
        """Return the keys of ids that are unique per source only; 0 for null."""
        return _filled(texts, self.text, self.ends, self.which)


def text_keys(texts: pl.Series) -> Int64s:
    """Return the keys of texts that stand alone; 0 for null."""
    none = np.zeros(0, np.int64)
    return _filled(texts, np.zeros(1, np.uint8), none, none)


def cycle_numbers(texts: pl.Series) -> Int64s:
    """Return the months since 2000 of `YYYY-MM`; -1 where it is none."""
    found = np.zeros(len(texts), np.int64)
    _cycles(*_joined(texts), found)
    return found


def _filled(texts: pl.Series, source: Bytes, source_ends: Int64s, which: Int64s) -> Int64s:
    keys = np.zeros(len(texts), np.int64)
    missing = texts.null_count()
    if missing < len(texts):
        present = texts.is_not_null().to_numpy() if missing else np.ones(len(texts), np.bool_)
        _keys(source, source_ends, which, *_joined(texts), present, keys)
    return keys


def _joined(texts: pl.Series) -> tuple[Bytes, Int64s]:
    """Return the bytes of all texts laid end to end, and where each ends."""
    joined = texts.str.join("").cast(pl.Binary).item() if len(texts) else b""
    sizes = texts.str.len_bytes()
    ends = np.cumsum((sizes.fill_null(0) if sizes.null_count() else sizes).to_numpy(), dtype=np.int64)
    return np.frombuffer(joined or b"\0", np.uint8), ends
