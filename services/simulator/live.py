"""An endless, gentle stream for demos: harmless events of anybody, and now and then a planted moment.

Pure: the caller says what time it is and sends what comes out. Every planted moment uses a customer who has not been
used before in this run; when all have been, planting starts over, and cool-downs may then swallow a moment.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from services.simulator import local_time
from services.simulator.background import something
from services.simulator.events import Event, Pen
from services.simulator.plan import Plan
from services.simulator.province import Customer
from services.simulator.span import Session
from services.simulator.truth import Truth, expected

# The demo's person at the terminal; every second planted call is theirs.
HOME_CITY = "NJ"
HOME_MANAGER = "m-NJ-01"


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A planted moment: what is sent at once, what is to be found, and a sentence for whoever watches."""

    events: tuple[Event, ...]
    truth: Truth
    sentence: str


@dataclass
class LiveStream:
    """Where the stream stands; `run` tells runs of one province apart, so that event ids never repeat."""

    plan: Plan
    run: int
    planted: int = 0
    ticks: int = 0
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.plan.seed}/live/{self.run}")
        people = self.plan.ordinary
        self._callers_at_home = [p for p in people if may_be_called(p) and p.owner_manager_id == HOME_MANAGER]
        self._callers = [p for p in people if may_be_called(p) and p.owner_manager_id != HOME_MANAGER]
        self._others = [p for p in people if p.tier != "TOP" and p.weekly_voice_seconds == 0]

    def harmless(self, count: int, *, now_ms: int) -> list[Event]:
        """Some events that raise nothing, as of now."""
        self.ticks += 1
        prefix = f"d{self.plan.seed}-{self.run}-{self.ticks}"
        session = Session(day=0, part="am", at_ms=now_ms)
        people = self.random.sample(self.plan.ordinary, k=min(count, len(self.plan.ordinary)))
        return [e for person in people for e in self._of_person(person, session, prefix)][:count]

    def _of_person(self, person: Customer, session: Session, prefix: str) -> Iterator[Event]:
        if person.weekly_voice_seconds and self.random.random() < 0.5:
            pen = Pen(person, prefix=f"{prefix}v")
            yield pen.voice(session.at_ms - self.random.randrange(60_000), person.weekly_voice_seconds // 7)
        else:
            yield from something(person, session, self.plan.span, self.random, prefix=prefix)

    def next_planted(self, *, now_ms: int) -> Planted:
        """The next planted moment: calls for the home manager in between all the others."""
        number = self.planted
        self.planted += 1
        makers: Sequence[Callable[[int, int], Planted]] = (
            self._low_balance_at_home,
            self._low_balance_at_home,
            self._low_balance,
            self._complaint,
            self._low_balance_at_home,
            self._suspension,
            self._handset,
            self._low_balance_at_home,
            self._fault,
            self._leaving,
            self._low_balance_at_home,
            self._landing,
            self._cancellation,
        )
        return makers[number % len(makers)](number, now_ms)

    def _low_balance_at_home(self, number: int, now_ms: int) -> Planted:
        return self._falls_low(self._callers_at_home or self._callers, number, now_ms)

    def _low_balance(self, number: int, now_ms: int) -> Planted:
        return self._falls_low(self._callers, number, now_ms)

    def _falls_low(self, people: Sequence[Customer], number: int, now_ms: int) -> Planted:
        person = people[number % len(people)]
        event = self._pen(person, number).balance(now_ms, 950 - number % 700)
        return self._planted([event], person, "AN4", "balance below the floor, high revenue: a call")

    def _complaint(self, number: int, now_ms: int) -> Planted:
        person = self._others[number % len(self._others)]
        pen = self._pen(person, number)
        complaint_id = f"C-{self.run}-{number}"
        opened = pen.complaint(now_ms - local_time.HOUR_MS, complaint_id, "OPENED", "BILLING", due_ms=now_ms)
        closed = pen.complaint(now_ms, complaint_id, "CLOSED", "BILLING")
        return self._planted([opened, closed], person, "AN1", "complaint, closed just now: its owner calls")

    def _suspension(self, number: int, now_ms: int) -> Planted:
        person = self._others[number % len(self._others)]
        event = self._pen(person, number).line_status(now_ms, "SUSPENDED_VOLUNTARY")
        return self._planted([event], person, "NS2", "line suspended: nobody may call")

    def _handset(self, number: int, now_ms: int) -> Planted:
        person = self._others[number % len(self._others)]
        event = self._pen(person, number).handset(now_ms, f"Ginkgo {number}")
        found_on = local_time.local_date(now_ms - 1 + local_time.DAY_MS + 18 * local_time.HOUR_MS)
        truth = expected(person.customer_id, "FT2", found_on, "new handset, found when it has been used for a day")
        return Planted(events=(event,), truth=truth, sentence=f"{person.city}: new handset (FT2, in a day or two)")

    def _fault(self, number: int, now_ms: int) -> Planted:
        person = self._others[number % len(self._others)]
        event = self._pen(person, number).inquiry(now_ms, f"F-{self.run}-{number}", "FAULT", "OPENED")
        return self._planted([event], person, "AN5", "reports a fault: a call at once")

    def _leaving(self, number: int, now_ms: int) -> Planted:
        person = self._others[number % len(self._others)]
        event = self._pen(person, number).inquiry(now_ms, f"L-{self.run}-{number}", "PORTING", "OPENED")
        return self._planted([event], person, "AN17", "asks how to take the number elsewhere")

    def _landing(self, number: int, now_ms: int) -> Planted:
        person = self._others[number % len(self._others)]
        event = self._pen(person, number).roaming(now_ms, "JP", "LANDED")
        return self._planted([event], person, "FT5", "lands in Japan for the first time")

    def _cancellation(self, number: int, now_ms: int) -> Planted:
        person = self._others[number % len(self._others)]
        event = self._pen(person, number).order(now_ms, "CANCEL", "BROADBAND", core=True)
        return self._planted([event], person, "AN15", "cancels broadband, a core service")

    def _pen(self, person: Customer, number: int) -> Pen:
        return Pen(person, prefix=f"p{self.plan.seed}-{self.run}-{number}", story="demo")

    def _planted(self, events: Sequence[Event], person: Customer, rule_id: str, why: str) -> Planted:
        day = local_time.local_date(events[0].occurred_at_ms)
        truth = expected(person.customer_id, rule_id, day, why, trigger=events[0].identity)
        whose = f" for {person.owner_manager_id}" if rule_id in ("AN4", "AN1") else ""
        return Planted(events=tuple(events), truth=truth, sentence=f"{person.city}: {why} ({rule_id}{whose})")


def may_be_called(person: Customer) -> bool:
    """True for those whom a low balance brings a call: high revenue, no auto-pay."""
    return person.arpu_fen > 50_000 and not person.auto_pay
