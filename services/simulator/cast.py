"""Hands out customers to stories, so that no customer plays in two.

A story's customer is a person of the province with what the story needs changed: hardly calls, no auto-pay, no birthday
or anniversary in the span, unless the story says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from services.simulator.events import Event, Pen
from services.simulator.history import opening
from services.simulator.province import Customer
from services.simulator.span import Span
from services.simulator.truth import Truth

# Birthdays and anniversaries of a story's customer lie so far after the span's beginning.
FAR_OFF_DAYS = 150


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that one customer lives through, and what must be found."""

    name: str
    customer: Customer
    history: tuple[Event, ...]
    # In the order in which they are to arrive.
    live: tuple[Event, ...]
    truth: tuple[Truth, ...]


@dataclass
class Cast:
    """The customers reserved for stories and those already given away."""

    people: Sequence[Customer]
    span: Span
    seed: int
    stories: list[Story] = field(default_factory=list)

    def take(self, **changes: Any) -> Customer:
        """The next reserved customer, changed."""
        assert len(self.stories) < len(self.people), "more stories than reserved customers"
        person = self.people[len(self.stories)]
        far_off = (self.span.first_day + timedelta(days=FAR_OFF_DAYS)).replace(day=5).strftime("%m-%d")
        defaults: dict[str, Any] = {"weekly_voice_seconds": 0, "auto_pay": False}
        defaults |= {"birthday": f"1980-{far_off}", "joined_on": f"2016-{far_off}"}
        return replace(person, **(defaults | changes))

    def pens(self, customer: Customer, name: str) -> tuple[Pen, Pen]:
        """Pens for the past and for the present of a story."""
        return Pen(customer, prefix=f"sh{self.seed}", story=name), Pen(customer, prefix=f"s{self.seed}", story=name)

    def tell(
        self,
        name: str,
        customer: Customer,
        *,
        live: Sequence[Event] = (),
        truth: Sequence[Truth] = (),
        history: Sequence[Event] = (),
        whole_history: bool = False,
    ) -> None:
        """Add a story. Its history stands on the usual opening unless it is told to be the whole of it."""
        before = () if whole_history else tuple(opening(customer, span=self.span, seed=self.seed))
        story = Story(name=name, customer=customer, history=(*before, *history), live=tuple(live), truth=tuple(truth))
        self.stories.append(story)
