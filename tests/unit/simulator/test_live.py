"""The endless stream of a demo: ids never repeat, planted moments name what must be found."""

from services.simulator import local_time
from services.simulator.live import HOME_MANAGER, LiveStream
from services.simulator.plan import build_plan
from services.simulator.span import Span

PLAN = build_plan(seed=3, customers=1_000, span=Span())
NOW_MS = local_time.at(Span().first_day, 9, 51)


def test_ids_differ_between_runs_and_beats() -> None:
    first, second = LiveStream(PLAN, run=1), LiveStream(PLAN, run=2)
    seen: set[tuple[str, str]] = set()
    for stream in (first, second):
        for beat in range(20):
            events = stream.harmless(10, now_ms=NOW_MS + beat * 1_000)
            events += stream.next_planted(now_ms=NOW_MS + beat * 1_000).events
            found = {event.identity for event in events}
            assert len(found) == len(events)
            assert not found & seen
            seen |= found


def test_one_round_of_planting_has_moments_of_many_rules() -> None:
    stream = LiveStream(PLAN, run=1)
    rules = [stream.next_planted(now_ms=NOW_MS).truth.rule_id for _ in range(13)]

    assert set(rules) == {"AN4", "AN1", "NS2", "FT2", "AN5", "AN17", "FT5", "AN15"}
    assert rules.count("AN4") == 6


def test_the_first_planted_moment_is_a_call_for_the_person_at_the_terminal() -> None:
    planted = LiveStream(PLAN, run=1).next_planted(now_ms=NOW_MS)
    person = next(p for p in PLAN.people if p.customer_id == planted.truth.customer_id)

    assert planted.truth.rule_id == "AN4"
    assert person.owner_manager_id == HOME_MANAGER
    assert person.arpu_fen > 50_000
    assert not person.auto_pay


def test_no_event_of_the_stream_is_from_the_future() -> None:
    stream = LiveStream(PLAN, run=1)

    assert all(event.occurred_at_ms <= NOW_MS for event in stream.harmless(200, now_ms=NOW_MS))


def test_handset_is_found_on_the_first_six_o_clock_after_a_day() -> None:
    stream = LiveStream(PLAN, run=1)
    planted = [stream.next_planted(now_ms=NOW_MS) for _ in range(7)]
    handset = next(p for p in planted if p.truth.rule_id == "FT2")

    assert handset.truth.nominal_date == "2026-09-09"
