"""The parts of the smoke run that are values only: decoding, metrics, latency, books, the page of figures."""

import pytest

from schemas.codec import encode
from services.simulator.auto_managers import Offer
from services.simulator.doors import Answer
from services.smoke.bad_input import FAULTS, GOOD, JSON_FAULTS, POISON, bad_events
from services.smoke.bench_page import render_page
from services.smoke.evidence import LoggedEvent
from services.smoke.gather import decode_topics
from services.smoke.latency import event_to_poll_ms, percentile
from services.smoke.ledger_of_sending import SendingBooks
from services.smoke.lock_file import CannotDecode, LockFileReader
from services.smoke.log_watcher import EVENTS, RawRecord
from services.smoke.probes import parse_metrics
from services.smoke.scenario import kill_names

USAGE = {
    "customer_id": 5,
    "occurred_at": 1_788_745_800_000,
    "ingested_at": 1_788_745_800_001,
    "history": False,
    "event_id": "e1",
    "source": "cdr",
    "service": "DATA",
    "direction": "OUT",
    "quantity": 7,
    "charge_fen": 0,
    "out_of_bundle_fen": 0,
    "area": None,
    "counterpart_network": "NONE",
    "counterpart_key": None,
    "succeeded": True,
    "roaming": False,
}


def raw(value: bytes | None, *, topic: str = EVENTS) -> RawRecord:
    return RawRecord(topic, 0, 0, 1_000, b"5", value, (("reason", b"unknown_schema_id"),))


def test_a_foreign_decoder_reads_what_the_codec_writes() -> None:
    decoded = LockFileReader().decode(encode("kairos.events.v1.UsageEvent", USAGE))

    assert decoded.subject == "kairos.events.v1.UsageEvent"
    assert decoded.record == USAGE


@pytest.mark.parametrize("value", [*POISON, b"", encode("kairos.events.v1.UsageEvent", USAGE) + b"\x00"])
def test_poison_cannot_be_decoded(value: bytes) -> None:
    with pytest.raises(CannotDecode):
        LockFileReader().decode(value)


def test_topics_are_told_apart() -> None:
    good = encode("kairos.events.v1.UsageEvent", USAGE)
    letters = "kairos.dead-letters.detector.v1"
    found = decode_topics([raw(good), raw(POISON[0]), raw(b"x", topic=letters), raw(None)], LockFileReader())

    assert [event.identity for event in found.events] == [("cdr", "e1")]
    assert [record.value for record in found.undecodable] == [POISON[0]]
    assert [(letter.service, letter.reason) for letter in found.dead_letters] == [("detector", "unknown_schema_id")]


def test_metrics_with_labels_are_summed_by_name() -> None:
    page = '# HELP a b\na{partition="0"} 2.0\na{partition="1"} 3.0\nb 1e+06\n'
    found = parse_metrics(page)

    assert found["a"] == [({"partition": "0"}, 2.0), ({"partition": "1"}, 3.0)]
    assert found["b"] == [({}, 1_000_000.0)]


def test_latency_takes_the_first_copy_and_the_first_offer() -> None:
    def event(timestamp_ms: int) -> LoggedEvent:
        record = {"source": "s", "event_id": "e"}
        return LoggedEvent(topic="t", partition=0, offset=0, timestamp_ms=timestamp_ms, subject="x", record=record)

    def offer(polled_at_ms: int, rule: str = "AN4") -> Offer:
        return Offer(
            task_id="t",
            version=1,
            epoch=1,
            customer_id=5,
            manager_id="m",
            rule_ids=(rule,),
            moment_ids=("m1",),
            polled_at_ms=polled_at_ms,
        )

    events = [event(1_200), event(1_000)]
    offers = [offer(1_100), offer(1_050, "AN1"), offer(1_070)]
    assert event_to_poll_ms({5: ("s", "e")}, events, offers, rule_id="AN4") == [70.0]
    assert event_to_poll_ms({6: ("s", "e")}, events, offers, rule_id="AN4") == []


def test_percentiles_are_nearest_ranks() -> None:
    values = [float(n) for n in range(1, 101)]

    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (50.0, 99.0, None)


def test_an_event_that_was_ever_accepted_stays_accepted() -> None:
    books = SendingBooks()
    books.expect_refusal(("s", "bad"), "missing")
    books.note([Answer(source="s", event_id="good", door="http")])
    books.note([Answer(source="s", event_id="bad", door="http", reasons=("missing",))])
    books.note([Answer(source="s", event_id="odd", door="grpc", reasons=("too_old",))])

    assert books.accepted == {("s", "good")}
    assert [(refused.identity[1], refused.expected) for refused in books.refused] == [("bad", "missing"), ("odd", None)]
    assert books.rejected_by_reason() == {"missing": 1, "too_old": 1}


def test_bad_events_differ_from_good_ones_in_one_field() -> None:
    faults = FAULTS + JSON_FAULTS
    found = list(bad_events(5, 1_000_000, prefix="bad", faults=faults))

    assert len({bad.event.identity for bad in found}) == len(faults)
    for fault, bad in zip(faults, found, strict=True):
        good = GOOD[fault.kind]
        changed = {name for name in {*good, *bad.event.body} if name in good and good[name] != bad.event.body.get(name)}
        assert changed <= {fault.field}


def test_unknown_processes_cannot_be_killed() -> None:
    assert kill_names(["all"]) == ("ingest", "detector", "router", "workbench", "kafka", "postgres")
    with pytest.raises(ValueError, match="init"):
        kill_names(["init"])


def test_the_page_of_figures_shows_every_result() -> None:
    result = {
        "name": "latency",
        "about": "event to waiting poll",
        "command": "kairos bench latency",
        "measured_at": "2026-09-07T01:50:00+00:00",
        "machine": {"cores": 2, "memory_gib": 8.0, "processor": "P", "python": "3.11"},
        "figures": {"event_to_poll": {"p50_ms": 12.5, "calls": 2_000}, "note": "quiet"},
    }
    page = render_page({"latency": result})

    assert "`kairos bench latency`" in page
    assert "| event_to_poll | 12.5 | 2,000 |" in page
    assert "| note | quiet |" in page
    assert "| event to waiting poll, 2,000 events/s: p50, ms | ≤ 60 | 12.5 | kept |" in page
    assert "| engine alone: events/s | ≥ 2,000,000 | not measured | |" in page
