"""The pipeline as a table: which fact sends a moment where."""

from typing import Any

import pytest

from services.router.decide import decide
from services.router.model import DAY_MS, HOUR_MS, Contact, CustomerFacts, Gate, Moment, OpenCard, home_day
from services.router.reasons import Reason, RowState
from tests.doubles.router_facts import a_moment, a_view, facts
from tests.doubles.router_records import NOW_MS

SUSPENDED = Gate(rule_id="NS2", is_open=True, changed_at_ms=NOW_MS - DAY_MS)
RESUMED = Gate(rule_id="NS2", is_open=False, changed_at_ms=NOW_MS - HOUR_MS)
LONG_RESUMED = Gate(rule_id="NS2", is_open=False, changed_at_ms=NOW_MS - 24 * HOUR_MS)
COMPLAINT = Gate(rule_id="AN1", is_open=True, changed_at_ms=NOW_MS)
CALLED = Contact(channel="CALL", direction="OUT", occurred_at_ms=NOW_MS - 30 * HOUR_MS)
OWN_TRY = Contact(channel="CALL", direction="OUT", occurred_at_ms=NOW_MS, task_id="t")
SPOKEN = Contact(channel="HOTLINE", direction="IN", occurred_at_ms=NOW_MS - HOUR_MS)
REFUSALS = tuple(
    Contact(channel="SHOP", direction="IN", occurred_at_ms=NOW_MS - n * DAY_MS, outcome="REFUSED", dimension="SERVICE")
    for n in (3, 9)
)
COMMERCIAL: dict[str, Any] = {"group": "COMMERCIAL", "dimension": "BUSINESS"}
TODAY = home_day(NOW_MS)


def only(of: CustomerFacts, now_ms: int = NOW_MS) -> tuple[RowState, Reason]:
    (change,) = decide(of, now_ms).changes
    return change.verdict.row_state, change.verdict.reason


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (facts(a_moment()), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(), known=False), Reason.CUSTOMER_UNKNOWN),
        (facts(a_moment(), gates=(SUSPENDED,)), Reason.LINE_SUSPENDED),
        (facts(a_moment(), gates=(SUSPENDED, RESUMED)), Reason.LINE_SUSPENDED),
        (facts(a_moment(), gates=(RESUMED,)), Reason.RESUMPTION_WAIT),
        (facts(a_moment(), gates=(LONG_RESUMED,)), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(rule_id="AN1"), gates=(SUSPENDED,)), Reason.OTHER_CHANNEL_ONLY),
        (facts(a_moment(rule_id="AN1"), gates=(RESUMED,)), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(rule_id="AN1"), gates=(COMPLAINT,)), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(**COMMERCIAL), gates=(COMPLAINT,)), Reason.OPEN_COMPLAINT),
        (facts(a_moment(group="CARE"), gates=(COMPLAINT,)), Reason.OPEN_COMPLAINT),
        (facts(a_moment(), gates=(COMPLAINT,)), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(group="UNKNOWN"), gates=(COMPLAINT,)), Reason.OPEN_COMPLAINT),
        (facts(a_moment(**COMMERCIAL), view=a_view(bereavement_until=TODAY)), Reason.BEREAVEMENT),
        (facts(a_moment(**COMMERCIAL), view=a_view(bereavement_until=TODAY - 1)), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(), view=a_view(bereavement_until=TODAY)), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(), contacts=REFUSALS), Reason.DIMENSION_PAUSED),
        (facts(a_moment(dimension="TARIFF"), contacts=REFUSALS), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(earliest_contact_at_ms=NOW_MS + 1)), Reason.NOT_BEFORE),
        (facts(a_moment(), contacts=(SPOKEN,)), Reason.RECENT_CONTACT),
        (facts(a_moment(), contacts=(CALLED,)), Reason.CALL_CAP),
        (facts(a_moment(task_id="t"), contacts=(OWN_TRY,)), Reason.AWAITING_ASSIGNMENT),
        (facts(a_moment(), view=a_view(quiet_windows=("09:00-11:00",))), Reason.QUIET_HOURS),
        (facts(a_moment(), card=OpenCard(task_id="t", version=1, lead_moment_id="m0")), Reason.CUSTOMER_HAS_CARD),
        (facts(a_moment(**COMMERCIAL, channel="SMS"), contacts=(SPOKEN,)), Reason.RECENT_CONTACT),
        (facts(a_moment(reason=Reason.DECLINED)), Reason.DECLINED),
    ],
)  # fmt: skip
def test_a_moment_waits_for_the_first_thing_that_forbids_it(of: CustomerFacts, reason: Reason) -> None:
    if reason is Reason.DECLINED:
        assert [moment.reason for moment in decide(of, NOW_MS).ready] == [reason]
    else:
        assert only(of) == (RowState.PENDING, reason)


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (facts(a_moment(state="RESOLVED")), Reason.RESOLVED),
        (facts(a_moment(state="RESOLVED"), known=False), Reason.RESOLVED),
        (facts(a_moment(expires_at_ms=NOW_MS)), Reason.EXPIRED),
        (facts(a_moment(rule_id="NS2", group="NONE")), Reason.GATE),
        (facts(a_moment(rule_id="NS2", group="NONE", history=True)), Reason.GATE),
        (facts(a_moment(rule_id="AN1", history=True)), Reason.HISTORY),
        (facts(a_moment(), view=a_view(refused_groups=("service",))), Reason.REFUSED_GROUP),
        (facts(a_moment(channel="NONE")), Reason.NO_CHANNEL),
        (facts(a_moment(channel="SMS")), Reason.SENT_BY_SMS),
        (facts(a_moment(channel="SMS"), contacts=(SPOKEN,)), Reason.SENT_BY_SMS),
        (facts(a_moment(channel="SMS"), card=OpenCard(task_id="t", version=1, lead_moment_id="x")), Reason.SENT_BY_SMS),
        (facts(a_moment(channel="SELF_SERVICE")), Reason.SENT_BY_SELF_SERVICE),
        (facts(a_moment(rule_id="AN4")), Reason.SENT_BY_SMS),
        (facts(a_moment(), view=a_view(agreed_channels=("SHOP",))), Reason.CHANNEL_NOT_AGREED),
        (facts(a_moment(), view=a_view(agreed_channels=("SMS",))), Reason.SENT_BY_SMS),
    ],
)
def test_a_moment_goes_to_the_ledger_with_its_reason(of: CustomerFacts, reason: Reason) -> None:
    assert only(of) == (RowState.LEDGER, reason)


