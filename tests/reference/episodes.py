"""The life of a moment: raised, told again, resolved, expired; hysteresis and cool-down. It knows no rule."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from tests.reference import risk
from tests.reference.findings import Condition, Finding, Number
from tests.reference.limits import RuleSet
from tests.reference.local_time import local_date
from tests.reference.memory import Customer
from tests.reference.order import Record

KEPT_MOST = 2**31 - 1
CYCLE_KEPT_DAYS = 160
"""How long a cycle that was raised is remembered."""


@dataclass
class Episode:
    """An episode of a rule, open or over."""

    name: str
    is_open: bool
    revision: int
    expires: int
    first_free_day: date
    nominal: date
    opened_at: int
    kept: Any = None
    watched: Any = None
    due: int | None = None
    cycle: int = 0


@dataclass
class View:
    """A customer at an instant, as rules see it, and where they tell what they found.

    at: of the event, of the nominal hour, or when something was due. log: the log's time, told as detected. kind,
    record: the event, where there is one. may_raise: False where only what is open may be told again.
    """

    customer: Customer
    at: int
    log: int
    rule_set: RuleSet
    findings: list[Finding]
    name_of: Callable[[str, str], str]
    kind: str = ""
    record: Record | None = None
    may_raise: bool = True
    history: bool = False

    @property
    def day(self) -> date:
        """The local date of `at`."""
        return local_date(self.at)

    @property
    def profile(self) -> Record:
        """The customer record, where the rule needs one."""
        assert self.customer.profile is not None
        return self.customer.profile

    def name(self, record: Record) -> str:
        """How an episode is named after the event that opened it."""
        return f"{record['occurred_at']}:{self.name_of(record['source'], record['event_id'])}"

    def limit(self, rule: str, name: str) -> Number:
        """A number of the catalogue, as it holds for this customer."""
        return self.rule_set.limit(rule, name, self.customer.profile)[0]

    def layer(self, rule: str, name: str) -> str:
        """Where that number comes from."""
        return self.rule_set.limit(rule, name, self.customer.profile)[1]

    def has_open(self, rule: str) -> bool:
        """True when a moment of a rule is open."""
        episodes = self.customer.episodes.items()
        return any(each == rule and episode.is_open and self.at < episode.expires for (each, _), episode in episodes)


@dataclass
class Verdict:
    """What a rule says of a customer at an instant. key: which of the rule's episodes; name: that which would open.

    ends: the word for the end, where the end condition holds. free: local days from the raise until the next.
    watched: what is told again when it changes. on_end: evidence of the end, where it differs. cycle: the month, for
    rules that raise once for each.
    """

    name: str
    fires: bool
    expires: int
    priority: int
    channel: str
    occurred: int
    evidence: list[Condition]
    key: Any = None
    ends: str | None = None
    free: int = 30
    rearms: bool | None = None
    on_end: list[Condition] | None = None
    earliest: int | None = None
    nominal: date | None = None
    watched: Any = None
    due: int | None = None
    kept: Any = None
    cycle: int = 0
    call_from_risk: int | None = None


def settle_at_event(view: View, rule: str, verdict: Verdict) -> None:
    """What follows from a verdict at an event, at a due time, or after loading the past."""
    customer, episode = view.customer, view.customer.episodes.get((rule, verdict.key))
    due = verdict.due if verdict.due is not None and verdict.due > view.log else None
    close_if_expired(episode, view.at)
    if episode is not None and episode.is_open:
        if verdict.ends is not None:
            end(view, rule, episode, verdict)
        else:
            episode.due = due
            if episode.watched != verdict.watched:
                episode.watched, episode.expires = verdict.watched, verdict.expires
                episode.revision += 1
                tell(view, rule, episode, verdict, "UPDATED")
    if verdict.rearms:
        customer.disarmed.discard(rule)
    fires = view.may_raise and verdict.fires and verdict.ends is None
    if fires and may_open(view, rule, episode) and view.log < verdict.expires:
        open_(view, rule, verdict, due)


def settle_at_hour(view: View, rule: str, verdict: Verdict) -> None:
    """What follows from a verdict at a nominal hour. An episode that was raised before is not raised again."""
    episode = view.customer.episodes.get((rule, verdict.key))
    close_if_expired(episode, view.at)
    is_news = episode is None or episode.name != verdict.name
    if verdict.fires and may_open(view, rule, episode) and is_news:
        open_(view, rule, verdict, None)


def settle_in_cycle(view: View, rule: str, verdict: Verdict) -> None:
    """What follows where there is one moment per cycle: first an end, then a raise for a later one than any before."""
    episode = view.customer.episodes.get((rule, verdict.key))
    close_if_expired(episode, view.at)
    if episode is not None and episode.is_open and verdict.ends is not None:
        end(view, rule, episode, verdict)
    is_news = episode is None or (not episode.is_open and verdict.cycle > episode.cycle)
    if view.may_raise and verdict.fires and is_news and view.log < verdict.expires:
        open_(view, rule, verdict, None)
    elif view.may_raise and verdict.fires and is_news and verdict.expires <= view.at:  # over before it began
        open_(view, rule, verdict, None)
        view.findings.pop()
        view.customer.episodes[rule, verdict.key].is_open = False


def close_if_expired(episode: Episode | None, at: int) -> None:
    """What has expired ends without a word."""
    if episode is not None and episode.is_open and at >= episode.expires:
        episode.is_open, episode.due = False, None


def may_open(view: View, rule: str, episode: Episode | None) -> bool:
    """True when neither an open episode, nor a missing re-arming, nor the cool-down forbids it."""
    if rule in view.customer.disarmed:
        return False
    return episode is None or (not episode.is_open and view.day >= episode.first_free_day)


def open_(view: View, rule: str, verdict: Verdict, due: int | None) -> None:
    """Raise. The same name again counts its revisions on."""
    known = view.customer.episodes.get((rule, verdict.key))
    revision = known.revision + 1 if known is not None and known.name == verdict.name else 1
    free_day = view.day + timedelta(CYCLE_KEPT_DAYS if verdict.cycle else verdict.free)
    nominal = verdict.nominal or local_date(verdict.occurred)
    if known is not None and known.name == verdict.name:
        nominal = known.nominal
    episode = Episode(
        verdict.name, True, revision, verdict.expires, free_day, nominal, verdict.occurred,
        kept=bounded(verdict.kept), watched=verdict.watched, due=due, cycle=verdict.cycle,
    )  # fmt: skip
    view.customer.episodes[rule, verdict.key] = episode
    if verdict.rearms is not None:
        view.customer.disarmed.add(rule)
    tell(view, rule, episode, verdict, "RAISED")


def bounded(kept: Any) -> Any:
    """What an episode keeps stops where every sum stops."""
    return min(kept, KEPT_MOST) if isinstance(kept, int | Fraction) else kept


def end(view: View, rule: str, episode: Episode, verdict: Verdict) -> None:
    """Resolve."""
    episode.is_open, episode.due = False, None
    episode.revision += 1
    tell(view, rule, episode, verdict, "RESOLVED")


def tell(view: View, rule: str, episode: Episode, verdict: Verdict, state: str) -> None:
    """Append the finding."""
    customer = view.customer
    score, terms = risk.score(customer, view.day)
    evidence = verdict.on_end if state == "RESOLVED" and verdict.on_end is not None else verdict.evidence
    view.findings.append(
        Finding(
            customer_id=customer.customer_id,
            rule_id=rule,
            episode=episode.name,
            revision=episode.revision,
            state=state,
            resolution=verdict.ends if state == "RESOLVED" else None,
            priority=2 if rule == "AN12" and score >= 70 else verdict.priority,
            channel="CALL"
            if verdict.call_from_risk is not None and score >= verdict.call_from_risk
            else verdict.channel,
            occurred_at=verdict.occurred,
            detected_at=view.log,
            nominal_date=episode.nominal,
            earliest_contact_at=verdict.earliest,
            expires_at=episode.expires,
            history=view.history,
            city=customer.profile["city"] if customer.profile else "",
            segment=(customer.profile["segment"] or "") if customer.profile else "",
            risk=score,
            risk_terms=terms,
            evidence=tuple(evidence),
        )
    )
