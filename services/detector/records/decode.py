"""Records of a chunk → one event table in log order, ticks, customer records, poison.

The compiled walk of `log_format.walk` reads the fast kinds; what it does not accept is read alone with
`schemas.codec`, so one bad record never harms its neighbours: it becomes a `Poison` with its reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.cities import CITIES, SEGMENTS
from schemas.codec import Undecodable, decode
from schemas.events import HAND_OVER, TICK
from schemas.limits import EARLIEST_MS, EVENT_BYTES_MAX
from services.detector.engine.customer.layout import INT32_MAX, NAMED_SHIFT
from services.detector.engine.log_format import scan, walk, wire
from services.detector.engine.log_format.rows import drop_rows
from services.detector.ports import RawRecord
from services.detector.records.log_records import LogRecord, LogRecords
from services.detector.records.poison_records import Poison, PoisonRecords

Int64s = npt.NDArray[np.int64]

PROFILE_COLUMNS = (
    "codes", "birthday", "joined", "contract_ends", "arpu", "plan_fee", "plan_voice", "plan_data", "plan_sms",
    "plan_capabilities", "owner", "deputy", "brand", "auto_pay", "attributes",
)  # fmt: skip
"""Columns of `DecodedChunk.profiles`; unknown numbers are -1, unknown dates and text keys 0."""
ATTRIBUTES_COLUMN = PROFILE_COLUMNS.index("attributes")
CITY_CODES: Mapping[str, int] = {code: number for number, code in enumerate(CITIES, 1)}
SEGMENT_CODES: Mapping[str, int] = {code: number for number, code in enumerate(SEGMENTS, 1)}
"""Numbers of cities and segments in the state: their place in cities.toml, which is only ever appended to. 0 =
unknown."""
TIERS = ("UNKNOWN", "TOP", "HIGH", "MID", "LOW")
TIER_CODES: Mapping[str, int] = {tier: number for number, tier in enumerate(TIERS)}
LUNAR = 2
CALENDARS: Mapping[str, int] = {"UNKNOWN": 0, "SOLAR": 1, "LUNAR": LUNAR}
TEXTS_OF_KIND = {
    wire.HANDSET: (wire.A, wire.B),
    wire.COMPLAINT: (wire.A,),
    wire.INQUIRY: (wire.B,),
    wire.ROAMING: (wire.A, wire.B),
}
"""Payload columns whose texts findings tell, by kind."""


_COLUMNS = ("kind", "offset", "customer", "occurred", "ingested", "history", "ident", "rank", "payload", "code")
_ALLOWED = frozenset({*wire.RECORDS, HAND_OVER})


@dataclass(frozen=True)
class Tick:
    """A clock reading in the log. row: how many events of the chunk come before it."""

    offset: int
    row: int
    now_ms: int
    rules_offset: int


@dataclass(frozen=True)
class HandOver:
    """The engine of this version and older ones apply nothing after this record; see `shard`."""

    offset: int
    engine_version: int


@dataclass
class DecodedChunk:
    """Records of one partition in log order. The arrays have one row per event; their meaning is in `log_format.wire`.

    kind (n,) int8; customer, occurred, ingested, ident, offset (n,) int64; history (n,) bool; rank (n, 2) int64;
    payload (n, 5) int64; code (n,) int64. For customer records payload A is the row in `profiles`.
    attributes: of every row of `profiles`; their column there is filled in by the partition, which knows the risk card.
    texts: what text keys of this chunk stand for.
    """

    partition: int
    first_offset: int
    next_offset: int
    kind: npt.NDArray[np.int8]
    offset: Int64s
    customer: Int64s
    occurred: Int64s
    ingested: Int64s
    history: npt.NDArray[np.bool_]
    ident: Int64s
    rank: Int64s
    payload: Int64s
    code: Int64s
    profiles: Int64s
    attributes: list[Mapping[str, str]] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)
    hand_overs: list[HandOver] = field(default_factory=list)
    poison: Sequence[Poison] = field(default_factory=list)
    customers: list[tuple[bytes, bytes, int]] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many events the chunk has."""
        return int(self.kind.size)


