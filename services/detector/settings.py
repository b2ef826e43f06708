"""Settings of a detector process, read once from the environment."""

from dataclasses import dataclass
from typing import Literal

from services.detector.chaos import ChaosPlan, parse_chaos
from services.detector.records.poison import PoisonPolicy
from services.settings import shared

GROUP = "kairos-detector"
"""Consumer group of the detector; its committed offset is where a restart replays from."""
APPLIED_GROUP = "kairos-detector-applied"
"""Second group: committed every half second to what is applied, so that lag tools tell the truth."""
RESUME_GROUP = "kairos-detector-resume"
"""Third group: up to its offset an operator allowed any amount of poison (`kairos detector resume`)."""
CLOCK_GROUP = "kairos-detector-clock"
"""Committed to only because the brokers date what is committed: that is how their clock is read."""
TIME_GROUP = "kairos-detector-time"
"""Its offset in partition 0 is the time, ms, that an operator confirmed (`kairos detector confirm-time`)."""


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """One detector process. Durations in seconds of the real clock."""

    environment: Literal["production", "demo", "test"] = shared("ENVIRONMENT", default="production")
    kafka_bootstrap: str = shared("KAFKA_BOOTSTRAP")
    bind_host: str = shared("BIND_HOST", default="127.0.0.1")
    metrics_port: int = 9464  # 0 takes a free one
    instance_id: str = ""  # static member of the group; must differ between processes. Empty: dynamic
    turn_seconds: float = 60.0  # one complete writing of the state; a restart replays about one and a half of these
    fetch_wait_ms: int = 20  # the broker answers a fetch after this with what there is
    fetch_bytes: int = 4 * 1024 * 1024  # per partition and fetch
    chunk_records: int = 16_384  # at most so many records are applied without looking at anything else
    commit_seconds: float = 0.5
    session_seconds: float = 10.0
    heartbeat_seconds: float = 3.0
    keep_seconds: float = 60.0  # state of a revoked partition is kept so long, in case it comes back
    kafka_away_seconds: float = 30.0  # without Kafka for so long, the process ends
    stall_seconds: float = 30.0  # with work to do and nothing done for so long, the process ends
    outbox_records_max: int = 50_000  # moments and copies of a partition that wait for the broker; more stop the input
    poison_run_max: int = 1_000  # undecodable records in a row, before the partition is paused
    poison_window: int = 10_000  # records over which the share is judged
    poison_share_max: float = 0.5
    engine: str = ""  # test only: `module:name` of a stand-in for the engine
    chaos: str = ""  # test only: `step=probability,...`; the process kills itself there

    def __post_init__(self) -> None:
        if (self.chaos or self.engine) and self.environment != "test":
            raise ValueError("KAIROS_DETECTOR_CHAOS and _ENGINE are refused unless KAIROS_ENVIRONMENT=test")
        parse_chaos(self.chaos)
        if not 3 * self.heartbeat_seconds <= self.session_seconds:
            raise ValueError("KAIROS_DETECTOR_SESSION_SECONDS wants at least three heartbeats")
        if self.turn_seconds <= 0 or self.chunk_records < 1 or self.fetch_wait_ms < 1:
            raise ValueError("KAIROS_DETECTOR_TURN_SECONDS, _CHUNK_RECORDS and _FETCH_WAIT_MS want positive values")

    @property
    def chaos_plan(self) -> ChaosPlan:
        """Where the process kills itself in tests; empty elsewhere."""
        return parse_chaos(self.chaos)

    @property
    def poison_policy(self) -> PoisonPolicy:
        """When a partition of undecodable records is paused."""
        return PoisonPolicy(run_max=self.poison_run_max, window=self.poison_window, share_max=self.poison_share_max)
