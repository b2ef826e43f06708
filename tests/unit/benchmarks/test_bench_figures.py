"""Figures out of samples, compared findings, and the prepared records of a load."""

import numpy as np
import pytest
import yaml

from benchmarks.figures import Finding, Sample, bytes_per_customer, differing, percentile, steady, within
from benchmarks.load import BATCH, CUSTOMER, DAY_MS, START_MS, RingsLog, cut, put_varint
from benchmarks.peer_engines import SOURCES, parsed
from benchmarks.peers.rings import BASE_MIN, FALL, RICH, RICH_FEN, WORDS, add
from schemas.codec import decode


def test_start_up_does_not_count_as_steady() -> None:
    samples = [Sample(0.0, 0.0, 0), Sample(10.0, 9.0, 1_000), Sample(12.0, 10.0, 2_000), Sample(14.0, 11.0, 3_000)]

    found = steady(samples, 1_000, 3_000)

    assert found is not None
    assert (found.events_per_second, found.cpu_us_per_event) == (500, 1_000.0)


def test_samples_around_a_mark_are_joined_by_a_straight_line() -> None:
    samples = [Sample(0.0, 0.0, 0), Sample(4.0, 2.0, 4_000)]

    found = steady(samples, 1_000, 3_000)

    assert found is not None
    assert (found.events_per_second, found.cpu_us_per_event) == (1_000, 500.0)


@pytest.mark.parametrize("last", [0, 1_001])
def test_no_steady_figure_without_the_events(last: int) -> None:
    assert steady([Sample(0.0, 0.0, 0), Sample(1.0, 1.0, 1_000)], 0, last) is None


def test_memory_is_the_slope_between_few_and_many_customers() -> None:
    samples = [Sample(0, 0, 0, 0, 900), Sample(1, 0, 0, 100, 1_000), Sample(2, 0, 0, 300, 3_000)]

    assert bytes_per_customer(samples) == 10
    assert bytes_per_customer(samples[:2]) is None


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]

    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([], 0.5) is None


def test_findings_count_as_far_as_an_engine_has_read() -> None:
    ours = {Finding(1, "FALL", "RAISED", 10), Finding(1, "FALL", "RAISED", 20), Finding(2, "RICH", "RAISED", 30)}
    theirs = {Finding(1, "FALL", "RAISED", 10), Finding(2, "RICH", "RAISED", 30)}
    horizons, partition_of = {0: 15, 1: 30}, {1: 0, 2: 1}

    def difference(read: dict[int, int] | None) -> int:
        return differing(within(ours, read, partition_of), within(theirs, read, partition_of))

    assert difference(horizons) == 0
    assert difference({0: 20, 1: 30}) == 1
    assert difference(None) == 1


def test_a_finding_is_read_as_peers_write_it() -> None:
    assert parsed(b"7,RICH,RESOLVED,1788746400000") == Finding(7, "RICH", "RESOLVED", 1_788_746_400_000)


def test_patched_records_are_what_the_codec_writes() -> None:
    log = RingsLog(customers=2_000, events=3_000)

    batches = list(log.usage_records())
    events = [decode(record.value).record for batch in batches for record in batch if record.value]
    usage = [event for event in events if "quantity" in event]

    assert len(usage) == 3_000
    assert len({event["event_id"] for event in usage}) == 3_000
    instants = [event["occurred_at"] for event in usage]
    assert instants == sorted(set(instants)), "an instant tells the event, and grows through the log"
    assert all(record.key == b"%d" % event["customer_id"] for record, event in zip(batches[0], events, strict=False))


def test_a_customer_record_of_the_load_is_known_to_all() -> None:
    record = next(RingsLog(customers=BATCH, events=100).customer_records())[-1]

    assert record.value is not None
    decoded = decode(record.value)
    assert decoded.name == CUSTOMER
    assert decoded.record["occurred_at"] < START_MS


def test_numbers_take_the_width_that_they_are_given() -> None:
    rows = np.zeros((2, 3), np.uint8)
    put_varint(rows, 1, np.array([64, 8_191]), 2)

    assert cut(rows) == [b"\x00\x80\x01", b"\x00\xfe\x7f"]


def test_all_peers_judge_with_the_same_numbers() -> None:
    java = (SOURCES / "rings_kit/src/main/java/kairos/peers/Rings.java").read_text(encoding="utf-8")
    rules = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (SOURCES / "rules_rings").iterdir()
    }

    assert f"BASE_MIN = {BASE_MIN:_};" in java
    assert f"RICH_FEN = {RICH_FEN};" in java
    assert rules["fall"]["parameters"]["base_min"]["value"] == BASE_MIN
    assert rules["rich"]["parameters"]["limit"]["value"] == RICH_FEN


def test_a_rule_of_the_peers_is_told_when_it_begins_and_when_it_ends() -> None:
    state, noon = [0] * WORDS, START_MS + 7_200_000

    told = [
        add(state, noon + day * DAY_MS, True, seconds, 0)
        for day, seconds in ((0, BASE_MIN), (7, 10), (8, 9), (9, 4_000), (10, 1))
    ]

    assert told == [0, 0, FALL << 16 | FALL, FALL, FALL << 16]


def test_charges_of_the_running_day_do_not_count() -> None:
    state = [0] * WORDS

    assert add(state, START_MS, False, 1, RICH_FEN + 1) == 0
    assert add(state, START_MS + DAY_MS, False, 1, 0) == RICH << 16 | RICH
    assert add(state, START_MS + 36 * DAY_MS, False, 1, 0) == RICH << 16
