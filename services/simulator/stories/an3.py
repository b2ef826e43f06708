"""AN3, sudden fall: the charge of a week against four; shielded by travel."""

from services.simulator.cast import Cast
from services.simulator.events import Event
from services.simulator.stories import an4
from services.simulator.stories.beats import beat
from services.simulator.truth import Truth, expected

RULE = "AN3"
# What a week of an4.spend comes to.
WEEK_FEN = 7 * an4.SPEND_FEN_A_DAY


def plant(cast: Cast) -> None:
    """One of each; the evaluation is at 06:00 of the second Monday."""
    if cast.span.days <= 7:
        return
    for fen, name in ((0, "an3/stops"), (WEEK_FEN // 2, "an3/half"), (WEEK_FEN // 2 + 1, "an3/a-fen-more")):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        live = [pen.usage(beat(cast.span, 2), "DATA", 5_000, charge_fen=fen, due_ms=cast.span.at(2))] if fen else []
        truth = [found(cast, customer.customer_id)] if fen <= WEEK_FEN // 2 else []
        cast.tell(name, customer, history=list(an4.spend(past, cast.span, days=28)), live=live, truth=truth)
    shielded(cast)


def found(cast: Cast, customer_id: int) -> Truth:
    """The moment of the second Monday."""
    return expected(customer_id, RULE, cast.span.day(7), "spent half or less of four weeks' mean", final_priority=3)


def shielded(cast: Cast) -> None:
    """Came home from a journey within the five weeks."""
    customer = cast.take()
    past, pen = cast.pens(customer, "an3/travelled")
    home: Event = pen.roaming(beat(cast.span, 2), "CN", "LANDED", due_ms=cast.span.at(2))
    cast.tell("an3/travelled", customer, history=list(an4.spend(past, cast.span, days=28)), live=[home])
