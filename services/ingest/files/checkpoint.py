"""How far a load has come, kept so that kill -9 costs at most the last batch, whose events carry the same ids again."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from services.ingest.files.sources import Position

_SAMPLE_BYTES = 1 << 20


@dataclass(frozen=True)
class Progress:
    """The state of one load. rejects_bytes: how much of the rejects file belongs to it."""

    position: Position = field(default_factory=Position)
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    rejects_bytes: int = 0
    is_done: bool = False

    def with_batch(
        self, position: Position, *, accepted: int, reasons: Mapping[str, int], duplicates: int, rejects_bytes: int
    ) -> "Progress":
        """Return the progress after a further batch; `reasons` counts its refused rows by their first reason."""
        merged = dict(self.reasons)
        for reason, count in reasons.items():
            merged[reason] = merged.get(reason, 0) + count
        return replace(
            self,
            position=position,
            accepted=self.accepted + accepted,
            rejected=self.rejected + sum(reasons.values()),
            duplicates=self.duplicates + duplicates,
            reasons=merged,
            rejects_bytes=rejects_bytes,
        )


def load_identity(path: Path, *, settings: Mapping[str, Any]) -> str:
    """Return what tells this load from others: the file's name, size and contents at both ends, and how it is read."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    size = path.stat().st_size
    digest.update(f"{path.name}\0{size}\0".encode())
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE_BYTES))
        file.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def read_progress(path: Path) -> Progress | None:
    """Return the progress in a checkpoint, None when there is none or it is unreadable: then the load starts anew."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        position = Position(**document.pop("position"))
        return Progress(position=position, **document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_progress(path: Path, progress: Progress) -> None:
    """Replace the checkpoint at once."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(asdict(progress)), encoding="utf-8")
    os.replace(fresh, path)
