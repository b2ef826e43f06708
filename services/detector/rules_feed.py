"""The rule sets of kairos.rules.v1, read from the beginning and followed; compiled off the hot path.

The first record of a key wins. A set that does not compile is refused, counted and shown; it is never announced, and
never stops the others. `compiled` grows by offset; nothing is ever taken out of it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import decode
from services.detector import metrics
from services.detector.ports import Engine
from services.transport.errors import TransportUnavailable

RULES_TOPIC: Final = "kairos.rules.v1"
RULE_SET: Final = "kairos.rules.v1.RuleSet"
_POLL_MS: Final = 200

log = logging.getLogger(__name__)


class RulesFeed:
    """Follows the rules topic in a task of its own; `on_failure` hears of what ends it."""

    def __init__(self, bootstrap: str, engine: Engine, *, on_failure: Callable[[BaseException], object]) -> None:
        self.compiled: dict[int, Any] = {}
        self.refused: dict[int, str] = {}  # offset → key and reason
        self.is_caught_up = False
        self._engine = engine
        self._on_failure = on_failure
        self._keys: dict[bytes, int] = {}
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_POLL_MS,
        )

    @property
    def newest(self) -> int:
        """Offset of the newest usable rule set; -1 when there is none."""
        return max(self.compiled, default=-1)

    async def open(self, *, deadline_seconds: float) -> None:
        """Read and compile what is published by now, then follow. Raises TransportUnavailable."""
        try:
            await self._client.start()
            tp = TopicPartition(RULES_TOPIC, 0)
            self._client.assign([tp])
            async with asyncio.timeout(deadline_seconds):
                begin = (await self._client.beginning_offsets([tp]))[tp]
                end = (await self._client.end_offsets([tp]))[tp]
        except (KafkaError, OSError, TimeoutError) as exc:
            raise TransportUnavailable("kafka", f"cannot read {RULES_TOPIC}: {type(exc).__name__}") from exc
        self._client.seek(tp, begin)
        self.is_caught_up = begin >= end
        self._task = asyncio.create_task(self._follow(tp, end))
        self._task.add_done_callback(self._ended)
        while not self.is_caught_up and not self._task.done():
            await self._wait_for_news()

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._client.stop()

    def has(self, offset: int) -> bool:
        """True when the rule set at this offset can be used."""
        return offset in self.compiled

    async def news(self) -> None:
        """Return after the next change of `compiled` or `refused`."""
        await self._wait_for_news()

    async def _wait_for_news(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def _follow(self, tp: TopicPartition, end: int) -> None:
        while True:
            found = (await self._client.getmany(tp, timeout_ms=_POLL_MS)).get(tp, [])
            for record in found:
                await self._take(record)
                if record.offset >= end - 1:
                    self.is_caught_up = True
                self._moved.set()

    async def _take(self, record: Any) -> None:
        key = record.key or b""
        if key in self._keys:
            log.warning(
                "detector.rules.repeated_key", extra={"key": key.decode(errors="replace"), "offset": record.offset}
            )
            return
        self._keys[key] = record.offset
        try:
            documents, version, effective_from_ms = _rule_set(record)
            compile_it = self._engine.compile_rule_set
            compiled = await asyncio.to_thread(compile_it, documents, version, effective_from_ms)
        except (OSError, MemoryError):  # the fault of this machine, not of the rules: others go on by them
            raise
        except Exception as fault:  # noqa: BLE001  # outermost: whatever a rule set does, it harms only itself
            self.refused[record.offset] = f"{key.decode(errors='replace')}: {fault}"
            metrics.RULE_ERRORS_TOTAL.inc()
            log.error("detector.rules.refused", extra={"offset": record.offset, "reason": str(fault)})
            self._count()
            return
        self.compiled[record.offset] = compiled
        self._count()
        log.info("detector.rules.loaded", extra={"offset": record.offset, "version": version})

    def _count(self) -> None:
        metrics.RULE_SETS.set(len(self.compiled))
        metrics.REFUSED_RULE_SETS.set(sum(offset > self.newest for offset in self.refused))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._moved.set()
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._on_failure(failure)


def _rule_set(record: Any) -> tuple[Mapping[str, str], str, int]:
    """Documents by path, `rule_set@version`, and from which event time it holds; raises ValueError or Undecodable."""
    if record.value is None:
        raise ValueError("the record is empty")
    fields = decode(record.value, allowed=(RULE_SET,)).record
    documents = {document["path"]: document["text"] for document in fields["documents"]}
    return documents, f"{fields['rule_set']}@{fields['version']}", fields["effective_from"]
