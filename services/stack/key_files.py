"""The secrets of a local stack: made once, 32 random bytes each, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

KEY_BYTES = 32
NAMES = ("token_signing_key", "phone_hash_key", "customer_hash_key")


def ensure_keys(folder: Path) -> None:
    """Make what is missing; what is there stays, for it has signed and hashed already."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in NAMES:
        path = folder / name
        if not path.exists():
            fresh = path.with_suffix(".new")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
            fresh.replace(path)
