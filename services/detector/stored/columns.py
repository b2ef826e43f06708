"""Tables of stored events → the event table that the engine takes; the same rows as decoding the log's bytes gives."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from services.detector.engine.codegen.jit import entry
from services.detector.engine.log_format import wire
from services.detector.records.decode import PROFILE_COLUMNS, TEXTS_OF_KIND, DecodedChunk, Tick
from services.detector.records.poison_records import Poison
from services.detector.stored.frames import LOG_KINDS, columns_of
from services.detector.stored.profiles import profiles_of, word_bits
from services.detector.stored.text_kernels import Sources, cycle_numbers, text_keys

Int64s = npt.NDArray[np.int64]
_COLUMNS: Final = wire.TO_EVENT_ID + 1
"""Columns of one kind by their place: the payload's, then TO_CODE to TO_EVENT_ID."""


def chunk_of(
    partition: int, first_offset: int, next_offset: int, frames: Mapping[str, pl.DataFrame],
    ticks: pl.DataFrame | None = None, poison: list[Poison] | None = None,
) -> DecodedChunk:  # fmt: skip
    """Return the chunk [first_offset, next_offset) of a partition.

    frames: kind → table with its fields by name and `offset`, ascending; ticks: `offset`, `now` (ms), `rules_offset`.
    """
    parts = {kind: frame for kind, frame in frames.items() if frame.height}
    is_event = np.zeros(next_offset - first_offset, np.bool_)
    offsets = {kind: frame.get_column("offset").to_numpy() - first_offset for kind, frame in parts.items()}
    for at in offsets.values():
        is_event[at] = True
    row_at: Int64s = np.cumsum(is_event) - is_event  # events before each offset
    chunk = _empty(partition, first_offset, next_offset, int(is_event.sum()))
    chunk.offset[:] = np.flatnonzero(is_event) + first_offset
    for kind, frame in parts.items():
        _fill(chunk, wire.KINDS[kind], LOG_KINDS[kind], frame, row_at[offsets[kind]])
    if ticks is not None:
        chunk.ticks = [
            Tick(offset, int(row_at[offset - first_offset]), now, rules)
            for offset, now, rules in ticks.select("offset", "now", "rules_offset").sort("offset").iter_rows()
        ]
    chunk.poison = poison or []
    return chunk


def _empty(partition: int, first_offset: int, next_offset: int, n: int) -> DecodedChunk:
    return DecodedChunk(
        partition=partition,
        first_offset=first_offset,
        next_offset=next_offset,
        kind=np.empty(n, np.int8),
        offset=np.empty(n, np.int64),
        customer=np.empty(n, np.int64),
        occurred=np.empty(n, np.int64),
        ingested=np.empty(n, np.int64),
        history=np.empty(n, np.bool_),
        ident=np.empty(n, np.int64),
        rank=np.zeros((n, 2), np.int64),
        payload=np.empty((n, wire.PAYLOAD_COLUMNS), np.int64),
        code=np.empty(n, np.int64),
        profiles=np.zeros((0, len(PROFILE_COLUMNS)), np.int64),
    )


