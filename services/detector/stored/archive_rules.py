"""Rule sets beside the archived events: with them, what was live can be run again without Kafka."""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import Undecodable, decode
from services.detector.rules_feed import RULE_SET, RULES_TOPIC
from services.detector.stored.archive_layout import Archive
from services.transport.errors import TransportUnavailable

_CALL_SECONDS: Final = 15.0
_POLL_MS: Final = 500


async def read_rule_sets(bootstrap: str, first: int = 0) -> tuple[dict[int, dict[str, Any]], int]:
    """Return the published rule sets from an offset on, and the topic's end. Of a key the first record counts."""
    tp = TopicPartition(RULES_TOPIC, 0)
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    found: dict[int, dict[str, Any]] = {}
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            await client.start()
            client.assign([tp])
            begin, end = (await client.beginning_offsets([tp]))[tp], (await client.end_offsets([tp]))[tp]
            at = max(first, begin)
            client.seek(tp, at)
            while at < end:
                for record in (await client.getmany(tp, timeout_ms=_POLL_MS)).get(tp, []):
                    at = record.offset + 1
                    fields = _fields(record)
                    if fields is not None:
                        found[record.offset] = fields
    except (KafkaError, OSError, TimeoutError) as exc:
        raise TransportUnavailable("kafka", f"cannot read {RULES_TOPIC}: {type(exc).__name__}") from exc
    finally:
        await client.stop()
    return found, end


def _fields(record: Any) -> dict[str, Any] | None:
    try:
        fields = decode(record.value or b"", allowed=(RULE_SET,)).record
    except Undecodable:
        return None
    return {"key": (record.key or b"").decode(errors="replace"), **fields}


class RulesCopy:
    """Keeps the archive's rule sets as far as the topic."""

    def __init__(self, bootstrap: str, archive: Archive) -> None:
        self._bootstrap = bootstrap
        self._archive = archive
        self._next = 0

    async def copy(self) -> None:
        """Archive what was published since the last look. A tick announces a set only after it is on the topic."""
        found, end = await read_rule_sets(self._bootstrap, self._next)
        for offset, fields in found.items():
            self._archive.keep_rule_set(offset, fields)
        self._next = end
