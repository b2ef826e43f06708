"""The ten people a customer talks to most: a summary of fixed size, as docs/decisions/0043 defines it."""

from dataclasses import dataclass, field
from datetime import date

from tests.reference.local_time import month_of
from tests.reference.order import Record

COUNTERS = 10
SECONDS_MOST = 1_048_575
KEY_BITS = 30


@dataclass
class Counter:
    """One contact. key: None = empty."""

    key: int | None = None
    network: str = ""
    seconds: int = 0
    moved_on: date | None = None


@dataclass
class TopContacts:
    """Ten counters."""

    month: int | None = None
    counters: list[Counter] = field(default_factory=lambda: [Counter() for _ in range(COUNTERS)])

    def take(self, record: Record, day: date) -> None:
        """Count a call; any usage of a later month shrinks the counters first."""
        self.shrink(month_of(day))
        is_on_a_network = record["counterpart_network"] in ("ON_NET", "OFF_NET")
        if record["service"] != "VOICE" or record["counterpart_key"] is None or not is_on_a_network:
            return
        if record["quantity"] <= 0:
            return
        key, network = record["counterpart_key"] % 2**KEY_BITS, record["counterpart_network"]
        counter = next((each for each in self.counters if each.key == key), None)
        if counter is None:
            counter = self.one_to_take_over()
            counter.key, counter.moved_on = key, None
        elif network == "ON_NET":
            counter.moved_on = None
        elif counter.network == "ON_NET":
            counter.moved_on = day
        counter.network = network
        counter.seconds = min(counter.seconds + record["quantity"], SECONDS_MOST)

    def one_to_take_over(self) -> Counter:
        """The first empty counter, else the one with the fewest seconds."""
        empty = next((each for each in self.counters if each.key is None), None)
        return empty or min(self.counters, key=lambda each: each.seconds)

    def shrink(self, month: int) -> None:
        """With every month that passes all counters lose a third."""
        for _ in range(max(month - self.month, 0) if self.month is not None else 0):
            for counter in self.counters:
                counter.seconds = counter.seconds * 2 // 3
                if counter.seconds == 0:
                    counter.key, counter.network, counter.moved_on = None, "", None
        self.month = month if self.month is None else max(self.month, month)

    def moved_between(self, first: date, last: date) -> int:
        """How many of them have left the network on one of these days."""
        return sum(
            each.network == "OFF_NET" and each.moved_on is not None and first <= each.moved_on <= last
            for each in self.counters
        )
