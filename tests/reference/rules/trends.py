"""AN7: what weeks of usage say."""

from datetime import date
from fractions import Fraction

from tests.reference.episodes import Verdict, View, close_if_expired, end
from tests.reference.findings import seen
from tests.reference.limits import percent_of
from tests.reference.local_time import days, midnight, monday_of
from tests.reference.memory import days_sum
from tests.reference.rules.rule import Rule


class Weekly(Rule):
    """Judged on Mondays at 06:00."""

    minute = 360

    def is_on(self, day: date) -> bool:
        """On Mondays."""
        return day.weekday() == 0


class AN7(Weekly):
    """Last week at most 60 % of the mean of the four weeks before, which is at least 30 minutes."""

    id = "AN7"
    ends_on = ("usage",)

    def judge(self, view: View) -> Verdict | None:
        """The closed week."""
        monday, customer = view.day, view.customer
        if customer.first_day is None or customer.first_day > monday - days(35):
            return None
        week = days_sum(customer.seconds, monday - days(7), monday - days(1))
        four = days_sum(customer.seconds, monday - days(35), monday - days(8))
        mean, least = Fraction(four, 4), view.limit(self.id, "least_mean")
        limit = percent_of(view.limit(self.id, "decline_percent"), mean)
        return Verdict(
            name=monday.isoformat(),
            fires=week <= limit and mean >= least,
            expires=midnight(monday + days(28)),
            priority=2 if week == 0 else 3,
            channel="CALL" if week == 0 else "SELF_SERVICE",
            occurred=midnight(monday),
            nominal=monday,
            kept=four,
            evidence=[
                seen("week_seconds", "seconds", week, mean, limit, view.layer(self.id, "decline_percent")),
                seen("mean_week_seconds", "seconds", mean, None, least, view.layer(self.id, "least_mean")),
            ],
        )

    def end_at_event(self, view: View) -> None:
        """The running week is back to 80 % of the mean that was compared with."""
        customer, day = view.customer, view.day
        episode = customer.episodes.get((self.id, None))
        if episode is None or not episode.is_open or day < date.fromisoformat(episode.name):
            return
        close_if_expired(episode, view.at)
        running = days_sum(customer.seconds, monday_of(day), monday_of(day) + days(6))
        mean = Fraction(episode.kept, 4)
        limit = percent_of(view.limit(self.id, "recovery_percent"), mean)
        if not episode.is_open or running < limit:
            return
        week = days_sum(customer.seconds, day - days(7), day - days(1))
        verdict = Verdict(
            name=episode.name, fires=False, expires=episode.expires, ends="recovered", priority=2 if week == 0 else 3,
            channel="CALL" if week == 0 else "SELF_SERVICE", occurred=view.at,
            evidence=[seen("running_week_seconds", "seconds", running, mean, limit,
                           view.layer(self.id, "recovery_percent"))],
        )  # fmt: skip
        end(view, self.id, episode, verdict)
