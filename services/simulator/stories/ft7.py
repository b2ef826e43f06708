"""FT7, first charge outside the plan: five yuan in this month, none in the three before."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import Event, Pen
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at

RULE = "FT7"


def plant(cast: Cast) -> None:
    """One of each."""
    for fen, name in ((500, "ft7/five-yuan"), (499, "ft7/a-fen-less")):
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        used = charged(cast, pen, fen)
        truth = [found_at(used, RULE, "five yuan outside the plan", final_state="RAISED")] if fen == 500 else []
        cast.tell(name, customer, live=[used], truth=truth)
    buys_a_pack(cast)
    charged_before(cast)


def buys_a_pack(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "ft7/buys-a-pack")
    used = charged(cast, pen, 800)
    pack = pen.order(beat(cast.span, 2), "SUBSCRIBE", "DATA_PACK", due_ms=cast.span.at(2), addon=True)
    truth = found_at(used, RULE, "ends when a pack is bought", final_state="RESOLVED")
    cast.tell("ft7/buys-a-pack", customer, live=[used, pack], truth=[truth])


def charged_before(cast: Cast) -> None:
    """One fen last month."""
    customer = cast.take()
    past, pen = cast.pens(customer, "ft7/not-the-first")
    before = past.usage(local_time.at(cast.span.day(-35), 12), "DATA", 10, charge_fen=1, out_of_bundle_fen=1)
    cast.tell("ft7/not-the-first", customer, history=[before], live=[charged(cast, pen, 900)])


def charged(cast: Cast, pen: Pen, fen: int) -> Event:
    """Data outside the plan on Tuesday."""
    return pen.usage(beat(cast.span, 1), "DATA", 3_000, charge_fen=fen, out_of_bundle_fen=fen, due_ms=cast.span.at(1))
