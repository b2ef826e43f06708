"""FT4, AN14, AN17: what customers ask. FT5: where they land."""

from tests.reference.episodes import Verdict, View
from tests.reference.findings import seen
from tests.reference.limits import percent_of
from tests.reference.local_time import DAY, days, local_date, midnight, month_number
from tests.reference.memory_of_bills import bill_before, newest_bill
from tests.reference.memory_of_cases import NEVER
from tests.reference.order import Record, newest
from tests.reference.rules.rule import Rule


def opened_at(records: list[Record]) -> int:
    """When an inquiry was opened: at its earliest event."""
    return int(min(each["occurred_at"] for each in records))


def openings(view: View, topic: str) -> list[int]:
    """When the inquiries on a topic were opened."""
    return [opened_at(each) for each in view.customer.inquiries.values() if newest(each)["topic"] == topic]


class FT4(Rule):
    """The first inquiry about fees in two months."""

    id = "FT4"
    minute = 360

    def judge(self, view: View) -> Verdict | None:
        """At 06:00, of the day before."""
        yesterday, customer = view.day - days(1), view.customer
        asked = [
            opened_at(each)
            for each in customer.inquiries.values()
            if newest(each)["topic"] == "FEE"
            and local_date(opened_at(each)) == yesterday
            and not all(event["history"] for event in each)
        ]
        if not asked:
            return None
        before = [local_date(each) for each in openings(view, "FEE") if local_date(each) < yesterday]
        since = (yesterday - max(before)).days if before else NEVER
        quiet = view.limit(self.id, "quiet_days")
        bill = newest_bill(customer)
        last = bill["total_fen"] if bill else None
        one_before = bill_before(customer, month_number(bill["cycle"])) if bill else None
        previous = one_before["total_fen"] if one_before else None
        risen = None if previous is None else percent_of(view.limit(self.id, "risen_percent"), previous)
        has_risen = is_worth_a_call = False
        if last is not None and previous is not None and last > 0 and previous > 0:
            has_risen = last >= percent_of(view.limit(self.id, "risen_percent"), previous)
            is_worth_a_call = last >= percent_of(view.limit(self.id, "call_percent"), previous)
        return Verdict(
            name=view.day.isoformat(),
            fires=since > quiet,
            expires=midnight(view.day + days(4)),
            priority=2 if has_risen else 4,
            channel="CALL" if is_worth_a_call else "SMS",
            occurred=min(asked),
            nominal=view.day,
            evidence=[
                seen("days_since_fee_inquiry", "days", since, None, quiet, view.layer(self.id, "quiet_days")),
                seen("last_bill_fen", "fen", last, previous, risen, view.layer(self.id, "risen_percent")),
            ],
        )


class AN14(Rule):
    """Three open inquiries on a topic in 7 days, or two in 24 hours."""

    id = "AN14"
    kinds = ("inquiry",)

    def judge(self, view: View) -> Verdict | None:
        """At the newest event of an inquiry."""
        record = view.record
        assert record is not None
        topic = record["topic"]
        opened = [
            opened_at(each)
            for each in view.customer.inquiries.values()
            if newest(each)["topic"] == topic and newest(each)["state"] == "OPENED"
        ]
        ends = [view.at, *(each for each in opened if each > view.at)]
        weeks = [midnight(local_date(end) - days(7)) - 1 for end in ends]
        in_week = most_within(view.at, opened, list(zip(weeks, ends, strict=True)))
        in_day = most_within(view.at, opened, [(end - DAY, end) for end in ends])
        if topic == "UNKNOWN":
            in_week = in_day = 0
        least_week, least_day = view.limit(self.id, "least_in_week"), view.limit(self.id, "least_in_day")
        episode = view.customer.episodes.get((self.id, None))
        completes = record["state"] == "COMPLETED" and episode is not None and episode.kept == topic
        return Verdict(
            name=view.name(record),
            fires=record["state"] == "OPENED" and topic != "UNKNOWN" and (in_week >= least_week or in_day >= least_day),
            ends="completed" if completes else None,
            expires=midnight(view.day + days(8)),
            priority=2,
            channel="CALL",
            occurred=view.at,
            kept=topic,
            evidence=[
                seen("topic", "text", topic),
                seen("open_in_7_days", "count", in_week, None, least_week, view.layer(self.id, "least_in_week")),
                seen("open_in_24_hours", "count", in_day, None, least_day, view.layer(self.id, "least_in_day")),
            ],
            on_end=[seen("topic", "text", topic), seen("inquiry_state", "text", record["state"])],
        )


def most_within(at: int, opened: list[int], windows: list[tuple[int, int]]) -> int:
    """The most inquiries in one of the windows (after the first instant, up to the last) in which an instant lies."""
    return max(sum(first < each <= last for each in opened) for first, last in windows if first < at <= last)


class AN17(Rule):
    """Asks about porting the number or ending the contract."""

    id = "AN17"
    kinds = ("inquiry", "line-status")

    def judge(self, view: View) -> Verdict | None:
        """At the newest event of an inquiry, and at the status of the line."""
        record, line = view.record, view.customer.line
        assert record is not None
        topic = record["topic"] if view.kind == "inquiry" else "UNKNOWN"
        is_leaving = topic in ("PORTING", "TERMINATION")
        ends = None
        if is_leaving and record["state"] == "WITHDRAWN":
            ends = "withdrawn"
        elif line is not None and line["status"] == "TERMINATED":
            ends = "left"
        return Verdict(
            name=view.name(record),
            fires=is_leaving and record["state"] == "OPENED",
            ends=ends,
            expires=midnight(view.day + days(31)),
            priority=1,
            channel="CALL",
            occurred=view.at,
            evidence=[seen("topic", "text", topic)],
            on_end=[
                seen("topic", "text", topic),
                seen("line_status", "text", line["status"] if line else "UNKNOWN"),
            ],
        )


class FT5(Rule):
    """Lands in a country where the customer was not seen for a year."""

    id = "FT5"
    kinds = ("roaming",)

    def judge(self, view: View) -> Verdict | None:
        """At the newest journey."""
        record = view.customer.roaming
        assert record is not None
        unseen, long_ago = record["unseen_days"], view.limit(self.id, "unseen_days")
        is_abroad = record["country"] != "CN"
        return Verdict(
            name=view.name(record),
            fires=record["state"] == "LANDED" and is_abroad and unseen > long_ago,
            ends="returned" if record["state"] == "LEFT" or not is_abroad else None,
            expires=midnight(view.day + days(8)),
            priority=2,
            channel="SMS",
            occurred=view.at,
            evidence=[
                seen("country", "text", record["country"]),
                seen("country_unseen_days", "days", unseen, None, long_ago, view.layer(self.id, "unseen_days")),
            ],
            on_end=[seen("country", "text", record["country"])],
        )
