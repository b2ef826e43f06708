"""One instance among several does the chores: sweeping, publishing, following customers.

The right is an advisory lock of PostgreSQL on a connection of its own: it ends with the connection, also by kill -9,
and another instance takes over within a second. Chores stay correct when two run for a moment; they only repeat work.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import psycopg
from psycopg import AsyncConnection

from services.workbench_api import metrics

log = logging.getLogger(__name__)

Chore = Callable[[], Awaitable[None]]
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('kairos.workbench.leader'))"
_TRY_SECONDS: Final = 1.0
_CHECK_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 5.0


async def lead(dsn: str, chores: Sequence[Chore]) -> None:
    """For ever: wait for the lock, run the chores while it is held, start again when the connection is lost.

    A chore that fails ends this with its error.
    """
    while True:
        with contextlib.suppress(psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
            async with await AsyncConnection.connect(dsn, autocommit=True, connect_timeout=5) as connection:
                await _wait_for_lock(connection)
                await _run_while_held(connection, chores)
        metrics.IS_LEADER.set(0)
        await asyncio.sleep(_TRY_SECONDS)


async def _wait_for_lock(connection: AsyncConnection) -> None:
    while True:
        async with asyncio.timeout(_ANSWER_SECONDS):
            row = await (await connection.execute(_LOCK)).fetchone()
        if row is not None and row[0]:
            return
        await asyncio.sleep(_TRY_SECONDS)


async def _run_while_held(connection: AsyncConnection, chores: Sequence[Chore]) -> None:
    """Run the chores; returns when the lock's connection is lost, raises what a chore raises."""
    metrics.IS_LEADER.set(1)
    log.info("workbench.leader.elected")
    watch = asyncio.ensure_future(_until_lost(connection))
    tasks = [asyncio.ensure_future(chore()) for chore in chores]
    try:
        done, _ = await asyncio.wait([watch, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {watch}:
            task.result()
        log.warning("workbench.leader.lost")
    finally:
        for task in [watch, *tasks]:
            task.cancel()
        await asyncio.gather(watch, *tasks, return_exceptions=True)


async def _until_lost(connection: AsyncConnection) -> None:
    with contextlib.suppress(psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await connection.execute("SELECT 1")
