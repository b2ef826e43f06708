"""Managers in the database: who they are, whether they are there, and what they may still take."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.clock import Clock
from services.workbench_api.database import Connection, Database, News
from services.workbench_api.dispatching import Room
from services.workbench_api.errors import ManagerUnknown
from services.workbench_api.presence import Attendance, Presence, PresencePolicy, after_act, after_missed
from services.workbench_api.rows import read_tasks, write_changes
from services.workbench_api.states import Cause, State
from services.workbench_api.tasks import FOLLOW_UP_UNITS, Change, Instant, release
from services.workbench_api.windows import local_date

WAITING_FOR_MANAGER: Final = "manager_id = %s AND state IN ('HELD', 'QUEUED', 'OFFERED') ORDER BY task_id FOR UPDATE"
_LOADS: Final = f"""
    SELECT manager_id,
        sum(CASE WHEN state = 'DEFERRED' THEN least({FOLLOW_UP_UNITS}, units) ELSE units END)::integer,
        coalesce(sum(units - least({FOLLOW_UP_UNITS}, units))
            FILTER (WHERE state = 'DEFERRED' AND ready_at_ms <= %s), 0)::integer,
        count(*) FILTER (WHERE state IN ('HELD', 'QUEUED', 'OFFERED'))
    FROM tasks
    WHERE manager_id = ANY(%s) AND state IN ('HELD', 'QUEUED', 'OFFERED', 'ACCEPTED', 'WRAPPING', 'DEFERRED')
    GROUP BY manager_id
