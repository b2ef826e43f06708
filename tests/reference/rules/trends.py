"""AN3, AN7, AN8, AN13: what weeks of usage say. AN12: what months say of the people a customer talks to."""

from datetime import date
from fractions import Fraction

from tests.reference.episodes import KEPT_MOST, Episode, Verdict, View, close_if_expired, end
from tests.reference.findings import Condition, Number, seen
from tests.reference.limits import percent_of
from tests.reference.local_time import days, first_day, local_date, midnight, monday_of, month_number, month_of
from tests.reference.memory import SUSPENDED, Ring, days_sum
from tests.reference.memory_of_bills import newest_bill, three_before
from tests.reference.memory_of_cases import NEVER
from tests.reference.rules.rule import Rule


class Weekly(Rule):
    """Judged on Mondays at 06:00, on 35 observed days."""

    minute = 360

    def is_on(self, day: date) -> bool:
        """On Mondays."""
        return day.weekday() == 0

    def at_hour(self, view: View) -> None:
        """The closed week, once 35 days were observed."""
        first = view.customer.first_day
        if first is not None and first <= view.day - days(35):
            super().at_hour(view)

    def open_episode(self, view: View) -> Episode | None:
        """What an event of that Monday or later may end."""
        episode = view.customer.episodes.get((self.id, None))
        if episode is None or not episode.is_open or view.day < date.fromisoformat(episode.name):
            return None
        close_if_expired(episode, view.at)
        return episode if episode.is_open else None

    def recovery(self, view: View, mean: Fraction) -> Number:
        """From where on the running week is back to what was compared with."""
        return percent_of(view.limit(self.id, "recovery_percent"), mean)


def week_of(ring: Ring, monday: date) -> int:
    """The week before a Monday."""
    return days_sum(ring, monday - days(7), monday - days(1))


def four_weeks_of(ring: Ring, monday: date) -> int:
    """The four weeks before the week before a Monday."""
    return days_sum(ring, monday - days(35), monday - days(8))


def running_week_of(ring: Ring, day: date) -> int:
    """The week in which a day lies, as far as it is known."""
    return days_sum(ring, monday_of(day), monday_of(day) + days(6))


