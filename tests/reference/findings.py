"""What is compared: one revision of a moment, and its evidence."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

Number = int | float | Fraction


@dataclass(frozen=True)
class Condition:
    """One condition of the evidence. observed: a number, or a text."""

    name: str
    unit: str
    observed: float | str | None
    baseline: float | None
    threshold: float | None
    layer: str


@dataclass(frozen=True)
class Finding:
    """One revision of a moment, as far as it is compared."""

    customer_id: int
    rule_id: str
    episode: str
    revision: int
    state: str
    resolution: str | None
    priority: int
    channel: str
    occurred_at: int
    detected_at: int
    nominal_date: date
    earliest_contact_at: int | None
    expires_at: int
    history: bool
    city: str
    segment: str
    risk: float
    risk_terms: tuple[tuple[str, str, float], ...]
    evidence: tuple[Condition, ...]


def seen(name: str, unit: str, observed: Number | str | None, baseline: Number | None = None,
         threshold: Number | None = None, layer: str = "NONE") -> Condition:  # fmt: skip
    """A condition from exact numbers."""

    def number(value: Number | None) -> float | None:
        return None if value is None else float(value)

    told = observed if isinstance(observed, str) else number(observed)
    return Condition(name, unit, told, number(baseline), number(threshold), layer)
