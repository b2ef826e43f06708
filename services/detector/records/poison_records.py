"""Undecodable records of a chunk: where they lie, and why each is one. A sequence for those who want single ones."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from services.detector import ports
from services.detector.records.log_records import LogRecord, LogRecords


class Poison(NamedTuple):
    """A record that is no event and no tick; it goes to the dead letters as it came."""

    offset: int
    key: bytes | None
    value: bytes | None
    reason: str


class PoisonRecords(Sequence[Poison]):
    """See the module. codes (n,): which of the reasons, by record."""

    def __init__(self, records: LogRecords, codes: npt.NDArray[np.int64], reasons: tuple[str, ...]) -> None:
        self.records = records
        self.codes = codes
        self.reasons = reasons

    @classmethod
    def of(cls, poison: Sequence[ports.Poison]) -> "PoisonRecords":
        """Lay out single ones, unless they are laid out already."""
        if isinstance(poison, PoisonRecords):
            return poison
        records = LogRecords.of([LogRecord(each.offset, each.key, each.value, 0) for each in poison])
        nothing = cls(records[:0], np.zeros(0, np.int64), ())
        return nothing.joined(records, [each.reason for each in poison])

    def joined(self, records: LogRecords, reasons: Sequence[str]) -> "PoisonRecords":
        """These and others out of the same bytes, by offset; reasons: of the others."""
        if not reasons:
            return self
        names = (*self.reasons, *dict.fromkeys(reason for reason in reasons if reason not in self.reasons))
        offsets = np.concatenate((self.records.offsets, records.offsets))
        order = np.argsort(offsets, kind="stable")
        spans = np.concatenate((self.records.spans, records.spans))[order]
        codes = np.concatenate((self.codes, np.array([names.index(reason) for reason in reasons], np.int64)))[order]
        return PoisonRecords(LogRecords(records.data, offsets[order], spans, records.timestamp), codes, names)

    def counted(self) -> dict[str, int]:
        """How many there are of each reason."""
        numbers = np.bincount(self.codes, minlength=len(self.reasons)).tolist()
        return {reason: number for reason, number in zip(self.reasons, numbers, strict=True) if number}

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, at: int) -> Poison: ...
    @overload
    def __getitem__(self, at: slice) -> "PoisonRecords": ...
    def __getitem__(self, at: int | slice) -> "Poison | PoisonRecords":
        if isinstance(at, slice):
            return PoisonRecords(self.records[at], self.codes[at], self.reasons)
        offset, key, value, _ = self.records[at]
        return Poison(offset, key, value, self.reasons[self.codes[at]])

    def __iter__(self) -> Iterator[Poison]:
        for (offset, key, value, _), code in zip(self.records, self.codes.tolist(), strict=True):
            yield Poison(offset, key, value, self.reasons[code])
