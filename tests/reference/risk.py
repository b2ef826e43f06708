"""The shipped risk card by hand: what each term looks at is written out here, bins and figures are read from the file.

Attributes are those of the newest customer record, where rules had been announced when it came.
"""

from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from functools import cache
from math import exp
from pathlib import Path
from typing import Any

import yaml

from tests.reference.local_time import month_of
from tests.reference.memory import Customer, Ring, days_sum

Term = tuple[str, str, float]
EPOCH = date(1970, 1, 1)
CARD = Path(__file__).parents[2] / "services" / "detector" / "rules" / "risk.yaml"


@cache
def _card() -> dict[str, Any]:
    """The shipped card."""
    card: dict[str, Any] = yaml.safe_load(CARD.read_text(encoding="utf-8"))
    return card


def score(customer: Customer, day: date) -> tuple[float, tuple[Term, ...]]:
    """The score on a day, and its terms: name, bin, points."""
    card = _card()
    assert card["form"] == "weighted"
    bins = [(term["name"], _bin(term, customer, day)) for term in card["terms"]]
    odds = sum(bin_["log_odds"] for _, bin_ in bins)
    base = _probability(card["base_log_odds"])
    slope = (_probability(card["base_log_odds"] + odds) - base) / odds if abs(odds) >= 1e-6 else base * (1 - base)
    terms: list[Term] = [("base", "average", round(100 * base, 2))]
    terms += [(name, bin_["name"], round(100 * slope * bin_["log_odds"], 2)) for name, bin_ in bins]
    return min(max(round(sum(points for _, _, points in terms), 2), 0.0), 100.0), tuple(terms)


def _probability(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))


def _bin(term: dict[str, Any], customer: Customer, day: date) -> dict[str, Any]:
    """The bin of a term that a customer is in."""
    bins: list[dict[str, Any]] = term["bins"]
    missing: dict[str, Any] = term["missing"]
    value: Any
    if "attribute" in term:
        attributes = customer.profile["attributes"] if customer.profile else {}
        value = attributes.get(term["attribute"], "").strip()
        if "is" in bins[0]:
            listed = [bin_ for bin_ in bins if value in bin_["is"]]
            return listed[0] if listed else missing
        value = None if value == "" else Fraction(value)
    else:
        value = VALUES[term["name"]](customer, day)
    if value is None:
        return missing
    return next(bin_ for bin_ in bins if "below" not in bin_ or value < bin_["below"])


def _tenure_months(customer: Customer, day: date) -> Fraction | None:
    joined = customer.profile["joined_on"] if customer.profile else None
    days = (day - EPOCH).days - joined if joined else -1
    return Fraction(days * 12, 365) if days >= 0 else None


def _tariff(customer: Customer, _: date) -> Fraction | None:
    profile = customer.profile
    if profile is None or profile["arpu_fen"] is None or not profile["plan_fee_fen"]:
        return None
    return Fraction(profile["arpu_fen"] * 100, profile["plan_fee_fen"])


def _brand(customer: Customer, _: date) -> int | None:
    segment = customer.profile["segment"] if customer.profile else None
    return {"GO": 1, "ENTERPRISE": 2, "FAMILY": 2, "BRAND": 3}.get(segment, 4) if segment else None


def _trend(ring_of: Callable[[Customer], Ring]) -> Callable[[Customer, date], Fraction | None]:
    def trend(customer: Customer, day: date) -> Fraction | None:
        """The last week in percent of the weekly mean of the four before."""
        ring = ring_of(customer)
        week = days_sum(ring, day - timedelta(7), day - timedelta(1))
        before = days_sum(ring, day - timedelta(35), day - timedelta(8))
        if customer.first_day is None or (day - customer.first_day).days < 35 or before == 0:
            return None
        return Fraction(week * 400, before)

    return trend


def _off_net_circle(customer: Customer, day: date) -> Fraction | None:
    """Share of OFF_NET in the voice of the three closed months, in percent."""
    months = [month_of(day) - back for back in (1, 2, 3)]
    on, off = (sum(customer.month[name].get(month, 0) for month in months) for name in ("on_net", "off_net"))
    return Fraction(off * 100, on + off) if on + off >= 1_800 else None


def _complaints(customer: Customer, day: date) -> int:
    opened = [min(each["occurred_at"] for each in records) for records in customer.complaints.values()]
    return sum(day - timedelta(90) <= _date(each) <= day for each in opened)


def _balance(customer: Customer, _: date) -> int | None:
    return None if customer.balance is None else int(customer.balance["balance_fen"])


def _date(at: int) -> date:
    return EPOCH + timedelta((at + 8 * 3_600_000) // 86_400_000)


VALUES: dict[str, Callable[[Customer, date], Any]] = {
    "tenure": _tenure_months,
    "tariff": _tariff,
    "brand": _brand,
    "off_net_circle": _off_net_circle,
    "service": _complaints,
    "voice_trend": _trend(lambda customer: customer.seconds),
    "data_trend": _trend(lambda customer: customer.data),
    "balance": _balance,
}
"""What the terms about facts look at; None = not known."""
