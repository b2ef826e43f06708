"""A stable name for each running instance, so that a restarted one takes its predecessor's place at once.

The name is the lowest free slot, held by a lock of a PostgreSQL session: killing the process frees it. It serves as the
static member id in the consumer group, where a member without one is missed for a whole session time-out.
"""

from types import TracebackType
from typing import Self

from services.router.store.database import Db, connect, mapped_errors

SLOTS = 64


def others_run(db: Db) -> bool:
    """Whether more instances than this one hold a name."""
    with mapped_errors():
        row = db.execute(
            "SELECT count(DISTINCT objid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid::bigint = hashtext('router.instance')::bigint & 4294967295"
        ).fetchone()
    return row is not None and int(row[0]) > 1


class InstanceName:
    """Holds one slot while open. Raises TransportUnavailable."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._db: Db | None = None
        self.name = ""

    def __enter__(self) -> Self:
        self._db = connect(self._dsn, "instance")
        with mapped_errors():
            for slot in range(SLOTS):
                row = self._db.execute(
                    "SELECT pg_try_advisory_lock(hashtext('router.instance'), %s)", [slot]
                ).fetchone()
                if row is not None and row[0]:
                    self.name = f"router-{slot}"
                    return self
        raise RuntimeError(f"{SLOTS} instances are running already")

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._db is not None:
            self._db.close()
