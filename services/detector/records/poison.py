"""When undecodable records stop being bad luck: pure counting per partition.

A few poison records go to the dead-letter topic and are passed. A flood is a fault of a producer or of this release:
the partition is paused, with an alert, and `kairos detector resume` lets it go on.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PoisonPolicy:
    """`run_max` in a row, or more than `share_max` of the latest `window` records."""

    run_max: int
    window: int
    share_max: float

    def __post_init__(self) -> None:
        if self.run_max < 1 or self.window < 1 or not 0.0 < self.share_max <= 1.0:
            raise ValueError("poison limits: run >= 1, window >= 1, 0 < share <= 1")


class PoisonMeter:
    """Counts one partition's poison in log order. A refused chunk is not counted, so that it can be tried again; what
    was counted once and comes again, because the chunk had to wait for something else, is not counted twice."""

    def __init__(self, policy: PoisonPolicy) -> None:
        self._policy = policy
        self._run = 0  # poison records at the end of what was seen
        self._seen = 0
        self._bad = 0
        self._counted_to = 0  # offset

    def is_flood(self, first_offset: int, next_offset: int, poison_offsets: list[int], *, allowed_to: int) -> bool:
        """Count one chunk and tell whether it goes over the limits; poison before `allowed_to` counts as good."""
        first_offset = max(first_offset, self._counted_to)
        if first_offset >= next_offset:
            return False
        judged_from = max(allowed_to, first_offset)
        bad = [offset for offset in poison_offsets if offset >= judged_from]
        if not bad:
            self._counted_to = next_offset
            self._note(next_offset - first_offset, 0)
            self._run = 0
            return False
        longest, run = _runs(bad, first_offset, next_offset, before=self._run)
        seen, share_bad = self._seen + next_offset - first_offset, self._bad + len(bad)
        if longest > self._policy.run_max:
            return True
        if seen >= self._policy.window and share_bad > self._policy.share_max * seen:
            return True
        self._counted_to = next_offset
        self._run = run
        self._note(next_offset - first_offset, len(bad))
        return False

    def _note(self, records: int, bad: int) -> None:
        self._seen += records
        self._bad += bad
        while self._seen > 2 * self._policy.window:  # forget by halves: the share stays, old records fade
            self._seen //= 2
            self._bad //= 2


def _runs(bad: list[int], first_offset: int, next_offset: int, *, before: int) -> tuple[int, int]:
    """Longest run of neighbouring bad offsets, and the run that reaches the end; `before` runs into the start."""
    longest = run = 0
    previous = first_offset - 1
    run = before
    for offset in bad:
        run = run + 1 if offset == previous + 1 else 1
        if run > longest:
            longest = run
        previous = offset
    return longest, run if previous == next_offset - 1 else 0
