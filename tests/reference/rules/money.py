"""AN4."""

from fractions import Fraction

from tests.reference.episodes import Verdict, View
from tests.reference.findings import seen
from tests.reference.local_time import days, midnight
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
        assert customer.first_day is not None
        assert view.record is not None
        balance, arpu = customer.balance["balance_fen"], view.profile["arpu_fen"]
        mean = Fraction(days_sum(customer.charge, day - days(28), day - days(1)), 28)
        observed = (day - customer.first_day).days
        limit = view.limit(self.id, "floor")
        if observed >= 28:
            limit = max(limit, view.limit(self.id, "spend_days") * mean)
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
                seen("balance_fen", "fen", balance, mean, limit, view.layer(self.id, "floor")),
                seen("observed_days", "days", observed, None, 28),
            ],
        )