def _fill(chunk: DecodedChunk, kind: int, record: str, frame: pl.DataFrame, rows: Int64s) -> None:
    sources = Sources(frame.get_column("source"))
    ident, rank = sources.identify(frame.get_column("event_id"), with_rank=kind != wire.USAGE)
    if kind != wire.USAGE:
        chunk.rank[rows] = rank
    table = np.empty((_COLUMNS, len(rows)), np.int64)
    table[: wire.TO_CODE + 1] = 0
    table[wire.TO_CUSTOMER] = frame.get_column("customer_id").to_numpy()
    table[wire.TO_OCCURRED] = frame.get_column("occurred_at").to_physical().to_numpy()
    table[wire.TO_INGESTED] = frame.get_column("ingested_at").to_physical().to_numpy()
    table[wire.TO_HISTORY] = frame.get_column("history").to_numpy()
    table[wire.TO_EVENT_ID] = ident
    if kind == wire.CUSTOMER:
        _take_profiles(chunk, frame)
        table[wire.A] = np.arange(len(rows))
    types = columns_of(record)
    for name, (place, flag) in wire.PLACES.get(kind, {}).items():
        series = frame.get_column(name)
        values = _numbers(series, types[name], flag if place < wire.PAYLOAD_COLUMNS else 0, sources)
        if place < wire.PAYLOAD_COLUMNS:
            table[place] = values
        else:
            table[wire.TO_CODE] |= values << flag
        if place in TEXTS_OF_KIND.get(kind, ()):
            chunk.texts.update(zip(values.tolist(), series.to_list(), strict=True))
    chunk.texts.pop(0, None)
    _place(
        rows, kind, table, chunk.kind, chunk.customer, chunk.occurred, chunk.ingested, chunk.history, chunk.ident,
        chunk.payload, chunk.code,
    )  # fmt: skip


@entry
def _place(
    rows: Any, kind: Any, table: Any, kinds: Any, customers: Any, occurred: Any, ingested: Any, histories: Any,
    idents: Any, payloads: Any, codes: Any,
) -> None:  # fmt: skip
    """Put the columns of one kind where its rows are among those of all kinds."""
    for i in range(rows.size):
        row = rows[i]
        kinds[row] = kind
        customers[row] = table[wire.TO_CUSTOMER, i]
        occurred[row] = table[wire.TO_OCCURRED, i]
        ingested[row] = table[wire.TO_INGESTED, i]
        histories[row] = table[wire.TO_HISTORY, i] != 0
        idents[row] = table[wire.TO_EVENT_ID, i]
        codes[row] = table[wire.TO_CODE, i]
        for column in range(wire.PAYLOAD_COLUMNS):
            payloads[row, column] = table[column, i]


def _take_profiles(chunk: DecodedChunk, frame: pl.DataFrame) -> None:
    chunk.profiles = profiles_of(frame, chunk.texts)
    chunk.attributes = [{}] * frame.height
    lists = frame.get_column("attributes")
    rows = (lists.list.len() > 0).arg_true()
    for row, pairs in zip(rows.to_list(), lists.gather(rows).to_list(), strict=True):
        chunk.attributes[row] = {pair["key"]: pair["value"] for pair in pairs}


def _numbers(series: pl.Series, dtype: Any, flag: int, sources: Sources) -> Int64s:
    """Return a field as the numbers that the walk would have made of it."""
    if dtype == pl.String:
        if flag == wire.AS_CYCLE:
            return cycle_numbers(series)
        return sources.keys(series) if flag == wire.KEYED_WITH_SOURCE else text_keys(series)
    if isinstance(dtype, pl.List):
        return word_bits(series, wire.CAPABILITIES)
    values = series.to_physical()
    found: Int64s = (values.fill_null(0) if values.null_count() else values).to_numpy().astype(np.int64, copy=False)
    return found


def windows(
    partition: int, first_offset: int, next_offset: int, frames: Mapping[str, pl.DataFrame],
    ticks: pl.DataFrame | None = None, *, size: int = 262_144
) -> Iterator[DecodedChunk]:  # fmt: skip
    """Yield the chunks of a longer stretch of the log, so many offsets each. Tables are ascending by `offset`."""
    tables = {**frames, **({"": ticks} if ticks is not None else {})}
    offsets = {kind: frame.get_column("offset").to_numpy() for kind, frame in tables.items()}
    for first in range(first_offset, next_offset, size):
        last = min(first + size, next_offset)
        part = {kind: _between(frame, offsets[kind], first, last) for kind, frame in tables.items()}
        yield chunk_of(partition, first, last, part, part.pop("", None))


def _between(frame: pl.DataFrame, offsets: Int64s, first: int, last: int) -> pl.DataFrame:
    start, end = np.searchsorted(offsets, (first, last)).tolist()
    return frame.slice(start, end - start)
