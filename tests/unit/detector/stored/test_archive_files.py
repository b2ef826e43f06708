"""The archive holds each offset once, whatever instruction was the last one before a crash, and gives back the log."""

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from schemas.codec import encode
from services.detector.records.decode import DecodedChunk, decode_chunk
from services.detector.stored.archive_layout import Archive, ArchiveBroken, ArchiveLocked
from services.detector.stored.archive_source import read_chunks
from services.detector.stored.archive_writer import faults_of, write_records
from tests.reference.logs import Log, Raw, raw_records

AT = 1_788_746_400_000
DAY = 86_400_000


class Crash(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
def records() -> list[Raw]:
    """Events of several kinds and days, ticks, history, and records that are none."""
    rng, log = random.Random(5), Log()
    log.tick(AT)
    log.profile(AT - 40 * DAY, history=True, brand="Home", birthday="02-29")
    for number in range(60):
        at = AT + number * 3_600_000
        log.event("usage", at, service="VOICE", quantity=number, area="NJ-017")
        log.event("balance", at - rng.randrange(3) * DAY, arrives=at, balance_fen=-number)
        log.event("usage", at - 9 * DAY, arrives=at - 9 * DAY, history=True, service="SMS", quantity=1)
        if number % 7 == 0:
            log.tick(at)
            log.event("complaint", at, complaint_id=f"c-{number}", state="OPENED", topic="NETWORK")
    found = raw_records(log.entries)
    found += [Raw(0, b"7", b"nonsense"), Raw(0, None, None), Raw(0, b"8", found[1].value)]
    found.append(Raw(0, None, encode("kairos.control.v1.HandOver", {"engine_version": 1, "at": AT})))
    return [Raw(1_000 + at, raw.key, raw.value, AT + at) for at, raw in enumerate(found)]


def test_what_is_archived_comes_back_as_the_log_had_it(tmp_path: Path, records: list[Raw]) -> None:
    archive = Archive(tmp_path)
    write_records(archive, 3, records[:100])
    write_records(archive, 3, records[100:])
    chunks = list(read_chunks(archive, 3))
    assert [(chunk.first_offset, chunk.next_offset) for chunk in chunks] == [
        (1_000, 1_100), (1_100, 1_000 + len(records)),
    ]  # fmt: skip
    for found, part in zip(chunks, (records[:100], records[100:]), strict=True):
        _assert_same(found, decode_chunk(3, part))
    assert sum(len(chunk.poison) for chunk in chunks) == 3
    assert faults_of(archive, 3) == []


def test_a_chunk_may_begin_in_a_stretch(tmp_path: Path, records: list[Raw]) -> None:
    archive = Archive(tmp_path)
    write_records(archive, 0, records)
    (chunk,) = read_chunks(archive, 0, first_offset=1_050)
    _assert_same(chunk, decode_chunk(0, records[50:]))


def test_files_are_by_kind_and_local_day_of_acceptance(tmp_path: Path, records: list[Raw]) -> None:
    write_records(Archive(tmp_path), 0, records)
    usage = pl.read_parquet(tmp_path / "events" / "kind=usage" / "day=*" / "*.parquet", hive_partitioning=True)
    local = usage.get_column("ingested_at").dt.convert_time_zone("Asia/Shanghai").dt.date()
    assert usage.get_column("day").cast(pl.String).equals(local.cast(pl.String), check_names=False)
    assert {"customer_id", "occurred_at", "service", "partition", "offset", "timestamp", "schema_id"} <= {
        *usage.columns
    }
    control = pl.read_parquet(tmp_path / "events" / "kind=control")
    assert control.get_column("now").null_count() == 0
    poison = pl.read_parquet(tmp_path / "events" / "kind=poison")
    assert poison.get_column("reason").to_list() == ["not_framed", "no_value", "key_mismatch"]
    assert poison.get_column("value").to_list()[0] == b"nonsense"


def test_a_crash_at_any_instruction_neither_loses_nor_doubles_an_offset(
    tmp_path: Path, records: list[Raw], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [*records[:12], *records[-4:]]
    few = [Raw(at, raw.key, raw.value, AT) for at, raw in enumerate(few)]
    for crash_at in range(1, 200):
        archive = Archive(tmp_path / str(crash_at))
        calls = _crash_after(monkeypatch, crash_at)
        crashed = False
        try:
            write_records(archive, 0, few[:8])
            write_records(archive, 0, few[8:])
        except Crash:
            crashed = True
        monkeypatch.undo()
        _go_on(archive, few)
        assert faults_of(archive, 0) == [], crash_at
        assert sum(chunk.events for chunk in read_chunks(archive, 0)) == decode_chunk(0, few).events
        assert not list(archive.root.rglob("*.part"))
        if not crashed:
            assert calls[0] > 20
            return
    raise AssertionError("it never came to its end")


def test_a_file_that_was_changed_or_is_gone_is_told(tmp_path: Path, records: list[Raw]) -> None:
    archive = Archive(tmp_path)
    write_records(archive, 0, records)
    paths = sorted(tmp_path.glob("events/kind=usage/*/*.parquet"))
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"!")
    paths[1].unlink()
    faults = faults_of(archive, 0)
    assert len(faults) == 2
    assert "is not what was written" in faults[0]
    assert "is missing" in faults[1]


def test_a_hole_between_stretches_is_refused(tmp_path: Path, records: list[Raw]) -> None:
    archive = Archive(tmp_path)
    write_records(archive, 0, records[:10])
    write_records(archive, 0, records[12:])
    with pytest.raises(ArchiveBroken, match="ends at 1010, the next begins at 1012"):
        archive.stretches(0)


def test_a_gap_that_was_accepted_is_known(tmp_path: Path, records: list[Raw]) -> None:
    from services.detector.stored.archive_source import gaps

    archive = Archive(tmp_path)
    write_records(archive, 0, records[:10])
    write_records(archive, 0, records[12:], gap_before=2)
    assert gaps(archive, 0) == [(1_010, 1_012)]


def test_history_of_many_days_is_cut_into_more_stretches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: list[Raw]
) -> None:
    monkeypatch.setattr("services.detector.stored.archive_writer.FILES_MAX", 5)
    written = write_records(Archive(tmp_path), 0, records)
    assert written.stretches > 5
    assert sum(written.counts.values()) == len(records)
    assert faults_of(Archive(tmp_path), 0) == []


