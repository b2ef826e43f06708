"""Keeps the gauges that come from the database up to date; doubles as the probe of the database."""

import asyncio
from typing import Final

from services.workbench_api import metrics
from services.workbench_api.database import Database
from services.workbench_api.dependency import Dependency
from services.workbench_api.presence import Presence
from services.workbench_api.states import OPEN
from services.workbench_api.waiters import Waiters

_SECONDS: Final = 1.0
_STATES: Final = (
    "SELECT state, count(*) FROM tasks"
    " WHERE state IN ('HELD', 'QUEUED', 'OFFERED', 'ACCEPTED', 'WRAPPING', 'DEFERRED') GROUP BY state"
)


async def refresh(database: Database, waiters: Waiters, postgres: Dependency) -> None:
    """For ever: read, show, sleep. Raises StoreUnavailable."""
    while True:
        await show(database, waiters)
        postgres.answered()
        await asyncio.sleep(_SECONDS)


async def show(database: Database, waiters: Waiters) -> None:
    """One reading."""
    async with database.connection() as connection:
        states = {row[0]: row[1] for row in await (await connection.execute(_STATES)).fetchall()}
        cursor = await connection.execute("SELECT presence, count(*) FROM managers WHERE active GROUP BY presence")
        presences = {row[0]: row[1] for row in await cursor.fetchall()}
        row = await (await connection.execute("SELECT count(*) FROM outbox")).fetchone()
    for state in OPEN:
        metrics.TASKS.labels(state=state.value).set(states.get(state.value, 0))
    for presence in Presence:
        metrics.MANAGERS.labels(presence=presence.value).set(presences.get(presence.value, 0))
    metrics.OPEN_OFFERS.set(states.get("OFFERED", 0))
    metrics.OUTBOX_ROWS.set(0 if row is None else row[0])
    metrics.WAITING_POLLS.set(len(waiters))
