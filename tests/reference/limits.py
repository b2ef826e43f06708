"""The numbers of the catalogue, and the layers that override them: province < city < segment < city and segment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from tests.reference.findings import Number
from tests.reference.order import Record

LAYERS = ("PROVINCE", "CITY", "SEGMENT", "CITY_AND_SEGMENT")

SHIPPED: Mapping[str, Mapping[str, Number]] = {
    "AN1": {"open_hours": 48, "callback_hours": 24},
    "AN2": {"rise_percent": 150, "least_rise": 5000, "day_factor": 5, "least_day": 3000},
    "AN3": {"fall_percent": 50, "least_fall": 1000, "recovery_percent": 80},
    "AN4": {"floor": 1000, "spend_days": 2, "rearm_factor": 2, "call_above": 50_000},
    "AN5": {"silence": 1440, "least_daily": 5, "successful_uses": 3},
    "AN6": {"decline_percent": 70},
    "AN7": {"decline_percent": 60, "recovery_percent": 80, "least_mean": 1800},
    "AN8": {"bill_percent": 70, "bill_days": 35, "least_weeks": 2, "recovery_percent": 80},
    "AN9": {"near_percent": 80, "full_percent": 100, "over_percent": 30, "over_fen": 3000},
    "AN10": {"large_make_up": 2000},
    "AN11": {"forecast_hours": 72},
    "AN12": {"rise_points": 20, "least_voice": 1800, "least_moved": 3},
    "AN13": {"fall_percent": 40, "jump_percent": 250, "least_mean": 512_000},
    "AN14": {"least_in_week": 3, "least_in_day": 2},
    "AN15": {"least_cancelled": 2},
    "FT1": {"unseen_days": 365, "bundle_days": 3},
    "FT2": {"stable_hours": 24, "unseen_days": 180, "tester_changes": 3, "fresh_days": 7},
    "FT3": {"unseen_days": 180},
    "FT4": {"quiet_days": 60, "risen_percent": 120, "call_percent": 130},
    "FT5": {"unseen_days": 365},
    "FT6": {"deviation_percent": 20},
    "FT7": {"least_charge": 500},
    "SP1": {"contact_minute": 570},
    "SP2": {"contact_minute": 570},
    "SP3": {"contact_minute": 570, "first_milestone": 5, "second_milestone": 10, "third_milestone": 15},
}
"""Of the province, by rule and name."""


@dataclass(frozen=True)
class RuleSet:
    """What a published set says. layers: (rule, name, city, segment) → number; "" = for all of them.

    effective_from: it holds for what happened then or later. rules: None = all.
    """

    effective_from: int = 0
    rules: frozenset[str] | None = None
    layers: Mapping[tuple[str, str, str, str], Number] = field(default_factory=dict)

    def limit(self, rule: str, name: str, profile: Record | None) -> tuple[Number, str]:
        """The number that holds for a customer, and the layer that it comes from."""
        city, segment = (profile["city"], profile["segment"] or "") if profile else ("", "")
        for layer, where in ((3, (city, segment)), (2, ("", segment)), (1, (city, ""))):
            is_there = (layer & 1 == 0 or city) and (layer & 2 == 0 or segment)
            if is_there and (rule, name, *where) in self.layers:
                return self.layers[rule, name, *where], LAYERS[layer]
        return self.layers.get((rule, name, "", ""), SHIPPED[rule][name]), LAYERS[0]


def percent_of(percent: Number, amount: Number) -> Number:
    """So many percent of an amount, exactly."""
    return Fraction(percent) * amount / 100
