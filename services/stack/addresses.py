"""The ports of a local stack: the usual ones, or free ones where those are taken; what services are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.stack.ports import choose_port

HOST = "127.0.0.1"
USUAL_PORTS: Mapping[str, int] = {
    "kafka": 9092,
    "kafka_controller": 9093,
    "postgres": 5432,
    "ingest_http": 8080,
    "ingest_grpc": 8081,
    "workbench_grpc": 8082,
    "ingest_metrics": 9461,
    "detector_metrics": 9462,
    "router_metrics": 9463,
    "workbench_metrics": 9464,
}
SERVICES = ("ingest", "detector", "workbench", "router")  # in the order of their start


@dataclass(frozen=True)
class Addresses:
    """Chosen ports by use; `moved` names those that are not the usual ones."""

    ports: Mapping[str, int]

    @property
    def moved(self) -> dict[str, int]:
        return {use: port for use, port in self.ports.items() if port != USUAL_PORTS.get(use)}

    @property
    def kafka(self) -> str:
        return self.at("kafka")

    @property
    def metrics(self) -> dict[str, str]:
        """Service → URL of its metrics."""
        return {name: f"http://{self.at(f'{name}_metrics')}/metrics" for name in SERVICES}

    def at(self, use: str) -> str:
        """host:port of one use."""
        return f"{HOST}:{self.ports[use]}"

    def environment(self, *, postgres_dsn: str, secrets_dir: Path, var: Path) -> dict[str, str]:
        """What every service of the stack is told."""
        own = {
            "KAIROS_KAFKA_BOOTSTRAP": self.kafka,
            "KAIROS_POSTGRES_DSN": postgres_dsn,
            "KAIROS_SECRETS_DIR": str(secrets_dir),
            "KAIROS_VAR_DIR": str(var),
            "KAIROS_BIND_HOST": HOST,
            "KAIROS_INGEST_HTTP_PORT": str(self.ports["ingest_http"]),
            "KAIROS_INGEST_GRPC_PORT": str(self.ports["ingest_grpc"]),
            "KAIROS_WORKBENCH_GRPC_PORT": str(self.ports["workbench_grpc"]),
            "KAIROS_WORKBENCH_GRPC_TARGET": self.at("workbench_grpc"),
        }
        return own | {f"KAIROS_{name.upper()}_METRICS_PORT": str(self.ports[f"{name}_metrics"]) for name in SERVICES}


def choose_addresses(*, usual: bool = True) -> Addresses:
    """Ports that are free now and all different; usual: take the usual ones where they are free."""
    ports: dict[str, int] = {}
    for use, preferred in USUAL_PORTS.items():
        port = choose_port(preferred if usual else None)
        while port in ports.values():
            port = choose_port(None)
        ports[use] = port
    return Addresses(ports)
