"""Laws of the engine: it equals the slow evaluator, and nothing depends on how the log was cut, saved or repeated."""

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.detector.engine.customer.layout import PAGE_ROWS
from services.detector.engine.pages import Page
from services.detector.engine.partition import Partition
from services.detector.records.decode import decode_chunk
from tests.reference.local_time import DAY
from tests.reference.logs import (
    Entry,
    apply_in_chunks,
    as_finding,
    by_customer,
    compared,
    in_order,
    random_log,
    raw_records,
    reference,
    run_engine,
    shipped,
    swept,
)
from tests.reference.rules.catalogue import CATALOGUE

SEEDS = st.integers(0, 2**32 - 1)
IMMEDIATE_THINGS = {"balance", "line-status"}
"""What decides whether SP1 finds arrears open, in the order of its arrival."""

few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@few
@given(seed=SEEDS)
def test_engine_finds_what_the_slow_evaluator_finds(seed: int) -> None:
    log = random_log(seed, events=600, customers=8)
    moments, _ = run_engine(log)
    assert compared(moments) == in_order(reference(log))


@pytest.mark.parametrize("seed", [1, 2])
def test_long_seeded_run_equals_the_slow_evaluator(seed: int) -> None:
    log = random_log(seed, events=20_000, customers=60, theme="everything")
    moments, _ = run_engine(log, splits=range(0, len(log), 777))
    assert compared(moments) == in_order(reference(log))
    assert {"AN1", "AN4", "AN7", "FT2", "NS2", "SP1"} <= {m["rule_id"] for m in moments}


@few
@given(seed=SEEDS, cuts=st.lists(st.integers(1, 499), max_size=12))
def test_how_the_log_is_cut_into_chunks_changes_nothing(seed: int, cuts: list[int]) -> None:
    log = random_log(seed, events=500, customers=5)
    whole, one = run_engine(log)
    parts, many = run_engine(log, splits=cuts)
    assert parts == whole
    assert dumps(many) == dumps(one)


@few
@given(seed=SEEDS, data=st.data())
def test_saving_and_loading_changes_nothing_that_comes_later(seed: int, data: st.DataObject) -> None:
    records = raw_records(random_log(seed, events=500, customers=700))
    whole, kept = Partition(0), Partition(0)
    at = data.draw(st.integers(1, len(records) - 1))
    apply_in_chunks(whole, records[:at])
    apply_in_chunks(kept, records[:at])
    loaded = reloaded(kept)
    assert dumps(loaded) == dumps(whole)
    assert apply_in_chunks(loaded, records[at:]) == apply_in_chunks(whole, records[at:])
    assert dumps(loaded) == dumps(whole)


@few
@given(seed=SEEDS)
def test_when_customers_are_swept_changes_nothing(seed: int) -> None:
    """At each tick, in slices beside the stream, page by page, or only before a customer's next event."""
    rng = random.Random(seed)
    records = raw_records(random_log(seed, events=900, customers=600))
    at_once, lazily = Partition(0), Partition(0)
    told_at_once: list[dict[str, Any]] = []
    told_lazily: list[dict[str, Any]] = []
    first = 0
    while first < len(records):
        last = first + rng.choice((1, 7, 60))
        chunk = decode_chunk(0, records[first:last])
        told_at_once += at_once.apply(chunk, {0: shipped()}).moments
        told_at_once += swept(at_once)
        told_lazily += lazily.apply(chunk, {0: shipped()}).moments
        if rng.random() < 0.2:
            told_lazily += lazily.sweep(rng.choice((0, 1, 3, 40, 700))).moments
        if rng.random() < 0.05:
            page = rng.randrange(lazily.pages() or 1)
            told_lazily += lazily.sweep_page(page, rng.choice((1, 512))).moments
        first = last
    told_lazily += swept(lazily, customers_at_once=17)
    assert by_customer(told_lazily) == by_customer(told_at_once)
    assert dumps(lazily) == dumps(at_once)


