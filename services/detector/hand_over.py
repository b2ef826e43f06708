"""`kairos detector hand-over`: marks in the event log behind which this engine applies nothing, and its last turns."""

import asyncio
import getpass
import time
from collections.abc import Callable
from typing import Final

from schemas.codec import encode
from schemas.events import EVENTS_TOPIC, HAND_OVER
from services.detector.durability.state_log import StateLog
from services.detector.durability.state_records import STATE_TOPIC
from services.detector.errors import StateTrimmed
from services.transport.kafka_producer import KafkaProducer, OutRecord

_LOOK_SECONDS: Final = 1.0


async def run(
    bootstrap: str, *, seconds: float, say: Callable[[str], None], engine_version: int | None = None
) -> tuple[dict[int, int], set[int]]:
    """Write a mark into every partition that has none, and wait for the last turns; return where the marks are, and
    which partitions are not done. Raises TransportError."""
    engine_version = engine_version or _engine_version()
    log = StateLog(bootstrap)
    await log.open()
    producer = KafkaProducer(bootstrap, client_id="kairos-hand-over")
    try:
        await producer.open()
        partitions = await producer.partition_count(EVENTS_TOPIC)
        done = await _finals(log, range(partitions), engine_version)
        marks = {number: await _mark(producer, number, engine_version) for number in range(partitions)}
        deadline = time.monotonic() + seconds
        while (waiting := set(marks) - done) and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            news = await _finals(log, waiting, engine_version)
            for number in sorted(news):
                say(f"partition {number}: last turn of engine {engine_version} is written / 分区 {number} 已完成")
            done |= news
        return marks, waiting
    finally:
        await producer.close()
        await log.close()


async def _mark(producer: KafkaProducer, number: int, engine_version: int) -> int:
    """Append a mark; one more does no harm, the first counts. Returns its offset."""
    mark = {"engine_version": engine_version, "at": time.time_ns() // 1_000_000, "author": getpass.getuser()}
    return await producer.append(EVENTS_TOPIC, number, [OutRecord(None, encode(HAND_OVER, mark))]) - 1


async def _finals(log: StateLog, numbers: range | set[int], engine_version: int) -> set[int]:
    """The partitions whose newest turn is the last one of this engine."""
    found = set()
    for number in numbers:
        begin, end = await log.bounds(STATE_TOPIC, number)
        try:
            manifests = await log.manifests(number, begin, end, whole_log=False)
        except StateTrimmed:  # its owner has just written a newer turn: the next look sees it
            continue
        if manifests and manifests[0].is_final and manifests[0].engine_version == engine_version:
            found.add(number)
    return found


def _engine_version() -> int:
    from services.detector.engine.partition import ENGINE_VERSION

    return ENGINE_VERSION
