"""How often a customer may be contacted, and what a refusal pauses.

"d" are local calendar days: a call of Monday frees the 7-day cap at midnight before next Monday. An open card is the
reservation of a call: it counts like one until task events settle it (a contact) or release it (no contact).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.router.model import HOUR_MS, Contact, home_day, home_midnight_ms

MEMORY_DAYS = 92  # contacts older than this decide nothing: refusals reach 30 + 60 days back
RECENT_MS = 24 * HOUR_MS
SPOKEN = frozenset({"CALL", "HOTLINE", "SHOP"})


@dataclass(frozen=True, slots=True)
class CapPolicy:
    """At most `calls_7d` calls within 7 local days and so on."""

    calls_7d: int = 1
    calls_30d: int = 2
    sms_7d: int = 2
    refusals: int = 2
    refusals_within_days: int = 30
    refusal_pause_days: int = 60


POLICY = CapPolicy()


def call_cap_frees_at(contacts: Iterable[Contact], now_ms: int, *, policy: CapPolicy = POLICY) -> int | None:
    """When a further call is allowed again, None when it is allowed now."""
    days = _outgoing_days(contacts, "CALL")
    return _latest(_frees_at(days, now_ms, policy.calls_7d, 7), _frees_at(days, now_ms, policy.calls_30d, 30))


def sms_cap_frees_at(
    contacts: Iterable[Contact], now_ms: int, *, sent_now: int = 0, policy: CapPolicy = POLICY
) -> int | None:
    """When a further message is allowed again, None when now; `sent_now` were decided in this same decision."""
    days = sorted([*_outgoing_days(contacts, "SMS"), *[home_day(now_ms)] * sent_now])
    return _frees_at(days, now_ms, policy.sms_7d, 7)


def dimension_paused_until(
    contacts: Iterable[Contact], dimension: str, now_ms: int, *, policy: CapPolicy = POLICY
) -> int | None:
    """Until when this dimension rests because it was refused too often, None when it does not."""
    days = sorted(home_day(c.occurred_at_ms) for c in contacts if c.outcome == "REFUSED" and c.dimension == dimension)
    pauses = [
        home_midnight_ms(last + policy.refusal_pause_days)
        for first, last in zip(days, days[policy.refusals - 1 :], strict=False)
        if last - first < policy.refusals_within_days
    ]
    return max((until for until in pauses if until > now_ms), default=None)


def recent_contact_until(contacts: Iterable[Contact], now_ms: int) -> int | None:
    """Until when the customer is left alone because somebody spoke with them; None when nobody did within 24 h."""
    until = max((c.occurred_at_ms + RECENT_MS for c in contacts if c.channel in SPOKEN), default=0)
    return until if until > now_ms else None


def _outgoing_days(contacts: Iterable[Contact], channel: str) -> list[int]:
    return sorted(home_day(c.occurred_at_ms) for c in contacts if c.channel == channel and c.direction != "IN")


def _frees_at(days: Sequence[int], now_ms: int, limit: int, window_days: int) -> int | None:
    """When fewer than `limit` of these days lie within the window that ends today."""
    counted = [day for day in days if day > home_day(now_ms) - window_days]
    if len(counted) < limit:
        return None
    return home_midnight_ms(counted[len(counted) - limit] + window_days)


def _latest(*instants: int | None) -> int | None:
    return max((instant for instant in instants if instant is not None), default=None)
