"""Test only: the process kills itself between two steps, as a power cut would.

`KAIROS_DETECTOR_CHAOS=page=0.01,manifest=0.2` gives the probability per step; `*` stands for every step.
"""

import os
import random
import signal
from collections.abc import Mapping
from typing import Final

STEPS: Final = (
    "applied",
    "outputs",
    "part",
    "page",
    "pages",
    "manifest",
    "committed",
    "trimmed",
    "loaded",
    "tick",
)

ChaosPlan = Mapping[str, float]


def parse_chaos(text: str) -> ChaosPlan:
    """Return step → probability; raises ValueError for an unknown step or a probability outside 0..1."""
    plan: dict[str, float] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        step, _, probability = part.partition("=")
        if step not in STEPS and step != "*":
            raise ValueError(f"KAIROS_DETECTOR_CHAOS knows {', '.join(STEPS)} and *; got {step!r}")
        value = float(probability)
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"KAIROS_DETECTOR_CHAOS wants a probability, got {part!r}")
        for each in STEPS if step == "*" else (step,):
            plan[each] = value
    return plan


class Chaos:
    """Kills this process with -9 at some steps; does nothing with an empty plan."""

    def __init__(self, plan: ChaosPlan) -> None:
        self._plan = plan
        self._random = random.Random()  # noqa: S311  # no secret; unlike any earlier life of the process

    def after(self, step: str) -> None:
        """Maybe die here."""
        if self._plan and self._random.random() < self._plan.get(step, 0.0):
            os.kill(os.getpid(), signal.SIGKILL)
