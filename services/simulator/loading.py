"""Loads the past of a plan through the file door: profiles first, then all kinds, a few files at a time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.simulator.doors import DoorStuck, load_file
from services.simulator.files import write_history
from services.simulator.plan import Plan

FILES_AT_ONCE = 3
FIRST_KIND = "customer"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """How the loading went; `counts` are events by kind."""

    counts: dict[str, int]
    seconds: float

    @property
    def total(self) -> int:
        """Events of all kinds."""
        return sum(self.counts.values())


async def load_history(
    plan: Plan, folder: Path, *, env: dict[str, str], tell: Callable[[str], None] = lambda _: None
) -> Loaded:
    """Write the history as files and load each. Raises DoorStuck when the file door refuses any of it."""
    started = time.monotonic()
    files = await asyncio.to_thread(write_history, folder, plan.history())
    gate = asyncio.Semaphore(FILES_AT_ONCE)

    async def load(kind: str) -> None:
        path, count = files[kind]
        async with gate:
            result = await load_file(path, kind=kind, env=env, history=True)
        if result.exit_code != 0:
            raise DoorStuck(f"history of {kind}: exit code {result.exit_code}: {result.output[-800:]}")
        tell(f"history: {count} {kind} events loaded")

    await load(FIRST_KIND)
    others = sorted((kind for kind in files if kind != FIRST_KIND), key=lambda kind: -files[kind][1])
    await asyncio.gather(*(load(kind) for kind in others))
    counts = {kind: count for kind, (_, count) in files.items()}
    return Loaded(counts=counts, seconds=time.monotonic() - started)
