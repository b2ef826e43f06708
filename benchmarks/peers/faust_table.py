"""The rings on a stock Faust table: an agent, a table keyed by customer, findings sent to a topic.

    python -m benchmarks.peers.faust_table worker --without-web

Settings come from the environment (PEER_*). Marks and answers go over stdout and stdin, as the Java programs do it.
"""

import io
import os
import struct
import sys
from pathlib import Path
from typing import Any

import fastavro
import faust

from benchmarks.peers.rings import FALL, RICH, WORDS, add

_HEADER = struct.Struct(">bI")

app = faust.App(
    os.environ["PEER_GROUP"],
    broker=f"kafka://{os.environ['PEER_BOOTSTRAP']}",
    store="memory://",
    topic_partitions=int(os.environ["PEER_PARTITIONS"]),
    datadir=os.environ["PEER_DIR"],
)
_usage = app.topic(os.environ["PEER_TOPIC"], key_type=bytes, value_type=bytes, value_serializer="raw")
_findings = app.topic(os.environ["PEER_FINDINGS"], key_type=bytes, value_type=bytes, value_serializer="raw")
_rings = app.Table("rings", partitions=int(os.environ["PEER_PARTITIONS"]))


class Meter:
    """Counts events; at a mark it tells so and waits for an answer."""

    def __init__(self, marks: str) -> None:
        self._marks = [int(each.removesuffix("gc")) for each in marks.split(",")]
        self.events = self.customers = 0
        self.horizons: dict[int, int] = {}

    @property
    def is_over(self) -> bool:
        """True once the last mark is behind."""
        return not self._marks

    def event(self, partition: int, occurred_at: int) -> bool:
        """Count one; True when it was the last."""
        self.events += 1
        self.horizons[partition] = occurred_at
        if self._marks and self.events >= self._marks[0]:
            self._marks.pop(0)
            for word in ("mark", "collected"):
                _print(f"{word} {self.events} {self.customers}")
                if not sys.stdin.readline():
                    os._exit(3)
        return self.is_over


class UsageReader:
    """Confluent framing, then fastavro with the product's schema."""

    def __init__(self) -> None:
        self._id = int(os.environ["PEER_SCHEMA_ID"])
        self._schema = fastavro.schema.load_schema(str(Path(os.environ["PEER_SCHEMA"])))

    def read(self, value: bytes) -> Any:
        """The event, or None when it is of another kind."""
        if len(value) < _HEADER.size or _HEADER.unpack_from(value) != (0, self._id):
            return None
        return fastavro.schemaless_reader(io.BytesIO(value[_HEADER.size :]), self._schema, None)


def _print(text: str) -> None:
    os.write(1, f"{text}\n".encode())  # Faust turns sys.stdout into log lines


_meter = Meter(os.environ["PEER_MARKS"])
_reader = UsageReader()


@app.agent(_usage)  # type: ignore[untyped-decorator]  # Faust has no types
async def judge(stream: Any) -> None:
    """One event after the other."""
    async for event in stream.events():
        usage = _reader.read(event.value)
        if usage is None or _meter.is_over:
            continue
        key = str(usage["customer_id"])
        state = _rings.get(key)
        if state is None:
            state = [0] * WORDS
            _meter.customers += 1
        at = round(usage["occurred_at"].timestamp() * 1_000)
        result = add(state, at, usage["service"] == "VOICE", usage["quantity"], usage["charge_fen"])
        _rings[key] = state
        for rule, name in ((FALL, "FALL"), (RICH, "RICH")):
            if result >> 16 & rule:
                told = f"{key},{name},{'RAISED' if result & rule else 'RESOLVED'},{at}"
                await _findings.send(key=event.key, value=told.encode())
        if _meter.event(event.message.partition, at):
            await app.producer.flush()
            _print("done " + " ".join(f"{partition}:{at}" for partition, at in _meter.horizons.items()))
            os._exit(0)


if __name__ == "__main__":
    app.main()
