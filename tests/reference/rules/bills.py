"""FT6, AN2, AN6, AN10: what bills say, one moment for each cycle."""

from fractions import Fraction

from tests.reference.episodes import Episode, Verdict, View, close_if_expired, settle_in_cycle
from tests.reference.findings import Condition, seen
from tests.reference.limits import percent_of
from tests.reference.local_time import (
    DAY,
    HOUR,
    days,
    first_day,
    local_date,
    midnight,
    month_number,
    month_of,
    month_text,
)
from tests.reference.memory import Customer, days_sum
from tests.reference.memory_of_bills import bill_before, newest_bill, plan_fee, three_before
from tests.reference.order import Record
from tests.reference.rules.rule import Rule


class BillRule(Rule):
    """Judged at every bill that counts for the newest cycle."""

    kinds: tuple[str, ...] = ("bill",)

    def settle(self, view: View, verdict: Verdict | None) -> None:
        """Once for each cycle."""
        if verdict is None:
            close_if_expired(view.customer.episodes.get((self.id, None)), view.at)
        else:
            settle_in_cycle(view, self.id, verdict)

    def episode(self, view: View, key: object = None) -> Episode | None:
        """What is open, if anything is."""
        episode = view.customer.episodes.get((self.id, key))
        return episode if episode is not None and episode.is_open else None

    def end_by_bill(self, view: View, bill: Record, *, fires: bool, key: object = None) -> str | None:
        """`next_bill` at the bill of a later cycle, `corrected` when the same cycle's no longer gives ground."""
        episode, cycle = self.episode(view, key), month_number(bill["cycle"])
        if episode is None:
            return None
        if cycle > episode.cycle:
            return "next_bill"
        return "corrected" if cycle == episode.cycle and not fires else None


def end_of_month(month: int) -> int:
    """The midnight after a month's last day."""
    return midnight(first_day(month + 1))


def joined_in(customer: Customer) -> int | None:
    """The month of joining."""
    assert customer.profile is not None
    joined = customer.profile["joined_on"]
    return month_of(local_date(joined * DAY)) if joined else None


class FT6(BillRule):
    """The first bill after joining or a plan change."""

    id = "FT6"

    def judge(self, view: View) -> Verdict | None:
        """A bill of the month of joining, or of the plan's beginning."""
        bill, customer = view.record, view.customer
        assert bill is not None
        cycle, fee = month_number(bill["cycle"]), plan_fee(customer, bill)
        deviation = abs(bill["total_fen"] - fee)
        limit = percent_of(view.limit(self.id, "deviation_percent"), fee)
        return Verdict(
            name=bill["cycle"],
            cycle=cycle,
            fires=cycle in (joined_in(customer), *map(month_of, customer.plan_days)),
            expires=midnight(view.day + days(11)),
            priority=3,
            channel="CALL" if fee > 0 and deviation >= limit else "SMS",
            occurred=view.at,
            evidence=[
                seen("bill_total_fen", "fen", bill["total_fen"], fee),
                seen("deviation_fen", "fen", deviation, None, limit, view.layer(self.id, "deviation_percent")),
            ],
        )


class AN6(BillRule):
    """A bill of at most 70 % of the mean of the three before."""

    id = "AN6"

    def judge(self, view: View) -> Verdict | None:
        """At a bill."""
        bill = view.record
        assert bill is not None
        cycle = month_number(bill["cycle"])
        known, three = three_before(view.customer, cycle)
        limit = percent_of(view.limit(self.id, "decline_percent"), Fraction(three, 3))
        fires = known == 3 and three > 0 and bill["total_fen"] <= limit
        ends = self.end_by_bill(view, bill, fires=fires)
        return Verdict(
            name=bill["cycle"],
            cycle=cycle,
            fires=fires,
            ends="recovered" if ends == "next_bill" and not fires else ends,
            expires=midnight(view.day + days(36)),
            priority=3,
            channel="SELF_SERVICE",
            call_from_risk=60,
            occurred=view.at,
            evidence=[
                seen("bill_total_fen", "fen", bill["total_fen"], Fraction(three, 3), limit,
                     view.layer(self.id, "decline_percent")),
                seen("bills_known", "count", known, None, 3),
            ],
        )  # fmt: skip


class AN10(BillRule):
    """A make-up charge of 20 yuan, or in two cycles running."""

    id = "AN10"
    kinds = ("bill", "service-order")

    def judge(self, view: View) -> Verdict | None:
        """At a bill; at an order that changes the plan."""
        if view.kind == "service-order":
            return plan_change(view, self)
        bill = view.record
        assert bill is not None
        cycle, make_up = month_number(bill["cycle"]), bill["make_up_fen"]
        before = bill_before(view.customer, cycle)
        make_up_before = before["make_up_fen"] if before else 0
        large = view.limit(self.id, "large_make_up")
        holds = make_up >= large or (make_up > 0 and make_up_before > 0)
        return Verdict(
            name=bill["cycle"],
            cycle=cycle,
            fires=holds and plan_ordered_at(view.customer) <= view.at,
            ends=self.end_by_bill(view, bill, fires=holds),
            expires=midnight(view.day + days(36)),
            priority=3,
            channel="CALL",
            occurred=view.at,
            evidence=make_up_evidence(view, bill),
        )


