"""Settings of the workbench, read once from the environment."""

from dataclasses import dataclass
from pathlib import Path

from services.settings import Secret, shared
from services.workbench_api.leases import LeasePolicy
from services.workbench_api.presence import PresencePolicy


@dataclass(frozen=True, kw_only=True)
class WorkbenchSettings:
    """What the serving process needs. Every bound here is one on memory or time."""

    postgres_dsn: Secret = shared("POSTGRES_DSN")  # a field, not a value
    secrets_dir: Path = shared("SECRETS_DIR")  # a field, not a value
    kafka_bootstrap: str = shared("KAFKA_BOOTSTRAP", default="127.0.0.1:9092")
    bind_host: str = shared("BIND_HOST", default="127.0.0.1")
    grpc_port: int = 8090  # KAIROS_WORKBENCH_GRPC_PORT; 0 = a free one
    metrics_port: int = 0  # KAIROS_WORKBENCH_METRICS_PORT; 0 = a free one
    connections: int = 10  # KAIROS_WORKBENCH_CONNECTIONS to PostgreSQL, two more stand apart
    waiting_polls_max: int = 5_000  # beyond it PollTasks answers RESOURCE_EXHAUSTED
    polls_per_manager_max: int = 4
    calls_per_caller_max: int = 16
    offer_seconds: float = 20.0  # KAIROS_WORKBENCH_OFFER_SECONDS until an offer counts as missed
    work_seconds: float = 900.0  # without a heartbeat the task goes back to the router
    work_seconds_max: float = 7200.0  # and after so long also with one
    missed_offers_max: int = 2  # then the manager counts as not responding
    silence_seconds: float = 90.0  # as after so long without any call; clients at work send a heartbeat every minute
    sweep_seconds: float = 0.25  # KAIROS_WORKBENCH_SWEEP_SECONDS between two looks for what time has changed
    reflection: bool = True  # KAIROS_WORKBENCH_REFLECTION; the schema for tools such as buf curl
    lost_seconds: float = 30.0  # without PostgreSQL or Kafka for so long the process ends and is started again
    drain_seconds: float = 8.0  # what was accepted is finished within this after SIGTERM

    def __post_init__(self) -> None:
        """Refuse values that no policy allows."""
        if not 1 <= self.connections <= 100:
            raise ValueError("KAIROS_WORKBENCH_CONNECTIONS wants 1..100")
        if self.sweep_seconds <= 0 or self.lost_seconds <= 0 or self.drain_seconds <= 0:
            raise ValueError("KAIROS_WORKBENCH_SWEEP_SECONDS, _LOST_SECONDS and _DRAIN_SECONDS want more than 0")
        _ = self.lease_policy, self.presence_policy

    @property
    def lease_policy(self) -> LeasePolicy:
        return LeasePolicy(
            offer_ms=int(self.offer_seconds * 1000),
            work_ms=int(self.work_seconds * 1000),
            work_ms_max=int(self.work_seconds_max * 1000),
        )

    @property
    def presence_policy(self) -> PresencePolicy:
        return PresencePolicy(missed_offers_max=self.missed_offers_max, silence_ms=int(self.silence_seconds * 1000))
