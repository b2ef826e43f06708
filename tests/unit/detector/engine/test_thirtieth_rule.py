"""A rule that nobody had thought of is a file: no line of the engine knows it."""

from typing import Any

import pytest

from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from tests.reference.local_time import DAY, HOUR
from tests.reference.logs import MONDAY, Log, local, random_log, run_engine, shipped, shipped_documents

AT = local(MONDAY, 10)
NEW_RULE = """
id: XB1
description: Bundled television, bought on credit by a customer who has asked about fees within a month.
class: CHANGE
dimension: BUSINESS
group: COMMERCIAL
cadence: immediate
"on": [service-order]
profile: required
episode: event
parameters:
  credit: {value: 5000, unit: fen, city: {SZ: 100}, about: how far below zero the balance is}
features:
  asked: {days_unasked: FEE, offset: 0}
  month_before: {sum: charge_fen, days: 30}
fire: >-
  order_action = 'SUBSCRIBE' AND order_category = 'TV' AND balance_is_known AND balance_fen + credit < 0 AND asked <= 30
resolve:
  - {when: balance_fen >= 0, as: settled}
resolve_on: [balance]
cool_down_days: 7
expires: {days: 3}
priority: CASE WHEN month_before > 10000 THEN 1 ELSE 3 END
channel: "'CALL'"
observation_days: 7
evidence:
  - {name: balance_fen, unit: fen, observed: balance_fen, threshold: 0 - credit, layer: credit}
  - {name: days_since_fee_inquiry, unit: days, observed: asked, threshold: 30}
tells:
  balance: {value: balance_fen, as: yuan}
messages:
  zh: {title: 透支购买电视, why_now: "余额 {balance} 元时订购电视。", what_to_say: 您好，想和您核对一下账户情况。}
  en: {title: TV on credit, why_now: "Ordered TV at a balance of {balance} yuan.", what_to_say: About your account.}
"""


@pytest.fixture(scope="module")
def thirty() -> CompiledRuleSet:
    return compile_rule_set({**shipped_documents(), "rules/xb1.yaml": NEW_RULE}, "province@2")


def credit(city: str, fen: int) -> Log:
    log = Log()
    log.event("inquiry", AT - 20 * DAY, history=True, inquiry_id="one", topic="FEE")
    log.profile(AT - DAY, city=city)
    log.tick(AT - HOUR)
    log.event("balance", AT, balance_fen=fen)
    log.event("service-order", AT + 1, order_id="tv", action="SUBSCRIBE", category="TV")
    return log


def found(log: Log, rules: Any) -> list[dict[str, Any]]:
    return [moment for moment in run_engine(log.entries, rules=rules)[0] if moment["rule_id"] == "XB1"]


@pytest.mark.parametrize(
    ("city", "fen", "count"), [("NJ", -5001, 1), ("NJ", -5000, 0), ("SZ", -101, 1), ("SZ", -100, 0)]
)  # fmt: skip
def test_a_thirtieth_rule_is_a_file(thirty: CompiledRuleSet, city: str, fen: int, count: int) -> None:
    assert len(found(credit(city, fen), thirty)) == count


def test_it_tells_its_evidence_with_layers_and_ends(thirty: CompiledRuleSet) -> None:
    log = credit("SZ", -200)
    log.event("balance", AT + 2, balance_fen=0, reason="TOP_UP")
    raised, ended = found(log, thirty)
    assert [(e["name"], e["observed"], e["threshold"], e["layer"]) for e in raised["evidence"]] == [
        ("balance_fen", -200, -100, "CITY"),
        ("days_since_fee_inquiry", 20, 30, "NONE"),
    ]
    assert (raised["priority"], raised["parameters"]) == (3, {"balance": "-2.00"})
    assert (ended["resolution"], ended["moment_id"]) == ("settled", raised["moment_id"])


def test_the_others_find_what_they_found_without_it(thirty: CompiledRuleSet) -> None:
    log = random_log(30, events=600, customers=6)
    with_it = [moment for moment in run_engine(log, rules=thirty)[0] if moment["rule_id"] != "XB1"]
    without = run_engine(log)[0]
    assert [{**moment, "rule_version": ""} for moment in with_it] == [{**m, "rule_version": ""} for m in without]


def test_it_holds_from_the_tick_that_announces_it(thirty: CompiledRuleSet) -> None:
    log = credit("NJ", -9000)
    assert found(log, {0: shipped(), 1: thirty}) == []
    log.entries.append(("tick", AT + HOUR, 1))
    log.event("service-order", AT + 2 * HOUR, order_id="tv2", action="SUBSCRIBE", category="TV")
    assert [m["rule_version"] for m in found(log, {0: shipped(), 1: thirty})] == ["province@2"]