def make_up_evidence(view: View, bill: Record) -> list[Condition]:
    """Of a bill and the one before."""
    before = bill_before(view.customer, month_number(bill["cycle"]))
    large = view.limit("AN10", "large_make_up")
    return [
        seen("make_up_fen", "fen", bill["make_up_fen"], None, large, view.layer("AN10", "large_make_up")),
        seen("make_up_before_fen", "fen", before["make_up_fen"] if before else 0),
    ]


def plan_has_changed(view: View, episode: Episode | None) -> bool:
    """True when the plan was ordered anew after what opened the moment."""
    return episode is not None and plan_ordered_at(view.customer) > episode.opened_at


def plan_ordered_at(customer: Customer) -> int:
    """When a plan was ordered last; 0 = never, or long ago."""
    orders = [each for each in customer.orders if each["category"] == "VOICE_PLAN" and not each["addon"]]
    return max((each["occurred_at"] for each in orders if each["action"] in ("SUBSCRIBE", "CHANGE")), default=0)


def plan_change(view: View, rule: BillRule) -> Verdict | None:
    """What an order says to a moment about a bill."""
    episode, bill = rule.episode(view), newest_bill(view.customer)
    if not plan_has_changed(view, episode) or bill is None:
        return None
    assert episode is not None
    return Verdict(
        name=episode.name, fires=False, ends="plan_changed", expires=episode.expires, priority=3, channel="CALL",
        occurred=view.at, evidence=make_up_evidence(view, bill),
    )  # fmt: skip


class AN2(BillRule):
    """A bill, or what has accrued, half as much again as the mean of three bills; or one dear day."""

    id = "AN2"
    kinds = ("usage", "bill")

    def judge(self, view: View) -> Verdict | None:
        """At a bill, and at every usage."""
        bill = view.record if view.kind == "bill" else None
        cycle = month_number(bill["cycle"]) if bill else month_of(view.day)
        month_charge = bill["total_fen"] if bill else self.accrued(view)
        known, three = three_before(view.customer, cycle)
        mean, limit = None, None
        if known > 0:
            mean = Fraction(three, known)
            rise = percent_of(view.limit(self.id, "rise_percent"), mean)
            limit = max(rise, mean + view.limit(self.id, "least_rise"))
        has_risen = known == 3 and limit is not None and month_charge >= limit
        day_charge, day_mean, day_limit, is_warm = self.day(view)
        fires = has_risen or (bill is None and is_warm and day_charge >= day_limit)
        ends = None
        if bill is not None:
            episode = self.episode(view)
            opened_by_usage = episode is not None and episode.kept == "usage"
            ends = self.end_by_bill(view, bill, fires=fires)
            if episode is not None and opened_by_usage:
                ends = "next_bill" if cycle >= episode.cycle else None
        return Verdict(
            name=month_text(cycle),
            cycle=cycle,
            fires=fires,
            ends=ends,
            expires=midnight(view.day + days(36)),
            priority=2,
            channel="CALL",
            occurred=view.at,
            kept=view.kind,
            evidence=[
                seen("month_charge_fen", "fen", month_charge, mean, limit, view.layer(self.id, "rise_percent")),
                seen("bills_known", "count", known, None, 3),
                seen("day_charge_fen", "fen", day_charge, day_mean, day_limit, view.layer(self.id, "day_factor")),
            ],
        )

    def accrued(self, view: View) -> int:
        """The charge of the running month and the plan fee."""
        customer = view.customer
        charge = customer.running.charge if customer.running.month == month_of(view.day) else 0
        fee = view.profile["plan_fee_fen"] or 0
        bill = newest_bill(customer)
        return int(charge + (fee or (bill["plan_fee_fen"] if bill else 0)))

    def day(self, view: View) -> tuple[int, Fraction, Fraction, bool]:
        """The charge of 24 clock hours, the mean day of the 30 before, the bound, and whether 30 were observed."""
        customer, today = view.customer, view.day
        hour = (view.at + 8 * HOUR) // HOUR
        charge = sum(fen for each, fen in customer.charge_of_hour.items() if hour - 24 < each <= hour)
        mean = Fraction(days_sum(customer.charge, today - days(30), today - days(1)), 30)
        limit = max(Fraction(view.limit(self.id, "day_factor")) * mean, Fraction(view.limit(self.id, "least_day")))
        is_warm = customer.first_day is not None and customer.first_day <= today - days(30)
        return charge, mean, limit, is_warm
