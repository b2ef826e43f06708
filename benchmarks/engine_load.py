"""What the engine benchmark runs on: a province's state made from columns, an hour of its log, rules in any number."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from schemas.codec import encode
from services.detector.engine.log_format import wire
from services.detector.records.batches import RawBatch, read_batches
from services.detector.records.decode import PROFILE_COLUMNS, DecodedChunk, Tick

RULES = Path(__file__).parents[1] / "services" / "detector" / "rules"
SUNDAY_NOON_MS = 1_788_667_200_000
DAY_MS = 86_400_000
Entry = tuple[bytes | None, bytes]
_KINDS = ("usage", "balance", "complaint", "line-status", "handset-change")
_SETTINGS = ("risk.yaml", "lateness.yaml")
_STEP = 250_000


def documents(rules: int) -> dict[str, str]:
    """So many rules with risk card and lateness: the shipped ones, then copies of them under other ids."""
    shipped = {path.name: path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.yaml"))}
    found = {name: shipped.pop(name) for name in _SETTINGS}
    names = list(shipped)
    for number in range(rules or len(names)):
        text, copy = shipped[names[number % len(names)]], number // len(names)
        if copy:
            text = re.sub(r"(?m)^id: ([A-Z0-9]{3,4})$", rf"id: \g<1>{chr(64 + copy)}", text)
        found[f"{number:03d}-{names[number % len(names)]}"] = text
    return found


def past(customers: int) -> Iterator[DecodedChunk]:
    """A record of every customer, then a call a week for six weeks, the last on the Saturday before the start."""
    rng = np.random.default_rng(1)
    offset = 0
    for first in range(1, customers + 1, _STEP):
        ids = np.arange(first, min(first + _STEP, customers + 1), dtype=np.int64)
        rows = np.zeros((len(ids), len(PROFILE_COLUMNS)), np.int64)
        columns = dict(zip(PROFILE_COLUMNS, rows.T, strict=True))
        columns["codes"][:] = 1 + ids % 2 | 3 << 16
        columns["birthday"][:] = (ids % 12 + 1) * 100 + ids % 28 + 1
        columns["joined"][:] = 18_000
        for unknown in ("arpu", "plan_fee", "plan_voice", "plan_data", "plan_sms"):
            columns[unknown][:] = -1
        places = np.zeros((len(ids), wire.PAYLOAD_COLUMNS), np.int64)
        places[:, wire.A] = np.arange(len(ids))
        yield _chunk(offset, ids, wire.CUSTOMER, SUNDAY_NOON_MS - 40 * DAY_MS, places, 0, rows)
        offset += len(ids)
        for weeks in range(5, -1, -1):
            calls = np.zeros((len(ids), wire.PAYLOAD_COLUMNS), np.int64)
            calls[:, wire.A] = rng.integers(3_000, 3_900, len(ids))
            calls[:, wire.B] = rng.integers(0, 500, len(ids))
            yield _chunk(
                offset, ids, wire.USAGE, SUNDAY_NOON_MS - DAY_MS - weeks * 7 * DAY_MS, calls, 1 | 1 << 7, rows[:0]
            )
            offset += len(ids)


def ticked(offset: int, now_ms: int) -> DecodedChunk:
    """A chunk with nothing but a tick that announces the rules at offset 0 of their topic."""
    nothing = np.zeros(0, np.int64)
    rows = np.zeros((0, len(PROFILE_COLUMNS)), np.int64)
    chunk = _chunk(offset, nothing, wire.USAGE, 0, np.zeros((0, wire.PAYLOAD_COLUMNS), np.int64), 0, rows)
    chunk.next_offset = offset + 1
    chunk.ticks = [Tick(offset, 0, now_ms, 0)]
    return chunk


def _chunk(offset: int, ids: Any, kind: int, at: int, payload: Any, code: int, profiles: Any) -> DecodedChunk:
    n = len(ids)
    return DecodedChunk(
        partition=0,
        first_offset=offset,
        next_offset=offset + n,
        kind=np.full(n, kind, np.int8),
        offset=np.arange(offset, offset + n, dtype=np.int64),
        customer=ids,
        occurred=np.full(n, at, np.int64),
        ingested=np.full(n, at, np.int64),
        history=np.ones(n, np.bool_),
        ident=ids * 1_000_003 + at,
        rank=np.zeros((n, 2), np.int64),
        payload=payload,
        code=np.full(n, code, np.int64),
        profiles=profiles,
    )


MIXES: Mapping[str, Sequence[int]] = {
    "a day": (91_900, 8_000, 20, 20, 60),
    "crisis": (90_000, 8_000, 500, 500, 1_000),
}
"""How many events of each kind in 100,000. Of 300 million events a day, 20 are 60,000 complaints; in a crisis 25 times
as many complain, so that one event in 200 makes a moment."""


def live(rng: random.Random, count: int, customers: int, since_ms: int, *, mix: str) -> list[Entry]:
    """Events of an hour, customers in random order."""
    kinds = rng.choices(_KINDS, MIXES[mix], k=count)
    return [
        _event(rng, kind, customers, since_ms + number * 3_600_000 // count) for number, kind in enumerate(kinds)
    ]  # fmt: skip


def _event(rng: random.Random, kind: str, customers: int, at: int) -> Entry:
    customer = rng.randrange(1, customers + 1)
    name = f"{rng.getrandbits(48):012x}"
    fields: Mapping[str, Any]
    if kind == "usage":
        record = "UsageEvent"
        fields = {
            "service": rng.choice(("VOICE", "DATA", "SMS")), "quantity": rng.randrange(2000),
            "charge_fen": rng.randrange(50), "area": "NJ-017", "counterpart_network": "ON_NET",
            "counterpart_key": rng.getrandbits(60),
        }  # fmt: skip
    elif kind == "balance":
        record, fields = "BalanceEvent", {"balance_fen": rng.randrange(900, 60_000)}
    elif kind == "complaint":
        record, fields = "ComplaintEvent", {"complaint_id": name, "state": "OPENED", "topic": "BILLING"}
    elif kind == "line-status":
        record, fields = "LineStatusEvent", {"status": "ACTIVE"}
    else:
        record, fields = "HandsetChangeEvent", {"device_model": f"model {rng.randrange(300)}"}
    common = {"customer_id": customer, "occurred_at": at, "ingested_at": at, "event_id": name, "source": "boss"}
    return b"%d" % customer, encode(f"kairos.events.v1.{record}", {**common, **fields})


def fetched(entries: Sequence[Entry], offset: int) -> bytes:
    """One record batch, as a broker would send it."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 28)
    for at, (key, value) in enumerate(entries):
        builder.append(at, SUNDAY_NOON_MS, key, value, [])
    raw = bytearray(builder.build())
    raw[:8] = offset.to_bytes(8, "big")
    return bytes(raw)


def batches_of(data: bytes) -> list[RawBatch]:
    """The batches of a fetch."""
    return [batch for batch, _ in read_batches(data, 0) if batch is not None]
