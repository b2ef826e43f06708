"""The slow, obvious evaluator: one customer and one log entry at a time, in plain Python.

Written to be read, not to be fast. It knows the rules as text (`rules/`), not as rule files, and shares no code with
the engine. A log entry is ("event", kind, record), ("tick", now_ms) or ("tick", now_ms, rule set); records have the
Avro fields, rule sets are numbers that count up. A `Finding` is one revision.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from tests.reference.episodes import View
from tests.reference.findings import Finding
from tests.reference.limits import RuleSet
from tests.reference.local_time import DAY, HOUR, MINUTE, local_date, midnight
from tests.reference.memory import Customer, is_duplicate
from tests.reference.memory_of_cases import forget
from tests.reference.order import Record, order
from tests.reference.rules.catalogue import CATALOGUE
from tests.reference.rules.rule import Rule
from tests.reference.taking import take

FUTURE_TOLERANCE = 300_000
CATCH_UP_DAYS = 62
FORGETTING = 5
"""Minute of the day at which is forgotten what no rule can ask for any more, before the rules of that instant."""


class Reference:
    """Feed it a log; it returns the findings in the order in which they are made.

    name_of: (source, event id) → how an event is named in episodes; the one thing that is the engine's to define.
    shipped: ids of the rules to judge. rule_sets: what a tick can announce, by number.
    """

    def __init__(
        self, name_of: Callable[[str, str], str], shipped: Iterable[str], rule_sets: Sequence[RuleSet] = (RuleSet(),)
    ) -> None:
        wanted = set(shipped)
        self.rules = [rule for rule in CATALOGUE if rule.id in wanted]
        self.rule_sets = rule_sets
        self.announced = -1
        self.customers: dict[int, Customer] = {}
        self.now: int | None = None
        self.history_since_tick = False
        self.events = 0
        self.name_of = name_of
        self.findings: list[Finding] = []

    def run(self, log: Iterable[tuple[Any, ...]]) -> list[Finding]:
        """Apply a log; return all findings."""
        for entry in log:
            if entry[0] == "tick":
                self.tick(entry[1], entry[2] if len(entry) > 2 else 0)
            else:
                self.event(entry[1], entry[2])
        return self.findings

    def in_force(self, at: int | None = None) -> RuleSet | None:
        """The newest announced set that holds at an instant; without one: the newest."""
        for rule_set in reversed(self.rule_sets[: self.announced + 1]):
            if at is None or rule_set.effective_from <= at:
                return rule_set
        return None

    def rules_of(self, rule_set: RuleSet) -> list[Rule]:
        """The rules of a set."""
        return [rule for rule in self.rules if rule_set.rules is None or rule.id in rule_set.rules]

    def view(self, customer: Customer, at: int, log: int, rule_set: RuleSet, **more: Any) -> View:
        """What rules see."""
        return View(customer, at, log, rule_set, self.findings, self.name_of, **more)

    # --- events ----------------------------------------------------------------------------------------------------

    def event(self, kind: str, record: Record) -> None:
        """One event: remembered, then judged."""
        customer = self.customers.setdefault(record["customer_id"], Customer(record["customer_id"]))
        rule_set = self.in_force(record["occurred_at"])
        self.events += 1
        record = {**record, "place": self.events}
        if record["history"]:
            self.history_since_tick = True
        elif record["occurred_at"] > record["ingested_at"] + FUTURE_TOLERANCE:
            record["occurred_at"] = record["ingested_at"]
        if is_duplicate(customer, kind, record):
            return
        if kind == "customer" and self.announced < 0:
            record["attributes"] = {}  # no risk card was there to look their places up in
        log = record["ingested_at"]
        if not record["history"] and customer.pending and rule_set is not None:
            self.tell_pending(customer, log, rule_set)
        is_newest = take(customer, kind, record)
        if kind in ("line-status", "complaint") and (record["history"] or rule_set is None):
            customer.pending = True
        if not is_newest or rule_set is None:
            return
        if kind == "service-order" and not record["history"] and any(rule.waits for rule in self.rules_of(rule_set)):
            customer.waiting.append(customer.orders[-1])
        view = self.view(
            customer, record["occurred_at"], log, rule_set,
            kind=kind, record=record, may_raise=not record["history"], history=record["history"],
        )  # fmt: skip
        for rule in self.rules_of(rule_set):
            if kind in rule.kinds and (customer.profile is not None or not rule.needs_profile):
                rule.at_event(view)
            if kind in rule.ends_on:
                rule.end_at_event(view)

    # --- ticks -----------------------------------------------------------------------------------------------------

    def tick(self, now: int, announces: int) -> None:
        """One tick: the hours that passed, in order of time; then what is due; then what loading left open."""
        before, had_rules = self.now, self.announced >= 0
        self.now = max(self.now or now, now)
        self.announced = max(self.announced, announces)
        is_quiet, self.history_since_tick = not self.history_since_tick, False
        if self.announced < 0:
            return
        if before is not None and self.now > before:
            self.catch_up(before if had_rules else max(before, self.now - 1))
        rule_set = self.in_force(self.now)
        if rule_set is None:
            return
        for customer in self.customers.values():
            if is_quiet and customer.pending:
                self.tell_pending(customer, self.now, rule_set)
            self.look_at_waits(customer, rule_set)
            self.look_at_due(customer, rule_set)

    def catch_up(self, after: int) -> None:
        """All nominal hours in (after, now]; of a longer outage the last 62 days."""
        assert self.now is not None
        day = max(local_date(after), local_date(self.now) - timedelta(CATCH_UP_DAYS))
        while day <= local_date(self.now):
            for minute in sorted({FORGETTING, *self.minutes()}):
                at = midnight(day) + minute * MINUTE
                if after < at <= self.now:
                    self.hour(day, minute, at)
            day += timedelta(days=1)

    def minutes(self) -> Iterable[int]:
        """Minutes of the local day at which calendar rules are judged."""
        for rule in self.rules:
            if rule.minute is not None:
                yield rule.minute
            if rule.is_hourly:
                yield from range(0, 24 * 60, 60)

    def hour(self, day: date, minute: int, at: int) -> None:
        """One nominal hour, for everybody. A full hour of more than a day ago is no matter any more."""
        rule_set, now = self.in_force(at), self.now
        assert now is not None
        if rule_set is None:
            return
        judged = [
            rule
            for rule in self.rules_of(rule_set)
            if (rule.minute == minute and rule.is_on(day)) or (rule.is_hourly and minute % 60 == 0 and now - at <= DAY)
        ]
        for customer in self.customers.values():
            if minute == FORGETTING:
                forget(customer, day)
            for rule in judged:
                if customer.profile or not rule.needs_profile:
                    rule.at_hour(self.view(customer, at, now, rule_set))

    def look_at_waits(self, customer: Customer, rule_set: RuleSet) -> None:
        """Orders of 24 hours ago, in their order, once."""
        assert self.now is not None
        due = [each for each in customer.waiting if each["occurred_at"] + 24 * HOUR <= self.now]
        customer.waiting = [each for each in customer.waiting if each not in due]
        for record in sorted(due, key=order):
            view = self.view(customer, record["occurred_at"] + 24 * HOUR, self.now, rule_set)
            for rule in self.rules_of(rule_set):
                if rule.waits and customer.profile and any(each is record for each in customer.orders):
                    rule.after_wait(view, record)

    def look_at_due(self, customer: Customer, rule_set: RuleSet) -> None:
        """Open episodes that wanted to be looked at by now, as of the instant that they named."""
        assert self.now is not None
        rules = {rule.id: rule for rule in self.rules_of(rule_set)}
        for (rule, key), episode in list(customer.episodes.items()):
            if episode.is_open and episode.due is not None and episode.due <= self.now:
                due, episode.due = episode.due, None
                if rule in rules:
                    rules[rule].at_due(self.view(customer, due, self.now, rule_set, may_raise=False), key, episode)

    def tell_pending(self, customer: Customer, log: int, rule_set: RuleSet) -> None:
        """What history left open, or what was told before there were rules."""
        customer.pending = bool(customer.complaints) and customer.profile is None
        view = self.view(customer, log, log, rule_set, history=True)
        for rule in self.rules_of(rule_set):
            if rule.tells_history and (customer.profile is not None or not rule.needs_profile):
                rule.after_history(view)
