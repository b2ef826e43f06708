"""How much a moment matters: an absolute score, comparable between rounds, cities and days.

Class first, then risk, value of the moment and of the customer, urgency; waiting lifts. Filters are policy's business.
"""

from dataclasses import dataclass

from services.router.model import HOUR_MS, Moment

CLASS_POINTS = 1_000.0  # a class is worth more than all other terms but ageing together
RISK_POINTS = 4.0  # per point of risk, 0..100
VALUE_POINTS = {"TOP": 150.0, "HIGH": 100.0, "MID": 50.0}
CALL_FOR_HELP = frozenset({"AN1", "AN5", "AN11", "AN14", "AN17"})  # the customer wants something of us
HELP_POINTS = 100.0
URGENCY_POINTS = 300.0
URGENCY_HORIZON_MS = 48 * HOUR_MS
AGEING_POINTS_PER_HOUR = 30.0
AGEING_POINTS_MOST = 1_500.0
BELOW_P1 = 4_000.0 - 1e-6  # nothing overtakes the highest class by waiting


@dataclass(frozen=True, slots=True)
class Score:
    """The factors and their sum, kept on the task so that an order can be explained."""

    priority: float
    risk: float
    value: float
    urgency: float
    ageing: float

    @property
    def total(self) -> float:
        total = self.priority + self.risk + self.value + self.urgency + self.ageing
        return total if self.priority >= 4 * CLASS_POINTS else min(total, BELOW_P1)


def score(moment: Moment, now_ms: int, *, tier: str = "UNKNOWN") -> Score:
    """The factors of one moment as of now; ageing counts from when it waited for a person only."""
    left_ms = min(max(moment.expires_at_ms - now_ms, 0), URGENCY_HORIZON_MS)
    waited_ms = max(now_ms - (moment.ready_at_ms or now_ms), 0)
    return Score(
        priority=_class_points(moment.priority),
        risk=RISK_POINTS * min(max(moment.risk_score, 0.0), 100.0),
        value=VALUE_POINTS.get(tier, 0.0) / 2 + (HELP_POINTS / 2 if moment.rule_id in CALL_FOR_HELP else 0.0),
        urgency=URGENCY_POINTS * (1 - left_ms / URGENCY_HORIZON_MS),
        ageing=min(AGEING_POINTS_PER_HOUR * waited_ms / HOUR_MS, AGEING_POINTS_MOST),
    )


def base_rank(moment: Moment, ready_at_ms: int) -> float:
    """A rank that does not move with time, for the backlog's index: two waiting moments keep their order by it.

    Class, risk and ageing without its ceiling; urgency is looked up by its own index.
    """
    points = _class_points(moment.priority) + RISK_POINTS * min(max(moment.risk_score, 0.0), 100.0)
    return points - AGEING_POINTS_PER_HOUR * ready_at_ms / HOUR_MS


def order_key(moment: Moment) -> tuple[int, float, int, str]:
    """Which moment of one customer leads: class, risk, the sooner end, then a fixed order."""
    return (moment.priority, -moment.risk_score, moment.expires_at_ms, moment.moment_id)


def _class_points(priority: int) -> float:
    return CLASS_POINTS * (5 - min(max(priority, 1), 5))
