"""What `kairos detector verify` calls wrong, and what it lets pass."""

from dataclasses import replace

import pytest

from services.detector.durability.state_records import Manifest, checksum_of
from services.detector.durability.survey import PageSeen, Survey, Turn, faults_of
from services.detector.durability.verify import report_of
from services.detector.durability.verify_report import as_table, as_value

MANIFEST = Manifest(
    offset=9,
    turn_id="t",
    pages=2,
    first_state_offset=7,
    next_log_offset=500,
    tick_now_ms=60_000,
    rules_offset=0,
    customers=6,
    engine_version=1,
    state_version=1,
    checksum=checksum_of([11, 12]),
    is_final=False,
)
PAGES = {0: PageSeen(500, 4, 100, 11, (1, 1)), 1: PageSeen(510, 2, 50, 12, (1, 1))}


def sound() -> Survey:
    return Survey(0, 0, 1_000, 500, turns=[Turn("t", dict(PAGES), MANIFEST)])


def faults(found: Survey, *, engine: int = 1, state: int = 1, rate: float = 500.0) -> str:
    return "; ".join(faults_of(found, engine_version=engine, state_version=state, records_per_second=rate))


def test_a_sound_state_has_no_faults() -> None:
    assert faults(sound()) == ""
    report = report_of(sound(), engine_version=1, state_version=1, records_per_second=500)
    assert (report.customers, report.state_bytes_per_customer, report.replay_records) == (6, 25.0, 500)
    assert as_value([report])["is_sound"] is True
    assert as_table([report]).endswith("正常：重启可准确继续")


def test_an_empty_partition_has_no_faults() -> None:
    assert faults(Survey(0, 0, 10, None)) == ""


def test_a_turn_that_was_cut_off_is_no_fault() -> None:
    found = sound()
    found.turns.append(Turn("u", {0: PAGES[0]}))
    assert faults(found) == ""
    assert found.newest is found.turns[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"log_begin": 501}, "continues at log offset 500"),
        ({"log_end": 499}, "continues at log offset 500"),
        ({"committed": 501}, "has committed 501"),
        ({"broken_records": 3}, "3 state records"),
        ({"log_end": 2_000}, "replays 1500 records, about 3.0 s"),
        ({"turns": []}, ""),
        ({"turns": [], "log_begin": 1}, "no complete turn"),
        ({"turns": [Turn("t", {0: PAGES[0]}, MANIFEST)]}, "not what its manifest says"),
        ({"turns": [Turn("t", {**PAGES, 1: replace(PAGES[1], checksum=5)}, MANIFEST)]}, "not what its manifest says"),
        ({"turns": [Turn("t", {**PAGES, 1: replace(PAGES[1], next_offset=9)}, MANIFEST)]}, "contain less of the log"),
        ({"turns": [Turn("t", {**PAGES, 1: replace(PAGES[1], versions=(1, 2))}, MANIFEST)]}, "several versions"),
    ],
)
def test_each_fault_is_named(change: dict[str, object], says: str) -> None:
    told = faults(replace(sound(), **change))  # type: ignore[arg-type]  # parts of a survey
    assert says in told
    assert bool(told) is bool(says)


def test_another_engine_is_a_fault_unless_it_has_handed_over() -> None:
    assert "engine 1, this release has 2" in faults(sound(), engine=2)
    final = sound()
    final.turns[0].manifest = replace(MANIFEST, is_final=True)
    assert faults(final, engine=2) == ""
    newer = sound()
    newer.turns[0].manifest = replace(MANIFEST, is_final=True, engine_version=3)
    assert "engine 3, this release has 2" in faults(newer, engine=2)


def test_another_layout_takes_a_rebuild() -> None:
    assert "kairos detector rebuild" in faults(sound(), state=2)


def test_faults_are_told_to_people_and_programs() -> None:
    report = report_of(sound(), engine_version=2, state_version=1, records_per_second=500)
    assert as_value([report])["is_sound"] is False
    assert "1 faults" in as_table([report])
