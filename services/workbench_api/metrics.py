"""All metrics of the workbench, declared before use; label values come from closed sets."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

OPEN_OFFERS: Final = Gauge("kairos_workbench_open_offers", "Tasks offered and not yet accepted.")
OUTBOX_ROWS: Final = Gauge("kairos_workbench_outbox_rows", "Task events not yet acknowledged by the brokers.")
WAITING_POLLS: Final = Gauge("kairos_workbench_waiting_polls", "Polls of this process that wait for work.")
TASKS: Final = Gauge("kairos_workbench_tasks", "Open tasks by state.", ["state"])
MANAGERS: Final = Gauge("kairos_workbench_managers", "Active managers by presence.", ["presence"])
TRANSITIONS: Final = Counter(
    "kairos_workbench_transitions", "Transitions stored, by new state and cause.", ["to", "cause"]
)
RPC_SECONDS: Final = Histogram(
    "kairos_workbench_rpc_duration_seconds",
    "Duration of calls; of PollTasks the wait included.",
    ["method"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 30.0),
)
RPC_TOTAL: Final = Counter("kairos_workbench_rpc_calls", "Calls by outcome.", ["method", "outcome"])
RPC_REFUSED: Final = Counter("kairos_workbench_rpc_refused", "Calls refused before their method ran.", ["reason"])
EVENT_TO_POLL_SECONDS: Final = Histogram(
    "kairos_workbench_event_to_poll_seconds",
    "From the event behind a task's leading moment to its first offer, by the business clock.",
    buckets=(0.01, 0.02, 0.03, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0, 86400.0),
)
DISPATCHED: Final = Counter("kairos_workbench_dispatched_tasks", "Items of DispatchTasks by outcome.", ["outcome"])
PUBLISHED: Final = Counter("kairos_workbench_published_events", "Task events acknowledged by the brokers.")
PUBLISH_FAILURES: Final = Counter("kairos_workbench_publish_failures", "Batches that the brokers did not acknowledge.")
CUSTOMERS: Final = Counter("kairos_workbench_customer_records", "Customer records followed, by outcome.", ["outcome"])
RULE_SETS: Final = Gauge("kairos_workbench_rule_sets", "Versions of rule sets whose sentences are known.")
IS_LEADER: Final = Gauge("kairos_workbench_is_leader", "1 when this instance runs sweeper, publisher and follower.")
