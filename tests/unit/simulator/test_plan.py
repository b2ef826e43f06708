"""The plan of a simulated run keeps its own promises: seeded, unique, ordinary days that are ordinary."""

from collections import Counter, defaultdict
from datetime import date, timedelta

import pytest

from services.simulator import local_time
from services.simulator.plan import SILENT_RULES, Plan, build_plan
from services.simulator.span import Span


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build_plan(seed=11, customers=400, span=Span(), calls_per_session=4)


def test_equal_seeds_give_equal_plans_and_others_differ(plan: Plan) -> None:
    again = build_plan(seed=11, customers=400, span=Span(), calls_per_session=4)
    other = build_plan(seed=12, customers=400, span=Span(), calls_per_session=4)

    assert list(again.history()) == list(plan.history())
    assert again.truth == plan.truth
    assert not {p.customer_id for p in other.people} & {p.customer_id for p in plan.people}


def test_everybody_is_one_person(plan: Plan) -> None:
    assert len(plan.people) == 400
    assert len({person.customer_id for person in plan.people}) == 400


def test_history_ends_before_the_first_live_day_and_has_unique_ids(plan: Plan) -> None:
    events = list(plan.history())

    assert max(event.occurred_at_ms for event in events) < local_time.at(plan.span.first_day)
    assert max(Counter(event.identity for event in events).values()) == 1


def test_live_ids_repeat_only_where_a_story_sends_an_event_again(plan: Plan) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for session in plan.span.sessions():
        parts = plan.session(session)
        seen.update(event.identity for event in (*parts.background, *parts.planted, *parts.calls))
    seen.update(event.identity for event in plan.history())
    again = {identity for identity, count in seen.items() if count > 1}
    told = {event.identity for story in plan.stories for event in story.live if "duplicate" in story.name}

    assert again <= told
    assert again


def test_every_live_event_has_happened_when_it_is_sent(plan: Plan) -> None:
    for session in plan.span.sessions():
        parts = plan.session(session)
        assert all(e.occurred_at_ms <= session.at_ms for e in (*parts.background, *parts.planted, *parts.calls))


def test_background_talkers_keep_their_minutes(plan: Plan) -> None:
    """Nobody without a story may come near the 60 % of a weekly decline."""
    live: dict[int, int] = defaultdict(int)
    for session in plan.span.sessions():
        if session.day < 7:
            for event in plan.session(session).background:
                if event.kind == "usage" and event.body["service"] == "VOICE":
                    live[int(str(event.body["customer_id"]))] += int(str(event.body["quantity"]))
    weeks: dict[int, int] = defaultdict(int)
    since = local_time.at(plan.span.first_day - timedelta(weeks=4))
    for event in plan.history():
        if event.kind == "usage" and event.body["service"] == "VOICE" and event.occurred_at_ms >= since:
            weeks[int(str(event.body["customer_id"]))] += int(str(event.body["quantity"]))

    for person in plan.ordinary:
        mean = weeks[person.customer_id] / 4
        assert mean < 900 or live[person.customer_id] > 0.9 * mean


def test_background_has_no_complaint_no_suspension_no_new_handset_and_no_low_balance(plan: Plan) -> None:
    for session in plan.span.sessions():
        for event in plan.session(session).background:
            assert event.kind not in {"complaint", "handset-change"}
            assert event.body.get("status", "ACTIVE") == "ACTIVE"
            assert int(str(event.body.get("balance_fen", 8_000))) >= 8_000


def test_all_eleven_kinds_occur(plan: Plan) -> None:
    kinds = {event.kind for event in plan.history()}
    for session in plan.span.sessions():
        parts = plan.session(session)
        kinds |= {event.kind for event in (*parts.background, *parts.planted, *parts.calls)}

    assert len(kinds) == 11


def test_birthdays_of_everybody_are_truth(plan: Plan) -> None:
    rows = {row.customer_id: row.nominal_date for row in plan.truth if row.rule_id == "SP1"}
    days = {(plan.span.first_day + timedelta(days=n)).strftime("%m-%d") for n in range(1, 8)}
    born = {p.customer_id for p in plan.ordinary if p.birthday and p.birthday[-5:] in days}

    assert born <= rows.keys()
    assert all(date.fromisoformat(day) > plan.span.first_day for day in rows.values())


def test_no_birthday_falls_on_the_first_day(plan: Plan) -> None:
    first = plan.span.first_day.strftime("%m-%d")

    assert not [person for person in plan.people if person.birthday and person.birthday.endswith(first)]


def test_truth_rows_are_unique_and_there_are_some_of_every_covered_rule(plan: Plan) -> None:
    assert max(Counter(row.key for row in plan.truth).values()) == 1
    assert {row.rule_id for row in plan.truth} == plan.covers - SILENT_RULES
    assert plan.covers >= {"AN4", "FT2", "AN1", "AN7", "SP1", "NS2"}


def test_every_rule_has_near_misses(plan: Plan) -> None:
    for rule in sorted(rule_id.lower() for rule_id in plan.covers - SILENT_RULES):
        silent = [s for s in plan.stories if s.name.startswith(f"{rule}/") and not s.truth and s.name != "an4/call"]
        assert silent, rule
