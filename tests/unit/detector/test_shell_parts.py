"""The small pure parts of the detector's shell: poison limits, due ticks, chaos plans, settings, refusals."""

import pytest

from services.detector.chaos import parse_chaos
from services.detector.commands import parse_partitions
from services.detector.errors import StateUnusable
from services.detector.records.poison import PoisonMeter, PoisonPolicy
from services.detector.settings import DetectorSettings
from services.detector.ticks import due_tick
from services.settings import SettingsRefused, read_settings

MINUTE = 60_000


def meter(run_max: int = 3, window: int = 100, share_max: float = 0.5) -> PoisonMeter:
    return PoisonMeter(PoisonPolicy(run_max=run_max, window=window, share_max=share_max))


def test_single_poison_records_are_passed() -> None:
    assert not meter().is_flood(0, 100, [5, 50, 99], allowed_to=0)


def test_a_long_run_is_a_flood() -> None:
    assert meter().is_flood(0, 100, [5, 6, 7, 8], allowed_to=0)


def test_a_run_over_a_chunk_border_is_a_flood() -> None:
    one = meter()
    assert not one.is_flood(0, 100, [98, 99], allowed_to=0)
    assert one.is_flood(100, 200, [100, 101], allowed_to=0)


def test_a_good_record_at_the_border_ends_the_run() -> None:
    one = meter()
    assert not one.is_flood(0, 100, [97, 98], allowed_to=0)
    assert not one.is_flood(100, 200, [100, 101], allowed_to=0)


def test_a_large_share_is_a_flood_once_enough_was_seen() -> None:
    one = meter(run_max=10, window=100, share_max=0.4)
    assert not one.is_flood(0, 50, list(range(0, 50, 2)), allowed_to=0)
    assert one.is_flood(50, 100, list(range(50, 100, 2)), allowed_to=0)


def test_a_refused_chunk_is_judged_alike_again() -> None:
    one = meter()
    assert one.is_flood(0, 10, [1, 2, 3, 4], allowed_to=0)
    assert one.is_flood(0, 10, [1, 2, 3, 4], allowed_to=0)
    assert not one.is_flood(0, 10, [1, 2, 3, 4], allowed_to=10)


def test_permission_ends_where_it_was_given_to() -> None:
    assert meter().is_flood(0, 20, [1, 2, 3, 4, 10, 11, 12, 13], allowed_to=5)


def test_a_chunk_that_had_to_wait_is_counted_once() -> None:
    one = meter(run_max=100, window=100, share_max=0.5)
    for _ in range(5):
        assert not one.is_flood(0, 60, list(range(30)), allowed_to=0)
    assert not one.is_flood(60, 100, list(range(60, 80)), allowed_to=0)
    assert one.is_flood(100, 140, list(range(100, 140)), allowed_to=0)


def test_a_chunk_that_comes_again_and_longer_is_counted_on() -> None:
    one = meter(run_max=3)
    assert not one.is_flood(0, 10, [8, 9], allowed_to=0)
    assert not one.is_flood(0, 11, [8, 9, 10], allowed_to=0)
    assert one.is_flood(0, 12, [8, 9, 10, 11], allowed_to=0)


@pytest.mark.parametrize("limits", [(0, 1, 0.5), (1, 0, 0.5), (1, 1, 0.0), (1, 1, 1.5)])
def test_senseless_poison_limits_are_refused(limits: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="poison limits"):
        PoisonPolicy(run_max=limits[0], window=limits[1], share_max=limits[2])


def test_a_tick_is_due_at_each_full_minute_once() -> None:
    assert due_tick(10 * MINUTE + 5, newest_rules=-1, last_now_ms=9 * MINUTE, last_rules=-1) == (10 * MINUTE, -1)
    assert due_tick(10 * MINUTE + 59_999, newest_rules=-1, last_now_ms=10 * MINUTE, last_rules=-1) is None


def test_skipped_minutes_make_one_tick() -> None:
    assert due_tick(500 * MINUTE, newest_rules=-1, last_now_ms=9 * MINUTE, last_rules=-1) == (500 * MINUTE, -1)


def test_new_rules_are_announced_within_the_minute() -> None:
    assert due_tick(10 * MINUTE, newest_rules=7, last_now_ms=10 * MINUTE, last_rules=3) == (10 * MINUTE, 7)


def test_neither_time_nor_rules_go_back() -> None:
    assert due_tick(5 * MINUTE, newest_rules=2, last_now_ms=10 * MINUTE, last_rules=3) is None
    assert due_tick(5 * MINUTE, newest_rules=4, last_now_ms=10 * MINUTE, last_rules=3) == (10 * MINUTE, 4)
    assert due_tick(11 * MINUTE, newest_rules=2, last_now_ms=10 * MINUTE, last_rules=3) == (11 * MINUTE, 3)


def test_chaos_plan_reads_steps_and_the_star() -> None:
    assert parse_chaos("page=0.5, manifest=1")["page"] == 0.5
    assert set(parse_chaos("*=0.1").values()) == {0.1}
    assert parse_chaos("") == {}


@pytest.mark.parametrize("text", ["lunch=0.5", "page=2", "page=x", "page"])
def test_a_wrong_chaos_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # float() and ours
        parse_chaos(text)


@pytest.mark.parametrize("hook", ["CHAOS", "ENGINE"])
def test_test_hooks_are_refused_outside_tests(hook: str) -> None:
    environ = {"KAIROS_KAFKA_BOOTSTRAP": "x:1", f"KAIROS_DETECTOR_{hook}": "page=0.1"}
    with pytest.raises(SettingsRefused, match="KAIROS_ENVIRONMENT=test"):
        read_settings(DetectorSettings, "DETECTOR", environ)


def test_a_session_of_less_than_three_heartbeats_is_refused() -> None:
    environ = {"KAIROS_KAFKA_BOOTSTRAP": "x:1", "KAIROS_DETECTOR_SESSION_SECONDS": "5"}
    with pytest.raises(SettingsRefused, match="three heartbeats"):
        read_settings(DetectorSettings, "DETECTOR", environ)


def test_partitions_are_read_from_a_comma_list() -> None:
    assert parse_partitions("3, 0,1,") == [0, 1, 3]
    assert parse_partitions("") == []


@pytest.mark.parametrize("text", ["a", "1;2", "-1"])
def test_wrong_partitions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--partitions"):
        parse_partitions(text)


def test_a_refusal_says_which_partition_and_how_to_go_on() -> None:
    text = str(StateUnusable(3, "no complete turn was found"))
    assert "partition 3" in text
    assert "no complete turn" in text
    assert "rebuild" in text
