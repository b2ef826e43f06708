"""Where the workbench is and as whom to call: options first, then the environment, then var/endpoints.json."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ENDPOINTS: Final = "endpoints.json"
TARGET_DEFAULT: Final = "127.0.0.1:8090"


class ConnectionRefused(Exception):
    """It cannot be told where to connect or as whom; the message says what to give."""


@dataclass(frozen=True)
class Connection:
    """Target, and a function that gives a fresh token."""

    target: str
    token: Callable[[], str]


def find_connection(
    manager_id: str,
    *,
    target: str | None,
    token: str | None,
    token_file: Path | None,
    var_dir: Path,
) -> Connection:
    """The connection of one manager. Raises ConnectionRefused."""
    endpoints = read_endpoints(var_dir)
    found = target or os.environ.get("KAIROS_WORKBENCH_GRPC_TARGET") or endpoints.get("workbench_grpc")
    if token is not None:
        return Connection(found or TARGET_DEFAULT, lambda: token)
    if token_file is not None:
        return Connection(found or TARGET_DEFAULT, lambda: _read_token(token_file))
    if not manager_id:
        raise ConnectionRefused("say who you are: --as m-NJ-01, or give --token or --token-file")
    secrets_dir = os.environ.get("KAIROS_SECRETS_DIR") or endpoints.get("secrets_dir")
    if not secrets_dir:
        raise ConnectionRefused(
            f"no token: {var_dir / ENDPOINTS} names no stack (is `kairos up` running?); give --token or --token-file"
        )
    return Connection(found or TARGET_DEFAULT, _minting(Path(secrets_dir), manager_id))


def read_endpoints(var_dir: Path) -> dict[str, Any]:
    """The addresses of the local stack; empty when none is running here."""
    try:
        found = json.loads((var_dir / ENDPOINTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as exc:
        raise ConnectionRefused(f"{path}: cannot be read as a token") from exc


def _minting(secrets_dir: Path, manager_id: str) -> Callable[[], str]:
    from services.transport.tokens import KeyRefused, TokenSource, read_key

    try:
        return TokenSource(read_key(secrets_dir), subject=manager_id, role="manager", hours=8.0)
    except KeyRefused as exc:
        raise ConnectionRefused(str(exc)) from exc
