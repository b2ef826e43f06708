"""FT1, FT3, AN15: what customers order and cancel."""

from datetime import date, timedelta

from tests.reference.episodes import Verdict, View, close_if_expired, end, settle_at_event
from tests.reference.findings import seen
from tests.reference.local_time import DAY, days, local_date, midnight
from tests.reference.order import Record, identity
from tests.reference.rules.rule import Rule


def is_active(view: View, category: str) -> bool:
    """True while a category of services is active."""
    known = view.customer.categories.get(category)
    return known is not None and known.is_active


def as_kept(view: View) -> Record:
    """The order of the event as it is remembered: with the days since its category was active."""
    assert view.record is not None
    return next(each for each in reversed(view.customer.orders) if identity(each) == identity(view.record))


class FT1(Rule):
    """A category of services, not active for a year, still active 24 hours after its order."""

    id = "FT1"
    kinds = ("service-order",)
    waits = True

    def at_event(self, view: View) -> None:
        """A cancellation may end it."""
        episode, record = view.customer.episodes.get((self.id, None)), view.record
        assert record is not None
        close_if_expired(episode, view.at)
        if episode is None or not episode.is_open or record["action"] != "CANCEL":
            return
        if record["category"] != episode.kept or is_active(view, record["category"]):
            return
        verdict = self.verdict(view, record)
        verdict.ends = "cancelled"
        verdict.evidence = [
            seen("category", "text", record["category"]),
            seen("category_is_active", "count", 0, None, 1),
        ]
        end(view, self.id, episode, verdict)

    def after_wait(self, view: View, record: Record) -> None:
        """24 hours after an order, once."""
        joined = view.profile["joined_on"]
        age = (local_date(record["occurred_at"]) - local_date(joined * DAY)).days if joined else -1
        is_of_the_start = record["bundled"] and 0 <= age <= view.limit(self.id, "bundle_days")
        verdict = self.verdict(view, record)
        verdict.fires = (
            record["action"] == "SUBSCRIBE"
            and is_active(view, record["category"])
            and record["unseen_days"] > view.limit(self.id, "unseen_days")
            and not is_of_the_start
        )
        settle_at_event(view, self.id, verdict)

    def verdict(self, view: View, record: Record) -> Verdict:
        """What is told of an order."""
        unseen = record.get("unseen_days", 0)
        return Verdict(
            name=view.name(record),
            fires=False,
            expires=midnight(view.day + days(8)),
            priority=4,
            channel="SMS",
            call_from_risk=60,
            occurred=record["occurred_at"],
            kept=record["category"],
            evidence=[
                seen("category", "text", record["category"]),
                seen("category_unseen_days", "days", unseen, None, view.limit(self.id, "unseen_days"),
                     view.layer(self.id, "unseen_days")),
                seen("active_for_ms", "ms", view.at - record["occurred_at"], None, DAY),
            ],
        )  # fmt: skip


class FT3(Rule):
    """Roaming ordered after never, or after 180 days without."""

    id = "FT3"
    kinds = ("service-order",)

    def judge(self, view: View) -> Verdict | None:
        """At an order."""
        record = as_kept(view)
        unseen, long_ago = record["unseen_days"], view.limit(self.id, "unseen_days")
        return Verdict(
            name=view.name(record),
            fires=record["action"] == "SUBSCRIBE" and record["category"] == "ROAMING" and unseen >= long_ago,
            ends=None if is_active(view, "ROAMING") else "roaming_off",
            expires=midnight(view.day + days(6)),
            priority=2,
            channel="CALL",
            occurred=view.at,
            evidence=[seen("roaming_off_days", "days", unseen, None, long_ago, view.layer(self.id, "unseen_days"))],
            on_end=[seen("roaming_is_on", "count", 0, None, 1)],
        )


class AN15(Rule):
    """Two add-ons cancelled in 30 days, or one core order."""

    id = "AN15"
    kinds = ("service-order",)

    def judge(self, view: View) -> Verdict | None:
        """At an order."""
        record = as_kept(view)
        is_cancel = record["action"] == "CANCEL"
        is_addon = record["addon"] or record["core"]
        cancelled = self.cancelled(view, view.day)
        ends = {local_date(each["occurred_at"]) for each in view.customer.orders}
        ends = {view.day} | {end for end in ends if view.day < end <= view.day + timedelta(30)}
        count = max(len({(each["source"], each["order_id"]) for each in self.cancelled(view, end)}) for end in ends)
        least = view.limit(self.id, "least_cancelled")
        category, is_back = record["category"], record["action"] in ("SUBSCRIBE", "RENEW")
        earlier = [
            each for each in cancelled if each["occurred_at"] <= record["occurred_at"] and each["category"] == category
        ]
        return Verdict(
            name=view.name(record),
            fires=is_cancel and (record["core"] or (is_addon and count >= least)) and not self.came_back(view),
            ends="resubscribed" if is_back and earlier else None,
            expires=midnight(view.day + days(15)),
            priority=2,
            channel="CALL",
            occurred=view.at,
            evidence=[
                seen("cancelled_in_30_days", "count", count, None, least, view.layer(self.id, "least_cancelled")),
                seen("core_cancelled", "count", int(is_cancel and record["core"]), None, 1),
            ],
            on_end=[seen("category", "text", category)],
        )

    def came_back(self, view: View) -> bool:
        """True when an end is known already: a later order of what had lost an add-on in the 30 days before it."""
        return any(
            lost["category"] == each["category"] and lost["occurred_at"] <= each["occurred_at"]
            for each in view.customer.orders
            if each["action"] in ("SUBSCRIBE", "RENEW") and each["occurred_at"] > view.at
            for lost in self.cancelled(view, local_date(each["occurred_at"]))
        )

    def cancelled(self, view: View, last: date) -> list[Record]:
        """The orders of add-ons, core ones too, that were cancelled in the 30 days before a day."""
        return [
            each
            for each in view.customer.orders
            if each["action"] == "CANCEL"
            and (each["addon"] or each["core"])
            and last - timedelta(30) <= local_date(each["occurred_at"]) <= last
        ]
