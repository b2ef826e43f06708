"""The threads of a router process: intake, turns, capacity. Each owns its connections and opens them again when needed.

A server that stays away for too long, or any mistake of ours, ends the process: the supervisor starts a new one.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from services.clock import Clock
from services.router import calendar_cn, metrics
from services.router.capacity_watch import SharedCapacity
from services.router.contact_channel import ContactChannel
from services.router.decode import ALL_TOPICS
from services.router.dispatch import Dispatcher, Workbench
from services.router.errors import WorkbenchRefused, WorkbenchUnavailable
from services.router.instances import others_run
from services.router.intake import Intake
from services.router.kafka_intake import KafkaIntake
from services.router.model import home_day
from services.router.store import dispatch as store
from services.router.store import queries
from services.router.store.database import Db, connect, mapped_errors
from services.router.store.intake import partitions_behind, taken_away
from services.transport.errors import TransportUnavailable

log = logging.getLogger(__name__)

POLL_MS = 250
TIMER_SECONDS = 0.2  # how late a wait that ends by itself may be noticed
SWEEP_SECONDS = 1.0  # how late a manager's room or an owner's wait may be noticed without news
STATISTICS_SECONDS = 2.0
LAG_SECONDS = 1.0
PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0
SAY_HELD_SECONDS = 10.0
MESSAGES_PER_TURN = 1_000


class Fate:
    """Whether the process goes on: `stopping` is set to end it, `fault` says that it ends as broken."""

    def __init__(self, *, away_seconds: float) -> None:
        self.stopping = threading.Event()
        self.fault: str | None = None
        self._away_seconds = away_seconds

    def fail(self, reason: str) -> None:
        """End the process as broken."""
        if self.fault is None:
            self.fault = reason
        self.stopping.set()

    def guard(self, name: str, body: Callable[[], None]) -> threading.Thread:
        """A started thread whose faults end the process."""

        def run() -> None:
            try:
                body()
            except Exception as exc:  # the outermost loop of this thread
                log.exception("router.thread.failed", extra={"loop": name})
                first_line = str(exc).partition("\n")[0]  # what a database adds may quote rows
                self.fail(f"{name}: {type(exc).__name__}: {first_line}"[:300])

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def outlast(self, name: str, since: float, exc: Exception, pause: float) -> None:
        """A server is away since `since` (monotonic): wait a little, or give up after too long."""
        away = time.monotonic() - since
        log.warning("router.server.away", extra={"loop": name, "why": str(exc)[:200], "seconds": round(away, 1)})
        if away > self._away_seconds:
            self.fail(f"{name}: {exc}")
        self.stopping.wait(pause)


class Wake:
    """Tells the turns which cities have news; bounded by the number of cities."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._cities: set[str] = set()
        self._is_set = False

    def tell(self, cities: Iterable[str]) -> None:
        with self._condition:
            self._cities |= set(cities)
            self._is_set = True
            self._condition.notify()

    def wait(self, seconds: float) -> set[str]:
        """The cities with news, at once when there are any, else after at most so long."""
        with self._condition:
            if not self._is_set:
                self._condition.wait(seconds)
            cities, self._cities, self._is_set = self._cities, set(), False
            return cities


