"""Where the running stack is: var/endpoints.json as the supervisor wrote it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.clock import Clock, SystemClock, clock_from_environment


class StackNotRunning(RuntimeError):
    """There is no endpoints file: nothing to talk to. Start `kairos up` first."""


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Addresses of one stack; `metrics` maps a service to the URL of its metrics page."""

    kafka: str
    postgres_dsn: str
    ingest_http: str
    ingest_grpc: str
    workbench_grpc: str
    metrics: Mapping[str, str]
    tokens: Mapping[str, str]
    clock: str
    secrets_dir: Path
    pids: Mapping[str, int]
    is_ready: bool = True

    def business_clock(self) -> Clock:
        """The clock that the services of this stack run on."""
        if not self.clock:
            return SystemClock()
        return clock_from_environment({"KAIROS_CLOCK": self.clock, "KAIROS_ENVIRONMENT": "demo"})

    def health_url(self, service: str, page: str = "healthz") -> str:
        """The address of a service's health page."""
        return self.metrics[service].rsplit("/metrics", 1)[0].rstrip("/") + f"/{page}"


def endpoints_path(var_dir: Path) -> Path:
    """Where the supervisor writes the file."""
    return var_dir / "endpoints.json"


def read_endpoints(var_dir: Path) -> Endpoints:
    """Read the file. Raises StackNotRunning when it is not there."""
    path = endpoints_path(var_dir)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StackNotRunning(f"{path} is not there; start the stack with `kairos up`") from None
    return Endpoints(
        kafka=found["kafka"],
        postgres_dsn=found["postgres_dsn"],
        ingest_http=with_scheme(found["ingest_http"]),
        ingest_grpc=without_scheme(found["ingest_grpc"]),
        workbench_grpc=without_scheme(found["workbench_grpc"]),
        metrics={service: with_scheme(url) for service, url in found["metrics"].items()},
        tokens=found.get("tokens", {}),
        clock=found.get("clock") or "",
        secrets_dir=Path(found["secrets_dir"]),
        pids=found.get("pids", {}),
        is_ready=bool(found.get("ready", True)),
    )


def with_scheme(address: str) -> str:
    """An address as a URL."""
    return address.rstrip("/") if "://" in address else f"http://{address}"


def without_scheme(address: str) -> str:
    """An address as host and port."""
    return address.split("://", 1)[-1].rstrip("/")
