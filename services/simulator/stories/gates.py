"""Stories about not disturbing: own quiet windows, an open complaint, refusal of a group, an unfinished card."""

from services.simulator.cast import Cast
from services.simulator.events import Event
from services.simulator.stories import an1, an4
from services.simulator.stories.beats import beat


def plant(cast: Cast) -> None:
    """One of each; the moments are all raised, what differs is what becomes of them."""
    own_quiet_window(cast)
    two_moments_one_card(cast)


def own_quiet_window(cast: Cast) -> None:
    """Wants no call before the afternoon; runs low in the morning."""
    for window in ("09:00-14:30", "08:00-12:00"):
        name = f"gates/quiet-{window}"
        customer = an4.high_revenue(cast, quiet_windows=(window,))
        _, pen = cast.pens(customer, name)
        low = an4.runs_low_for_a_call(pen, cast.span, 0)
        cast.tell(name, customer, live=[low], truth=[an4.found(low, f"low, but quiet {window}")])


def two_moments_one_card(cast: Cast) -> None:
    """A complaint and a low balance of one customer on one day."""
    customer = an4.high_revenue(cast)
    _, pen = cast.pens(customer, "gates/complaint-and-low")
    opened = pen.complaint(beat(cast.span, 1), "GATE-1", "OPENED", "TARIFF", due_ms=cast.span.at(1))
    low: Event = an4.runs_low_for_a_call(pen, cast.span, 1)
    truth = [an1.found(opened, "complaint"), an4.found(low, "low balance of the same customer")]
    cast.tell("gates/complaint-and-low", customer, live=[opened, low], truth=truth)
