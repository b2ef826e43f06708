"""Where messages go: a port, and the file that stands for a provider in demo and tests."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol


class ContactChannel(Protocol):
    """A provider of SMS and self-service. The id of the moment makes a repetition harmless."""

    def send(self, messages: Sequence[dict[str, Any]]) -> None: ...


class FileChannel:
    """One JSON line a message; a line may come twice after a crash, with the same moment_id."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, messages: Sequence[dict[str, Any]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages)
        with self._path.open("a", encoding="utf-8") as out:
            out.write(lines)
            out.flush()
            os.fsync(out.fileno())
