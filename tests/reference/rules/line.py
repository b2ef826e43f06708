"""NS2."""

from tests.reference.episodes import Verdict, View
from tests.reference.findings import seen
from tests.reference.local_time import FAR
from tests.reference.memory import SUSPENDED
from tests.reference.rules.rule import Rule


class NS2(Rule):
    """The line is suspended or terminated."""

    id = "NS2"
    kinds = ("line-status",)
    needs_profile = False
    tells_history = True

    def at_event(self, view: View) -> None:
        """At the newest status."""
        self.settle(view, self.verdict(view, view.at))

    def after_history(self, view: View) -> None:
        """The status that was loaded."""
        if view.customer.line is not None:
            self.settle(view, self.verdict(view, view.customer.line["occurred_at"]))

    def verdict(self, view: View, occurred: int) -> Verdict:
        """What is to be said of the line."""
        line = view.customer.line
        assert line is not None
        return Verdict(
            name=view.name(line),
            fires=line["status"] in SUSPENDED,
            ends="resumed" if line["status"] == "ACTIVE" else None,
            expires=FAR,
            free=0,
            priority=1,
            channel="NONE",
            occurred=occurred,
            watched=line["status"],
            evidence=[
                seen("line_status", "text", line["status"]),
                seen("line_since", "ms", line["occurred_at"]),
            ],
        )
