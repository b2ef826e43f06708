"""Settings of the archive process, read once from the environment."""

from dataclasses import dataclass
from pathlib import Path

from services.settings import shared


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings:
    """`kairos archive`: KAIROS_ARCHIVE_*. What is held in memory is bounded by memory_records and memory_bytes."""

    kafka_bootstrap: str = shared("KAFKA_BOOTSTRAP")
    bind_host: str = shared("BIND_HOST", default="127.0.0.1")
    var_dir: Path = shared("VAR_DIR", default=Path("var"))
    dir: Path | None = None  # the archive's folder; var/archive when unset
    metrics_port: int = 9465  # 0 takes a free one
    batch_records: int = 500_000  # of a partition, then they are written
    batch_seconds: float = 900.0  # after so long, they are written however few they are
    memory_records: int = 1_000_000  # of all partitions together; beyond, the fullest is written
    memory_bytes: int = 256 * 1024 * 1024
    fetch_bytes: int = 4 * 1024 * 1024  # per partition and fetch
    kafka_away_seconds: float = 60.0  # without Kafka for so long, the process ends

    def __post_init__(self) -> None:
        if min(self.batch_records, self.memory_records, self.memory_bytes, self.fetch_bytes) < 1:
            raise ValueError("KAIROS_ARCHIVE_BATCH_RECORDS, _MEMORY_RECORDS, _MEMORY_BYTES, _FETCH_BYTES want from 1")
        if self.batch_seconds <= 0:
            raise ValueError("KAIROS_ARCHIVE_BATCH_SECONDS wants a positive number")

    @property
    def folder(self) -> Path:
        """Where the archive is."""
        return self.dir or self.var_dir / "archive"
