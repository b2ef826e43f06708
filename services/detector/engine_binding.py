"""Which engine the shell runs: the one of this release; a stand-in only in tests."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.detector.ports import DecodedChunk, Engine, Page, Partition
from services.detector.settings import DetectorSettings


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
    compile_rule_set: Callable[[Mapping[str, str], str], Any]


def engine_of(settings: DetectorSettings) -> Engine:
    """The engine that these settings ask for."""
    if settings.engine:
        module, _, name = settings.engine.partition(":")
        found: Engine = getattr(importlib.import_module(module), name)
        return found
    return released_engine()


def released_engine() -> Engine:
    """The engine of this release; its kernels are compiled or read from the cache on first use."""
    from services.detector.decode import decode_chunk
    from services.detector.engine.errors import RulesNotLoaded, StateUnreadable
    from services.detector.engine.layout import STATE_VERSION
    from services.detector.engine.partition import ENGINE_VERSION, Page, Partition
    from services.detector.engine.rule_set import compile_rule_set

    return ReleasedEngine(
        engine_version=ENGINE_VERSION,
        state_version=STATE_VERSION,
        rules_not_loaded=RulesNotLoaded,
        state_unreadable=StateUnreadable,
        new_partition=Partition,
        new_page=Page,
        decode_chunk=decode_chunk,
        compile_rule_set=lambda documents, version: compile_rule_set(documents, version=version),
    )