@few
@given(seed=SEEDS, data=st.data())
def test_pages_saved_at_different_offsets_replay_to_the_same_state(seed: int, data: st.DataObject) -> None:
    """A turn is written while the log goes on: page by page, each swept and with the offset that it contains."""
    records = raw_records(random_log(seed, events=1500, customers=1400))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(records) - 1), min_size=1, max_size=3)))
    whole, writer = Partition(0), Partition(0)
    told = apply_in_chunks(whole, records)
    pages: list[Page] = []
    marks = {}
    before: list[dict[str, Any]] = []
    for number, (first, last) in enumerate(itertools.pairwise([0, *cuts])):
        before += writer.apply(decode_chunk(0, records[first:last]), {0: shipped()}).moments
        marks[writer.next_offset] = (writer.tick_now_ms, writer.rules_offset)
        while len(pages) < writer.pages() and (len(pages) <= number or number == len(cuts) - 1):
            before += writer.sweep_page(len(pages), PAGE_ROWS).moments
            pages.append(writer.dump_page(len(pages)))
    start = min(page.next_offset for page in pages)
    loaded = Partition(0)
    for number, page in enumerate(pages):
        loaded.load_page(number, page)
    loaded.finish_loading(*marks[start], start)
    again = apply_in_chunks(loaded, records[start:])
    assert dumps(loaded) == dumps(whole)
    known = {revision(moment): moment for moment in told}
    assert all(known[revision(moment)] == moment for moment in again if revision(moment) in known)
    assert {revision(m) for m in before} | {revision(m) for m in again} == set(known)


@few
@given(seed=SEEDS)
def test_duplicates_within_reach_add_nothing(seed: int) -> None:
    rng = random.Random(seed)
    log = random_log(seed, events=400, customers=5)
    doubled: list[Entry] = []
    for entry in log:
        doubled.append(entry)
        if entry[0] == "event" and rng.random() < 0.4:
            doubled.append(entry)
    assert run_engine(doubled)[0] == run_engine(log)[0]


@few
@given(seed=SEEDS)
def test_arrival_order_between_ticks_does_not_change_calendar_moments(seed: int) -> None:
    """Within one customer and between two ticks; a duplicate memory's reach and the bounds of cases are not exceeded.

    Top contacts may depend on the order, so AN12 is judged by its shares alone.
    """
    rng = random.Random(seed)
    left_out = IMMEDIATE_THINGS if rng.random() < 0.5 else set()
    log = [without_contacts(e) for e in random_log(seed, events=400, customers=4, weeks=20) if not _is_beyond_memory(e)]
    log = [entry for entry in log if entry[0] == "tick" or entry[1] not in left_out]
    shuffled: list[Entry] = []
    for is_tick, group in itertools.groupby(log, key=lambda entry: entry[0] == "tick"):
        entries = list(group)
        if not is_tick:
            rng.shuffle(entries)
        shuffled += entries
    rules = {rule.id for rule in CATALOGUE if rule.minute is not None and not rule.kinds}
    rules -= set() if left_out else {"SP1"}
    assert calendar_moments(shuffled, rules) == calendar_moments(log, rules)


@few
@given(seed=SEEDS)
def test_missed_ticks_are_caught_up_by_nominal_date(seed: int) -> None:
    """With nothing happening meanwhile, one tick after days finds what a tick a minute would have found."""
    log = [entry for entry in random_log(seed, events=400, customers=8) if entry[0] == "event"]
    end = max(entry[2]["ingested_at"] for entry in log)
    start = end - end % 60_000 + 60_000
    hours = [("tick", start + i * DAY // 24) for i in range(1, 24 * 9)]
    slowly = run_engine([*log, ("tick", start), *hours])[0]
    at_once = run_engine([*log, ("tick", start), hours[0], hours[1], hours[-1]])[0]
    assert timeless(at_once) == timeless(slowly)


def calendar_moments(log: list[Entry], rules: set[str]) -> Any:
    moments = [m for m in run_engine(log)[0] if m["rule_id"] in rules and m["state"] == "RAISED"]
    return compared(moments)


def without_contacts(entry: Entry) -> Entry:
    """The entry, a call with nobody in particular."""
    if entry[0] == "tick" or entry[1] != "usage":
        return entry
    return (*entry[:2], {**entry[2], "counterpart_key": None})


def timeless(moments: list[dict[str, Any]]) -> Any:
    """Moments without when they were detected, which is the tick's to say."""
    return in_order(replace(as_finding(moment), detected_at=0) for moment in moments)


def _is_beyond_memory(entry: Entry) -> bool:
    """Calls end AN7 in the order of their arrival, and open complaints silence SP1: immediate, not calendar,
    matters."""
    return entry[0] == "event" and (entry[1] in ("complaint", "handset-change") or entry[2]["history"])


def revision(moment: dict[str, Any]) -> tuple[str, int, str, int]:
    return moment["moment_id"], moment["revision"], moment["state"], moment["detected_at"]


def dumps(partition: Partition) -> list[Any]:
    return [partition.dump_page(n) for n in range(partition.pages())]


def reloaded(partition: Partition) -> Partition:
    loaded = Partition(0)
    for number, page in enumerate(dumps(partition)):
        loaded.load_page(number, page)
    loaded.finish_loading(partition.tick_now_ms, partition.rules_offset, partition.next_offset)
    return loaded
