"""Free ports on loopback: the usual one where it is free, another one where it is taken."""

from __future__ import annotations

import secrets
import socket

LOWEST_PORT = 20_000
HIGHEST_PORT = 32_000  # Linux gives 32768 and more to outgoing connections
TRIES = 1000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True when a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Distinct free ports below those the kernel gives to outgoing connections, so that none of these takes them."""
    found: set[int] = set()
    for _ in range(TRIES):
        if len(found) == count:
            return sorted(found)
        port = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT)
        if is_free(port, host):
            found.add(port)
    raise OSError(f"no {count} free ports between {LOWEST_PORT} and {HIGHEST_PORT} on {host}")


def choose_port(preferred: int | None, host: str = "127.0.0.1") -> int:
    """The preferred port when it is free, else a free one."""
    if preferred is not None and is_free(preferred, host):
        return preferred
    return free_ports(1, host)[0]


def accepts(port: int, host: str = "127.0.0.1", *, seconds: float = 0.5) -> bool:
    """True when something listens there."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False