class AN7(Weekly):
    """Last week at most 60 % of the mean of the four weeks before, which is at least 30 minutes."""

    id = "AN7"
    ends_on = ("usage",)

    def judge(self, view: View) -> Verdict | None:
        """The closed week."""
        monday, customer = view.day, view.customer
        week, four = week_of(customer.seconds, monday), four_weeks_of(customer.seconds, monday)
        mean, least = Fraction(four, 4), view.limit(self.id, "least_mean")
        limit = percent_of(view.limit(self.id, "decline_percent"), mean)
        declines = week <= limit and mean >= least
        customer.calls_declined[monday] = declines
        has_recovered = running_week_of(customer.seconds, monday) >= self.recovery(view, mean)
        for old in sorted(customer.calls_declined)[:-8]:
            del customer.calls_declined[old]
        return Verdict(
            name=monday.isoformat(),
            fires=declines and not has_recovered,
            expires=midnight(monday + days(28)),
            priority=2 if week == 0 else 3,
            channel="CALL" if week == 0 else "SELF_SERVICE",
            call_from_risk=60,
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
        customer, day, episode = view.customer, view.day, self.open_episode(view)
        if episode is None:
            return
        running = running_week_of(customer.seconds, day)
        mean = Fraction(episode.kept, 4)
        limit = self.recovery(view, mean)
        if running < limit:
            return
        week = days_sum(customer.seconds, day - days(7), day - days(1))
        layer = view.layer(self.id, "recovery_percent")
        verdict = Verdict(
            name=episode.name,
            fires=False,
            expires=episode.expires,
            ends="recovered",
            priority=2 if week == 0 else 3,
            channel="CALL" if week == 0 else "SELF_SERVICE",
            call_from_risk=60,
            occurred=view.at,
            evidence=[seen("running_week_seconds", "seconds", running, mean, limit, layer)],
        )
        end(view, self.id, episode, verdict)


class AN3(Weekly):
    """Last week's charge at most half of the mean of the four weeks before, 10 yuan less, and nothing explains it."""

    id = "AN3"
    ends_on = ("usage",)

    def judge(self, view: View) -> Verdict | None:
        """The closed week."""
        monday, customer = view.day, view.customer
        week, four = week_of(customer.charge, monday), four_weeks_of(customer.charge, monday)
        mean, least = Fraction(four, 4), view.limit(self.id, "least_fall")
        limit = percent_of(view.limit(self.id, "fall_percent"), mean)
        since = self.days_since_change(view)
        has_recovered = running_week_of(customer.charge, monday) >= self.recovery(view, mean)
        return Verdict(
            name=monday.isoformat(),
            fires=week <= limit and mean - week >= least and since > 35 and not has_recovered,
            expires=midnight(monday + days(28)),
            priority=3,
            channel="SELF_SERVICE",
            call_from_risk=60,
            occurred=midnight(monday),
            nominal=monday,
            kept=four,
            evidence=[
                seen("week_charge_fen", "fen", week, mean, limit, view.layer(self.id, "fall_percent")),
                seen("charge_fall_fen", "fen", mean - week, None, least, view.layer(self.id, "least_fall")),
                seen("days_since_change", "days", since, None, 35),
            ],
        )

    def days_since_change(self, view: View) -> int:
        """Days since the newest plan change, suspension or journey; 0 while the line is suspended or abroad."""
        customer, today = view.customer, view.day
        if customer.line is not None and customer.line["status"] in SUSPENDED:
            return 0
        journey = customer.roaming
        if journey is not None and journey["state"] == "LANDED" and journey["country"] != "CN":
            return 0
        known = [day for day in (customer.suspension_day, customer.travel_day) if day is not None]
        known += [day for day in customer.plan_days if day <= today]
        return (today - max(known)).days if known else NEVER

    def end_at_event(self, view: View) -> None:
        """The running week's charge is back to 80 % of the mean that was compared with."""
        episode = self.open_episode(view)
        if episode is None:
            return
        running, mean = running_week_of(view.customer.charge, view.day), Fraction(episode.kept, 4)
        limit = self.recovery(view, mean)
        if running < limit:
            return
        layer = view.layer(self.id, "recovery_percent")
        verdict = Verdict(
            name=episode.name, fires=False, expires=episode.expires, ends="recovered", priority=3,
            channel="SELF_SERVICE", call_from_risk=60, occurred=view.at,
            evidence=[seen("running_week_charge_fen", "fen", running, mean, limit, layer)],
        )  # fmt: skip
        end(view, self.id, episode, verdict)


class AN8(Weekly):
    """The newest bill has fallen as in AN6, and AN7's condition held in two of the last four weeks."""

    id = "AN8"
    ends_on = ("usage", "bill")

    def bill_has_fallen(self, view: View) -> bool:
        """AN6's condition, with the percentage of this rule."""
        bill = newest_bill(view.customer)
        if bill is None:
            return False
        known, three = three_before(view.customer, month_number(bill["cycle"]))
        return known == 3 and three > 0 and bill["total_fen"] * 300 <= view.limit(self.id, "bill_percent") * three

    def judge(self, view: View) -> Verdict | None:
        """The closed weeks."""
        monday, customer = view.day, view.customer
        bill = newest_bill(customer)
        week, four = week_of(customer.seconds, monday), four_weeks_of(customer.seconds, monday)
        declined = sum(customer.calls_declined.get(monday - days(7 * i), False) for i in range(4))
        age = (monday - local_date(bill["occurred_at"])).days if bill else NEVER
        recovery = self.recovery(view, Fraction(four, 4))
        return Verdict(
            name=monday.isoformat(),
            fires=self.bill_has_fallen(view)
            and age <= view.limit(self.id, "bill_days")
            and declined >= view.limit(self.id, "least_weeks")
            and running_week_of(customer.seconds, monday) < recovery,
            expires=midnight(monday + days(28)),
            priority=2,
            channel="CALL",
            occurred=midnight(monday),
            nominal=monday,
            kept=four,
            evidence=[
                self.bill_evidence(view),
                seen("bill_age_days", "days", age, None, view.limit(self.id, "bill_days"),
                     view.layer(self.id, "bill_days")),
                seen("weeks_declined", "count", declined, None, view.limit(self.id, "least_weeks"),
                     view.layer(self.id, "least_weeks")),
                seen("week_seconds", "seconds", week, Fraction(four, 4)),
            ],
        )  # fmt: skip

    def bill_evidence(self, view: View) -> Condition:
        """What the newest bill is compared with."""
        bill = newest_bill(view.customer)
        _, three = three_before(view.customer, month_number(bill["cycle"])) if bill else (0, 0)
        limit = percent_of(view.limit(self.id, "bill_percent"), Fraction(three, 3))
        total = bill["total_fen"] if bill else 0
        return seen("bill_total_fen", "fen", total, Fraction(three, 3), limit, view.layer(self.id, "bill_percent"))

    def end_at_event(self, view: View) -> None:
        """Either has recovered."""
        customer, day, episode = view.customer, view.day, self.open_episode(view)
        if episode is None:
            return
        running, mean = running_week_of(customer.seconds, day), Fraction(episode.kept, 4)
        limit = self.recovery(view, mean)
        ends = None
        if view.kind == "usage" and running >= limit:
            ends = "minutes_recovered"
        elif view.kind == "bill" and not self.bill_has_fallen(view):
            ends = "bill_recovered"
        if ends is None:
            return
        layer = view.layer(self.id, "recovery_percent")
        verdict = Verdict(
            name=episode.name, fires=False, expires=episode.expires, ends=ends, priority=2, channel="CALL",
            occurred=view.at,
            evidence=[
                seen("running_week_seconds", "seconds", running, mean, limit, layer),
                self.bill_evidence(view),
            ],
        )  # fmt: skip
        end(view, self.id, episode, verdict)


class AN13(Weekly):
    """Last week's data at most 40 % or at least 250 % of the mean of the four weeks before, which is 500 MB."""

    id = "AN13"
    ends_on = ("usage",)

    def judge(self, view: View) -> Verdict | None:
        """The closed week; it may also end what was raised for a jump."""
        monday, customer = view.day, view.customer
        week, four = week_of(customer.data, monday), four_weeks_of(customer.data, monday)
        mean, least = Fraction(four, 4), view.limit(self.id, "least_mean")
        fall = percent_of(view.limit(self.id, "fall_percent"), mean)
        jump = percent_of(view.limit(self.id, "jump_percent"), mean)
        has_jumped = week >= jump
        has_fallen = week <= fall and running_week_of(customer.data, monday) <= fall
        limit, layer = self.limit_and_layer(view, mean, has_jumped)
        return Verdict(
            name=monday.isoformat(),
            fires=mean >= least and (has_fallen or has_jumped),
            expires=midnight(monday + days(28)),
            priority=3,
            channel="SMS",
            call_from_risk=60,
            occurred=midnight(monday),
            nominal=monday,
            kept=(min(four, KEPT_MOST), has_jumped),
            evidence=[
                seen("week_data_kib", "kib", week, mean, limit, layer),
                seen("mean_week_data_kib", "kib", mean, None, least, view.layer(self.id, "least_mean")),
            ],
        )

    def at_hour(self, view: View) -> None:
        """First an end after a jump, then a raise."""
        episode = self.open_episode(view)
        if episode is not None and episode.kept[1] and view.day > date.fromisoformat(episode.name):
            week, mean = week_of(view.customer.data, view.day), Fraction(episode.kept[0], 4)
            fall = percent_of(view.limit(self.id, "fall_percent"), mean)
            jump = percent_of(view.limit(self.id, "jump_percent"), mean)
            if fall < week < jump:
                self.tell_end(view, episode, week)
        super().at_hour(view)

    def end_at_event(self, view: View) -> None:
        """After a fall: the running week is above 40 % of the mean that was compared with."""
        episode = self.open_episode(view)
        if episode is None or episode.kept[1]:
            return
        running, mean = running_week_of(view.customer.data, view.day), Fraction(episode.kept[0], 4)
        if running > percent_of(view.limit(self.id, "fall_percent"), mean):
            self.tell_end(view, episode, running)

    def tell_end(self, view: View, episode: Episode, week: int) -> None:
        """Back in band."""
        four, has_jumped = episode.kept
        limit, layer = self.limit_and_layer(view, Fraction(four, 4), has_jumped)
        verdict = Verdict(
            name=episode.name, fires=False, expires=episode.expires, ends="back_in_band", priority=3, channel="SMS",
            call_from_risk=60, occurred=view.at,
            evidence=[seen("week_data_kib", "kib", week, Fraction(four, 4), limit, layer)],
        )  # fmt: skip
        end(view, self.id, episode, verdict)

    def limit_and_layer(self, view: View, mean: Fraction, has_jumped: bool) -> tuple[Number, str]:
        """The bound that was passed, and its layer."""
        name = "jump_percent" if has_jumped else "fall_percent"
        return percent_of(view.limit(self.id, name), mean), view.layer(self.id, name)


class AN12(Rule):
    """The share of calls to other networks has risen by 20 points, or three top contacts have moved."""

    id = "AN12"
    minute = 360

    def is_on(self, day: date) -> bool:
        """On the first of a month."""
        return day.day == 1

    def judge(self, view: View) -> Verdict | None:
        """The closed month against the three before."""
        customer, month = view.customer, month_of(view.day) - 1
        if customer.first_day is None or customer.first_day > first_day(month - 3):
            return None
        on, off = customer.month["on_net"], customer.month["off_net"]
        off_month, all_month = off.get(month, 0), off.get(month, 0) + on.get(month, 0)
        off_three = sum(off.get(month - i, 0) for i in (1, 2, 3))
        all_three = off_three + sum(on.get(month - i, 0) for i in (1, 2, 3))
        share = 100 * off_month / all_month if all_month else 0.0
        before = 100 * off_three / all_three if all_three else 0.0
        rise, least = view.limit(self.id, "rise_points"), view.limit(self.id, "least_voice")
        moved, least_moved = (
            customer.contacts.moved_between(view.day - days(60), view.day),
            view.limit(self.id, "least_moved"),
        )
        has_risen = 100 * (off_month * all_three - off_three * all_month) >= rise * all_month * all_three
        has_risen = has_risen and all_month >= least and all_three >= least
        voice_layer = view.layer(self.id, "least_voice")
        return Verdict(
            name=view.day.isoformat(),
            fires=has_risen or moved >= least_moved,
            expires=midnight(view.day + days(31)),
            priority=3,
            channel="CALL",
            occurred=midnight(view.day),
            nominal=view.day,
            evidence=[
                seen("off_net_percent", "percent", share, before, before + rise, view.layer(self.id, "rise_points")),
                seen("month_voice_seconds", "seconds", all_month, None, least, voice_layer),
                seen("voice_before_seconds", "seconds", all_three, None, least, voice_layer),
                seen("moved_contacts", "count", moved, None, least_moved, view.layer(self.id, "least_moved")),
            ],
        )
