"""Metrics of ingest, declared before use. Labels come from closed sets: door, kind, outcome, reason."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter(
    "kairos_ingest_events_total", "Events by door, kind and outcome (accepted, rejected).", ["door", "kind", "outcome"]
)
FAULTS = Counter("kairos_ingest_faults_total", "Faults of rejected events, by door and reason.", ["door", "reason"])
REFUSED_REQUESTS = Counter(
    "kairos_ingest_refused_requests_total", "Requests refused as a whole, by door and reason.", ["door", "reason"]
)
DUPLICATES = Counter(
    "kairos_ingest_duplicates_total",
    "Events that came twice in one request with the same contents: answered accepted, published once.",
    ["door"],
)
DEAD_LETTERS = Counter("kairos_ingest_dead_letters_total", "Records written to the dead-letter topic.", ["door"])
REQUEST_SECONDS = Histogram(
    "kairos_ingest_request_seconds",
    "From the request's first byte to its answer.",
    ["door"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
IN_FLIGHT_BYTES = Gauge("kairos_ingest_in_flight_bytes", "Bytes of requests taken and not yet answered.")
IN_FLIGHT_REQUESTS = Gauge("kairos_ingest_in_flight_requests", "Requests taken and not yet answered.")
FILE_PAUSED_SECONDS = Counter(
    "kairos_ingest_file_paused_seconds_total", "Time that file loads waited for the detector to catch up."
)


def count_outcomes(door: str, kind: str, *, accepted: int, rejected: int) -> None:
    """Count the outcomes of one batch."""
    if accepted:
        EVENTS.labels(door, kind, "accepted").inc(accepted)
    if rejected:
        EVENTS.labels(door, kind, "rejected").inc(rejected)
