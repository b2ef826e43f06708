"""What a rule is to the evaluator: when it is asked, and what it answers."""

from datetime import date
from typing import Any

from tests.reference.episodes import Episode, Verdict, View, settle_at_event, settle_at_hour
from tests.reference.order import Record


class Rule:
    """A rule of the catalogue. kinds: the events that it listens to, where it is immediate.

    minute: of the local day at which it is judged, where it is a calendar rule. waits: judged 24 hours after an order.
    """

    id = ""
    kinds: tuple[str, ...] = ()
    ends_on: tuple[str, ...] = ()
    minute: int | None = None
    is_hourly = False
    waits = False
    needs_profile = True
    tells_history = False

    def is_on(self, day: date) -> bool:
        """True when a calendar rule is judged on this day."""
        return True

    def at_event(self, view: View) -> None:
        """Judge at an event."""
        self.settle(view, self.judge(view))

    def at_hour(self, view: View) -> None:
        """Judge at the nominal hour of a day."""
        verdict = self.judge(view)
        if verdict is not None:
            settle_at_hour(view, self.id, verdict)

    def end_at_event(self, view: View) -> None:
        """Look whether an event ends what a calendar rule raised."""

    def at_due(self, view: View, key: Any, episode: Episode) -> None:
        """Look again at an open episode whose due time has come."""

    def after_wait(self, view: View, record: Record) -> None:
        """Judge an order after its wait."""

    def after_history(self, view: View) -> None:
        """Look at what loading the past left open."""

    def judge(self, view: View) -> Verdict | None:
        """What the rule says; None where it cannot say anything."""
        raise NotImplementedError

    def settle(self, view: View, verdict: Verdict | None) -> None:
        """Let a verdict of an immediate rule have its consequences."""
        if verdict is not None:
            settle_at_event(view, self.id, verdict)
