"""Which engine the shell runs: the one of this release; a stand-in only in tests."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.codec import encode
from services.detector.ports import DecodedChunk, Engine, Page, Partition
from services.detector.settings import DetectorSettings

_TWELVE_HOURS_MS: Final = 43_200_000
_SAMPLE: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    ("kairos.events.v1.CustomerEvent", {"city": "NJ"}),
    ("kairos.events.v1.UsageEvent", {"service": "DATA", "quantity": 1}),
    ("kairos.events.v1.BalanceEvent", {"balance_fen": 50_000}),
    ("kairos.events.v1.BalanceEvent", {"balance_fen": 10}),
    ("kairos.events.v1.LineStatusEvent", {"status": "ACTIVE"}),
)


@dataclass(frozen=True)
class ReleasedEngine:
    """The engine as `ports.Engine` wants it."""

    engine_version: int
    state_version: int
    rules_not_loaded: type[Exception]
    state_unreadable: type[Exception]
    new_partition: Callable[[int, int], Partition]
    new_page: Callable[[int, int, bytes], Page]
    decode_chunk: Callable[[int, Sequence[Any]], DecodedChunk]
    kinds_of: Callable[[Any], Mapping[str, int]]
    compile_rule_set: Callable[[Mapping[str, str], str, int], Any]


@dataclass(frozen=True)
class _Record:
    offset: int
    key: bytes | None
    value: bytes
    timestamp: int = 0


def engine_of(settings: DetectorSettings) -> Engine:
    """The engine that these settings ask for."""
    if settings.engine:
        module, _, name = settings.engine.partition(":")
        found: Engine = getattr(importlib.import_module(module), name)
        return found
    return released_engine()


def released_engine() -> Engine:
    """The engine of this release; its kernels are compiled or read from the cache on first use."""
    from services.detector.engine.customer.layout import STATE_VERSION
    from services.detector.engine.errors import RulesNotLoaded, StateUnreadable
    from services.detector.engine.pages import Page
    from services.detector.engine.partition import ENGINE_VERSION, Partition
    from services.detector.engine.rule_set import compile_rule_set
    from services.detector.records.decode import decode_chunk

    def compile_warm(documents: Mapping[str, str], version: str, effective_from_ms: int) -> Any:
        rule_set = compile_rule_set(documents, version, effective_from_ms)
        warm_up(engine, rule_set)
        return rule_set

    engine = ReleasedEngine(
        engine_version=ENGINE_VERSION,
        state_version=STATE_VERSION,
        rules_not_loaded=RulesNotLoaded,
        state_unreadable=StateUnreadable,
        new_partition=Partition,
        new_page=Page,
        decode_chunk=decode_chunk,
        kinds_of=_kinds_of,
        compile_rule_set=compile_warm,
    )
    warm_up(engine, None)
    return engine


def _kinds_of(chunk: Any) -> Mapping[str, int]:
    """Events of a chunk by kind."""
    from services.detector.engine.log_format.wire import KINDS

    counts = np.bincount(chunk.kind, minlength=max(KINDS.values()) + 1)
    return {kind: int(counts[code]) for kind, code in KINDS.items() if counts[code]}


def warm_up(engine: Engine, rule_set: Any) -> None:
    """Run everything once on a few events of its own, so that kernels are compiled before they are waited for."""
    from services.detector.records.dead_letters import dead_letters
    from services.detector.records.poison_records import PoisonRecords

    rules = {} if rule_set is None else {0: rule_set}
    partition = engine.new_partition(0, 0)
    records = [_Record(at, key, value) for at, (key, value) in enumerate(_sample(-1 if rule_set is None else 0))]
    chunk = engine.decode_chunk(0, records)
    partition.apply(chunk, rules)
    dead_letters(0, PoisonRecords.of(chunk.poison)).framed(0, 0, 0)
    while partition.sweep_pending:
        partition.sweep(1_000)
    page = partition.dump_page(0)
    loaded = engine.new_partition(0, 0)
    loaded.load_page(0, engine.new_page(page.next_offset, page.rows, page.payload))
    loaded.finish_loading(partition.tick_now_ms, partition.rules_offset, partition.next_offset)


def _sample(rules_offset: int) -> list[tuple[bytes | None, bytes]]:
    """Two days of one customer: each fast kind of record, ticks before, between and after; poison of both sorts."""
    start = 1_788_746_400_000
    found: list[tuple[bytes | None, bytes]] = []
    for number, (name, fields) in enumerate(_SAMPLE):
        at = start + number * _TWELVE_HOURS_MS
        common = {"customer_id": 1, "occurred_at": at, "ingested_at": at, "event_id": str(number), "source": "warm-up"}
        tick = {"now": at - at % 60_000, "rules_offset": rules_offset}
        found += [(None, encode("kairos.control.v1.Tick", tick)), (b"1", encode(name, {**common, **fields}))]
    last = {"now": start + len(_SAMPLE) * _TWELVE_HOURS_MS, "rules_offset": rules_offset}
    poison = [(b"1", b"\0"), (b"2", found[-1][1])]  # one that the walk refuses, and a key that is not its event's
    return [*found, *poison, (None, encode("kairos.control.v1.Tick", last))]
