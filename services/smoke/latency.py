"""From the event on the log to the task in a manager's hands: both ends by real clocks of this machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from services.simulator.auto_managers import Offer
from services.smoke.evidence import Identity, LoggedEvent


def event_to_poll_ms(
    triggers: Mapping[int, Identity], events: Iterable[LoggedEvent], offers: Iterable[Offer], *, rule_id: str
) -> list[float]:
    """Milliseconds per customer in `triggers` (customer → event) whose task reached somebody; the first time counts."""
    appended: dict[Identity, int] = {}
    wanted = set(triggers.values())
    for event in events:
        if event.identity in wanted:
            appended[event.identity] = min(event.timestamp_ms, appended.get(event.identity, event.timestamp_ms))
    reached: dict[int, int] = {}
    for offer in offers:
        if offer.customer_id in triggers and rule_id in offer.rule_ids:
            reached[offer.customer_id] = min(offer.polled_at_ms, reached.get(offer.customer_id, offer.polled_at_ms))
    return [
        float(reached[customer_id] - appended[identity])
        for customer_id, identity in triggers.items()
        if customer_id in reached and identity in appended
    ]


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that `share` of all do not exceed (nearest rank); None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
