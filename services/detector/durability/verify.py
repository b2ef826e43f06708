"""`kairos detector verify`: the state against itself, against the log, and, if asked for, made again from the log.

Reads only. The second complete turn from the end is loaded, the log is replayed on it, and every page of the newest
turn must come out as it was written.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from services.detector.durability.loading import StateLoader
from services.detector.durability.state_log import StateLog
from services.detector.durability.state_records import STATE_TOPIC, PageCopy
from services.detector.durability.survey import Survey, Turn, faults_of, survey
from services.detector.errors import StateTrimmed
from services.detector.ports import Engine, Partition
from services.detector.rules_feed import RulesFeed
from services.detector.settings import GROUP
from services.detector.shard import EVENTS_TOPIC
from services.transport.kafka_admin import ASKED_SECONDS, KafkaAdmin

EXPECTED_RECORDS_PER_SECOND: Final = 500_000.0
_ATTEMPTS: Final = 5
_RULES_SECONDS: Final = 60.0
_SWEEP_SLICE: Final = 4_096
_PAGE_ROWS_AT_MOST: Final = 1 << 20

Say = Callable[[str], object]


@dataclass
class Report:
    """One partition, for people and programs."""

    partition: int
    customers: int = 0
    complete_turns: int = 0
    cut_off_turns: int = 0
    manifest_offset: int | None = None
    next_log_offset: int | None = None
    engine_version: int | None = None
    state_version: int | None = None
    is_final: bool = False
    log_begin: int = 0
    log_end: int = 0
    replay_records: int = 0
    state_bytes: int = 0
    state_bytes_per_customer: float = 0.0
    replayed_pages: int | None = None
    replayed_records_per_second: float | None = None
    faults: list[str] = field(default_factory=list)


async def verify(
    bootstrap: str, engine: Engine, *, partitions: list[int], replay: bool, records_per_second: float, say: Say
) -> list[Report]:
    """Look at these partitions, all when none is named. Raises TransportError."""
    numbers, committed = await asyncio.to_thread(_group_offsets, bootstrap)
    rules: dict[int, Any] = {}
    if replay:
        say("compiling the rules / 编译规则")
        rules = await _rules(bootstrap, engine)
    reports = []
    async with StateLoader(bootstrap, engine) as loader:
        for number in [n for n in numbers if n in partitions or not partitions]:
            say(f"partition {number}: reading its turns / 分区 {number}：读取状态")
            found = await _surveyed(loader.log, number, committed.get(number))
            report = report_of(
                found,
                engine_version=engine.engine_version,
                state_version=engine.state_version,
                records_per_second=records_per_second,
            )
            if replay:
                await _replay(loader, engine, rules, found, report, say)
            reports.append(report)
    return reports


def report_of(found: Survey, *, engine_version: int, state_version: int, records_per_second: float) -> Report:
    """What a survey says; pure."""
    report = Report(
        found.partition,
        complete_turns=sum(turn.is_complete for turn in found.turns),
        cut_off_turns=sum(not turn.is_complete for turn in found.turns),
        log_begin=found.log_begin,
        log_end=found.log_end,
        replay_records=found.replay_records,
        faults=faults_of(
            found,
            engine_version=engine_version,
            state_version=state_version,
            records_per_second=records_per_second,
        ),
    )
    newest = found.newest
    if newest is not None and newest.manifest is not None:
        manifest = newest.manifest
        report.customers = sum(page.rows for page in newest.pages.values())
        report.manifest_offset, report.next_log_offset = manifest.offset, manifest.next_log_offset
        report.engine_version, report.state_version = manifest.engine_version, manifest.state_version
        report.is_final, report.state_bytes = manifest.is_final, newest.size
        report.state_bytes_per_customer = round(newest.size / report.customers, 1) if report.customers else 0.0
    return report


def _group_offsets(bootstrap: str) -> tuple[list[int], dict[int, int]]:
    with KafkaAdmin(bootstrap, connect_seconds=ASKED_SECONDS) as admin:
        numbers = list(range(admin.partition_count(EVENTS_TOPIC)))
        committed = admin.committed_offsets(GROUP)
    return numbers, {number: offset for (topic, number), offset in committed.items() if topic == EVENTS_TOPIC}


async def _rules(bootstrap: str, engine: Engine) -> dict[int, Any]:
    failures: list[BaseException] = []
    feed = RulesFeed(bootstrap, engine, on_failure=failures.append)
    await feed.open(deadline_seconds=_RULES_SECONDS)
    await feed.close()
    if failures:
        raise failures[0]
    return feed.compiled


async def _surveyed(log: StateLog, number: int, committed: int | None) -> Survey:
    """A detector that runs trims while we read: look again."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await survey(log, number, committed)
        except StateTrimmed:
            continue
    return await survey(log, number, committed)


