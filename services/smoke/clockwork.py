"""Moves the business clock of a whole stack, and waits until everybody has seen it move and has come to rest."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from services.clock import ClockLine, parse_clock_line, write_clock_file
from services.smoke.log_watcher import LogWatcher
from services.smoke.probes import UNFINISHED, WITH_PEOPLE, Probes

LOOK_SECONDS = 0.05
QUIET_LOOKS = 4
QUIET_PAUSE_SECONDS = 0.12
MINUTE_MS = 60_000
# For every process and partition to know a new time; a detector that was just killed may first compile its rules.
KNOWN_SECONDS = 90.0


class NeverIdle(RuntimeError):
    """Something was still under way when the deadline came; the message says what."""


class Clockwork:
    """The one hand on the clock file."""

    def __init__(self, path: Path, probes: Probes, watcher: LogWatcher) -> None:
        self._path = path
        self._probes = probes
        self._watcher = watcher

    def now_ms(self) -> int:
        """Business time by the file."""
        return self._line().at(real_ms())

    async def jump(self, target_ms: int, *, seconds_max: float = KNOWN_SECONDS) -> None:
        """Let business time be `target_ms` now, at speed 1; returns when processes and event log know it."""
        assert target_ms >= self.now_ms(), "time does not go back"
        write_clock_file(self._path, ClockLine(start_ms=target_ms, speed=1.0, anchor_ms=real_ms()))
        await self._wait_until_known(target_ms, seconds_max)

    async def fast_forward(self, target_ms: int, *, speed: float, seconds_max: float = KNOWN_SECONDS) -> None:
        """Run at `speed` until `target_ms`, then on at speed 1."""
        now_ms = self.now_ms()
        write_clock_file(self._path, ClockLine(start_ms=now_ms, speed=speed, anchor_ms=real_ms()))
        await asyncio.sleep(max(0.0, (target_ms - now_ms) / speed / 1000))
        reached_ms = max(self.now_ms(), target_ms)
        write_clock_file(self._path, ClockLine(start_ms=reached_ms, speed=1.0, anchor_ms=real_ms()))
        await self._wait_until_known(target_ms, seconds_max)

    async def wait_until_idle(self, *, seconds_max: float = 60.0, people_seconds: float = 6.0) -> None:
        """Wait until several looks in a row find nothing under way. Raises NeverIdle.

        people_seconds: for so long, once the machines rest, managers may go on with what is on their cards.
        """
        began = time.monotonic()
        rested_at: float | None = None
        quiet, records = 0, -1
        while quiet < QUIET_LOOKS:
            busy, with_people = await self._under_way()
            seen = self._watcher.total()
            rests = not busy and seen == records
            records = seen
            now = time.monotonic()
            if rests and rested_at is None:
                rested_at = now
            elif busy:
                rested_at = None
            waits = bool(with_people) and (rested_at is None or now - rested_at < people_seconds)
            quiet = quiet + 1 if rests and not waits else 0
            if now - began > seconds_max:
                raise NeverIdle(f"still busy after {seconds_max:.0f} s: {busy or with_people}")
            await asyncio.sleep(QUIET_PAUSE_SECONDS)

    async def _under_way(self) -> tuple[dict[str, float], dict[str, float]]:
        """What machines still do, and what is with people."""
        busy, rows = await asyncio.gather(self._probes.busy(), self._probes.rows())
        if rows is None:
            return busy | {"the database does not answer": 1.0}, {}
        busy |= {f"rows {reason}": float(count) for reason, count in rows.items() if reason in UNFINISHED}
        return busy, {reason: float(count) for reason, count in rows.items() if reason in WITH_PEOPLE}

    async def _wait_until_known(self, target_ms: int, seconds_max: float) -> None:
        deadline = time.monotonic() + seconds_max
        minute_ms = target_ms - target_ms % MINUTE_MS
        while True:
            clocks = await self._probes.clocks_ms()
            late = [service for service, now_ms in clocks.items() if now_ms < target_ms]
            if not late and self._watcher.tick_ms() >= minute_ms:
                return
            if time.monotonic() > deadline:
                raise NeverIdle(
                    f"clock not followed by {late}; log ticked {self._watcher.tick_ms() - minute_ms} ms off"
                )
            await asyncio.sleep(LOOK_SECONDS)

    def _line(self) -> ClockLine:
        return parse_clock_line(self._path.read_text(encoding="ascii"))


def real_ms() -> int:
    """The real clock, UTC milliseconds."""
    return time.time_ns() // 1_000_000