class _Refused(Exception):
    """Decoded, but no event of this log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode_chunk(partition: int, records: Sequence[RawRecord]) -> DecodedChunk:
    """Decode the records of one partition; never raises for what is in them."""
    laid_out = LogRecords.of(records)
    n = len(laid_out)
    chunk = _empty(partition, laid_out)
    others, codes = np.empty(n, np.int64), np.empty(n, np.int64)
    texts = np.empty((n, 4), np.int64)
    found = walk.read_records(
        laid_out.data, laid_out.spans, wire.OF_SCHEMA, wire.CAPABILITY_KEYS, others, codes, chunk.kind, chunk.customer,
        chunk.occurred, chunk.ingested, chunk.history, chunk.ident, chunk.rank, chunk.payload, chunk.code, texts,
    )  # fmt: skip
    if not found:
        _collect_texts(chunk, np.ones(n, np.bool_), texts, laid_out)
        return chunk
    others, codes = others[:found], codes[:found]
    is_alone = codes == wire.ALONE
    rows = others - np.cumsum(~is_alone) + ~is_alone  # where each is in the table, or would be
    chunk.offset = np.delete(chunk.offset, others[~is_alone])
    _cut(chunk, len(chunk.offset))
    keep = np.ones(chunk.events, np.bool_)
    keep[rows[is_alone]] = False
    _collect_texts(chunk, keep, texts, laid_out)
    refused = codes > wire.IS_TICK
    poison = PoisonRecords(laid_out.taken(others[refused]), codes[refused], wire.REFUSED)
    if len(poison) < found:
        reasons = _read_alone(chunk, laid_out, others[~refused], rows[~refused], keep)
        poison = poison.joined(laid_out.taken(np.array([*reasons], np.int64)), [*reasons.values()])
    if poison:
        chunk.poison = poison
    return chunk


def _empty(partition: int, records: LogRecords) -> DecodedChunk:
    n = len(records)
    first, last = (int(records.offsets[0]), int(records.offsets[-1])) if n else (0, -1)
    return DecodedChunk(
        partition=partition,
        first_offset=first,
        next_offset=last + 1,
        kind=np.empty(n, np.int8),
        offset=records.offsets,
        customer=np.empty(n, np.int64),
        occurred=np.empty(n, np.int64),
        ingested=np.empty(n, np.int64),
        history=np.empty(n, np.bool_),
        ident=np.empty(n, np.int64),
        rank=np.empty((n, 2), np.int64),
        payload=np.empty((n, wire.PAYLOAD_COLUMNS), np.int64),
        code=np.empty(n, np.int64),
        profiles=np.zeros((0, len(PROFILE_COLUMNS)), np.int64),
    )


def _cut(chunk: DecodedChunk, rows: int) -> None:
    for name in _COLUMNS:
        setattr(chunk, name, getattr(chunk, name)[:rows])


def _collect_texts(chunk: DecodedChunk, keep: npt.NDArray[np.bool_], texts: Int64s, records: LogRecords) -> None:
    """Note what the text keys stand for, of the rare kinds whose texts findings tell."""
    for kind, columns in TEXTS_OF_KIND.items():
        for row in np.flatnonzero((chunk.kind == kind) & keep):
            for column in columns:
                key = int(chunk.payload[row, column])
                if key:
                    start, end = texts[row, 2 * column], texts[row, 2 * column + 1]
                    chunk.texts[key] = records.data[start:end].tobytes().decode("ascii")


def _read_alone(
    chunk: DecodedChunk, records: LogRecords, places: Int64s, rows: Int64s, keep: npt.NDArray[np.bool_]
) -> dict[int, str]:
    """Read what the walk left, and keep the rows of what is an event after all; return the places of poison, and why
    it is."""
    profiles: list[list[int]] = []
    ticks: list[tuple[int, Tick]] = []
    refused: dict[int, str] = {}
    for at, row, record in zip(places.tolist(), rows.tolist(), records.at(places), strict=True):
        try:
            name, fields = _decoded(record)
            if name == HAND_OVER:
                chunk.hand_overs.append(HandOver(record.offset, fields["engine_version"]))
                continue
            kind = wire.RECORDS[name]
            if kind == wire.TICK:
                ticks.append((row, Tick(record.offset, 0, fields["now"], fields["rules_offset"])))
                continue
            _fill_row(chunk, row, kind, fields, record.key)
            profile = profile_row(fields, chunk.texts) if kind == wire.CUSTOMER else None
        except (Undecodable, _Refused) as bad:
            refused[at] = str(bad.reason)
            continue
        keep[row] = True
        if profile is not None:
            chunk.payload[row, wire.A] = len(profiles)
            profiles.append(profile)
            chunk.attributes.append(fields["attributes"])
            assert record.key is not None
            assert record.value is not None
            chunk.customers.append((record.key, record.value, record.offset))
    if profiles:
        chunk.profiles = np.array(profiles, np.int64)
    chunk.ticks = [Tick(t.offset, int(np.count_nonzero(keep[:row])), t.now_ms, t.rules_offset) for row, t in ticks]
    if not keep.all():
        n = drop_rows(
            keep, chunk.kind, chunk.offset, chunk.customer, chunk.occurred, chunk.ingested, chunk.history, chunk.ident,
            chunk.rank, chunk.payload, chunk.code,
        )  # fmt: skip
        _cut(chunk, n)
    return refused


def _decoded(record: LogRecord) -> tuple[str, dict[str, Any]]:
    if record.value is None:
        raise _Refused("no_value")
    if len(record.value) > EVENT_BYTES_MAX:  # its copy, or the page that keeps it, might be more than a broker takes
        raise _Refused("record_too_large")
    found = decode(record.value, allowed=_ALLOWED)
    if found.name in (TICK, HAND_OVER) and record.key is not None:
        raise _Refused("tick_with_key" if found.name == TICK else "control_with_key")
    if found.name == TICK and not (0 <= found.record["now"] < wire.LATEST_MS and found.record["rules_offset"] >= -1):
        raise _Refused("out_of_range")
    return found.name, found.record


def _fill_row(chunk: DecodedChunk, i: int, kind: int, fields: Mapping[str, Any], key: bytes | None) -> None:
    """Put one event read alone into row i; raises _Refused."""
    customer, source, event_id = fields["customer_id"], fields["source"], fields["event_id"]
    if key != b"%d" % customer:
        raise _Refused("key_mismatch")
    if not (customer >= 1 and 1 <= len(event_id) <= 64 and 1 <= len(source) <= 32):
        raise _Refused("out_of_range")
    if not (EARLIEST_MS <= fields["occurred_at"] < wire.LATEST_MS
            and EARLIEST_MS <= fields["ingested_at"] < wire.LATEST_MS):  # fmt: skip
        raise _Refused("out_of_range")
    chunk.kind[i], chunk.customer[i], chunk.history[i] = kind, customer, fields["history"]
    chunk.occurred[i], chunk.ingested[i] = fields["occurred_at"], fields["ingested_at"]
    chunk.ident[i] = scan.source_text_key(source, event_id)
    chunk.rank[i] = scan.text_rank(source, event_id) if kind != wire.USAGE else (0, 0)
    payload, code = [0] * wire.PAYLOAD_COLUMNS, 0
    for name, (place, flag) in wire.PLACES[kind].items():
        is_keyed = flag == wire.KEYED_WITH_SOURCE and place < wire.PAYLOAD_COLUMNS
        texts = chunk.texts if place in TEXTS_OF_KIND.get(kind, ()) else {}
        value = _number(kind, name, fields[name], source=source if is_keyed else "", texts=texts)
        if place < wire.PAYLOAD_COLUMNS:
            payload[place] = value
        else:
            code |= value << flag
    chunk.payload[i], chunk.code[i] = payload, code


def _number(kind: int, name: str, value: Any, *, source: str, texts: dict[int, str]) -> int:
    """Return a field as the number that the walk would have made of it; raises _Refused."""
    if value is None:
        return 0
    if name in wire.SYMBOLS[kind]:
        return wire.SYMBOLS[kind][name].index(value)
    if name == "cycle":
        if scan.cycle_number(value) < 0:
            raise _Refused("out_of_range")
        return scan.cycle_number(value)
    if isinstance(value, str):
        if len(value.encode()) > wire.TEXT_BYTES_MAX:
            raise _Refused("out_of_range")
        key = scan.source_text_key(source, value) if source else scan.text_key(value)
        texts[key] = value
        return key
    if isinstance(value, list):
        return capability_bits(value)
    return int(value)


def capability_bits(words: Sequence[str]) -> int:
    """Return the bits of the known capabilities."""
    return sum(1 << bit for bit, word in enumerate(wire.CAPABILITIES) if word in words)


def category_bits(words: Sequence[str]) -> int:
    """Return the bits of the named service categories."""
    return sum(1 << bit for bit, word in enumerate(wire.SYMBOLS[wire.ORDER]["category"][1:]) if word in words)


def profile_row(fields: Mapping[str, Any], texts: dict[int, str]) -> list[int]:
    """Return a customer record as the columns of the state."""
    codes = (
        CITY_CODES.get(fields["city"], 0)
        | SEGMENT_CODES.get(fields["segment"] or "", 0) << 8
        | TIER_CODES.get(fields["tier"], 0) << 16
        | CALENDARS.get(fields["birthday_calendar"], 0) << 20
        | category_bits(fields["active_categories"]) << NAMED_SHIFT
    )
    return [
        codes - (1 << 32) if codes >> 31 else codes,  # as a word of the state has it
        birthday_number(fields["birthday"]),
        fields["joined_on"] or 0,
        fields["contract_ends_on"] or 0,
        *(_bounded(fields[n]) for n in ("arpu_fen", "plan_fee_fen", "plan_voice_seconds", "plan_data_kib", "plan_sms")),
        capability_bits(fields["plan_capabilities"]),
        *(
            _number(wire.CUSTOMER, n, fields[n], source="", texts=texts)
            for n in ("owner_manager_id", "deputy_manager_id", "brand")
        ),
        int(fields["auto_pay"]),
        0,
    ]


def birthday_number(text: str | None) -> int:
    """Return month * 100 + day of `YYYY-MM-DD` or `MM-DD`; 0 when there is none to be read."""
    parts = (text or "").split("-")[-2:]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) == 2 for part in parts):
        return 0
    month, day = int(parts[0]), int(parts[1])
    return month * 100 + day if 1 <= month <= 12 and 1 <= day <= 31 else 0


def _bounded(value: int | None) -> int:
    return -1 if value is None else max(-1, min(value, INT32_MAX))
