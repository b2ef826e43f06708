"""Moments of the first six rules, one customer and one log entry at a time, in plain Python.

Written to be read, not to be fast. It knows the rules as text (docstrings below), not as rule files, and shares no
code with
the engine. It forgets what the engine documents that it forgets: usage older than the rings, complaints and swaps
beyond
eight, event ids beyond the last ten of usage and six of other kinds.

A log entry is ("event", kind, record) or ("tick", now_ms); records have the Avro fields. A `Finding` is one revision.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from lunardate import LunarDate

HOUR = 3_600_000
DAY = 24 * HOUR
FAR = 4_102_444_800_000 - 1
SUSPENDED = {"SUSPENDED_VOLUNTARY", "SUSPENDED_ARREARS", "SUSPENDED_LOST", "SUSPENDED_DISPUTE", "TERMINATED"}
ORDER = ("AN1", "AN4", "AN7", "FT2", "NS2", "SP1")

Record = dict[str, Any]


def local_date(at: int) -> date:
    """The date in Asia/Shanghai."""
    return (datetime.fromtimestamp(at / 1000, UTC) + timedelta(hours=8)).date()


def midnight(day: date) -> int:
    """The instant at which a local day begins."""
    return int((datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=8)).timestamp() * 1000)


def letter(character: str) -> int:
    """How a character counts in the order of event ids: coarser than text, never against it."""
    for limit, value in (("0", 1), (":", ord(character) - 46), ("A", 12), ("[", ord(character) - 53), ("a", 38)):
        if character < limit:
            return value
    return min(ord(character) - 58, 63)


def order(record: Record) -> tuple[int, list[int], list[int]]:
    """What makes one event of a kind newer than another: its instant, then source and event id."""
    return (
        record["occurred_at"],
        [letter(c) for c in record["source"][:2]],
        [letter(c) for c in record["event_id"][:18]],
    )


@dataclass(frozen=True)
class Finding:
    """One revision of a moment, as far as it is compared."""

    customer_id: int
    rule_id: str
    episode: str
    revision: int
    state: str
    resolution: str | None
    priority: int
    channel: str
    occurred_at: int
    detected_at: int
    nominal_date: date
    earliest_contact_at: int | None
    expires_at: int
    history: bool
    city: str
    risk: float
    evidence: tuple[tuple[str, float | str | None, float | None, float | None], ...]


@dataclass
class Episode:
    """An episode of a rule, open or over."""

    name: str
    is_open: bool
    revision: int
    expires: int
    first_free_day: date
    kept: Fraction = Fraction(0)
    watched: Any = None
    due: int | None = None


@dataclass
class Customer:
    """Everything that is remembered of one customer."""

    customer_id: int
    profile: Record | None = None
    first_day: date | None = None
    newest_usage_day: date | None = None
    usage_ids: list[tuple[str, str]] = field(default_factory=list)
    other_ids: list[tuple[str, str]] = field(default_factory=list)
    seconds: dict[date, int] = field(default_factory=dict)
    data: dict[date, int] = field(default_factory=dict)
    charge: dict[date, int] = field(default_factory=dict)
    balance: Record | None = None
    line: Record | None = None
    swaps: list[Record] = field(default_factory=list)
    complaints: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    episodes: dict[tuple[str, Any], Episode] = field(default_factory=dict)
    disarmed: set[str] = field(default_factory=set)
    pending: bool = False


class Reference:
    """Feed it a log; it returns the findings in the order in which they are made.

    name_of: (record) → how an event is named in episodes; the one thing that is the engine's to define.
    """

    def __init__(self, name_of: Callable[[str, str], str]) -> None:
        self.customers: dict[int, Customer] = {}
        self.now: int | None = None
        self.has_rules = False
        self.history_since_tick = False
        self.name_of = name_of
        self.findings: list[Finding] = []

    def run(self, log: Iterable[tuple[Any, ...]]) -> list[Finding]:
        """Apply a log; return all findings."""
        for entry in log:
            if entry[0] == "tick":
                self.tick(entry[1])
            else:
                self.event(entry[1], entry[2])
        return self.findings

    # --- events ----------------------------------------------------------------------------------------------------

    def event(self, kind: str, record: Record) -> None:  # noqa: C901  # one event, from top to bottom
        """One event."""
        customer = self.customers.setdefault(record["customer_id"], Customer(record["customer_id"]))
        record = dict(record)
        if record["history"]:
            self.history_since_tick = True
        elif record["occurred_at"] > record["ingested_at"] + 300_000:
            record["occurred_at"] = record["ingested_at"]
        if self.is_duplicate(customer, kind, record):
            return
        if not record["history"] and customer.pending and self.has_rules:
            self.tell_pending(customer, record["ingested_at"])
        if kind != "customer":
            day = local_date(record["occurred_at"])
            customer.first_day = min(customer.first_day or day, day)
        is_newest = getattr(self, "take_" + kind.replace("-", "_"))(customer, record)
        if kind in ("line-status", "complaint") and (record["history"] or not self.has_rules):
            customer.pending = True
        if not is_newest or not self.has_rules:
            return
        at, log, may_raise = record["occurred_at"], record["ingested_at"], not record["history"]
        if kind == "balance":
            self.judge_an4(customer, at, log, may_raise, record)
        elif kind == "line-status":
            self.judge_ns2(customer, at, log, at, may_raise, record["history"])
        elif kind == "complaint":
            key = (record["source"], record["complaint_id"])
            self.forget_episodes_of_forgotten_complaints(customer)
            if key in customer.complaints:
                self.judge_an1(customer, key, at, log, at, may_raise, record["history"])
        elif kind == "usage":
            self.end_an7(customer, at, log, record["history"])

    def is_duplicate(self, customer: Customer, kind: str, record: Record) -> bool:
        """The last ten ids of usage and six of all other kinds are remembered."""
        ids, size = (customer.usage_ids, 10) if kind == "usage" else (customer.other_ids, 6)
        identity = (record["source"], record["event_id"])
        if identity in ids:
            return True
        ids.append(identity)
        del ids[:-size]
        return False

    def take_usage(self, customer: Customer, record: Record) -> bool:
        day = local_date(record["occurred_at"])
        newest = max(customer.newest_usage_day or day, day)
        customer.newest_usage_day = newest
        for ring in (customer.seconds, customer.data, customer.charge):
            for old in [each for each in ring if each <= newest - timedelta(days=42)]:
                del ring[old]
        if day > newest - timedelta(days=42):
            seconds = record["quantity"] if record["service"] == "VOICE" else 0
            customer.seconds[day] = min(customer.seconds.get(day, 0) + seconds, 2**18 - 1)
            data = record["quantity"] if record["service"] == "DATA" else 0
            customer.data[day] = min(customer.data.get(day, 0) + data, 2**31 - 1)
            customer.charge[day] = min(customer.charge.get(day, 0) + record["charge_fen"], 2**31 - 1)
        return True

    def take_balance(self, customer: Customer, record: Record) -> bool:
        if customer.balance is not None and order(record) < order(customer.balance):
            return False
        customer.balance = record
        return True

    def take_line_status(self, customer: Customer, record: Record) -> bool:
        if customer.line is not None and order(record) < order(customer.line):
            return False
        customer.line = record
        return True

    def take_customer(self, customer: Customer, record: Record) -> bool:
        if customer.profile is not None and order(record) < order(customer.profile):
            return False
        customer.profile = record
        return True

    def take_handset_change(self, customer: Customer, record: Record) -> bool:
        if any(self.identity(each) == self.identity(record) for each in customer.swaps):
            return False
        if len(customer.swaps) == 8:
            oldest = min(customer.swaps, key=order)
            if order(record) < order(oldest):
                return False
            customer.swaps.remove(oldest)
        customer.swaps.append(record)
        return True

    def take_complaint(self, customer: Customer, record: Record) -> bool:
        key = (record["source"], record["complaint_id"])
        if key not in customer.complaints and len(customer.complaints) == 8:
            oldest = min(customer.complaints, key=lambda each: order(self.newest(customer.complaints[each])))
            if order(record) < order(self.newest(customer.complaints[oldest])):
                return True
            del customer.complaints[oldest]
        customer.complaints.setdefault(key, []).append(record)
        return True

    def take_other(self, customer: Customer, record: Record) -> bool:
        return True

    take_bill = take_service_order = take_roaming = take_inquiry = take_other

    @staticmethod
    def identity(record: Record) -> tuple[str, str]:
        return record["source"], record["event_id"]

    @staticmethod
    def newest(records: list[Record]) -> Record:
        """The newest; of equals the one that came last."""
        best = records[0]
        for each in records[1:]:
            if order(each) >= order(best):
                best = each
        return best

    # --- ticks -----------------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """One tick: the hours that passed, in order of time; then what is due; then what loading left open."""
        before, self.now = self.now, max(self.now or now, now)
        had_rules, self.has_rules = self.has_rules, True
        is_quiet, self.history_since_tick = not self.history_since_tick, False
        if before is not None:
            day = local_date(before if had_rules else self.now)
            while day <= local_date(self.now):
                for minutes in (5, 360):
                    at = midnight(day) + minutes * 60_000
                    if (before < at if had_rules else at == self.now) and at <= self.now:
                        for customer in self.customers.values():
                            self.hour(customer, day, minutes, at)
                day += timedelta(days=1)
        for customer in self.customers.values():
            if is_quiet and customer.pending:
                self.tell_pending(customer, self.now)
            self.look_at_due(customer)

    def hour(self, customer: Customer, day: date, minutes: int, at: int) -> None:
        """One customer at 00:05 or 06:00 of a day."""
        if customer.profile is None:
            return
        if minutes == 360:
            if day.weekday() == 0:
                self.judge_an7(customer, day, at)
            self.judge_ft2(customer, day, at)
        else:
            self.judge_sp1(customer, day, at)

    def look_at_due(self, customer: Customer) -> None:
        assert self.now is not None
        for (rule, key), episode in list(customer.episodes.items()):
            if episode.is_open and episode.due is not None and episode.due <= self.now:
                due, episode.due = episode.due, None
                if rule == "AN1" and key in customer.complaints:
                    self.judge_an1(customer, key, due, self.now, due, False, False)

    def tell_pending(self, customer: Customer, log: int) -> None:
        """What history left open, or what was told before there were rules."""
        customer.pending = bool(customer.complaints) and customer.profile is None
        if customer.profile is not None:
            for key, records in list(customer.complaints.items()):
                opened = min(each["occurred_at"] for each in records)
                self.judge_an1(customer, key, log, log, opened, True, True)
        if customer.line is not None:
            self.judge_ns2(customer, log, log, customer.line["occurred_at"], True, True)

    # --- the life of a moment --------------------------------------------------------------------------------------

    def close_if_expired(self, episode: Episode | None, at: int) -> None:
        if episode is not None and episode.is_open and at >= episode.expires:
            episode.is_open, episode.due = False, None

    def may_open(self, customer: Customer, rule: str, episode: Episode | None, day: date) -> bool:
        if rule in customer.disarmed:
            return False
        return episode is None or (not episode.is_open and day >= episode.first_free_day)

    def raise_(
        self, customer: Customer, rule: str, key: Any, name: str, expires: int, free: date, **tell: Any
    ) -> Episode:
        known = customer.episodes.get((rule, key))
        revision = known.revision + 1 if known is not None and known.name == name else 1
        episode = Episode(name, True, revision, expires, free)
        customer.episodes[rule, key] = episode
        self.tell(customer, rule, episode, "RAISED", **tell)
        return episode

    def tell(self, customer: Customer, rule: str, episode: Episode, state: str, *, priority: int, channel: str,
             occurred: int, log: int, evidence: list[Any], nominal: date | None = None, earliest: int | None = None,
             history: bool = False, resolution: str | None = None, seen: int | None = None) -> None:  # fmt: skip
        """seen: the instant as of which the risk is judged, where it is not `occurred`."""
        risk = self.risk(customer, local_date(occurred if seen is None else seen))
        if rule == "AN7" and risk >= 60:
            channel = "CALL"
        self.findings.append(
            Finding(
                customer_id=customer.customer_id,
                rule_id=rule,
                episode=episode.name,
                revision=episode.revision,
                state=state,
                resolution=resolution,
                priority=priority,
                channel=channel,
                occurred_at=occurred,
                detected_at=log,
                nominal_date=nominal or local_date(occurred),
                earliest_contact_at=earliest,
                expires_at=episode.expires,
                history=history,
                city=customer.profile["city"] if customer.profile else "",
                risk=risk,
                evidence=tuple(
                    (name, *(float(x) if isinstance(x, int | Fraction) else x for x in rest))
                    for name, *rest in evidence
                ),
            )
        )

    def risk(self, customer: Customer, day: date) -> float:
        """The plain-sum card: points for falling calls and data, complaints, short tenure, no auto-pay, low balance."""
        score, profile = 0, customer.profile
        warm = customer.first_day is not None and (day - customer.first_day).days >= 35
        for ring, points in ((customer.seconds, (30, 20, 10, 0, 5)), (customer.data, (15, 10, 5, 0, 3))):
            week = self.days_sum(ring, day - timedelta(7), day - timedelta(1))
            mean = Fraction(self.days_sum(ring, day - timedelta(35), day - timedelta(8)), 4)
            if not warm or mean == 0:
                score += points[4]
            else:
                percent = week * 100 / mean
                score += points[0] if percent < 1 else points[1] if percent < 50 else points[2] if percent < 80 else 0
        opened = [local_date(min(e["occurred_at"] for e in records)) for records in customer.complaints.values()]
        complaints = sum(day - timedelta(90) <= each <= day for each in opened)
        score += 0 if complaints == 0 else 15 if complaints == 1 else 25
        joined = profile["joined_on"] if profile else None
        tenure = (day - date(1970, 1, 1)).days - joined if joined else -1
        score += 5 if tenure < 0 else 15 if tenure < 365 else 10 if tenure < 730 else 5 if tenure < 1826 else 0
        score += 0 if profile and profile["auto_pay"] else 10
        if customer.balance is None:
            return float(min(score + 2, 100))
        balance = customer.balance["balance_fen"]
        return float(min(score + (15 if balance < 0 else 8 if balance < 1000 else 0), 100))

    @staticmethod
    def days_sum(ring: dict[date, int], first: date, last: date) -> int:
        return sum(amount for day, amount in ring.items() if first <= day <= last)

    # --- the rules -------------------------------------------------------------------------------------------------

    def judge_an4(self, customer: Customer, at: int, log: int, may_raise: bool, event: Record) -> None:
        """Balance below max(10 yuan, 2 x mean daily charge of 28 closed days; cold: 10 yuan), no auto-pay."""
        if customer.profile is None:
            return
        assert customer.balance is not None
        day, balance = local_date(at), customer.balance["balance_fen"]
        mean = Fraction(self.days_sum(customer.charge, day - timedelta(28), day - timedelta(1)), 28)
        assert customer.first_day is not None
        observed = (day - customer.first_day).days
        limit = max(Fraction(1000), 2 * mean) if observed >= 28 else Fraction(1000)
        resolution = None
        if balance >= limit and customer.balance["reason"] == "TOP_UP":
            resolution = "topped_up"
        elif balance > 2 * limit:
            resolution = "recovered"
        arpu = customer.profile["arpu_fen"]
        tell: dict[str, Any] = {
            "priority": 2,
            "channel": "CALL" if arpu is not None and arpu > 50_000 else "SMS",
            "occurred": at,
            "log": log,
            "seen": at,
            "history": event["history"],
            "evidence": [("balance_fen", balance, mean, limit), ("observed_days", observed, None, 28)],
        }
        episode = customer.episodes.get(("AN4", None))
        self.close_if_expired(episode, at)
        if episode is not None and episode.is_open and resolution is not None:
            episode.is_open, episode.revision = False, episode.revision + 1
            self.tell(customer, "AN4", episode, "RESOLVED", resolution=resolution, **tell)
        if balance > 2 * limit:
            customer.disarmed.discard("AN4")
        is_low = balance < limit and not customer.profile["auto_pay"] and resolution is None
        if may_raise and is_low and self.may_open(customer, "AN4", episode, day):
            expires = midnight(day + timedelta(4))
            if log < expires:
                name = f"{at}:{self.name_of(event['source'], event['event_id'])}"
                self.raise_(customer, "AN4", None, name, expires, day + timedelta(3), **tell)
                customer.disarmed.add("AN4")

    def judge_ns2(self, customer: Customer, at: int, log: int, occurred: int, may_raise: bool, history: bool) -> None:
        """The line is suspended or terminated."""
        line = customer.line
        assert line is not None
        tell: dict[str, Any] = {
            "priority": 1,
            "channel": "NONE",
            "occurred": occurred,
            "log": log,
            "seen": at,
            "history": history,
            "evidence": [
                ("line_status", line["status"], None, None),
                ("line_since", line["occurred_at"], None, None),
            ],
        }
        episode = customer.episodes.get(("NS2", None))
        if episode is not None and episode.is_open:
            if line["status"] == "ACTIVE":
                episode.is_open, episode.revision = False, episode.revision + 1
                self.tell(customer, "NS2", episode, "RESOLVED", resolution="resumed", **tell)
            elif episode.watched != line["status"]:
                episode.watched, episode.revision = line["status"], episode.revision + 1
                self.tell(customer, "NS2", episode, "UPDATED", **tell)
        elif may_raise and line["status"] in SUSPENDED:
            name = f"{line['occurred_at']}:{self.name_of(line['source'], line['event_id'])}"
            raised = self.raise_(customer, "NS2", None, name, FAR, local_date(at), **tell)
            raised.watched = line["status"]

    def judge_an1(self, customer: Customer, key: tuple[str, str], at: int, log: int, occurred: int, may_raise: bool,
                  history: bool) -> None:  # fmt: skip
        """One moment per complaint; urgent when the topic comes again in 30 days, or after 48 hours."""
        if customer.profile is None:
            return
        newest = self.newest(customer.complaints[key])
        opened = min(each["occurred_at"] for each in customer.complaints[key])
        is_open = newest["state"] in ("OPENED", "UPDATED")
        again = 0
        for other, records in customer.complaints.items():
            other_opened = min(each["occurred_at"] for each in records)
            days = (local_date(opened) - local_date(other_opened)).days
            if other != key and self.newest(records)["topic"] == newest["topic"]:
                again += other_opened <= opened and days <= 30
        open_for = (at if is_open else newest["occurred_at"]) - opened
        priority = 1 if again or open_for > 48 * HOUR else 2
        earliest = newest["occurred_at"] if newest["state"] == "CLOSED" else opened + DAY
        expires, due = midnight(local_date(at) + timedelta(61)), opened + 48 * HOUR + 1 if is_open else None
        tell: dict[str, Any] = {
            "priority": priority,
            "channel": "CALL",
            "occurred": occurred,
            "log": log,
            "seen": at,
            "history": history,
            "earliest": earliest,
            "evidence": [
                ("complaint_id", newest["complaint_id"], None, None),
                ("state", newest["state"], None, None),
                ("open_ms", open_for, None, 48 * HOUR),
                ("same_topic_in_30_days", again, None, 1),
            ],
        }
        episode = customer.episodes.get(("AN1", key))
        self.close_if_expired(episode, at)
        if episode is not None and episode.is_open:
            if newest["state"] == "CONFIRMED":
                episode.is_open, episode.revision, episode.due = False, episode.revision + 1, None
                self.tell(customer, "AN1", episode, "RESOLVED", resolution="confirmed", **tell)
                return
            episode.due = due if due is not None and due > log else None
            if episode.watched != (priority, earliest):
                episode.watched, episode.revision, episode.expires = (priority, earliest), episode.revision + 1, expires
                self.tell(customer, "AN1", episode, "UPDATED", **tell)
        elif may_raise and newest["state"] in ("OPENED", "UPDATED", "CLOSED") and log < expires:  # noqa: SIM102
            if episode is None or local_date(at) >= episode.first_free_day:
                name = f"complaint:{self.name_of(*key)}"
                raised = self.raise_(customer, "AN1", key, name, expires, local_date(at), **tell)
                raised.watched = (priority, earliest)
                raised.due = due if due is not None and due > log else None

    def forget_episodes_of_forgotten_complaints(self, customer: Customer) -> None:
        for rule, key in [each for each in customer.episodes if each[0] == "AN1"]:
            if key not in customer.complaints:
                del customer.episodes[rule, key]

    def judge_an7(self, customer: Customer, monday: date, at: int) -> None:
        """Last week at most 60 % of the mean of the four weeks before, which is at least 30 minutes."""
        episode = customer.episodes.get(("AN7", None))
        if customer.first_day is None or customer.first_day > monday - timedelta(35):
            return
        self.close_if_expired(episode, at)
        week = self.days_sum(customer.seconds, monday - timedelta(7), monday - timedelta(1))
        four = self.days_sum(customer.seconds, monday - timedelta(35), monday - timedelta(8))
        mean = Fraction(four, 4)
        if week <= mean * 60 / 100 and mean >= 1800 and self.may_open(customer, "AN7", episode, monday):
            raised = self.raise_(
                customer, "AN7", None, monday.isoformat(), midnight(monday + timedelta(28)), monday + timedelta(30),
                priority=2 if week == 0 else 3, channel="CALL" if week == 0 else "SELF_SERVICE",
                occurred=midnight(monday), log=self.now or 0, nominal=monday,
                evidence=[("week_seconds", week, mean, mean * 60 / 100), ("mean_week_seconds", mean, None, 1800)],
            )  # fmt: skip
            raised.kept = Fraction(four)

    def end_an7(self, customer: Customer, at: int, log: int, history: bool) -> None:
        """The running week is back to 80 % of the mean that was compared with."""
        episode = customer.episodes.get(("AN7", None))
        day = local_date(at)
        if episode is None or not episode.is_open or day < date.fromisoformat(episode.name):
            return
        self.close_if_expired(episode, at)
        monday = day - timedelta(day.weekday())
        running = self.days_sum(customer.seconds, monday, monday + timedelta(6))
        if episode.is_open and running * 100 >= 80 * episode.kept / 4:
            episode.is_open, episode.revision = False, episode.revision + 1
            week = self.days_sum(customer.seconds, day - timedelta(7), day - timedelta(1))
            mean = episode.kept / 4
            self.tell(
                customer, "AN7", episode, "RESOLVED", resolution="recovered", priority=2 if week == 0 else 3,
                channel="CALL" if week == 0 else "SELF_SERVICE", occurred=at, log=log, history=history,
                evidence=[("running_week_seconds", running, mean, mean * 80 / 100)], seen=at,
            )  # fmt: skip

    def judge_ft2(self, customer: Customer, day: date, at: int) -> None:
        """The newest change by now is 24 hours old, its model unseen for 180 days, fewer than 3 changes in 7 days."""
        known = [each for each in customer.swaps if each["occurred_at"] <= at]
        episode = customer.episodes.get(("FT2", None))
        if not known:
            return
        self.close_if_expired(episode, at)
        newest = max(known, key=order)
        changed, model = newest["occurred_at"], newest["device_model"]
        unseen = self.days_unseen(customer.swaps, newest)
        changes = sum(day - timedelta(7) <= local_date(each["occurred_at"]) <= day for each in customer.swaps)
        is_new = (
            at - changed >= DAY
            and (day - local_date(changed)).days <= 7
            and unseen > 180
            and changes < 3
            and not newest["history"]
        )
        name = f"{changed}:{self.name_of(newest['source'], newest['event_id'])}"
        if not is_new or not self.may_open(customer, "FT2", episode, day) or (episode and episode.name == name):
            return
        assert customer.profile is not None
        lacking = (set(newest["capabilities"]) - set(customer.profile["plan_capabilities"])) & {
            "2G", "3G", "4G", "5G", "VOLTE", "ESIM", "DUAL_SIM",
        }  # fmt: skip
        self.raise_(
            customer, "FT2", None, name, midnight(day + timedelta(8)), day + timedelta(30), priority=3,
            channel="CALL" if customer.profile["tier"] == "TOP" else "SMS", occurred=changed, log=self.now or 0,
            nominal=day, seen=at,
            evidence=[
                ("device_model", model, None, None), ("stable_ms", at - changed, None, DAY),
                ("unseen_days", unseen, None, 180), ("changes_in_7_days", changes, None, 3),
                ("capabilities_beyond_plan", len(lacking), None, None),
            ],
        )  # fmt: skip

    def days_unseen(self, swaps: list[Record], newest: Record) -> int:
        """Days between the model's last use and its change; 100000 when it was never used."""
        model, seen = newest["device_model"], []
        if newest["previous_device_model"] == model:
            seen.append(newest["occurred_at"])
        in_order = sorted(swaps, key=order)
        before = in_order[: in_order.index(newest)]
        for place, each in enumerate(before):
            if each["device_model"] == model:
                seen.append(in_order[place + 1]["occurred_at"])
            if each["previous_device_model"] == model:
                seen.append(each["occurred_at"])
        return (local_date(newest["occurred_at"]) - local_date(max(seen))).days if seen else 100_000

    def judge_sp1(self, customer: Customer, day: date, at: int) -> None:
        """The birthday, but not with an open complaint."""
        assert customer.profile is not None
        episode = customer.episodes.get(("SP1", None))
        self.close_if_expired(episode, at)
        complaint = any(r == "AN1" and e.is_open and at < e.expires for (r, _), e in customer.episodes.items())
        if not is_birthday(customer.profile, day) or complaint:
            return
        if not self.may_open(customer, "SP1", episode, day):
            return
        self.raise_(
            customer, "SP1", None, day.isoformat(), midnight(day + timedelta(1)), day + timedelta(300), priority=4,
            channel="CALL" if customer.profile["tier"] == "TOP" else "SMS", occurred=midnight(day),
            log=self.now or 0, nominal=day, earliest=midnight(day) + 9 * HOUR + HOUR // 2,
            evidence=[("open_complaints", 0, None, 0)],
        )  # fmt: skip


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
