"""SP1, SP2, SP3, AN16: days of the calendar."""

from datetime import date, timedelta
from functools import lru_cache

import chinese_calendar
from lunardate import LunarDate

from tests.reference.episodes import Verdict, View, open_, settle_at_event
from tests.reference.findings import seen
from tests.reference.local_time import DAY, MINUTE, days, local_date, midnight
from tests.reference.order import Record
from tests.reference.rules.rule import Rule


class SP1(Rule):
    """The birthday, but not with an open complaint or arrears."""

    id = "SP1"
    minute = 5

    def judge(self, view: View) -> Verdict | None:
        """Every day at 00:05."""
        day = view.day
        complaint = view.has_open("AN1")
        return Verdict(
            name=day.isoformat(),
            fires=is_birthday(view.profile, day) and not complaint and not view.has_open("AN11"),
            expires=midnight(day + days(1)),
            free=300,
            priority=4,
            channel="CALL" if view.profile["tier"] == "TOP" else "SMS",
            occurred=midnight(day),
            nominal=day,
            earliest=midnight(day) + int(view.limit(self.id, "contact_minute")) * MINUTE,
            evidence=[seen("open_complaints", "count", int(complaint), None, 0)],
        )


def is_birthday(profile: Record, day: date) -> bool:
    """True when the day is kept as the customer's birthday."""
    if profile["birthday"] is None:
        return False
    month, dom = (int(part) for part in profile["birthday"].split("-")[-2:])
    if profile["birthday_calendar"] != "LUNAR":
        return is_kept_on(month, dom, day)
    lunar = LunarDate.from_solar_date(day.year, day.month, day.day)
    if lunar.is_leap_month or lunar.month != month:
        return False
    following = day + timedelta(1)
    is_last = LunarDate.from_solar_date(following.year, following.month, following.day).day == 1
    return lunar.day == dom or (dom == 30 and lunar.day == 29 and is_last)


def is_kept_on(month: int, dom: int, day: date) -> bool:
    """True when a day of the year is kept on this day: 29 February on the 28th of other years."""
    leap_day_is_kept_today = (month, dom) == (2, 29) and (day + timedelta(1)).day == 1 and day.month == 2
    return (day.month, day.day) == (month, dom) or leap_day_is_kept_today


class SP2(Rule):
    """The last working day before a festival."""

    id = "SP2"
    minute = 5

    def at_hour(self, view: View) -> None:
        """Every festival for which this is the day."""
        day = view.day
        ahead = 1
        while ahead < 30:
            festival = day + days(ahead)
            name = festival_on(festival)
            if name is not None and is_working(day):
                verdict = Verdict(
                    key=name,
                    name=f"{name}-{festival.year}",
                    fires=True,
                    expires=midnight(festival + days(1)),
                    priority=5,
                    channel="SMS",
                    occurred=midnight(day),
                    nominal=day,
                    earliest=midnight(day) + int(view.limit(self.id, "contact_minute")) * MINUTE,
                    evidence=[
                        seen("festival_at", "ms", midnight(festival)),
                        seen("days_until", "days", ahead),
                    ],
                )
                open_(view, self.id, verdict, None)
            if is_working(festival):
                return
            ahead += 1


@lru_cache(maxsize=4096)
def is_working(day: date) -> bool:
    """A working day, make-up days included; Monday to Friday where nothing is known."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5


@lru_cache(maxsize=4096)
def festival_on(day: date) -> str | None:
    """The festival of a day."""
    solar = {(1, 1): "new-year", (5, 1): "labour-day", (10, 1): "national-day"}
    lunar = {(1, 1): "spring-festival", (5, 5): "dragon-boat", (8, 15): "mid-autumn"}
    if (day.month, day.day) in solar:
        return solar[day.month, day.day]
    years = day.year % 100
    qingming = int(years * 0.2422 + 4.81) - years // 4
    if (day.month, day.day) == (4, qingming):
        return "qingming"
    moon = LunarDate.from_solar_date(day.year, day.month, day.day)
    return None if moon.is_leap_month else lunar.get((moon.month, moon.day))


class SP3(Rule):
    """The anniversary of joining."""

    id = "SP3"
    minute = 5

    def at_hour(self, view: View) -> None:
        """Every day at 00:05."""
        day, number = view.day, view.profile["joined_on"]
        if not number:
            return
        joined = local_date(number * DAY)
        years = day.year - joined.year
        if years < 1 or not is_kept_on(joined.month, joined.day, day):
            return
        milestones = [view.limit(self.id, f"{which}_milestone") for which in ("first", "second", "third")]
        is_milestone = years in milestones
        verdict = Verdict(
            name=day.isoformat(),
            fires=True,
            expires=midnight(day + days(4)),
            priority=4 if is_milestone else 5,
            channel="CALL" if is_milestone else "SMS",
            occurred=midnight(day),
            nominal=day,
            earliest=midnight(day) + int(view.limit(self.id, "contact_minute")) * MINUTE,
            evidence=[seen("years", "count", years, None, milestones[0], view.layer(self.id, "first_milestone"))],
        )
        open_(view, self.id, verdict, None)


class AN16(Rule):
    """The contract ends in 60, 30, 7 days and was not renewed."""

    id = "AN16"
    minute = 5
    ends_on = ("customer", "service-order")

    def judge(self, view: View) -> Verdict | None:
        """Every day at 00:05."""
        day, ends_on = view.day, contract_end(view.profile)
        if ends_on is None:
            return None
        left, renewed = (ends_on - day).days, view.customer.renewal_day
        return Verdict(
            name=f"{ends_on.isoformat()}/{left}",
            fires=left in (60, 30, 7) and not (renewed is not None and renewed >= ends_on - days(90)),
            expires=midnight(day + days(8)),
            free=0,
            priority=3,
            channel="SMS" if left == 60 else "CALL",
            occurred=midnight(day),
            nominal=day,
            kept=ends_on,
            evidence=[
                seen("contract_days_left", "days", left, None, left),
                seen("contract_ends_at", "ms", midnight(ends_on)),
            ],
        )

    def end_at_event(self, view: View) -> None:
        """A renewal, or another end of the contract."""
        episode = view.customer.episodes.get((self.id, None))
        if episode is None or not episode.is_open or view.customer.profile is None:
            return
        now, then, renewed = contract_end(view.profile), episode.kept, view.customer.renewal_day
        ends = None
        if (now is not None and now > then) or (renewed is not None and renewed >= then - days(90)):
            ends = "renewed"
        elif now != then:
            ends = "contract_changed"
        left, step = (now - view.day).days if now else -1, int(episode.name.split("/")[1])
        verdict = Verdict(
            name=episode.name, fires=False, ends=ends, expires=episode.expires, priority=3,
            channel="SMS" if step == 60 else "CALL", occurred=view.at,
            evidence=[
                seen("contract_days_left", "days", left, None, step),
                seen("contract_ends_at", "ms", midnight(now) if now else 0),
            ],
        )  # fmt: skip
        settle_at_event(view, self.id, verdict)


def contract_end(profile: Record) -> date | None:
    """The local date on which the contract ends."""
    number = profile["contract_ends_on"]
    return local_date(number * DAY) if number else None
