"""Metrics of the detector; declared here before use."""

from prometheus_client import Counter, Gauge, Histogram

LAG_RECORDS = Gauge("kairos_detector_lag_records", "Log end minus applied offset.", ["partition"])
EVENT_TIME_DELAY_SECONDS = Gauge(
    "kairos_detector_event_time_delay_seconds",
    "Real time since the newest applied record was appended, of the slowest partition that has something left to "
    "apply; 0 when nothing is left.",
)
EVENTS_TOTAL = Counter("kairos_detector_events_total", "Applied events, replays included.", ["kind"])
MOMENTS_TOTAL = Counter(
    "kairos_detector_moments_total", "Moments handed to the broker, repeats included.", ["rule", "state"]
)
DUPLICATES_TOTAL = Counter("kairos_detector_duplicates_total", "Events dropped because (source, event_id) was seen.")
LATE_TOTAL = Counter("kairos_detector_late_total", "Events accepted later than their kind allows.")
NO_PROFILE_TOTAL = Counter("kairos_detector_no_profile_total", "Evaluations silent for want of a customer record.")
NOT_WARM_TOTAL = Counter("kairos_detector_not_warm_total", "Evaluations silent for want of history.")
OTHER_COUNTS_TOTAL = Counter("kairos_detector_engine_total", "Other counts of the engine.", ["what"])
RULE_FAILURES_TOTAL = Counter(
    "kairos_detector_rule_failures_total",
    "Evaluations in which a rule came to a number that is none; it alone was left out, for that customer.",
    ["rule"],
)
DEAD_LETTERS_TOTAL = Counter("kairos_detector_dead_letters_total", "Records that cannot be decoded.", ["reason"])
CUSTOMER_COPIES_TOTAL = Counter("kairos_detector_customer_copies_total", "Customer records copied out of the log.")
PAUSED_PARTITIONS = Gauge(
    "kairos_detector_paused_partitions",
    "1 while a partition is paused: poison (kairos detector resume), rules, or hand_over to a newer engine.",
    ["partition", "why"],
)
TURNS_TOTAL = Counter("kairos_detector_turns_total", "Complete writings of a partition's state.")
TURN_SECONDS = Histogram(
    "kairos_detector_turn_seconds", "Length of a turn.", buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600)
)
TURN_BYTES_TOTAL = Counter("kairos_detector_turn_bytes_total", "Bytes of state pages written.")
TURN_AGE_RECORDS = Gauge(
    "kairos_detector_replay_records", "Records that a restart would replay: applied offset minus the last turn's.",
    ["partition"],
)  # fmt: skip
RECOVERY_SECONDS = Gauge("kairos_detector_recovery_seconds", "Last loading of state, replay not included.")
LOADED_BYTES_TOTAL = Counter("kairos_detector_loaded_bytes_total", "Bytes of state read when loading.")
BROKEN_PAGES_TOTAL = Counter("kairos_detector_broken_pages_total", "State records refused when loading.")
CUSTOMERS = Gauge("kairos_detector_customers", "Customers in the state.", ["partition"])
SWEEP_CUSTOMERS = Gauge("kairos_detector_sweep_customers", "Customers that a passed tick still has to visit.")
OUTBOX_RECORDS = Gauge("kairos_detector_outbox_records", "Outputs that are not acknowledged yet.")
TICKS_TOTAL = Counter("kairos_detector_ticks_total", "Ticks appended to the log.")
CLOCK_DOUBT_SECONDS = Gauge(
    "kairos_detector_clock_doubt_seconds",
    "This machine's clock minus the time that ticks announce; not 0 while the clock is not believed "
    "(kairos detector confirm-time).",
)
LOG_AHEAD_SECONDS = Gauge(
    "kairos_detector_log_ahead_seconds",
    "Newest tick in the log minus this machine's clock, when it is ahead: time stands still until the clock is there.",
)
RULE_SETS = Gauge("kairos_detector_rule_sets", "Rule sets compiled and usable.")
REFUSED_RULE_SETS = Gauge(
    "kairos_detector_refused_rule_sets",
    "Refused rule sets newer than the newest usable one: look at the logs.",
)
RULE_ERRORS_TOTAL = Counter("kairos_detector_rule_errors_total", "Rule sets refused when read.")
REBALANCES_TOTAL = Counter("kairos_detector_rebalances_total", "Assignments taken.")
APPLY_SECONDS = Counter("kairos_detector_apply_seconds_total", "Time spent decoding and applying.")

_ENGINE_COUNTERS = {
    "duplicates": DUPLICATES_TOTAL,
    "late": LATE_TOTAL,
    "no_profile": NO_PROFILE_TOTAL,
    "not_warm": NOT_WARM_TOTAL,
}


def count_engine(what: str, number: int) -> None:
    """Count what the engine reports; its own names are a closed set."""
    counter = _ENGINE_COUNTERS.get(what)
    name, _, rule = what.partition(":")
    if rule:
        assert name == "rule_failed"
        RULE_FAILURES_TOTAL.labels(rule=rule).inc(number)
    elif counter is not None:
        counter.inc(number)
    else:
        OTHER_COUNTS_TOTAL.labels(what=what).inc(number)


def forget_partition(number: int) -> None:
    """Drop the series of a partition that is no longer owned."""
    for gauge in (LAG_RECORDS, CUSTOMERS, TURN_AGE_RECORDS):
        try:
            gauge.remove(str(number))
        except KeyError:
            continue
