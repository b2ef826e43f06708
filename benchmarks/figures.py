"""What is made of measurements: rates and CPU per event of samples, slopes, percentiles, compared findings. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Sample(NamedTuple):
    """A look at a process. seconds: of the monotonic clock; cpu_seconds: of the process so far."""

    seconds: float
    cpu_seconds: float
    events: int
    customers: int = 0
    rss_bytes: int = 0


class Finding(NamedTuple):
    """What an engine told about one customer; at one instant a customer has one event."""

    customer_id: int
    rule: str
    state: str
    occurred_at_ms: int


@dataclass(frozen=True)
class Steady:
    """Figures between two numbers of events, so that the start of a process does not count."""

    events_per_second: int
    cpu_us_per_event: float


def steady(samples: Sequence[Sample], first: int, last: int) -> Steady | None:
    """Rate and CPU from event `first` to event `last`; None when the samples do not reach so far."""
    if not samples or first >= last or samples[-1].events < last:
        return None
    begin, end = at_events(samples, first), at_events(samples, last)
    events = last - first
    rate = round(events / max(end.seconds - begin.seconds, 1e-9))
    return Steady(rate, round((end.cpu_seconds - begin.cpu_seconds) / events * 1e6, 3))


def at_events(samples: Sequence[Sample], events: int) -> Sample:
    """The process as it was when it had done so many events: straight between the samples around it."""
    before = samples[0]
    for sample in samples:
        if sample.events >= events:
            span = sample.events - before.events
            share = (events - before.events) / span if span > 0 else 1.0
            return Sample(
                before.seconds + share * (sample.seconds - before.seconds),
                before.cpu_seconds + share * (sample.cpu_seconds - before.cpu_seconds),
                events,
            )
        before = sample
    return before


def bytes_per_customer(samples: Iterable[Sample]) -> int | None:
    """Slope of the resident set between the sample with fewest customers and the one with most; None without two."""
    with_state = [sample for sample in samples if sample.customers > 0 and sample.rss_bytes > 0]
    if not with_state:
        return None
    few = min(with_state, key=lambda sample: sample.customers)
    many = max(with_state, key=lambda sample: (sample.customers, -sample.seconds))
    if many.customers == few.customers:
        return None
    return round((many.rss_bytes - few.rss_bytes) / (many.customers - few.customers))


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that a share of all does not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def within(
    findings: Iterable[Finding], horizons: Mapping[int, int] | None, partition_of: Mapping[int, int]
) -> set[Finding]:
    """The findings an engine can have that read each partition up to an instant. None: it read all."""
    if horizons is None:
        return set(findings)
    return {each for each in findings if each.occurred_at_ms <= horizons.get(partition_of[each.customer_id], 0)}


def differing(one: set[Finding], other: set[Finding]) -> int:
    """How many findings only one of two engines has."""
    return len(one ^ other)
