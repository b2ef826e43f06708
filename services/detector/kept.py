"""Shards of revoked partitions, kept for a while: one that comes back goes on from where it stood.

That is as good as loading, whoever owned the partition meanwhile, because state is a function of the log; records that
another owner has applied are applied again and give what is out already. It is quicker only for a while, and takes
memory.
"""

import time
from collections.abc import Callable, Iterable, Mapping

from services.detector.shard import Shard


class KeptShards:
    """By partition; each for so many seconds."""

    def __init__(self, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._shards: dict[int, tuple[Shard, float]] = {}

    def put(self, shards: Mapping[int, Shard]) -> None:
        """Keep these from now on."""
        until = self._monotonic() + self._seconds
        self._shards.update({number: (shard, until) for number, shard in shards.items()})

    def take(self, numbers: Iterable[int]) -> dict[int, Shard]:
        """Those of these partitions that are still kept; they are not any more."""
        self.forget_old()
        return {number: self._shards.pop(number)[0] for number in numbers if number in self._shards}

    def shards(self) -> list[Shard]:
        """All that are kept."""
        return [shard for shard, _ in self._shards.values()]

    def forget_old(self) -> None:
        """Let go of what was kept long enough."""
        now = self._monotonic()
        self._shards = {number: (shard, until) for number, (shard, until) in self._shards.items() if until > now}

    def __len__(self) -> int:
        return len(self._shards)