class IntakeLoop:
    """Takes records in and wakes the turns.

    With more instances than partitions some have nothing to read: they stand by, which is no fault.
    """

    def __init__(self, dsn: str, source: KafkaIntake, intake: Intake, wake: Wake, fate: Fate) -> None:
        self._dsn = dsn
        self._source = source
        self._intake = intake
        self._wake = wake
        self._fate = fate
        self.fault: str | None = "not assigned yet"

    def run(self) -> None:
        healthy_at, pause = time.monotonic(), PAUSE_SECONDS
        while not self._fate.stopping.is_set():
            try:
                self._source.open()
                with connect(self._dsn, "intake") as db:
                    while not self._fate.stopping.is_set():
                        self._steps(db)
                        if self.fault is None:
                            healthy_at, pause = time.monotonic(), PAUSE_SECONDS
                        elif time.monotonic() - healthy_at > 60.0:
                            raise TransportUnavailable("kafka", "no partitions were assigned for 60 s")
            except TransportUnavailable as exc:
                self.fault = str(exc)[:200]
                self._fate.outlast("intake", healthy_at, exc, pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            finally:
                self._source.close()

    def _steps(self, db: Db) -> None:
        """Steps for a second, then a look at the lag: that also tells whether Kafka is there."""
        until = time.monotonic() + LAG_SECONDS
        while time.monotonic() < until and not self._fate.stopping.is_set():
            outcome = self._intake.step(db, POLL_MS)
            if outcome is not None and (outcome.ready_cities or outcome.rescinds or outcome.messages):
                self._wake.tell(outcome.ready_cities)
        if self._fate.stopping.is_set():
            return
        lags = self._source.lag()
        for topic in ALL_TOPICS:
            if topic in lags:
                metrics.LAG.labels(topic).set(lags[topic])
        metrics.CATCH_UP.set(self._source.records_behind)
        positions = self._source.positions
        for topic, partition in taken_away(db, positions):
            self._source.lose(topic, partition, positions[topic, partition])
        stands_by = not lags and self._source.is_member and others_run(db)
        self.fault = None if lags or stands_by else "not assigned yet"


class TurnLoop:
    """Decides what falls due, plans, dispatches, withdraws and writes messages out.

    waits(): why this instance may not act on what is stored, such as facts it has not read yet; None = it may.
    """

    def __init__(
        self,
        dsn: str,
        workbench: Workbench,
        capacity: SharedCapacity,
        channel: ContactChannel | None,
        wake: Wake,
        fate: Fate,
        clock: Clock,
        *,
        cities: Iterable[str],
        waits: Callable[[], str | None],
        crash_point: Callable[[str], None],
    ) -> None:
        self._dsn = dsn
        self._workbench = workbench
        self._capacity = capacity
        self._channel = channel
        self._wake = wake
        self._fate = fate
        self._clock = clock
        self._cities = frozenset(cities)
        self._waits = waits
        self._held: str | None = None
        self._say_held_at = 0.0
        self._crash_point = crash_point
        self._sweep_at = 0.0
        self._statistics_at = 0.0
        self.fault: str | None = "not connected yet"

    def run(self) -> None:
        healthy_at, pause = time.monotonic(), PAUSE_SECONDS
        while not self._fate.stopping.is_set():
            try:
                with connect(self._dsn, "turns") as db:
                    dispatcher = Dispatcher(
                        db, self._workbench, self._capacity, self._clock, crash_point=self._crash_point
                    )
                    self._turns(db, dispatcher)
            except TransportUnavailable as exc:
                if self.fault is None:
                    healthy_at, pause = time.monotonic(), PAUSE_SECONDS
                self.fault = str(exc)[:200]
                self._fate.outlast("turns", healthy_at, exc, pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _turns(self, db: Db, dispatcher: Dispatcher) -> None:
        pause, quiet_until, is_more = PAUSE_SECONDS, 0.0, True
        cities: set[str] = set()
        while not self._fate.stopping.is_set():
            cities |= self._wake.wait(0.0 if is_more else TIMER_SECONDS)
            if self._is_held(db):
                self._statistics(db)
                self.fault, is_more = None, False
                continue
            ready, is_more = dispatcher.decide_due()
            cities |= ready | self._swept(db)
            self._write_messages(db)
            self._statistics(db)
            self.fault = None
            if time.monotonic() < quiet_until:
                continue
            try:
                is_more |= dispatcher.turn(cities)
                cities, pause = set(), PAUSE_SECONDS
            except (WorkbenchUnavailable, WorkbenchRefused) as exc:
                log.warning("router.workbench.failed", extra={"call": exc.call, "why": exc.reason})
                quiet_until, is_more = time.monotonic() + pause, False
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _is_held(self, db: Db) -> bool:
        """Nothing is decided, sent or written out before every partition has caught up; says so when that changes."""
        held = self._waits()
        if held is None and partitions_behind(db):
            held = "partitions of another instance are behind"
        if (held is None) != (self._held is None) or (held is not None and time.monotonic() >= self._say_held_at):
            log.info("router.turns.held" if held is not None else "router.turns.released", extra={"why": held})
            self._say_held_at = time.monotonic() + SAY_HELD_SECONDS
        self._held = held
        return held is not None

    def _swept(self, db: Db) -> set[str]:
        """Cities where somebody has room and somebody waits, looked for once a second."""
        if time.monotonic() < self._sweep_at:
            return set()
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        return store.backlog_cities(db, self._capacity.cities_with_room(), self._clock.now_ms())

    def _write_messages(self, db: Db) -> None:
        if self._channel is None:
            return
        with mapped_errors(), db.transaction():
            messages = store.unsent_messages(db, self._clock.now_ms(), MESSAGES_PER_TURN)
            if messages:
                self._channel.send(messages)
                store.mark_sent(db, [message["moment_id"] for message in messages], self._clock.real_ms())
        for message in messages:
            metrics.MESSAGES.labels(message["channel"]).inc()

    def _statistics(self, db: Db) -> None:
        if time.monotonic() < self._statistics_at:
            return
        began = time.monotonic()
        counts = queries.backlog(db)
        for city in self._cities | set(counts):
            metrics.BACKLOG.labels(city).set(counts.get(city, 0))
        outbox, rescinds = queries.open_effects(db)
        metrics.OUTBOX_ROWS.set(outbox)
        metrics.RESCINDS_OPEN.set(rescinds)
        metrics.CALENDAR_UNKNOWN.set(0 if _calendar_is_known(self._clock.now_ms()) else 1)
        self._statistics_at = time.monotonic() + max(STATISTICS_SECONDS, 20 * (time.monotonic() - began))


def _calendar_is_known(now_ms: int) -> bool:
    """Whether the holidays of today and of a week from now are known."""
    return all(calendar_cn.is_rest_day(home_day(now_ms) + ahead) is not None for ahead in (0, 7))