async def _replay(
    loader: StateLoader, engine: Engine, rules: dict[int, Any], found: Survey, report: Report, say: Say
) -> None:
    """Make the newest turn's pages again from the turn before it and the log, and compare."""
    complete = [turn for turn in found.turns if turn.is_complete and turn.manifest is not None]
    complete.sort(key=lambda turn: turn.manifest.offset if turn.manifest else -1)
    if len(complete) < 2:
        say(f"partition {found.partition}: fewer than two complete turns, nothing to make again / 不足两个完整状态")
        return
    before, newest = complete[-2:]
    try:
        partition = await _loaded(loader, found.partition, before)
        wanted = await _own_pages(loader, found.partition, newest)
    except StateTrimmed:
        report.faults.append("the turns were trimmed while they were read; run this again")
        return
    if partition is None or wanted is None:
        report.faults.append("the turn before the newest cannot be loaded")
        return
    say(f"partition {found.partition}: replaying {_span(before, newest)} records / 分区 {found.partition}：重放")
    started, first = time.monotonic(), partition.next_offset
    different = await _compare(loader.log, engine, rules, partition, found.partition, wanted)
    seconds = max(1e-9, time.monotonic() - started)
    report.replayed_pages = len(wanted)
    report.replayed_records_per_second = round((partition.next_offset - first) / seconds)
    if different:
        report.faults.append(f"pages {different[:10]} of the newest turn are not what the log gives")


async def _loaded(loader: StateLoader, number: int, turn: Turn) -> Partition | None:
    assert turn.manifest is not None
    begin, end = await loader.log.bounds(STATE_TOPIC, number)
    pages = await loader.log.pages(number, turn.manifest, begin, end)
    return None if pages is None else await loader.build(number, turn.manifest, pages)


async def _own_pages(loader: StateLoader, number: int, turn: Turn) -> list[PageCopy] | None:
    assert turn.manifest is not None
    begin, end = await loader.log.bounds(STATE_TOPIC, number)
    pages = await loader.log.pages(number, turn.manifest, begin, end)
    return None if pages is None else [page for page in pages if page.turn_id == turn.turn_id]


def _span(before: Turn, newest: Turn) -> int:
    assert before.manifest is not None
    return max((page.next_offset for page in newest.pages.values()), default=0) - before.manifest.next_log_offset


async def _compare(
    log: StateLog, engine: Engine, rules: dict[int, Any], partition: Partition, number: int, wanted: list[PageCopy]
) -> list[int]:
    """Numbers of the pages that come out otherwise. Each is compared at the very offset at which it was written."""
    different: list[int] = []
    waiting = sorted(wanted, key=lambda page: (page.next_offset, page.number))

    def look() -> None:
        while waiting and waiting[0].next_offset <= partition.next_offset:
            page = waiting.pop(0)
            if page.number >= partition.pages() or not _is_same(engine, page, _dumped(partition, page.number)):
                different.append(page.number)

    look()
    end = waiting[-1].next_offset if waiting else partition.next_offset
    async for batch in log.read(EVENTS_TOPIC, number, partition.next_offset, end):
        records = batch
        while records:
            cut = min(waiting[0].next_offset if waiting else end, records[-1].offset + 1) - records[0].offset
            partition.apply(engine.decode_chunk(number, records[:cut]), rules)
            while partition.sweep_pending:
                partition.sweep(_SWEEP_SLICE)
            look()
            records = records[cut:]
    return different + [page.number for page in waiting]


def _dumped(partition: Partition, number: int) -> bytes:
    while partition.owes(number):
        partition.sweep_page(number, _PAGE_ROWS_AT_MOST)
    return partition.dump_page(number).payload


def _is_same(engine: Engine, page: PageCopy, payload: bytes) -> bool:
    """Packed bytes may differ between releases of the packer: then this one packs the written page again."""
    if payload == page.payload:
        return True
    alone = engine.new_partition(0, 0)
    alone.load_page(page.number, engine.new_page(page.next_offset, page.rows, page.payload))
    alone.finish_loading(0, -1, page.next_offset)
    return alone.dump_page(page.number).payload == payload
