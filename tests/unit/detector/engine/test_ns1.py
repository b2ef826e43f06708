"""NS1: its file holds the windows that the router keeps, is checked, and is never judged."""

import pytest

from services.detector.engine.errors import RuleError
from services.detector.engine.language.gate import read_gate
from services.detector.engine.language.located import read_document
from services.router import quiet_hours
from tests.reference.logs import shipped, shipped_documents

FILE = "rules/ns1.yaml"


def test_its_windows_are_those_that_the_router_keeps() -> None:
    gate = read_gate(read_document(FILE, shipped_documents()[FILE]))
    assert gate.working_day == quiet_hours.WORKDAY_OPEN
    assert gate.rest_day == quiet_hours.REST_DAY_OPEN
    assert gate.urgent_until == quiet_hours.URGENT_SMS_UNTIL
    assert gate.urgent_rules == ("AN5", "AN11")


def test_it_is_no_rule_of_the_engine() -> None:
    assert "NS1" not in {rule.id for rule in shipped().rules}


@pytest.mark.parametrize(
    ("was", "wrong", "reason"),
    [
        ('"09:00-12:00"', '"09:00"', "want a window"),
        ('"09:00-12:00"', '"12:00-09:00"', "close after they open"),
        ('"10:00-12:00"', '"10:00-14:30"', "follow each other"),
        ('"21:30"', '"25:30"', "want a local time"),
        ("[AN5, AN11]", "AN5", "want a list of rule ids"),
        ("id: NS1", "id: ns1", "capital letters"),
        ("class: DO_NOT_SERVE", "class: GATE", "want one of"),
        ("rest_day:", "restday:", "restday"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(was: str, wrong: str, reason: str) -> None:
    text = shipped_documents()[FILE]
    assert was in text
    with pytest.raises(RuleError, match=reason):
        read_gate(read_document(FILE, text.replace(was, wrong, 1)))
