"""SP1."""

from datetime import date, timedelta

from lunardate import LunarDate

from tests.reference.episodes import Verdict, View
from tests.reference.findings import seen
from tests.reference.local_time import MINUTE, days, midnight
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
        leap_day_is_kept_today = (month, dom) == (2, 29) and (day + timedelta(1)).day == 1 and day.month == 2
        return (day.month, day.day) == (month, dom) or leap_day_is_kept_today
    lunar = LunarDate.from_solar_date(day.year, day.month, day.day)
    if lunar.is_leap_month or lunar.month != month:
        return False
    following = day + timedelta(1)
    is_last = LunarDate.from_solar_date(following.year, following.month, following.day).day == 1
    return lunar.day == dom or (dom == 30 and lunar.day == 29 and is_last)
