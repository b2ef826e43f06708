"""A whole simulated run: people, history, sessions of live events, truth. Pure: the same arguments, the same plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from services.simulator.background import session_events
from services.simulator.cast import Cast, Story
from services.simulator.events import Event
from services.simulator.history import ordinary_history
from services.simulator.province import Customer, Province, build_province
from services.simulator.span import Session, Span
from services.simulator.stories import (
    an1,
    an2,
    an3,
    an4,
    an5,
    an6,
    an7,
    an9,
    an10,
    an11,
    an13,
    an14,
    an15,
    an16,
    an17,
    ft1,
    ft2,
    ft3,
    ft4,
    ft5,
    ft6,
    ft7,
    gates,
    ns2,
    sp1,
    sp3,
)
from services.simulator.truth import Truth

# Whose moments the truth tells completely; about other rules the plan says nothing.
RULE_STORIES = (an4, ft2, an1, an7, sp1, ns2, ft1, ft3, ft4, ft5, ft6, ft7, an2, an3, an5, an6, an9, an10, an11, an13,
                an14, an15, an16, an17, sp3)  # fmt: skip
# These cannot happen in a span of a week or two: of them nothing may be found.
SILENT_RULES = frozenset({"AN8", "AN12"})
COVERED_RULES = frozenset(stories.RULE for stories in RULE_STORIES) | SILENT_RULES
# Customers kept for one of each story; calls come on top.
STORY_CUSTOMERS = 190
CALL_STORY = "an4/call"
# Stories in which a complaint is open on the morning of the customer's birthday.
BIRTHDAY_BLOCKED_STORIES = frozenset({"sp1/complaint-opened", "sp1/complaint-closed"})


@dataclass(frozen=True, kw_only=True)
class SessionPlan:
    """What one session sends: harmless background in any order, planted events in the order given."""

    session: Session
    background: tuple[Event, ...]
    planted: tuple[Event, ...]
    calls: tuple[Event, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that will happen."""

    seed: int
    span: Span
    province: Province
    # Customers with no story.
    ordinary: tuple[Customer, ...]
    stories: tuple[Story, ...]
    truth: tuple[Truth, ...]
    # Rules of which the truth has every moment.
    covers: frozenset[str] = COVERED_RULES

    @property
    def people(self) -> tuple[Customer, ...]:
        """Everybody, as the stories have changed them."""
        return (*self.ordinary, *(story.customer for story in self.stories))

    def history(self) -> Iterator[Event]:
        """All that happened before the first live day."""
        ordinary = (ordinary_history(person, span=self.span, seed=self.seed) for person in self.ordinary)
        return chain(chain.from_iterable(ordinary), chain.from_iterable(story.history for story in self.stories))

    def session(self, session: Session) -> SessionPlan:
        """What is sent in one session."""
        due = [event for story in self.stories for event in story.live if event.due_ms == session.at_ms]
        return SessionPlan(
            session=session,
            background=tuple(session_events(self.ordinary, session, span=self.span, seed=self.seed)),
            planted=tuple(event for event in due if event.story != CALL_STORY),
            calls=tuple(event for event in due if event.story == CALL_STORY),
        )


def build_plan(
    *, seed: int, customers: int, span: Span, managers_per_city: int = 2, calls_per_session: int = 6
) -> Plan:
    """Make the plan of a run; the customers with a story are among the `customers`."""
    province = build_province(
        seed=seed,
        customers=customers,
        managers_per_city=managers_per_city,
        safe_from=span.first_day,
        safe_until=span.first_day,
    )
    sessions = span.sessions()
    reserved = STORY_CUSTOMERS + calls_per_session * len(sessions)
    assert customers > reserved, f"a province of this plan needs more than {reserved} customers"
    cast = Cast(people=province.customers[-reserved:], span=span, seed=seed)
    for stories in (*RULE_STORIES, gates):
        stories.plant(cast)
    for session in sessions:
        an4.plant_calls(cast, day=session.day, part=session.part, count=calls_per_session)
    check_story_events_are_due_in_sessions(cast, sessions)
    ordinary = (*province.customers[:-reserved], *cast.people[len(cast.stories) :])
    return Plan(
        seed=seed,
        span=span,
        province=province,
        ordinary=ordinary,
        stories=tuple(cast.stories),
        truth=tuple(all_truth(ordinary, cast)),
    )


def all_truth(ordinary: tuple[Customer, ...], cast: Cast) -> Iterator[Truth]:
    """What the stories say, and the birthdays and anniversaries of everybody."""
    for story in cast.stories:
        yield from story.truth
    people = (*ordinary, *(story.customer for story in cast.stories))
    blocked = frozenset(s.customer.customer_id for s in cast.stories if s.name in BIRTHDAY_BLOCKED_STORIES)
    yield from sp1.birthdays(people, cast.span, except_for=blocked)
    yield from sp3.anniversaries(people, cast.span)


def check_story_events_are_due_in_sessions(cast: Cast, sessions: list[Session]) -> None:
    """A live event that no session sends would be a silent hole in the plan."""
    due = {session.at_ms for session in sessions}
    for story in cast.stories:
        for event in story.live:
            assert event.due_ms in due, f"{story.name}: an event is due outside every session"
