"""The logs of the growth, flood and live benchmarks, and what is kept of a result."""

import json
from pathlib import Path

import pytest
import yaml

from benchmarks.detector_floods import FAULTS, Fault, Groups, Load, busy_customer, compared
from benchmarks.detector_growth import by_events, rule_files, some_rules, usage_records
from benchmarks.detector_live import figures_of
from benchmarks.detector_peers import marks_of, table
from benchmarks.detector_process import RULES
from benchmarks.figures import Sample
from benchmarks.live_feed import Trigger, between
from benchmarks.load import RingsLog
from benchmarks.peer_engines import PEERS
from schemas.codec import Undecodable, decode
from services.smoke.bench_commands import BENCHES, keep_result
from services.smoke.bench_page import render_page
from services.smoke.bench_promises import promises_of
from services.transport.kafka_producer import OutRecord
from services.transport.murmur2 import partitions_of

LOAD = Load(customers=500, events=1_000, partitions=4)


def grouped() -> Groups:
    batch = next(usage_records(LOAD.customers, LOAD.events))
    groups: Groups = {}
    for record, partition in zip(batch, partitions_of([r.key or b"" for r in batch], 4), strict=True):
        groups.setdefault(partition, []).append(record)
    return groups


def fault(name: str) -> Fault:
    return next(each for each in FAULTS if each.name == name)


def is_good(record: OutRecord) -> bool:
    try:
        return decode(record.value or b"").name.endswith("UsageEvent")
    except Undecodable:
        return False


