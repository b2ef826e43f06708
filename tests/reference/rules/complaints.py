"""AN1."""

from typing import Any

from tests.reference.episodes import Episode, Verdict, View
from tests.reference.findings import seen
from tests.reference.local_time import HOUR, days, local_date, midnight
from tests.reference.order import Record, newest
from tests.reference.rules.rule import Rule


def opened_at(records: list[Record]) -> int:
    """When a complaint was opened: at its earliest event."""
    return int(min(each["occurred_at"] for each in records))


class AN1(Rule):
    """One moment per complaint; urgent when the topic comes again in 30 days, or after 48 hours."""

    id = "AN1"
    kinds = ("complaint",)
    tells_history = True

    def at_event(self, view: View) -> None:
        """Judge the complaint of the event."""
        assert view.record is not None
        key = (view.record["source"], view.record["complaint_id"])
        self.forget_episodes_of_forgotten_complaints(view)
        if key in view.customer.complaints:
            self.settle(view, self.verdict(view, key, view.at))

    def at_due(self, view: View, key: Any, episode: Episode) -> None:
        """After 48 hours."""
        if key in view.customer.complaints:
            self.settle(view, self.verdict(view, key, view.at))

    def after_history(self, view: View) -> None:
        """Every complaint that is known."""
        for key, records in list(view.customer.complaints.items()):
            self.settle(view, self.verdict(view, key, opened_at(records)))

    def forget_episodes_of_forgotten_complaints(self, view: View) -> None:
        """Beyond eight, the oldest complaint goes with its episode."""
        for rule, key in list(view.customer.episodes):
            if rule == self.id and key not in view.customer.complaints:
                del view.customer.episodes[rule, key]

    def verdict(self, view: View, key: tuple[str, str], occurred: int) -> Verdict:
        """What is to be said of one complaint."""
        records = view.customer.complaints[key]
        last, opened = newest(records), opened_at(records)
        is_open = last["state"] in ("OPENED", "UPDATED")
        urgent_after = int(view.limit(self.id, "open_hours") * HOUR)
        again = self.same_topic_before(view, key)
        open_for = (view.at if is_open else last["occurred_at"]) - opened
        priority = 1 if again or open_for > urgent_after else 2
        callback = int(view.limit(self.id, "callback_hours") * HOUR)
        earliest = last["occurred_at"] if last["state"] == "CLOSED" else opened + callback
        return Verdict(
            key=key,
            name=f"complaint:{view.name_of(*key)}",
            fires=last["state"] in ("OPENED", "UPDATED", "CLOSED"),
            ends="confirmed" if last["state"] == "CONFIRMED" else None,
            expires=midnight(view.day + days(61)),
            free=0,
            priority=priority,
            channel="CALL",
            occurred=occurred,
            earliest=earliest,
            watched=(priority, earliest),
            due=opened + urgent_after + 1 if is_open else None,
            evidence=[
                seen("complaint_id", "text", last["complaint_id"]),
                seen("state", "text", last["state"]),
                seen("open_ms", "ms", open_for, None, urgent_after, view.layer(self.id, "open_hours")),
                seen("same_topic_in_30_days", "count", again, None, 1),
            ],
        )

    def same_topic_before(self, view: View, key: tuple[str, str]) -> int:
        """How many other complaints on the topic were opened up to 30 days before this one."""
        complaints = view.customer.complaints
        topic, opened = newest(complaints[key])["topic"], opened_at(complaints[key])
        count = 0
        for other, records in complaints.items():
            if other != key and newest(records)["topic"] == topic and opened_at(records) <= opened:
                count += (local_date(opened) - local_date(opened_at(records))).days <= 30
        return count
