"""Clock ticks into the log: the owner of a partition appends one each full business minute and when the rules change.

Time reaches the engine by these records only. Both numbers are maxima, so a second writer does no harm; at a sped-up
clock minutes are skipped, because the engine catches up to the newest.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from schemas.codec import encode
from services.clock import Clock
from services.detector import metrics
from services.detector.chaos import Chaos
from services.detector.outbox import Appender
from services.detector.shard import EVENTS_TOPIC, Shard
from services.detector.time_guard import TimeGuard
from services.transport.kafka_producer import OutRecord

TICK: Final = "kairos.control.v1.Tick"
MINUTE_MS: Final = 60_000
LOOK_SECONDS: Final = 0.1  # real time between two looks at the clock; bounds the ticks per second

log = logging.getLogger(__name__)


def counted_ms() -> int:
    """Milliseconds of a clock that nobody sets; it counts while the machine sleeps, too."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def due_tick(now_ms: int, *, newest_rules: int, last_now_ms: int, last_rules: int) -> tuple[int, int] | None:
    """Time and rules offset to announce, or None when the log knows both; pure.

    last_*: the newest that is applied from the log or was appended by this process.
    """
    minute = max(now_ms - now_ms % MINUTE_MS, last_now_ms)
    rules = max(newest_rules, last_rules)
    return None if (minute, rules) == (last_now_ms, last_rules) else (minute, rules)


class Ticker:
    """Appends ticks for the owned partitions."""

    def __init__(
        self,
        *,
        clock: Clock,
        producer: Appender,
        owned: Callable[[], Iterable[Shard]],
        newest_rules: Callable[[], int],
        owner: str,
        chaos: Chaos,
        guard: TimeGuard | None = None,
    ) -> None:
        self._clock = clock
        self.guard = guard  # None: the clock may be moved at will, as in demos and tests
        self._producer = producer
        self._owned = owned
        self._newest_rules = newest_rules
        self._owner = owner
        self._chaos = chaos
        self._appended: dict[int, tuple[int, int]] = {}
        self._confirmed_ms = 0

    async def run(self) -> None:
        """Look at the clock until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(LOOK_SECONDS)

    async def tick(self) -> None:
        """Append to each owned partition what is due."""
        now_ms, rules = self._now_ms(), self._newest_rules()
        sends = []
        for shard in self._owned():
            last_now, last_rules = self._last(shard)
            due = due_tick(now_ms, newest_rules=rules, last_now_ms=last_now, last_rules=last_rules)
            if due is not None:
                self._appended[shard.number] = due
                sends.append(self._append(shard.number, *due))
        if sends:
            await asyncio.gather(*sends)
            self._chaos.after("tick")

    def _now_ms(self) -> int:
        now_ms = self._clock.now_ms()
        if self.guard is None:
            return now_ms
        was_in_doubt = self.guard.doubt_ms != 0
        believed = self.guard.reading(now_ms, counted_ms())
        if self.guard.doubt_ms and not was_in_doubt:
            log.error(
                "detector.clock.in_doubt",
                extra={"ahead_seconds": self.guard.doubt_ms / 1000, "way_out": "kairos detector confirm-time"},
            )
        metrics.CLOCK_DOUBT_SECONDS.set(self.guard.doubt_ms / 1000)
        return believed

    def confirm(self, confirmed_ms: int) -> None:
        """An operator said that it was so late; believe the clock if it agrees."""
        is_news, self._confirmed_ms = confirmed_ms != self._confirmed_ms, confirmed_ms
        if self.guard is not None and self.guard.doubt_ms and is_news:
            taken = self.guard.confirm(confirmed_ms, self._clock.now_ms(), counted_ms())
            log.warning("detector.clock.confirmed" if taken else "detector.clock.other_time_confirmed")

    def ahead_ms(self) -> int:
        """How far the log's time is ahead of ours, in some owned partition: a tick of another writer, or an old one."""
        newest = max((shard.partition.tick_now_ms for shard in self._owned()), default=0)
        return max(0, newest - self._clock.now_ms())

    def _last(self, shard: Shard) -> tuple[int, int]:
        now_ms, rules = self._appended.get(shard.number, (0, -1))
        return max(now_ms, shard.partition.tick_now_ms), max(rules, shard.partition.rules_offset)

    async def _append(self, number: int, now_ms: int, rules_offset: int) -> None:
        value = encode(TICK, {"now": now_ms, "rules_offset": rules_offset, "owner": self._owner})
        await self._producer.append(EVENTS_TOPIC, number, [OutRecord(None, value)])
        metrics.TICKS_TOTAL.inc()