@pytest.mark.parametrize("name", ["poison_1_percent", "unknown_schema_id_1_percent"])
def test_one_record_in_a_hundred_is_spoilt_and_no_good_one_is_lost(name: str) -> None:
    groups = grouped()

    spoilt = fault(name).spoil(LOAD, 0, groups)

    for partition, records in spoilt.items():
        assert [record for record in records if is_good(record)] == groups[partition]
        assert len(records) - len(groups[partition]) == -(-len(groups[partition]) // 100)


def test_future_events_are_accepted_long_before_they_happen() -> None:
    groups = grouped()

    spoilt = fault("future_events_1_percent").spoil(LOAD, 0, groups)

    decoded = [decode(record.value or b"").record for records in spoilt.values() for record in records]
    ahead = [each for each in decoded if each["occurred_at"] > each["ingested_at"]]
    assert len(ahead) == len(decoded) - sum(map(len, groups.values())) > 0
    assert all(each["occurred_at"] - each["ingested_at"] > 9 * 86_400_000 for each in ahead)
    assert len({each["event_id"] for each in decoded}) == len(decoded)


def test_the_busy_customer_is_in_the_first_partition() -> None:
    spoilt = fault("one_busy_customer").spoil(LOAD, 0, grouped())

    busy = busy_customer(LOAD)
    assert partitions_of([b"%d" % busy], 4) == [0]
    assert sum(record.key == b"%d" % busy for record in spoilt[0]) >= 500


def test_a_day_passes_by_the_hour_as_far_as_it_jumps() -> None:
    load = Load(customers=100_000, events=400_000, partitions=4)

    def ticks(name: str) -> list[int]:
        spoilt = [fault(name).spoil(load, number, {0: []}) for number in range(load.batches)]
        return [decode(record.value or b"").record["now"] for groups in spoilt for record in groups[0]]

    assert len(ticks("day_by_the_hour")) == 24
    assert ticks("day_by_the_hour") == sorted(ticks("day_by_the_hour"))
    assert ticks("clock_jump_of_a_day") == ticks("day_by_the_hour")[-1:]


def test_a_fault_is_compared_with_the_median_of_its_own_base() -> None:
    costs = {"none": [0.5, 0.1, 0.4], "day_by_the_hour": [0.8, 0.8, 0.8], "clock_jump_of_a_day": [1.0, 0.8, 0.9]}
    faults = [each for each in FAULTS if each.name in costs]
    runs = {name: [{"cpu_us_per_good_event": cost, "events_per_second": 1, "events": 1, "counted": ""}
                   for cost in found] for name, found in costs.items()}  # fmt: skip

    found = compared(faults, runs)

    assert {name: each["slowdown"] for name, each in found.items()} == {
        "none": 1.0, "day_by_the_hour": 2.0, "clock_jump_of_a_day": 1.125,
    }  # fmt: skip
    assert found["none"]["noise"] == 1.0


def test_every_customer_has_an_event_before_the_measured_ones() -> None:
    records = [record for batch in usage_records(50, 20) for record in batch]

    assert len(records) == 70
    assert len({record.key for record in records[:50]}) == 50


def test_more_rules_than_are_shipped_are_the_same_under_other_names() -> None:
    shipped = len(rule_files(RULES))

    few, many = some_rules(1), some_rules(shipped + 3)

    assert len(few) == 3, "a rule, the lateness and the risk card"
    assert all("profile: required" not in text for text in many.values())
    assert len({yaml.safe_load(text).get("id") for text in many.values()} - {None}) == shipped + 3


def test_cost_by_events_starts_where_the_measured_events_start() -> None:
    samples = [Sample(0.0, 0.0, -100), Sample(1.0, 5.0, 0), Sample(4.0, 8.0, 300)]

    found = by_events(samples, 300)

    assert [events for events, _ in found] == [100, 200, 300]
    assert {each["cpu_us_per_event_steady"] for _, each in found} == {10_000.0}


def test_marks_of_a_peer_end_at_its_share_of_the_log() -> None:
    log = RingsLog(customers=1_000, events=600_000)

    assert {peer.name: marks_of(peer, log, 1.0)[-1] for peer in PEERS} == {
        "flink": 600_000,
        "kafka_streams_memory": 600_000,
        "kafka_streams_rocksdb": 300_000,
        "faust_table": 40_000,
    }


def test_a_moment_that_did_not_come_is_missing() -> None:
    came = Trigger(sent=1.0, acknowledged=1.01, arrived=1.03)
    triggers = [came, Trigger(sent=2.0, acknowledged=2.01), Trigger(sent=9.0)]

    found = figures_of(between(triggers, 0.5, 5.0), 20_000)

    assert (found["moments"], found["missing"]) == (1, 1)
    assert (found["p50_ms"], found["p99_ms_since_sent"]) == (20.0, 30.0)


def test_the_table_tells_the_ratio_to_flink() -> None:
    row = {"events_per_second": 10, "rss_bytes_per_customer": None, "events": 5}

    lines = table({"kairos": {**row, "cpu_us_per_event_steady": 0.5}, "flink": {**row, "cpu_us_per_event_steady": 4.0}})

    assert "0.125 × the CPU of flink" in lines[-1]


def test_a_part_of_a_benchmark_replaces_its_own_rows_alone(tmp_path: Path) -> None:
    bench = BENCHES["detector"]
    keep_result(tmp_path, bench, {"flink": {"events": 1}, "kairos": {"events": 1}})

    keep_result(tmp_path, bench, {"kairos": {"events": 2}}, is_part=True)

    kept = json.loads((tmp_path / "detector.json").read_text(encoding="utf-8"))
    assert kept["figures"] == {"flink": {"events": 1}, "kairos": {"events": 2}}
    page = render_page({"detector": kept}, plots={"detector": ["pictures/bench_detector.svg"]})
    assert "![detector](pictures/bench_detector.svg)" in page
    assert "must find the same" in page.replace("\n", " ")


def test_the_greatest_slowdown_is_that_of_a_fault_and_not_of_a_day() -> None:
    figures = {
        "none": {"against": "", "slowdown": 1.0},
        "day_by_the_hour": {"against": "", "slowdown": 1.9},
        "clock_jump_of_a_day": {"against": "day_by_the_hour", "slowdown": 1.02},
        "poison_1_percent": {"against": "none", "slowdown": 1.05},
    }

    found = {promise.about: figure for promise, figure in promises_of({"detector-floods": {"figures": figures}})}

    assert found["poison and floods: greatest slowdown"] == 1.05
    without = {"detector-floods": {"figures": {"none": figures["none"], "of before": {"slowdown": 1.3}}}}
    assert {each.about: figure for each, figure in promises_of(without)}["poison and floods: greatest slowdown"] is None
