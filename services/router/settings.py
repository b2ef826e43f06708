"""Settings of the router, read once from the environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.settings import Secret, shared


@dataclass(frozen=True, kw_only=True)
class RouterSettings:
    """One router process; several may run. Durations in seconds of the real clock."""

    postgres_dsn: Secret = shared("POSTGRES_DSN")  # a field, not a value
    secrets_dir: Path = shared("SECRETS_DIR")  # a field, not a value
    kafka_bootstrap: str = shared("KAFKA_BOOTSTRAP", default="127.0.0.1:9092")
    workbench_grpc_target: str = shared("WORKBENCH_GRPC_TARGET", default="127.0.0.1:8090")
    environment: Literal["production", "demo", "test"] = shared("ENVIRONMENT", default="production")
    bind_host: str = shared("BIND_HOST", default="127.0.0.1")
    var_dir: Path = shared("VAR_DIR", default=Path("var"))  # a field, not a value
    metrics_port: int = 0  # KAIROS_ROUTER_METRICS_PORT; 0 = a free one
    group: str = "kairos-router"  # KAIROS_ROUTER_GROUP; consumer group that spreads partitions over instances
    batch_records: int = 2_000  # records stored and decided in one transaction
    contact_file: Path | None = None  # messages go there as NDJSON; unset = var_dir/contacts.ndjson, not in production
    away_seconds: float = 30.0  # without Kafka or PostgreSQL for so long the process ends and is started again
    drain_seconds: float = 8.0  # what was begun is finished within this after SIGTERM
    crash_at: str = ""  # for tests: `phase` or `phase:n`; the process kills itself the n-th time it passes there

    def __post_init__(self) -> None:
        """Refuse bounds that make no sense."""
        if not 1 <= self.batch_records <= 20_000:
            raise ValueError("KAIROS_ROUTER_BATCH_RECORDS wants 1..20000")
        if self.crash_at and self.environment == "production":
            raise ValueError("KAIROS_ROUTER_CRASH_AT is for tests: it is refused in production")
        if self.away_seconds <= 0 or self.drain_seconds <= 0:
            raise ValueError("KAIROS_ROUTER_AWAY_SECONDS and KAIROS_ROUTER_DRAIN_SECONDS want more than 0")

    @property
    def message_file(self) -> Path | None:
        """Where messages are written; None = they stay in the outbox for a provider."""
        if self.contact_file is not None:
            return self.contact_file
        return None if self.environment == "production" else self.var_dir / "contacts.ndjson"
