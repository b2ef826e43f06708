"""The risk card in the engine: both forms, attributes as places, terms that add up to the score, clear refusals."""

from math import exp
from typing import Any

import pytest
import yaml

from services.detector.engine.errors import RuleError
from services.detector.engine.language.located import read_document
from services.detector.engine.language.risk_card import read_card
from services.detector.engine.risk import RiskCard
from services.detector.engine.rule_set import compile_rule_set
from tests.reference.logs import MONDAY, Log, local, run_engine, shipped_documents

CARD: dict[str, Any] = {
    "version": "t-1",
    "form": "weighted",
    "base_log_odds": -1.0,
    "terms": [
        {
            "name": "contract",
            "attribute": "contract",
            "plain": True,
            "bins": [
                {"name": "long", "is": ["Two year", "One year"], "rate": 0.05, "log_odds": -0.9},
                {"name": "short", "is": ["Month-to-month"], "others": True, "rate": 0.4, "log_odds": 0.6},
            ],
            "missing": {"name": "unknown", "rate": 0.2, "log_odds": 0.0},
        },
        {
            "name": "charges",
            "attribute": "charges",
            "bins": [
                {"name": "small", "below": 10, "rate": 0.5, "log_odds": 0.5},
                {"name": "great", "rate": 0.1, "log_odds": -0.5},
            ],
            "missing": {"name": "unknown", "rate": 0.2, "log_odds": 0.1},
        },
    ],
}


def card(**changes: Any) -> RiskCard:
    return read_card(read_document("risk.yaml", yaml.safe_dump(CARD | changes, sort_keys=False)))


def scored(of: RiskCard, **attributes: str) -> tuple[float, dict[str, tuple[str, float]]]:
    """As the state would tell it: places in, inputs out."""
    packed = of.places(attributes) & ((1 << 51) - 1)
    inputs = []
    for term in of.of_attributes:
        packed, place = divmod(packed, len(term.bins) + 1)
        inputs.append(float(place))
    score, terms = of.score(inputs)
    return score, {term["name"]: (term["bin"], term["points"]) for term in terms}


@pytest.mark.parametrize(
    ("attributes", "bins", "odds"),
    [
        ({"contract": "Two year", "charges": "9.99"}, ("long", "small"), -0.4),
        ({"contract": " Month-to-month ", "charges": "10"}, ("short", "great"), 0.1),
        ({"contract": "never seen", "charges": "1,000.5"}, ("short", "great"), 0.1),
        ({"contract": "", "charges": "much"}, ("unknown", "unknown"), 0.1),
        ({}, ("unknown", "unknown"), 0.1),
    ],
    ids=["long-small", "short-great", "unseen", "blank", "none"],
)
def test_the_weighted_score_is_the_probability_and_terms_add_up_to_it(
    attributes: dict[str, str], bins: tuple[str, str], odds: float
) -> None:
    score, terms = scored(card(), **attributes)

    assert (terms["contract"][0], terms["charges"][0]) == bins
    assert score == pytest.approx(100 / (1 + exp(1.0 - odds)), abs=0.02)
    assert score == round(sum(points for _, points in terms.values()), 2)
    assert terms["base"] == ("average", 26.89)


def test_the_plain_sum_adds_rates_of_its_terms_and_stops_at_100() -> None:
    plain = card(form="plain_sum")

    assert scored(plain, contract="Month-to-month", charges="1") == (40.0, {"contract": ("short", 40.0)})
    all_plain = [term | {"name": f"{term['name']}{i}", "plain": True} for i in range(3) for term in CARD["terms"]]
    steep = card(form="plain_sum", terms=all_plain)
    assert scored(steep, contract="Month-to-month", charges="1")[0] == 100.0


def test_places_of_another_card_are_not_this_one_s() -> None:
    other = card(terms=[CARD["terms"][1]])

    assert card().places({"contract": "Two year"}) >> 51 != other.places({}) >> 51 != 0
    assert card(base_log_odds=-2.0, version="t-2").tag == card().tag


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"form": "round"}, "want weighted or plain_sum"),
        ({"base_log_odds": "much"}, "want a number"),
        ({"terms": [CARD["terms"][0], CARD["terms"][0]]}, "same name"),
        ({"terms": [CARD["terms"][0] | {"value": "1"}]}, "either a value"),
        ({"terms": [CARD["terms"][1] | {"missing": {"name": "small", "log_odds": 0}}]}, "same name"),
        ({"terms": [CARD["terms"][1] | {"missing": {"name": "x"}}]}, "log odds of every bin"),
        ({"terms": [CARD["terms"][0] | {"missing": {"name": "x", "log_odds": 0}}]}, "rate"),
        ({"terms": [CARD["terms"][0] | {"attribute": f"a{i}", "name": f"n{i}", "bins": [
            {"name": f"b{j}", "is": [str(j)], "rate": 0.1, "log_odds": 0} for j in range(9)]} for i in range(20)]},
         "room"),
    ],
    ids=["form", "base", "twice", "both", "bin-twice", "no-odds", "no-rate", "room"],
)  # fmt: skip
def test_wrong_cards_are_refused_with_what_would_be_right(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RuleError, match=says):
        card(**change)


def test_the_first_form_of_the_card_is_still_read() -> None:
    """Rule sets are kept for ever: a card of points and nothing else is a plain sum of all its terms."""
    bins = {"bins": [{"name": "a", "points": 30}], "missing": {"name": "b", "points": 5}}
    term = {"name": "t", "value": "observed_days"} | bins
    old = read_card(read_document("risk.yaml", yaml.safe_dump({"version": "plain-sum-1", "terms": [term]})))

    assert old.score([1.0]) == (30.0, [{"name": "t", "bin": "a", "points": 30.0}])
    assert old.score([float("nan")])[0] == 5.0


def test_attributes_travel_from_the_customer_record_to_the_moment() -> None:
    rules = compile_rule_set(shipped_documents() | {"rules/risk.yaml": yaml.safe_dump(CARD, sort_keys=False)}, "x@1")
    at = local(MONDAY, 10)
    log = Log()
    log.tick(at - 2000)
    log.profile(at - 1000, attributes={"contract": "Two year", "charges": "3"})
    log.event("balance", at, balance_fen=500)
    (moment,) = run_engine(log.entries, rules=rules)[0]

    assert {term["name"]: term["bin"] for term in moment["risk_terms"]} == {
        "base": "average", "contract": "long", "charges": "small"
    }  # fmt: skip
    assert moment["risk_version"] == "t-1"
    assert moment["risk_score"] == pytest.approx(19.78, abs=0.02)
