"""A table of stored events gives the engine the same rows as the bytes of the log."""

import random
from dataclasses import fields
from typing import Any

import numpy as np
import polars as pl
import pytest

from schemas.codec import encode
from schemas.events import KINDS
from schemas.registry import REGISTRY
from services.detector.records.decode import DecodedChunk, decode_chunk
from services.detector.stored.columns import chunk_of
from services.detector.stored.frames import LOG_KINDS, as_newest, frame_of, records_of
from tests.reference.logs import Raw, full

TICK = "kairos.control.v1.Tick"
_WORDS = ("crm", "boss-2", "x", "billing-of-the-north")
_TEXTS = ("", "a", "Aster 7", "手机", "NJ-017", "z" * 60)


def test_every_kind_gives_the_rows_of_its_bytes() -> None:
    rng = random.Random(4)
    records = [_random_event(rng, rng.choice(tuple(LOG_KINDS))) for _ in range(900)]
    log = [
        Raw(100 + at, b"%d" % record["customer_id"], encode(LOG_KINDS[kind], record))
        for at, (kind, record) in enumerate(records)
    ]
    log.insert(500, Raw(0, None, encode(TICK, {"now": 1_788_746_400_000, "rules_offset": 3})))
    log = [Raw(100 + at, raw.key, raw.value) for at, raw in enumerate(log)]
    records.insert(500, ("", {}))

    found = chunk_of(2, 100, 100 + len(log), _frames(records), _tick_frame(600))

    _assert_same(found, decode_chunk(2, log))


def test_a_chunk_with_nothing_in_it() -> None:
    found = chunk_of(1, 7, 7, {})
    assert (found.events, found.first_offset, found.next_offset) == (0, 7, 7)


def test_a_table_that_lacks_a_newer_field_gets_its_default() -> None:
    record = LOG_KINDS["usage"]
    frame = frame_of(record, [{"customer_id": 1, "event_id": "e", "source": "s", "service": "SMS", "quantity": 1,
                               "occurred_at": 1_788_746_400_000}])  # fmt: skip
    older = frame.drop("direction", "roaming").with_columns(pl.col("service").cast(pl.String).replace("SMS", "FAX"))
    row = records_of(record, as_newest(record, older))[0]
    assert (row["direction"], row["roaming"], row["service"]) == ("OUT", False, "UNKNOWN")


@pytest.mark.parametrize("kind", sorted(LOG_KINDS))
def test_records_survive_the_table(kind: str) -> None:
    rng = random.Random(kind)
    records = [full(kind, _random_event(rng, kind)[1]) for _ in range(20)]
    assert records_of(LOG_KINDS[kind], frame_of(LOG_KINDS[kind], records)) == records


def _frames(records: list[tuple[str, dict[str, Any]]]) -> dict[str, pl.DataFrame]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for at, (kind, record) in enumerate(records):
        if kind:
            rows.setdefault(kind, []).append({**record, "offset": 100 + at})
    return {kind: frame_of(LOG_KINDS[kind], each, {"offset": pl.Int64}) for kind, each in rows.items()}


def _tick_frame(offset: int) -> pl.DataFrame:
    return pl.DataFrame({"offset": [offset], "now": [1_788_746_400_000], "rules_offset": [3]})


def _random_event(rng: random.Random, kind: str) -> tuple[str, dict[str, Any]]:
    record: dict[str, Any] = {}
    for field in REGISTRY.newest(LOG_KINDS[kind]).schema["fields"]:
        if "default" not in field or rng.random() < 0.7:
            record[field["name"]] = _random_value(rng, field["type"])
    at = rng.randrange(1_700_000_000_000, 1_800_000_000_000)
    record |= {"customer_id": rng.randrange(1, 2**63), "occurred_at": at, "ingested_at": at + rng.randrange(9_999)}
    record |= {"event_id": rng.choice(("e", "Z-9/", "é")) + str(rng.getrandbits(70)), "source": rng.choice(_WORDS)}
    if kind == "bill":
        record["cycle"] = f"20{rng.randrange(10, 60)}-{rng.randrange(1, 13):02d}"
    if kind == "customer":
        record["birthday"] = rng.choice((None, "02-29", "1990-12-31"))
    return kind, record


def _random_value(rng: random.Random, avro: Any) -> Any:
    if isinstance(avro, list):
        return None if rng.random() < 0.3 else _random_value(rng, avro[1])
    if isinstance(avro, dict) and avro["type"] == "enum":
        return rng.choice(avro["symbols"])
    if isinstance(avro, dict) and avro["type"] == "array":
        return rng.sample([*KINDS["handset-change"].fields_by_name["capabilities"].words, "6G"], rng.randrange(4))
    if isinstance(avro, dict) and avro["type"] == "map":
        return {key: rng.choice(_TEXTS) for key in rng.sample(("a", "b", "c"), rng.randrange(3))}
    if isinstance(avro, dict):
        avro = avro["type"]
    if avro == "boolean":
        return rng.random() < 0.5
    if avro == "string":
        return rng.choice(_TEXTS)
    return rng.randrange(20_000) if avro == "int" else rng.randrange(-(2**31), 2**31)


def _assert_same(found: DecodedChunk, wanted: DecodedChunk) -> None:
    assert not wanted.poison
    for field in fields(DecodedChunk):
        mine, theirs = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
            assert mine.dtype == theirs.dtype, field.name
        elif field.name not in ("customers", "texts"):
            assert mine == theirs, field.name
    assert found.texts.items() == wanted.texts.items()
