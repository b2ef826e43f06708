"""The pool of connections, transactions with a bound on everything, and who is to be told after a commit.

Owns the mapping of foreign errors to `StoreUnavailable`, repeats of transactions that the server broke off, and the
notifications between instances. What is read and written stands in the stores.
"""

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from services.workbench_api.errors import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Connection = AsyncConnection[TupleRow]

CHANNEL: Final = "kairos_workbench"
_PAYLOAD_BYTES_MAX: Final = 7_000  # the server refuses notifications of 8,000 bytes
_TRIES_MAX: Final = 4
_ACQUIRE_SECONDS: Final = 3.0
_STATEMENT_MS: Final = 4_000
_LOCK_MS: Final = 3_000
_IDLE_IN_TRANSACTION_MS: Final = 10_000
_REPEATABLE = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


@dataclass
class News:
    """What a transaction changed, told after its commit: managers with new work, or with other capacity or presence."""

    work: set[str] = field(default_factory=set)
    capacity: set[str] = field(default_factory=set)
    outbox: bool = False


NewsListener = Callable[[News], None]


class Database:
    """A bounded pool on the schema `workbench`. News reaches this process at once, the others by NOTIFY."""

    def __init__(self, dsn: str, *, connections_max: int = 10) -> None:
        self.instance = uuid.uuid4().hex[:12]
        self._dsn = dsn
        self._listeners: list[NewsListener] = []
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=2,
            max_size=connections_max,
            open=False,
            timeout=_ACQUIRE_SECONDS,
            max_waiting=500,
            reconnect_timeout=5.0,
            kwargs={
                "autocommit": True,
                "connect_timeout": 5,
                "options": _options(),
                "application_name": "kairos-workbench",
            },
        )

    async def open(self, *, deadline_seconds: float = 30.0) -> None:
        """Connect; raises StoreUnavailable when the server cannot be reached in time."""
        try:
            await self._pool.open(wait=True, timeout=deadline_seconds)
        except PoolTimeout as exc:
            await self._pool.close()
            raise StoreUnavailable("the database cannot be reached") from exc

    async def close(self) -> None:
        await self._pool.close(timeout=2.0)

    def listen(self, listener: NewsListener) -> None:
        """Call `listener` for the news of this process and of the others."""
        self._listeners.append(listener)

    def tell(self, news: News) -> None:
        """Pass news on to the listeners of this process."""
        for listener in self._listeners:
            listener(news)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, for single statements. Raises StoreUnavailable."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as exc:
            raise StoreUnavailable(type(exc).__name__) from exc

    async def transact(self, work: Callable[[Connection, News], Awaitable[T]]) -> T:
        """Run `work` in one transaction, repeat it a few times when the server broke it off, then spread its news."""
        for attempt in range(1, _TRIES_MAX + 1):
            news = News()
            try:
                async with self.connection() as connection, connection.transaction():
                    result = await work(connection, news)
                    await self._notify(connection, news)
            except StoreUnavailable as exc:
                if not isinstance(exc.__cause__, _REPEATABLE) or attempt == _TRIES_MAX:
                    raise
                await asyncio.sleep(0.005 * attempt)
                continue
            self.tell(news)
            return result
        raise AssertionError("unreachable")

    async def _notify(self, connection: Connection, news: News) -> None:
        for payload in payloads(self.instance, news):
            await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])

    async def follow(self) -> None:
        """Listen to the other instances for ever, reconnecting with back-off; after a gap everybody is woken."""
        pause = 0.2
        while True:
            try:
                async with await AsyncConnection.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    pause = 0.2
                    self.tell(EVERYTHING)
                    async for notice in connection.notifies():
                        news = read_payload(notice.payload, but=self.instance)
                        if news is not None:
                            self.tell(news)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                log.warning("workbench.listen.lost", extra={"reason": type(exc).__name__})
            await asyncio.sleep(pause)
            pause = min(pause * 2, 3.0)


ALL: Final = "*"
EVERYTHING: Final = News(work={ALL}, capacity={ALL}, outbox=True)


def payloads(instance: str, news: News) -> list[str]:
    """The news as notifications of bounded size; the outbox needs none, its publisher looks by itself."""
    lines: list[str] = []
    for kind, managers in (("work", news.work), ("capacity", news.capacity)):
        lines += [
            json.dumps({"from": instance, kind: group}, separators=(",", ":")) for group in _groups(sorted(managers))
        ]
    return lines


def read_payload(payload: str, *, but: str) -> News | None:
    """The news of another instance; None for one's own and for what cannot be read."""
    try:
        body: dict[str, Any] = json.loads(payload)
        if body["from"] == but:
            return None
        return News(work=set(body.get("work", [])), capacity=set(body.get("capacity", [])))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _groups(managers: Iterable[str]) -> list[list[str]]:
    groups: list[list[str]] = []
    size = _PAYLOAD_BYTES_MAX
    for manager_id in managers:
        if size + len(manager_id) + 3 > _PAYLOAD_BYTES_MAX:
            groups.append([])
            size = 100
        groups[-1].append(manager_id)
        size += len(manager_id) + 3
    return groups


def _options() -> str:
    return (
        f"-c search_path=workbench -c statement_timeout={_STATEMENT_MS} -c lock_timeout={_LOCK_MS}"
        f" -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS} -c jit=off"
    )
