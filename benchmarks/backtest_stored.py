"""`kairos rules backtest` in process: hours of a city out of an archive, and out of lines, to moments on disk.

The archive is made by the product's own writer; the lines are those of a smaller city. Both begin with a record of
every customer. CPU is that of all threads of the process. Steady is from a third of the
records to the last, so that compiling rules and new customers do not count.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine_load import SUNDAY_NOON_MS, Entry, live
from benchmarks.figures import Sample, steady
from schemas.codec import decode, encode
from schemas.events import KIND_OF_RECORD, TICK
from services.detector.authoring.rules_files import SHIPPED, read_documents
from services.detector.stored.archive_layout import Archive
from services.detector.stored.archive_settings import ArchiveSettings
from services.detector.stored.archive_writer import write_records
from services.detector.stored.backtest import Span
from services.detector.stored.jobs import EventFiles, Result, RulesSpec, run_lines, run_log
from services.detector.stored.sources import LogSource

_MONDAY_MS = SUNDAY_NOON_MS + 12 * 3_600_000
_MINUTE_MS = 60_000
_EVENTS_OF_DAY = 33
"""Events of a customer in a day: 300 million of 9 million customers."""
_MIX = "a day"
_WARM_UP = 20_000
_STRETCH = ArchiveSettings(kafka_bootstrap="-").batch_records
_NOT_SAID: tuple[Any, ...] = (None, "UNKNOWN", [], {})


class _Record(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes
    timestamp: int = _MONDAY_MS


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run, print a table and a last line of JSON; return the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=200_000, help="So many records of the log are run as lines, too.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="A tenth of all.")
    given = parser.parse_args(argv)
    share = 10 if given.quick else 1
    with tempfile.TemporaryDirectory() as folder:
        city = City(given.events // given.customers, given.seed)
        figures = measure(Path(folder), city, events=given.events // share, lines=given.lines // share)
    for name, value in figures.items():
        print(name, json.dumps(value), flush=True)
    print(json.dumps(figures))
    return figures


@dataclass(frozen=True)
class City:
    """Where events come from: so many of each customer."""

    events_of_customer: int
    seed: int

    def log_of(self, events: int) -> Iterator[Entry]:
        """Yield a record of every customer, then events from a Monday's midnight on, and a tick each minute."""
        customers = events // self.events_of_customer
        for number in range(1, customers + 1):
            yield _customer(number)
        yield _tick(_MONDAY_MS)
        rng = random.Random(self.seed)
        of_hour = customers * _EVENTS_OF_DAY // 24
        for hour in range(-(-events // of_hour)):
            since_ms = _MONDAY_MS + hour * 60 * _MINUTE_MS
            entries = live(rng, min(of_hour, events - hour * of_hour), customers, since_ms, mix=_MIX)
            for minute in range(60):
                yield from entries[minute * len(entries) // 60 : (minute + 1) * len(entries) // 60]
                yield _tick(since_ms + (minute + 1) * _MINUTE_MS)


def measure(folder: Path, city: City, *, events: int, lines: int) -> dict[str, Any]:
    """Return the figures of an archive and of lines; a run over a little of each comes first."""
    rules = RulesSpec(draft=read_documents(SHIPPED), version="bench@1")
    compiled, to = rules.compiled(), {"span": Span(), "out": folder / "moments.ndjson"}
    figures: dict[str, Any] = {}
    for count in (_WARM_UP, events):
        archive = Archive(folder / f"archive-{count}")
        write_archive(archive, city.log_of(count))
        figures["archive"] = timed(run_log, LogSource(archive=archive.root), rules, **to, jobs=1)
    for count in (_WARM_UP, lines):
        files = EventFiles([folder / f"{count}.ndjson"])
        write_lines(files.events[0], city.log_of(count))
        figures["ndjson"] = timed(run_lines, files, compiled, **to, rejects=folder / "rejects.ndjson")
    return figures


def timed(run: Callable[..., Result], *given: Any, **options: Any) -> dict[str, Any]:
    """Return the rates of a run: over all of it, and steady for a log, which tells how far it is."""
    samples: list[Sample] = []

    def tell(what: str, done: int, _total: int) -> None:
        if what == "records":
            samples.append(Sample(time.perf_counter(), time.process_time(), done))

    tell("records", 0, 0)
    began = time.process_time()
    result = run(*given, **options, tell=tell)
    cpu, events = time.process_time() - began, result.applied.total()
    found = {"events_per_second": round(events / cpu), "cpu_us_per_event": round(cpu / events * 1e6, 3)}
    if over := steady(samples, samples[-1].events // 3, samples[-1].events):
        found["events_per_second_steady"] = round(1e6 / over.cpu_us_per_event)
        found["cpu_us_per_event_steady"] = over.cpu_us_per_event
    return {**found, "events": events, "refused": result.refused, "moments": result.tally.revisions}


def write_archive(archive: Archive, log: Iterable[Entry]) -> None:
    """Write a log as the archive process does, a stretch after the other."""
    records = (_Record(offset, *entry) for offset, entry in enumerate(log))
    while part := list(islice(records, _STRETCH)):
        write_records(archive, 0, part)


def write_lines(path: Path, log: Iterable[Entry]) -> None:
    """Write the events of a log as lines."""
    with path.open("wb") as file:
        for key, value in log:
            if key is not None:
                found = decode(value)
                fields = {name: each for name, each in found.record.items() if each not in _NOT_SAID}
                line = {"kind": KIND_OF_RECORD[found.name].name, **fields}
                file.write(json.dumps(line).encode() + b"\n")


def _customer(number: int) -> Entry:
    fields = {
        "customer_id": number, "occurred_at": _MONDAY_MS, "ingested_at": _MONDAY_MS, "event_id": f"c{number}",
        "source": "crm", "city": "NJ", "segment": "GO", "tier": "MID", "plan_fee_fen": 12_800,
        "arpu_fen": 9_000 + number % 5_000, "owner_manager_id": f"m{number % 200}",
        "birthday": f"{1950 + number % 50}-{1 + number % 12:02}-{1 + number % 28:02}",
    }  # fmt: skip
    return b"%d" % number, encode("kairos.events.v1.CustomerEvent", fields)


def _tick(now_ms: int) -> Entry:
    return None, encode(TICK, {"now": now_ms, "rules_offset": 0})


if __name__ == "__main__":
    main()
