"""Settings of ingest, read once from the environment."""

from dataclasses import dataclass
from pathlib import Path

from services.settings import shared

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """What the serving process needs. Every bound here is one on memory."""

    kafka_bootstrap: str = shared("KAFKA_BOOTSTRAP", default="127.0.0.1:9092")
    secrets_dir: Path | None = shared("SECRETS_DIR", default=None)
    environment: str = shared("ENVIRONMENT", default="production")
    bind_host: str = shared("BIND_HOST", default="127.0.0.1")
    http_port: int = 8080  # KAIROS_INGEST_HTTP_PORT
    grpc_port: int = 8081  # KAIROS_INGEST_GRPC_PORT
    metrics_port: int = 0  # KAIROS_INGEST_METRICS_PORT; 0 = a free one
    body_bytes_max: int = 8 * MEBIBYTE  # KAIROS_INGEST_BODY_BYTES_MAX; a larger HTTP body gets 413
    in_flight_bytes_max: int = 48 * MEBIBYTE  # requests not yet answered, in bytes of their bodies
    in_flight_requests_max: int = 256
    connections_max: int = 1024  # open HTTP connections; further ones get 503
    body_seconds: float = 20.0  # a body that trickles in for longer gets 408
    acknowledge_seconds: float = 10.0  # the brokers' time; then 503
    brokers_lost_seconds: float = 30.0  # without Kafka for so long the process ends and is started again
    drain_seconds: float = 8.0  # what was accepted is finished within this after SIGTERM

    def __post_init__(self) -> None:
        """Refuse bounds that contradict each other."""
        if self.body_bytes_max > self.in_flight_bytes_max:
            raise ValueError("KAIROS_INGEST_BODY_BYTES_MAX must not exceed KAIROS_INGEST_IN_FLIGHT_BYTES_MAX")


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """What the file door needs beside its arguments."""

    kafka_bootstrap: str = shared("KAFKA_BOOTSTRAP", default="")  # empty = as var/endpoints.json says
    secrets_dir: Path | None = shared("SECRETS_DIR", default=None)
    var_dir: Path = shared("VAR_DIR", default=Path("var"))
    lag_metrics_url: str = ""  # KAIROS_INGEST_LAG_METRICS_URL; empty = as var/endpoints.json says
    lag_seconds_max: float = 2.0  # the load pauses while the detector is further behind than this
    lag_records_max: int = 500_000  # and while so many records wait in the log
    unpaced_events_per_second: int = 50_000  # the rate when no detector can be asked


def read_secret(secrets_dir: Path | None, name: str) -> bytes | None:
    """Return a key from its file of hex digits; None when there is no directory or file. Raises ValueError."""
    if secrets_dir is None or not (secrets_dir / name).is_file():
        return None
    key = bytes.fromhex((secrets_dir / name).read_text(encoding="ascii").strip())
    if len(key) < 16:
        raise ValueError(f"{secrets_dir / name}: want at least 16 bytes as hex digits")
    return key
