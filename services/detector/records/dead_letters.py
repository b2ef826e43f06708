"""What becomes of undecodable records: all of a chunk at once, as records for the dead-letter topic.

The raw bytes, keyed by where they stand in the log; topic, partition, offset, reason and the record's own key in
headers.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from schemas.events import EVENTS_TOPIC
from services.detector.engine.log_format.letters import HEAD_BYTES, LETTER_BYTES, frame_letters, write_letters
from services.detector.records.poison_records import PoisonRecords
from services.transport.kafka_frames import FramedRecords

Int64s = npt.NDArray[np.int64]

DEAD_LETTERS_TOPIC = "kairos.dead-letters.detector.v1"
DEAD_LETTER_BYTES_MAX = 990_000
"""Brokers take larger records than our producer may send. A longer undecodable one is cut, its key left out; its whole
is in the log as long as that is kept."""


class Letters(FramedRecords):
    """Tails of records laid end to end; ends (n,): where each ends."""

    def __init__(self, tails: bytes | bytearray = b"", ends: Int64s | None = None) -> None:
        self._tails = bytearray(tails)
        self._ends = np.zeros(0, np.int64) if ends is None else ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, part: slice) -> "Letters":
        first, last, _ = part.indices(len(self))
        start, end = self._start(first), self._start(last)
        return Letters(self._tails[start:end], self._ends[first:last] - start)

    def extend(self, others: "Letters") -> None:
        """Append others."""
        self._ends = np.concatenate((self._ends, others._ends + len(self._tails)))
        self._tails += others._tails

    def sizes(self) -> tuple[int, int]:
        """See `FramedRecords`."""
        largest = int(np.diff(self._ends, prepend=0).max())
        return len(self._tails) + HEAD_BYTES * len(self), HEAD_BYTES + largest

    def framed(self, first: int, delta: int, bytes_max: int) -> tuple[bytes, int]:
        """See `FramedRecords`."""
        left = len(self._tails) - self._start(first) + HEAD_BYTES * (len(self) - first)
        least = int(self._ends[first]) - self._start(first) + HEAD_BYTES
        out = np.empty(min(left, max(least, bytes_max)), np.uint8)
        tails = np.frombuffer(self._tails, np.uint8)
        size, records = frame_letters(tails, self._ends, first, delta, bytes_max, out)
        return out[:size].tobytes(), records

    def _start(self, number: int) -> int:
        return int(self._ends[number - 1]) if number else 0


def dead_letters(partition: int, poison: PoisonRecords) -> Letters:
    """Return the letters of these records, in their order."""
    common, bounds = _common(partition, poison.reasons)
    records = poison.records
    raw_bytes = int((records.spans[:, 1::2] - records.spans[:, ::2]).sum())
    out = np.empty(raw_bytes + len(poison) * (LETTER_BYTES + common.size), np.uint8)
    ends = np.empty(len(poison), np.int64)
    size = write_letters(
        records.data, records.spans, records.offsets, poison.codes, common, bounds, DEAD_LETTER_BYTES_MAX, out, ends
    )
    return Letters(out[:size].tobytes(), ends)


@lru_cache(1_024)
def _common(partition: int, reasons: tuple[str, ...]) -> tuple[npt.NDArray[np.uint8], Int64s]:
    """What letters have in common, as `write_letters` wants it, and where each part begins."""
    parts = [
        EVENTS_TOPIC.encode() + b"/%d/" % partition,
        _header("topic", EVENTS_TOPIC.encode()) + _header("partition", b"%d" % partition) + _text(b"offset"),
        _text(b"cut_from_bytes"),
        _text(b"key"),
        *(_header("reason", reason.encode()) for reason in reasons),
    ]
    return np.frombuffer(b"".join(parts), np.uint8), np.cumsum([0, *map(len, parts)], dtype=np.int64)


def _text(text: bytes) -> bytes:
    size = 2 * len(text)  # zigzag
    return (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + text


def _header(name: str, value: bytes) -> bytes:
    return _text(name.encode()) + _text(value)