def test_rich_customers_are_called_about_a_low_balance() -> None:
    assert (
        only(facts(a_moment(rule_id="AN4", channel="SMS"), view=a_view(arpu_fen=50_001)))[1]
        is Reason.AWAITING_ASSIGNMENT
    )


def test_an_urgent_message_leaves_in_the_evening_and_others_wait() -> None:
    evening = NOW_MS + 11 * HOUR_MS  # 20:50
    assert only(facts(a_moment(rule_id="AN11", channel="SMS")), evening)[1] is Reason.SENT_BY_SMS
    assert only(facts(a_moment(rule_id="FT3", channel="SMS")), evening)[1] is Reason.QUIET_HOURS


def test_messages_of_one_decision_count_against_the_cap() -> None:
    moments = [a_moment(f"m{i}", rule_id="FT3", channel="SMS") for i in range(4)]
    decision = decide(facts(*moments), NOW_MS)
    assert len(decision.messages) == 2
    assert (
        sorted(change.verdict.reason for change in decision.changes) == [Reason.SENT_BY_SMS] * 2 + [Reason.SMS_CAP] * 2
    )


ON_CARD: dict[str, Any] = {"row_state": RowState.CARD, "reason": Reason.ON_CARD, "task_id": "t"}
CARD = OpenCard(task_id="t", version=3, lead_moment_id="m1")
IN_WORK = OpenCard(task_id="t", version=3, lead_moment_id="m1", in_work=True)


@pytest.mark.parametrize(
    ("moment", "fields", "reason"),
    [
        (a_moment(**ON_CARD), {}, None),
        (a_moment(**ON_CARD, state="RESOLVED"), {}, Reason.RESOLVED),
        (a_moment(**ON_CARD), {"gates": (SUSPENDED,)}, Reason.LINE_SUSPENDED),
        (a_moment(rule_id="AN1", **ON_CARD), {"gates": (SUSPENDED,)}, None),
        (a_moment(**ON_CARD, **COMMERCIAL), {"gates": (COMPLAINT,)}, Reason.OPEN_COMPLAINT),
        (a_moment(**ON_CARD), {"view": a_view(refused_groups=("service",))}, Reason.REFUSED_GROUP),
        (a_moment(**ON_CARD), {"contacts": (SPOKEN, CALLED)}, None),
        (a_moment(**ON_CARD, expires_at_ms=NOW_MS), {}, Reason.EXPIRED),
        (a_moment(**ON_CARD, expires_at_ms=NOW_MS), {"card": IN_WORK}, None),
        (a_moment("m2", **ON_CARD, expires_at_ms=NOW_MS), {}, None),
        (a_moment(**{**ON_CARD, "reason": Reason.DISPATCHING}, state="RESOLVED"), {}, Reason.RESOLVED),
    ],
)
def test_a_card_is_withdrawn_for_lasting_reasons_only(
    moment: Moment, fields: dict[str, Any], reason: Reason | None
) -> None:
    decision = decide(facts(moment, **{"card": CARD, **fields}), NOW_MS)
    withdrawn = decision.rescind
    assert (None if withdrawn is None else (withdrawn.task_id, withdrawn.version, withdrawn.reason)) == (
        None if reason is None else ("t", 3, reason)
    )


def test_a_card_is_withdrawn_once() -> None:
    card = OpenCard(task_id="t", version=3, lead_moment_id="m1", is_rescinding=True)
    assert decide(facts(a_moment(**ON_CARD, state="RESOLVED"), card=card), NOW_MS).rescind is None


def test_a_decision_about_unchanged_facts_changes_nothing() -> None:
    first = decide(facts(a_moment()), NOW_MS).changes[0]
    again = a_moment(
        row_state=first.verdict.row_state,
        reason=first.verdict.reason,
        waits_until_ms=first.verdict.waits_until_ms,
        due_at_ms=first.due_at_ms,
        ready_at_ms=first.ready_at_ms,
    )
    assert decide(facts(again), NOW_MS).changes == ()


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    from services.router.reasons import TEXTS

    assert set(TEXTS) == set(Reason)
    assert all(zh and en for zh, en in TEXTS.values())
