"""Laws of the router's decisions that hold whatever the facts are."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.assignment import Candidate, plan
from services.router.capacity import AVAILABLE, BREAK, NOT_RESPONDING, OFFLINE, ManagerCapacity
from services.router.decide import NEVER_MS, decide
from services.router.model import DAY_MS, HOUR_MS, Contact, CustomerFacts, Gate, Moment, OpenCard
from services.router.quiet_hours import ContactHours, contact_windows, current_span, release_at_ms
from services.router.reasons import CONTACTED, READY, Reason, RowState
from services.router.store.intake import newest_revisions
from tests.doubles.router_facts import a_moment, a_view
from tests.doubles.router_records import NOW_MS, moment

INSTANTS = st.integers(NOW_MS - 40 * DAY_MS, NOW_MS + 40 * DAY_MS)
WINDOWS = st.sampled_from(["18:00-21:00", "22:00-10:30", "00:00-23:59", "12:00-13:00", "09:00-09:30", "nonsense"])
HOURS = st.builds(
    ContactHours,
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Paris", "America/New_York", "Pacific/Kiritimati"]),
    quiet_windows=st.lists(WINDOWS, max_size=3).map(tuple),
    urgent_sms=st.booleans(),
)
MANAGERS = st.lists(
    st.builds(
        ManagerCapacity,
        manager_id=st.sampled_from("abcdefgh"),
        city=st.sampled_from(["NJ", "SZ"]),
        presence=st.sampled_from([AVAILABLE, AVAILABLE, BREAK, OFFLINE, NOT_RESPONDING]),
        load_units=st.integers(0, 120),
        capacity_units=st.sampled_from([0, 40, 100]),
        budget_left=st.integers(0, 4),
    ),
    max_size=8,
    unique_by=lambda manager: manager.manager_id,
)
NAMES = st.sampled_from("abcdefgh")
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        task_id=st.integers(0, 40).map(str),
        city=st.sampled_from(["NJ", "SZ"]),
        priority=st.integers(1, 5),
        score=st.integers(0, 20).map(float),
        ready_at_ms=st.integers(NOW_MS - 3 * HOUR_MS, NOW_MS),
        units=st.sampled_from([5, 20]),
        owner=st.none() | NAMES,
        deputy=st.none() | NAMES,
        declined_by=st.frozensets(NAMES, max_size=3),
        missed_by=st.frozensets(NAMES, max_size=3),
    ),
    max_size=30,
    unique_by=lambda candidate: candidate.task_id,
)


@given(CANDIDATES, MANAGERS)
def test_a_plan_never_exceeds_capacity_and_places_each_task_once(
    candidates: list[Candidate], managers: list[ManagerCapacity]
) -> None:
    planned = plan(candidates, managers, NOW_MS)
    by_id = {candidate.task_id: candidate for candidate in candidates}
    for manager in managers:
        mine = [by_id[a.task_id] for a in planned.assignments if a.manager_id == manager.manager_id]
        if mine:
            assert manager.presence == AVAILABLE
            assert manager.load_units + sum(candidate.units for candidate in mine) <= manager.capacity_units
            assert len(mine) <= manager.budget_left
            assert all(manager.manager_id not in candidate.declined_by for candidate in mine)
    placed = [a.task_id for a in planned.assignments] + [left.task_id for left in planned.unassigned]
    assert sorted(placed) == sorted(by_id)


@given(CANDIDATES, MANAGERS, st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_its_input(
    candidates: list[Candidate], managers: list[ManagerCapacity], order: random.Random
) -> None:
    expected = plan(candidates, managers, NOW_MS)
    order.shuffle(candidates)
    order.shuffle(managers)
    assert plan(candidates, managers, NOW_MS) == expected


@given(CANDIDATES, MANAGERS)
def test_nobody_is_left_for_want_of_room_while_somebody_has_it(
    candidates: list[Candidate], managers: list[ManagerCapacity]
) -> None:
    planned = plan(candidates, managers, NOW_MS)
    left = {manager.manager_id: manager for manager in managers}
    by_id = {candidate.task_id: candidate for candidate in candidates}
    for assignment in planned.assignments:
        left[assignment.manager_id] = left[assignment.manager_id].with_task(by_id[assignment.task_id].units)
    for item in planned.unassigned:
        candidate = by_id[item.task_id]
        able = [
            m
            for m in left.values()
            if m.city == candidate.city and m.taking and m.budget_left > 0 and m.manager_id not in candidate.declined_by
        ]
        fits = [m for m in able if m.load_units + candidate.units <= m.capacity_units]
        assert item.reason is Reason.OWNER_FIRST or not fits


@given(INSTANTS, HOURS)
def test_windows_are_ordered_disjoint_and_agree_with_now(at_ms: int, hours: ContactHours) -> None:
    spans = contact_windows(at_ms, at_ms + 60 * DAY_MS, hours)
    assert all(opens < closes for opens, closes in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert all(closes <= at_ms + 7 * DAY_MS for _, closes in spans)
    inside = any(opens <= at_ms < closes for opens, closes in spans)
    assert inside == (current_span(at_ms, hours) is not None)


@given(INSTANTS, INSTANTS, HOURS, st.text(max_size=8))
def test_a_release_lies_in_an_open_window_and_never_before_now(
    at_ms: int, since_ms: int, hours: ContactHours, key: str
) -> None:
    release = release_at_ms(at_ms, since_ms, key, hours)
    if release is not None:
        assert release >= at_ms
        assert current_span(release, hours) is not None
        assert release_at_ms(release, since_ms, key, hours) == release, "asked again then, it goes"


MOMENTS = st.builds(
    lambda number, **fields: a_moment(f"m{number}", **fields),
    number=st.integers(0, 5),
    rule_id=st.sampled_from(["AN1", "AN4", "AN6", "AN8", "AN17", "FT2", "SP1", "NS2"]),
    group=st.sampled_from(["SERVICE", "CARE", "COMMERCIAL", "NONE", "UNKNOWN"]),
    state=st.sampled_from(["RAISED", "RAISED", "UPDATED", "RESOLVED"]),
    priority=st.integers(1, 5),
    channel=st.sampled_from(["CALL", "SMS", "SELF_SERVICE", "NONE", "UNKNOWN"]),
    detected_at_ms=st.integers(NOW_MS - DAY_MS, NOW_MS),
    expires_at_ms=st.integers(NOW_MS - HOUR_MS, NOW_MS + 3 * DAY_MS),
    earliest_contact_at_ms=st.none() | st.integers(NOW_MS - HOUR_MS, NOW_MS + DAY_MS),
    history=st.booleans(),
    supersedes=st.sampled_from([(), ("AN6",), ("AN4", "FT2")]),
    reason=st.sampled_from([Reason.UNDECIDED, Reason.AWAITING_ASSIGNMENT, Reason.ON_CARD, Reason.DISPATCHING]),
)
CONTACTS = st.builds(
    Contact,
    channel=st.sampled_from(["CALL", "SMS", "HOTLINE"]),
    direction=st.sampled_from(["IN", "OUT"]),
    occurred_at_ms=st.integers(NOW_MS - 40 * DAY_MS, NOW_MS),
    outcome=st.sampled_from(["REACHED", "REFUSED"]),
    dimension=st.sampled_from(["SERVICE", "TARIFF"]),
)
GATES = st.builds(
    Gate,
    rule_id=st.sampled_from(["NS2", "AN1"]),
    is_open=st.booleans(),
    changed_at_ms=st.integers(NOW_MS - 3 * DAY_MS, NOW_MS),
)
VIEWS = st.none() | st.builds(
    lambda **fields: a_view(**fields),
    quiet_windows=st.lists(WINDOWS, max_size=1).map(tuple),
    refused_groups=st.sampled_from([(), ("care",), ("service", "commercial")]),
    agreed_channels=st.sampled_from([(), ("SMS",), ("CALL", "SMS"), ("SHOP",)]),
    arpu_fen=st.none() | st.integers(0, 100_000),
)
CARDS = st.none() | st.builds(
    OpenCard, task_id=st.just("t"), version=st.just(1), lead_moment_id=st.just("m1"), in_work=st.booleans()
)
FACTS = st.builds(
    CustomerFacts,
    customer_id=st.just(1),
    view=VIEWS,
    moments=st.lists(MOMENTS, max_size=5, unique_by=lambda m: m.moment_id).map(tuple),
    gates=st.lists(GATES, max_size=2).map(tuple),
    contacts=st.lists(CONTACTS, max_size=4).map(tuple),
    card=CARDS,
)
NOWS = st.integers(NOW_MS, NOW_MS + DAY_MS)


def settled_rows(facts: CustomerFacts, now_ms: int) -> dict[str, tuple[RowState, Reason]]:
    rows = {m.moment_id: (m.row_state, m.reason) for m in facts.moments}
    return rows | {c.moment_id: (c.verdict.row_state, c.verdict.reason) for c in decide(facts, now_ms).changes}


@settings(max_examples=400)
@given(FACTS, NOWS)
def test_no_decision_disturbs_against_policy(facts: CustomerFacts, now_ms: int) -> None:
    decision = decide(facts, now_ms)
    suspended = any(gate.rule_id == "NS2" and gate.is_open for gate in facts.gates)
    contacted = {message.moment_id for message in decision.messages} | {m.moment_id for m in decision.ready}
    if facts.view is None or suspended:
        assert not contacted
        return
    calls = [c for c in facts.contacts if c.channel == "CALL" and c.direction == "OUT"]
    assert not (decision.ready and facts.card is not None), "one open card per customer"
    assert not (decision.ready and any(now_ms - c.occurred_at_ms < 6 * DAY_MS for c in calls))
    for found in facts.moments:
        if found.moment_id in contacted:
            assert found.state != "RESOLVED"
            assert found.expires_at_ms > now_ms
            assert found.group.lower() not in facts.view.refused_groups
            hours = ContactHours(quiet_windows=facts.view.quiet_windows)
            assert current_span(now_ms, hours) is not None


@settings(max_examples=400)
@given(FACTS, NOWS)
def test_every_moment_ends_in_one_row_and_never_decides_in_a_circle(facts: CustomerFacts, now_ms: int) -> None:
    decision = decide(facts, now_ms)
    changed = [change.moment_id for change in decision.changes]
    assert len(changed) == len(set(changed))
    rows = settled_rows(facts, now_ms)
    assert all(reason is not Reason.UNDECIDED for _, reason in rows.values())
    for change in decision.changes:
        is_final = change.verdict.row_state is RowState.LEDGER
        assert change.due_at_ms == NEVER_MS if is_final else change.due_at_ms > now_ms
        assert (change.ready_at_ms is not None) == (change.verdict.reason in READY)


@settings(max_examples=300)
@given(FACTS, NOWS, st.randoms(use_true_random=False))
def test_a_decision_does_not_depend_on_the_order_of_facts(
    facts: CustomerFacts, now_ms: int, order: random.Random
) -> None:
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(order.sample(items, len(items)))

    other = CustomerFacts(
        customer_id=1,
        view=facts.view,
        moments=shuffled(facts.moments),
        gates=shuffled(facts.gates),
        contacts=shuffled(facts.contacts),
        card=facts.card,
    )
    assert decide(other, now_ms) == decide(facts, now_ms)


@given(FACTS, NOWS)
def test_who_was_contacted_is_not_decided_again(facts: CustomerFacts, now_ms: int) -> None:
    moments: tuple[Moment, ...] = tuple(
        a_moment(m.moment_id, state=m.state, reason=reason)
        for m, reason in zip(facts.moments, sorted(CONTACTED) * 5, strict=False)
    )
    done = CustomerFacts(customer_id=1, view=facts.view, moments=moments, gates=facts.gates, card=facts.card)
    assert decide(done, now_ms).changes == ()


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6)), max_size=20), st.randoms(use_true_random=False))
def test_the_highest_revision_of_a_batch_wins_in_any_order(pairs: list[tuple[int, int]], order: random.Random) -> None:
    records = [moment(customer, revision=revision, risk_score=float(revision)) for customer, revision in pairs]
    order.shuffle(records)
    rows = {row["customer_id"]: (row["revision"], row["risk_score"]) for row in newest_revisions(records)}
    best = {customer: max(r for c, r in pairs if c == customer) for customer, _ in pairs}
    assert rows == {customer: (revision, float(revision)) for customer, revision in best.items()}
