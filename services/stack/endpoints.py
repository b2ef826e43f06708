"""var/endpoints.json: every address of the running stack, for clients, tests and `kairos status`.

Holds a database password and tokens, so only its owner may read it. Replaced at once, so a reader never sees half.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "endpoints.json"


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The file's content by name. metrics: service → URL of /metrics; tokens: role → bearer token.

    pids: of the processes that are up. processes: name → state, restarts, pid, log.
    """

    environment: str
    supervisor_pid: int
    ready: bool
    kafka: str
    postgres_dsn: str = field(repr=False)
    ingest_http: str
    ingest_grpc: str
    workbench_grpc: str
    metrics: dict[str, str]
    tokens: dict[str, str] = field(repr=False)
    clock: str
    secrets_dir: str
    var_dir: str
    pids: dict[str, int]
    processes: dict[str, dict[str, Any]]


def write_endpoints(var: Path, endpoints: Endpoints) -> None:
    """Replace the file."""
    path = var / FILE
    fresh = path.with_name(f"{FILE}.{os.getpid()}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(endpoints), file, indent=2, ensure_ascii=False)
        file.write("\n")
    fresh.replace(path)


def read_endpoints(var: Path) -> Endpoints | None:
    """The file's content, or None when there is none."""
    try:
        return Endpoints(**json.loads((var / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
