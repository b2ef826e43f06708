"""FT2."""

from tests.reference.episodes import Verdict, View
from tests.reference.findings import seen
from tests.reference.local_time import HOUR, days, local_date, midnight
from tests.reference.order import Record, order
from tests.reference.rules.rule import Rule

CAPABILITIES = {"2G", "3G", "4G", "5G", "VOLTE", "ESIM", "DUAL_SIM"}


class FT2(Rule):
    """The newest change by now is 24 hours old, its model unseen for 180 days, fewer than 3 changes in 7 days."""

    id = "FT2"
    minute = 360

    def judge(self, view: View) -> Verdict | None:
        """Every day at 06:00."""
        day, swaps = view.day, view.customer.swaps
        known = [each for each in swaps if each["occurred_at"] <= view.at]
        if not known:
            return None
        newest = max(known, key=order)
        changed = newest["occurred_at"]
        unseen = days_unseen(swaps, newest)
        changed_on = local_date(newest["occurred_at"])
        changes = sum(changed_on - days(6) <= local_date(each["occurred_at"]) <= changed_on for each in swaps)
        lacking = (set(newest["capabilities"]) - set(view.profile["plan_capabilities"])) & CAPABILITIES
        stable, long_ago, tester, fresh = (
            view.limit(self.id, name) for name in ("stable_hours", "unseen_days", "tester_changes", "fresh_days")
        )
        return Verdict(
            name=view.name(newest),
            fires=view.at - changed >= stable * HOUR
            and (day - local_date(changed)).days <= fresh
            and unseen > long_ago
            and changes < tester
            and not newest["history"],
            expires=midnight(day + days(8)),
            priority=3,
            channel="CALL" if view.profile["tier"] == "TOP" else "SMS",
            occurred=changed,
            nominal=day,
            evidence=[
                seen("device_model", "text", newest["device_model"]),
                seen("stable_ms", "ms", view.at - changed, None, stable * HOUR, view.layer(self.id, "stable_hours")),
                seen("unseen_days", "days", unseen, None, long_ago, view.layer(self.id, "unseen_days")),
                seen("changes_in_7_days", "count", changes, None, tester, view.layer(self.id, "tester_changes")),
                seen("capabilities_beyond_plan", "count", len(lacking)),
            ],
        )


def days_unseen(swaps: list[Record], newest: Record) -> int:
    """Days between the model's last use and its change; 100000 when it was never used."""
    model, seen_at = newest["device_model"], []
    if newest["previous_device_model"] == model:
        seen_at.append(newest["occurred_at"])
    in_order = sorted(swaps, key=order)
    before = in_order[: in_order.index(newest)]
    for place, each in enumerate(before):
        if each["device_model"] == model:
            seen_at.append(in_order[place + 1]["occurred_at"])
        if each["previous_device_model"] == model:
            seen_at.append(each["occurred_at"])
    return (local_date(newest["occurred_at"]) - local_date(max(seen_at))).days if seen_at else 100_000
