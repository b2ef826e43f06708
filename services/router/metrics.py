"""The router's metrics; label values come from closed sets."""

from prometheus_client import Counter, Gauge, Histogram

from services.router.store.decisions import Outcome

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

LAG = Gauge("kairos_router_lag_records", "Records not taken in yet.", ["topic"])
CATCH_UP = Gauge("kairos_router_catch_up_records", "Records to be read before the first decision; 0 = it decides.")
BACKLOG = Gauge("kairos_router_backlog_tasks", "Moments that wait only for a person.", ["city"])
RECORDS = Counter("kairos_router_records_total", "Records taken in.", ["topic"])
DEAD_LETTERS = Counter("kairos_router_dead_letters_total", "Records parked because they cannot be used.", ["reason"])
INTAKE_SECONDS = Histogram(
    "kairos_router_decision_seconds", "One batch of records stored and decided.", buckets=_SECONDS
)
ROUND_SECONDS = Histogram("kairos_router_round_seconds", "Planning of one round of one city.", buckets=_SECONDS)
PENDING = Counter("kairos_router_pending_total", "Rows that came to wait, by reason.", ["reason"])
LEDGER = Counter("kairos_router_ledger_total", "Rows that went to the ledger, by reason.", ["reason"])
DISPATCH_RESULTS = Counter("kairos_router_dispatch_results_total", "Answers to dispatched tasks.", ["outcome"])
RESCIND_RESULTS = Counter("kairos_router_rescind_results_total", "Answers to withdrawn tasks.", ["outcome"])
MESSAGES = Counter("kairos_router_messages_total", "Messages written out to the contact channel.", ["channel"])
OUTBOX_ROWS = Gauge("kairos_router_outbox_rows", "Messages not written out yet.")
RESCINDS_OPEN = Gauge("kairos_router_rescinds_open_tasks", "Withdrawals that the workbench has not answered.")
CAPACITY_UNITS = Gauge("kairos_router_capacity_units", "Capacity of managers on shift.", ["city"])
LOAD_UNITS = Gauge("kairos_router_load_units", "Load of managers on shift.", ["city"])
CAPACITY_KNOWN = Gauge("kairos_router_capacity_known_ratio", "1 while the watch on capacity stands, else 0.")
CALENDAR_UNKNOWN = Gauge(
    "kairos_router_calendar_unknown_year_ratio", "1 when the holidays of this year or next week are not known."
)


def count_outcome(outcome: Outcome) -> None:
    """Count rows that changed their reason."""
    for (row_state, reason), count in outcome.rows.items():
        if row_state == "LEDGER":
            LEDGER.labels(reason).inc(count)
        elif row_state == "PENDING":
            PENDING.labels(reason).inc(count)
