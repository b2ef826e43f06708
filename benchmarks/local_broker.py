"""A broker for a measurement, and what goes into and comes out of it."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from services.stack.kafka_server import KafkaServer, fetch_jars
from services.stack.ports import free_ports
from services.stack.topics import topic_plans
from services.transport.kafka_admin import KafkaAdmin, TopicPlan
from services.transport.kafka_producer import KafkaProducer, OutRecord

REPOSITORY = Path(__file__).parents[1]
EVENTS, MOMENTS = "kairos.events.v1", "kairos.moments.v1"
_RECREATE_SECONDS = 30.0


@dataclass(frozen=True)
class Broker:
    """A running broker, and a folder that lives as long."""

    bootstrap: str
    home: Path
    partitions: int


def var_dir() -> Path:
    """Where results and built programs are kept."""
    return Path(os.environ.get("KAIROS_VAR_DIR", REPOSITORY / "var")).resolve()


def say(text: str) -> None:
    """Tell what happens, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def engine_core() -> int:
    """The core of the process under measurement; all others share the rest. The same when there is only one."""
    return max(os.sched_getaffinity(0)) if len(os.sched_getaffinity(0)) > 1 else (os.cpu_count() or 1) - 1


@contextmanager
def running_broker(partitions: int) -> Iterator[Broker]:
    """A broker with the product's topics and this process on all cores but the last; both end with the block."""
    core, cores = max(os.sched_getaffinity(0)), os.sched_getaffinity(0)
    if len(cores) > 1:
        os.sched_setaffinity(0, cores - {core})
    signal.signal(signal.SIGTERM, _leave)
    home = Path(tempfile.mkdtemp(prefix="kairos-bench-"))
    try:
        port, controller_port = free_ports(2)
        libs = fetch_jars(var_dir())
        server = KafkaServer(
            home / "kafka", libs=libs, port=port, controller_port=controller_port, log=home / "kafka.log"
        )
        server.start()
        try:
            server.wait_until_ready()
            with KafkaAdmin(server.bootstrap) as admin:
                admin.create_topics(topic_plans(partitions))
            yield Broker(server.bootstrap, home, partitions)
        finally:
            server.stop()
    finally:
        os.sched_setaffinity(0, cores)
        shutil.rmtree(home, ignore_errors=True)


def _leave(number: int, _frame: object) -> None:
    """End with the blocks that stop what was started."""
    raise SystemExit(128 + number)


def empty_topics(broker: Broker, names: Iterable[str]) -> None:
    """Delete product topics and create them again."""
    wanted = set(names)
    with KafkaAdmin(broker.bootstrap) as admin:
        admin.delete_topics(sorted(wanted))
        deadline = time.monotonic() + _RECREATE_SECONDS
        while wanted & set(admin.topic_names()) and time.monotonic() < deadline:
            time.sleep(0.1)
        admin.create_topics([plan for plan in topic_plans(broker.partitions) if plan.name in wanted])


def delete_groups(broker: Broker, groups: Iterable[str]) -> None:
    """Forget what consumer groups have committed."""
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        known = set(groups) & {each["group_id"] for each in client.list_groups()}
        client.delete_groups(sorted(known))
    finally:
        client.close()


def new_topic(broker: Broker, name: str) -> None:
    """Create a topic for the findings of a peer."""
    with KafkaAdmin(broker.bootstrap) as admin:
        admin.create_topics([TopicPlan(name=name, partitions=broker.partitions, cleanup="delete", retention_ms=-1)])


def end_offsets(broker: Broker, topic: str) -> dict[int, int]:
    """The next offset of each partition."""
    with KafkaAdmin(broker.bootstrap) as admin:
        return {partition: offset for (_, partition), offset in admin.end_offsets([topic]).items()}


def commit_offsets(broker: Broker, group: str, offsets: Mapping[int, int]) -> None:
    """Let a consumer group begin here."""

    async def commit() -> None:
        async with AIOKafkaConsumer(
            bootstrap_servers=broker.bootstrap, group_id=group, enable_auto_commit=False
        ) as consumer:
            at = {TopicPartition(EVENTS, number): offset for number, offset in offsets.items()}
            consumer.assign(list(at))
            await consumer.commit(at)

    asyncio.run(commit())


async def publish(broker: Broker, batches: Iterable[list[OutRecord]]) -> int:
    """Put records into the event log; returns how many."""
    producer = KafkaProducer(broker.bootstrap, client_id="bench")
    await producer.open()
    count = 0
    for batch in batches:
        await producer.publish(EVENTS, batch, deadline_seconds=60)
        count += len(batch)
    await producer.close(deadline_seconds=30)
    return count


async def publish_to_all(broker: Broker, record: OutRecord) -> None:
    """Put one record into every partition of the event log."""
    producer = KafkaProducer(broker.bootstrap, client_id="bench")
    await producer.open()
    await producer.append_groups(EVENTS, {number: [record] for number in range(broker.partitions)})
    await producer.close(deadline_seconds=30)


def read_values(broker: Broker, topic: str) -> list[bytes]:
    """All values of a topic as it is now."""

    async def read() -> list[bytes]:
        return [value async for value in _values(broker, topic)]

    return asyncio.run(read())


async def _values(broker: Broker, topic: str) -> AsyncIterator[bytes]:
    async with AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap, group_id=None, enable_auto_commit=False
    ) as consumer:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        partitions = partitions or [TopicPartition(topic, number) for number in range(broker.partitions)]
        ends: dict[Any, int] = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield record.value
