"""What the product promises beside what was measured last; pure. How figures look is `bench_page`'s."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Promise:
    """One figure. bound: at least (`is_least`) or at most so much. read: from the figures by benchmark; may raise."""

    about: str
    bound: float
    read: Callable[[Results], Any]
    is_least: bool = False

    def is_kept(self, figure: float) -> bool:
        """True when a figure is within the bound."""
        return figure >= self.bound if self.is_least else figure <= self.bound


def _at(bench: str, row: str, figure: str = "") -> Callable[[Results], Any]:
    return lambda results: results[bench]["figures"][row][figure] if figure else results[bench]["figures"][row]


def _flink_ratio(results: Results) -> float:
    cpu = _at("detector", "kairos", "cpu_us_per_event_steady"), _at("detector", "flink", "cpu_us_per_event_steady")
    return float(cpu[0](results) / cpu[1](results))


def _slowest(results: Results) -> float | None:
    faults = [each for each in results["detector-floods"]["figures"].values() if each.get("against")]
    return max((each["slowdown"] for each in faults), default=None)


_LIVE, _GROWTH = "detector-live", "detector-growth"
PROMISES = (
    Promise("detector, one core: events/s", 1_000_000, _at("detector", "kairos", "events_per_second"), is_least=True),
    Promise("detector: CPU per event against Flink's", 0.25, _flink_ratio),
    Promise("engine alone: events/s", 2_000_000, _at("engine", "a day", "events_per_second"), is_least=True),
    Promise("two workers: CPU per event against one", 1.15, _at(_GROWTH, "two workers", "ratio_to_one_worker")),
    Promise("event to moment, 20,000 events/s: p50, ms", 30, _at(_LIVE, "quiet", "p50_ms")),
    Promise("event to moment, 20,000 events/s: p99, ms", 100, _at(_LIVE, "quiet", "p99_ms")),
    Promise("the same in a daily sweep: p99, ms", 100, _at(_LIVE, "sweep", "p99_ms")),
    Promise("daily sweep of 1 M customers: CPU, s", 2, _at(_LIVE, "sweep_alone", "cpu_seconds")),
    Promise("kill -9 to the first new moment, s", 15, _at(_LIVE, "recovery", "recovery_seconds")),
    Promise(
        "memory per customer, 1 M to 4 M, bytes",
        1_280,
        _at(_GROWTH, "1,000,000 to 4,000,000 customers", "rss_bytes_per_customer"),
    ),
    Promise(
        "backtest: events/s per core", 1_500_000, _at("backtest", "archive", "events_per_second_steady"), is_least=True
    ),
    Promise("poison and floods: greatest slowdown", 1.10, _slowest),
    Promise("event to waiting poll, 2,000 events/s: p50, ms", 60, _at("latency", "event_to_poll", "p50_ms")),
    Promise("event to waiting poll, 2,000 events/s: p99, ms", 250, _at("latency", "event_to_poll", "p99_ms")),
)


def promises_of(results: Results) -> Iterator[tuple[Promise, float | None]]:
    """Yield every promise with its figure; None = not measured."""
    for promise in PROMISES:
        try:
            yield promise, float(promise.read(results))
        except (KeyError, TypeError):
            yield promise, None