"""  # noqa: S608
_MANAGER: Final = (
    "manager_id, city, team, capacity_units, daily_budget, skills, active, presence, missed_offers, accepted_on,"
    " accepted_count"
)


@dataclass(frozen=True, kw_only=True)
class Manager:
    """One row of the roster."""

    manager_id: str
    city: str
    team: str = ""
    capacity_units: int = 100
    daily_budget: int = 60
    skills: tuple[str, ...] = ()
    active: bool = True
    presence: Presence = Presence.OFFLINE
    missed_offers: int = 0
    accepted_on: datetime.date | None = None
    accepted_count: int = 0

    @property
    def attendance(self) -> Attendance:
        return Attendance(self.presence, self.missed_offers)

    def room(self, load: tuple[int, int, int], now_ms: int) -> Room:
        """What they may still take; load: units held, units reserved, tasks waiting."""
        held, reserved, waiting = load
        accepted = self.accepted_count if self.accepted_on == local_date(now_ms) else 0
        presence = self.presence if self.active else Presence.OFFLINE
        return Room(presence, self.capacity_units, held, reserved, self.daily_budget - accepted - waiting)


@dataclass(frozen=True)
class Standing:
    """A manager and their room just now."""

    manager: Manager
    room: Room


class Roster:
    """Reads and changes managers."""

    def __init__(self, database: Database, clock: Clock, *, policy: PresencePolicy) -> None:
        self._database = database
        self._clock = clock
        self._policy = policy

    @property
    def silence_ms(self) -> int:
        """After how long without a sign somebody AVAILABLE counts as away."""
        return self._policy.silence_ms

    async def upsert(self, managers: Sequence[Manager]) -> tuple[int, int]:
        """Create or change managers; returns how many of each. Who is not active any more gives waiting tasks back."""
        at = read_instant(self._clock)

        async def work(connection: Connection, news: News) -> tuple[int, int]:
            created = changed = 0
            for manager in sorted(managers, key=lambda each: each.manager_id):
                outcome = await _upsert(connection, manager)
                created += outcome == "created"
                changed += outcome == "changed"
                if outcome is not None:
                    news.capacity.add(manager.manager_id)
                if outcome == "changed" and not manager.active:
                    await self._leave(connection, manager.manager_id, Attendance(Presence.OFFLINE), at, news)
            return created, changed

        return await self._database.transact(work)

    async def set_presence(self, manager_id: str, presence: Presence) -> Presence:
        """What the person says of themselves; leaving gives everything that only waited for them back."""
        at = read_instant(self._clock)

        async def work(connection: Connection, news: News) -> Presence:
            await lock_manager(connection, manager_id)
            news.work.add(manager_id)
            if presence is Presence.AVAILABLE:
                await _write_attendance(connection, manager_id, Attendance(presence))
                await write_seen(connection, [manager_id], at.real_ms)
                news.capacity.add(manager_id)
            else:
                await self._leave(connection, manager_id, Attendance(presence), at, news)
            return presence

        return await self._database.transact(work)

    async def miss(self, connection: Connection, manager: Manager, missed: int, at: Instant, news: News) -> None:
        """Count missed offers of a locked manager; who stops responding gives the rest back."""
        after = after_missed(manager.attendance, missed, policy=self._policy)
        if after.presence is not manager.presence:
            await self._leave(connection, manager.manager_id, after, at, news)
        elif after != manager.attendance:
            await _write_attendance(connection, manager.manager_id, after)

    async def silence(self, manager_id: str) -> bool:
        """Set a manager who has not been heard of to NOT_RESPONDING; False when they were heard of since."""
        at = read_instant(self._clock)

        async def work(connection: Connection, news: News) -> bool:
            manager = await lock_manager(connection, manager_id)
            found = await connection.execute("SELECT real_at_ms FROM seen WHERE manager_id = %s", [manager_id])
            row = await found.fetchone()
            if manager.presence is not Presence.AVAILABLE:
                return False
            if row is not None and at.real_ms - row[0] < self._policy.silence_ms:
                return False
            after = Attendance(Presence.NOT_RESPONDING, manager.missed_offers)
            await self._leave(connection, manager_id, after, at, news)
            return True

        return await self._database.transact(work)

    async def silent(self, *, limit: int = 200) -> list[str]:
        """Managers who said they are there and have not been heard of for too long."""
        before = self._clock.real_ms() - self._policy.silence_ms
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT manager_id FROM managers LEFT JOIN seen USING (manager_id) WHERE presence = 'AVAILABLE'"
                " AND active AND coalesce(real_at_ms, 0) <= %s ORDER BY manager_id LIMIT %s",
                [before, limit],
            )
            return [row[0] for row in await cursor.fetchall()]

    async def saw(self, manager_ids: Sequence[str]) -> None:
        """Note that these were heard of just now."""
        async with self._database.connection() as connection:
            await write_seen(connection, manager_ids, self._clock.real_ms())

    async def standings(
        self, *, only: Sequence[str] | None = None, cities: Sequence[str] = (), after: str = "", limit: int = 20_000
    ) -> list[Standing]:
        """Managers with their room, by id; `only` and `cities` narrow it, `after` and `limit` page it."""
        now_ms = self._clock.now_ms()
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                f"SELECT {_MANAGER} FROM managers WHERE manager_id > %s"  # noqa: S608
                " AND (%s::text[] IS NULL OR manager_id = ANY(%s)) AND (%s::text[] IS NULL OR city = ANY(%s))"
                " ORDER BY manager_id LIMIT %s",
                [after, *[None if only is None else list(only)] * 2, *[list(cities) or None] * 2, limit],
            )
            managers = [_manager_of(row) for row in await cursor.fetchall()]
            loads = await read_loads(connection, [each.manager_id for each in managers], now_ms)
        return [Standing(each, each.room(loads.get(each.manager_id, (0, 0, 0)), now_ms)) for each in managers]

    async def _leave(
        self, connection: Connection, manager_id: str, attendance: Attendance, at: Instant, news: News
    ) -> list[Change]:
        """Store the attendance of a locked manager who is away now, and release what waited for them."""
        await _write_attendance(connection, manager_id, attendance)
        news.capacity.add(manager_id)
        news.work.add(manager_id)
        tasks = await read_tasks(connection, WAITING_FOR_MANAGER, [manager_id])
        changes = [release(task, State.EXPIRED, Cause.MANAGER_AWAY) for task in tasks]
        await write_changes(connection, changes, at, news)
        return changes


def read_instant(clock: Clock) -> Instant:
    """Both clocks now."""
    return Instant(clock.now_ms(), clock.real_ms())


async def lock_manager(connection: Connection, manager_id: str) -> Manager:
    """One active manager, locked until the transaction ends. Raises ManagerUnknown."""
    cursor = await connection.execute(
        f"SELECT {_MANAGER} FROM managers WHERE manager_id = %s FOR NO KEY UPDATE",  # noqa: S608
        [manager_id],
    )
    row = await cursor.fetchone()
    if row is None or not _manager_of(row).active:
        raise ManagerUnknown(manager_id)
    return _manager_of(row)


async def lock_rooms(connection: Connection, manager_ids: Sequence[str], now_ms: int) -> dict[str, Room]:
    """The rooms of these managers, locked until the transaction ends; unknown ones are absent."""
    cursor = await connection.execute(
        f"SELECT {_MANAGER} FROM managers WHERE manager_id = ANY(%s)"  # noqa: S608
        " ORDER BY manager_id FOR NO KEY UPDATE",
        [list(manager_ids)],
    )
    managers = [_manager_of(row) for row in await cursor.fetchall()]
    loads = await read_loads(connection, manager_ids, now_ms)
    return {each.manager_id: each.room(loads.get(each.manager_id, (0, 0, 0)), now_ms) for each in managers}


async def read_loads(
    connection: Connection, manager_ids: Sequence[str], now_ms: int
) -> dict[str, tuple[int, int, int]]:
    """Units held, units reserved for due second attempts, and tasks waiting, by manager."""
    cursor = await connection.execute(_LOADS, [now_ms, list(manager_ids)])
    return {row[0]: (row[1], row[2], row[3]) for row in await cursor.fetchall()}


async def note_act(connection: Connection, manager: Manager, at: Instant, news: News, *, accepted: bool) -> None:
    """A locked manager did something: they are there; an accepted task counts for the local day."""
    after = after_act(manager.attendance)
    if after != manager.attendance:
        await _write_attendance(connection, manager.manager_id, after)
        news.capacity.add(manager.manager_id)
    if accepted:
        await connection.execute(
            "UPDATE managers SET accepted_on = %s, accepted_count ="
            " CASE WHEN accepted_on = %s THEN accepted_count + 1 ELSE 1 END WHERE manager_id = %s",
            [local_date(at.now_ms), local_date(at.now_ms), manager.manager_id],
        )


async def write_seen(connection: Connection, manager_ids: Sequence[str], real_ms: int) -> None:
    """Note when managers were heard of; in the order of ids, so that two writers never wait for each other."""
    await connection.execute(
        "INSERT INTO seen (manager_id, real_at_ms) SELECT id, %s FROM unnest(%s::text[]) AS id ORDER BY id"
        " ON CONFLICT (manager_id) DO UPDATE SET real_at_ms = greatest(seen.real_at_ms, excluded.real_at_ms)",
        [real_ms, sorted(set(manager_ids))],
    )


async def _write_attendance(connection: Connection, manager_id: str, attendance: Attendance) -> None:
    await connection.execute(
        "UPDATE managers SET presence = %s, missed_offers = %s WHERE manager_id = %s",
        [attendance.presence.value, attendance.missed_offers, manager_id],
    )


async def _upsert(connection: Connection, manager: Manager) -> str | None:
    values = (manager.city, manager.team, manager.capacity_units, manager.daily_budget, list(manager.skills))
    cursor = await connection.execute(
        "INSERT INTO managers (manager_id, city, team, capacity_units, daily_budget, skills, active)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (manager_id) DO UPDATE SET city = excluded.city,"
        " team = excluded.team, capacity_units = excluded.capacity_units, daily_budget = excluded.daily_budget,"
        " skills = excluded.skills, active = excluded.active"
        " WHERE (managers.city, managers.team, managers.capacity_units, managers.daily_budget, managers.skills,"
        " managers.active) IS DISTINCT FROM (excluded.city, excluded.team, excluded.capacity_units,"
        " excluded.daily_budget, excluded.skills, excluded.active) RETURNING xmax = 0",
        [manager.manager_id, *values, manager.active],
    )
    row = await cursor.fetchone()
    return None if row is None else "created" if row[0] else "changed"


def _manager_of(row: Sequence[Any]) -> Manager:
    names = [name.strip() for name in _MANAGER.split(",")]
    values = dict(zip(names, row, strict=True))
    values |= {"skills": tuple(values["skills"]), "presence": Presence(values["presence"])}
    return Manager(**values)