def test_one_process_writes_a_partition(tmp_path: Path) -> None:
    unlock = Archive(tmp_path).lock(2)
    with pytest.raises(ArchiveLocked):
        Archive(tmp_path).lock(2)
    Archive(tmp_path).lock(3)()
    unlock()
    Archive(tmp_path).lock(2)()


def test_a_commit_that_cannot_be_read_is_refused(tmp_path: Path, records: list[Raw]) -> None:
    archive = Archive(tmp_path)
    write_records(archive, 0, records[:3])
    (path,) = (tmp_path / "committed" / "0000").glob("*.json")
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, "format": 99}), encoding="utf-8")
    with pytest.raises(ArchiveBroken, match="another format"):
        archive.last(0)


def _go_on(archive: Archive, records: list[Raw]) -> None:
    """What a restarted process does."""
    archive.sweep_leftovers(0)
    last = archive.last(0)
    rest = records if last is None else [raw for raw in records if raw.offset >= last.next_offset]
    if rest:
        write_records(archive, 0, rest)


def _crash_after(monkeypatch: pytest.MonkeyPatch, calls: int) -> list[int]:
    """Let the process end at the n-th call that touches the disk; before it, or having done it, by turns."""
    seen = [0]

    def crashing(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen[0] += 1
            if seen[0] == calls and calls % 2:
                raise Crash
            done = real(*args, **kwargs)
            if seen[0] == calls:
                raise Crash
            return done

        return call

    for target, name in (
        (os, "fsync"),
        (Path, "replace"),
        (Path, "mkdir"),
        (Path, "open"),
        (pl.DataFrame, "write_parquet"),
    ):
        monkeypatch.setattr(target, name, crashing(getattr(target, name)))
    return seen


def _assert_same(found: DecodedChunk, wanted: DecodedChunk) -> None:
    assert (found.first_offset, found.next_offset, found.ticks) == (
        wanted.first_offset, wanted.next_offset, wanted.ticks,
    )  # fmt: skip
    assert found.texts == wanted.texts
    assert list(found.poison) == list(wanted.poison)
    assert found.hand_overs == wanted.hand_overs
    for name in ("kind", "offset", "customer", "occurred", "ingested", "history", "ident", "rank", "payload", "code"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    np.testing.assert_array_equal(found.profiles, wanted.profiles)
