"""What the chunk transport relies on in Faust and aiokafka; a change upstream fails here, before it fails at night."""

import hashlib
import importlib
import importlib.metadata
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from services.detector import chunks
from services.detector.chunks import OVERRIDDEN, PINNED, Chunk, ChunkConsumer, chunk_scheduler, joined_batches
from services.detector.records.batches import RawBatch

LOCK = Path(__file__).with_name("upstream.lock.json")


def source_hash(name: str) -> str:
    """SHA-256 of the source of `module:Class.function`."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = inspect.getattr_static(found, part)
    return hashlib.sha256(inspect.getsource(inspect.unwrap(found)).encode()).hexdigest()


@pytest.mark.parametrize("package", PINNED)
def test_upstream_has_the_version_that_was_checked(package: str) -> None:
    assert importlib.metadata.version(package) == PINNED[package]


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_upstream_function_is_the_one_that_was_checked(name: str) -> None:
    """If this fails: read what changed, see whether services/detector/chunks.py still holds, then renew the lock."""
    assert source_hash(name) == json.loads(LOCK.read_text())[name]


def test_every_override_is_listed() -> None:
    """A method of a subclass that shadows one of Faust must be named in OVERRIDDEN."""
    listed = {name.rpartition(".")[2] for name in OVERRIDDEN}
    hooks = {"on_start", "on_stop"}  # of mode.Service, made to be overridden
    for cls in vars(chunks).values():
        if not inspect.isclass(cls) or cls.__module__ != chunks.__name__ or cls is chunks.Offsets:
            continue
        shadowing = {
            name
            for name, value in vars(cls).items()
            if inspect.isfunction(value) and name != "__init__" and any(name in vars(base) for base in cls.__mro__[1:])
        }
        assert shadowing <= listed | hooks, cls


class _Tp:
    topic, partition = "t", 3


def _batch(base: int, records: int) -> RawBatch:
    data = b"".join(bytes([14, 0, 0, 2 * at, 1, 2, 120, 0]) for at in range(records))  # no key, value "x"
    return RawBatch(base, base + records, base, records, base * 10, data)


def test_chunks_of_a_partition_keep_order_and_bound() -> None:
    tp: Any = _Tp()
    batches = [_batch(0, 3), _batch(3, 1), _batch(4, 9), _batch(13, 1)]
    found = list(chunk_scheduler(4)().iterate({tp: batches}))
    assert [[record.offset for record in chunk.records] for _, chunk in found] == [
        [0, 1, 2, 3],
        list(range(4, 13)),  # a batch is never cut
        [13],
    ]
    assert list(joined_batches([], 4)) == []


def test_a_chunk_stands_where_its_last_record_stands() -> None:
    chunk = Chunk(_Tp(), [_batch(5, 2), _batch(7, 1)])
    assert (chunk.topic, chunk.partition, chunk.offset, chunk.timestamp) == ("t", 3, 7, 70)
    assert chunk.value is chunk


def test_the_application_uses_the_chunk_consumer() -> None:
    assert chunks.ChunkTransport.Consumer is ChunkConsumer
