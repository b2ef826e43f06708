"""AN4, AN11, AN5: money and a line that works."""

from fractions import Fraction

from tests.reference.episodes import Verdict, View, settle_at_event
from tests.reference.findings import seen
from tests.reference.local_time import FAR, HOUR, MINUTE, days, midnight
from tests.reference.memory import days_sum
from tests.reference.rules.rule import Rule


class AN4(Rule):
    """Balance below max(10 yuan, 2 x mean daily charge of 28 closed days; cold: 10 yuan), no auto-pay."""

    id = "AN4"
    kinds = ("balance",)

    def judge(self, view: View) -> Verdict | None:
        """At every newest balance."""
        customer, day = view.customer, view.day
        assert customer.balance is not None
        assert view.record is not None
        balance, arpu = customer.balance["balance_fen"], view.profile["arpu_fen"]
        mean = Fraction(days_sum(customer.charge, day - days(28), day - days(1)), 28)
        observed = (day - customer.first_day).days if customer.first_day else 0
        floor = limit = view.limit(self.id, "floor")
        if observed >= 28:
            limit = max(limit, view.limit(self.id, "spend_days") * mean)
        layer = view.layer(self.id, "spend_days" if limit > floor else "floor")
        is_far_above = balance > view.limit(self.id, "rearm_factor") * limit
        ends = None
        if balance >= limit and customer.balance["reason"] == "TOP_UP":
            ends = "topped_up"
        elif is_far_above:
            ends = "recovered"
        return Verdict(
            name=view.name(view.record),
            fires=balance < limit and not view.profile["auto_pay"],
            ends=ends,
            rearms=is_far_above,
            expires=midnight(day + days(4)),
            free=3,
            priority=2,
            channel="CALL" if arpu is not None and arpu > view.limit(self.id, "call_above") else "SMS",
            occurred=view.at,
            evidence=[
                seen("balance_fen", "fen", balance, mean, limit, layer),
                seen("observed_days", "days", observed, None, 28),
            ],
        )


class AN11(Rule):
    """Arrears, or a suspension that is expected within 72 hours."""

    id = "AN11"
    kinds = ("balance", "line-status")
    minute = 570

    def at_event(self, view: View) -> None:
        """At the newest balance and the newest status."""
        assert view.record is not None
        settle_at_event(view, self.id, self.verdict(view, view.name(view.record)))

    def at_hour(self, view: View) -> None:
        """At 09:30."""
        settle_at_event(view, self.id, self.verdict(view, view.day.isoformat()))

    def verdict(self, view: View, name: str) -> Verdict:
        """What balance and line say together."""
        balance, line = view.customer.balance, view.customer.line
        fen, status = balance["balance_fen"] if balance else 0, line["status"] if line else None
        is_younger = view.customer.topped_up_at > (line["occurred_at"] if line else 0)
        is_paid = balance is not None and fen >= 0 and is_younger
        within = view.limit(self.id, "forecast_hours") * HOUR
        expected = line["suspension_expected_at"] if line and status == "ACTIVE" else None
        is_forecast = expected is not None and view.at < expected <= view.at + within
        is_forecast = is_forecast and not is_paid
        ends = None
        if is_paid and not is_forecast:
            ends = "paid"
        elif status == "TERMINATED":
            ends = "left"
        elif fen >= 0 and not is_forecast and status in (None, "ACTIVE"):
            ends = "cleared"
        return Verdict(
            name=name,
            fires=(fen < 0 or is_forecast) and ends is None,
            ends=ends,
            expires=FAR,
            free=1,
            priority=1,
            channel="CALL" if view.profile["tier"] in ("TOP", "HIGH", "MID") else "SMS",
            occurred=view.at,
            evidence=[
                seen("balance_fen", "fen", fen if balance else None, None, 0),
                seen("suspension_in_ms", "ms", expected - view.at if expected and is_forecast else -1, None, within,
                     view.layer(self.id, "forecast_hours")),
            ],
        )  # fmt: skip


class AN5(Rule):
    """A fault is told of, or a service that is used every day has had no success in 24 hours."""

    id = "AN5"
    kinds = ("inquiry", "usage")
    is_hourly = True

    def at_event(self, view: View) -> None:
        """At the newest event of an inquiry; uses that succeed end it."""
        record, episode = view.record, view.customer.episodes.get((self.id, None))
        assert record is not None
        if view.kind == "inquiry":
            is_fault = record["topic"] == "FAULT" and record["state"] == "OPENED"
            settle_at_event(view, self.id, self.verdict(view, view.name(record), fires=is_fault, inquiries=1))
        elif episode is not None and episode.is_open:
            if record["succeeded"] and view.at >= episode.opened_at:
                episode.kept += 1
            settle_at_event(view, self.id, self.verdict(view, episode.name, fires=False))

    def at_hour(self, view: View) -> None:
        """At every full hour."""
        episode = view.customer.episodes.get((self.id, None))
        fires = self.is_silent(view)
        if fires or (episode is not None and episode.is_open):
            settle_at_event(view, self.id, self.verdict(view, view.day.isoformat(), fires=fires))

    def is_silent(self, view: View) -> bool:
        """True when nothing has succeeded for a day on a line that is in service and used every day."""
        line, first = view.customer.line, view.customer.first_day
        if first is None or first > view.day - days(28) or (line is not None and line["status"] != "ACTIVE"):
            return False
        if self.silent_minutes(view) < view.limit(self.id, "silence"):
            return False
        return self.successes(view) >= 14 * view.limit(self.id, "least_daily")

    def silent_minutes(self, view: View) -> int:
        """Minutes of the clock since the newest success, none of them begun before it; -1 when there was none."""
        last = view.customer.last_success_at
        return -1 if last is None else max(view.at // MINUTE - -(-last // MINUTE), 0)

    def successes(self, view: View) -> int:
        """Of the 14 closed days."""
        return days_sum(view.customer.successes, view.day - days(14), view.day - days(1))

    def verdict(self, view: View, name: str, *, fires: bool, inquiries: int = 0) -> Verdict:
        """With the evidence of both forms; uses are counted since the moment that is open was raised."""
        mean = Fraction(self.successes(view), 14)
        episode, wanted = view.customer.episodes.get((self.id, None)), view.limit(self.id, "successful_uses")
        used = episode.kept if episode is not None and episode.is_open else 0
        return Verdict(
            name=name,
            fires=fires,
            ends="in_use_again" if used >= wanted else None,
            on_end=[seen("successful_uses", "count", used, None, wanted, view.layer(self.id, "successful_uses"))],
            expires=midnight(view.day + days(8)),
            free=1,
            priority=1,
            channel="CALL",
            occurred=view.at,
            kept=0,
            evidence=[
                seen("fault_inquiries", "count", inquiries, None, 1),
                seen("silent_minutes", "minutes", self.silent_minutes(view), None,
                     view.limit(self.id, "silence"), view.layer(self.id, "silence")),
                seen("mean_daily_successes", "count", mean, None, view.limit(self.id, "least_daily"),
                     view.layer(self.id, "least_daily")),
            ],
        )  # fmt: skip
