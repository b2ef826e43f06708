"""The workbench as a process: kill -9 and restart, drain, a foreign client, the terminal client."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psycopg
import pytest
from kairos.workbench.v1 import admin_pb2

from schemas.codec import decode
from services.stack.ports import free_ports
from services.transport import tokens
from tests.workbench_rig import KEY, MONDAY_10_MS, Client, empty, refused, until, wire_task

if TYPE_CHECKING:
    from services.stack.kafka_server import KafkaServer
    from tests.servers import Database

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]


class Service:
    """The service as its own process on fixed ports, so that it can come back where it was."""

    def __init__(self, dsn: str, bootstrap: str, home: Path) -> None:
        self.home = home
        self.grpc_port, self.metrics_port = free_ports(2)
        (home / tokens.KEY_FILE).write_text(KEY.hex())
        clock = f"{MONDAY_10_MS},1,{time.time_ns() // 1_000_000}"
        self.environment = os.environ | {
            "KAIROS_ENVIRONMENT": "test",
            "KAIROS_CLOCK": clock,
            "KAIROS_POSTGRES_DSN": dsn,
            "KAIROS_KAFKA_BOOTSTRAP": bootstrap,
            "KAIROS_SECRETS_DIR": str(home),
            "KAIROS_WORKBENCH_GRPC_PORT": str(self.grpc_port),
            "KAIROS_WORKBENCH_GRPC_TARGET": self.target,
            "KAIROS_WORKBENCH_METRICS_PORT": str(self.metrics_port),
            "KAIROS_WORKBENCH_OFFER_SECONDS": "5",
            "KAIROS_VAR_DIR": str(home / "var"),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def start(self) -> None:
        with open(self.home / "workbench.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.workbench_api"], cwd=ROOT, env=self.environment, stderr=log
            )
        ends = time.monotonic() + 30
        while not self.is_ready():
            assert self.process.poll() is None, (self.home / "workbench.log").read_text()
            assert time.monotonic() < ends, (self.home / "workbench.log").read_text()
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/readyz", timeout=2):
                return True
        except (OSError, urllib.error.HTTPError):
            return False

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=2) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)


@pytest.fixture
def service(postgres: Database, kafka: KafkaServer, tmp_path: Path) -> Iterator[Service]:
    empty(postgres.dsn)
    service = Service(postgres.dsn, kafka.bootstrap, tmp_path)
    service.start()
    yield service
    if service.process is not None and service.process.poll() is None:
        service.kill()


@pytest.fixture
async def router(service: Service) -> AsyncIterator[Client]:
    admin = Client(service.target, "admin", "admin")
    await admin.upsert(admin_pb2.Manager(manager_id="m-NJ-01", city="NJ", active=True))
    router = Client(service.target, "router", "router")
    yield router
    for client in (admin, router):
        await client.channel.close()


def _client(service: Service, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "services.manager", "--as", "m-NJ-01", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=service.environment, stdout=subprocess.PIPE, text=True)


def _steps(output: str) -> list[str]:
    return [json.loads(line)["step"] for line in output.splitlines()]


async def _stored(router: Client, task: Any) -> bool:
    try:
        return await router.dispatch(task) in (["STORED"], ["ALREADY_THERE"])
    except grpc.aio.AioRpcError:
        return False


def test_sigterm_drains_and_ends_with_zero(service: Service) -> None:
    assert service.stop() == 0


async def test_a_waiting_poll_returns_empty_when_the_server_drains(service: Service, router: Client) -> None:
    manager = Client(service.target)
    await manager.presence()
    waiting = asyncio.ensure_future(manager.poll(20))
    await until(lambda: asyncio.to_thread(lambda: service.metric("kairos_workbench_waiting_polls") == 1))
    stopping = asyncio.ensure_future(asyncio.to_thread(service.stop))
    assert not (await waiting).tasks
    assert await stopping == 0
    await manager.channel.close()


async def test_the_auto_client_works_through_tasks_and_a_kill_of_the_server(service: Service, router: Client) -> None:
    client = _client(service, "--json", "--auto", "--idle-seconds", "3", "--disposition", "REACHED_RESOLVED")
    first, second = wire_task(), wire_task()
    await until(lambda: _stored(router, first))
    await until(lambda: asyncio.to_thread(lambda: service.metric("kairos_workbench_transitions_total") >= 4))
    await asyncio.to_thread(service.kill)
    await asyncio.sleep(5)  # longer than the idle time: a server that is away does not mean that there is no work
    await asyncio.to_thread(service.start)
    await until(lambda: _stored(router, second))
    output, _ = await asyncio.to_thread(client.communicate, timeout=60)
    assert client.returncode == 0
    steps = _steps(output)
    assert steps.count("completed") == 2, output
    assert "reconnecting" in steps
    assert "reconnected" in steps


async def test_every_transition_reaches_kafka_in_order_across_kills(
    service: Service, router: Client, kafka: KafkaServer, postgres: Database
) -> None:
    from aiokafka import AIOKafkaConsumer

    manager = Client(service.target)
    tasks = [wire_task(units=1) for _ in range(12)]
    for number, task in enumerate(tasks):
        await until(lambda: _is_available(manager))
        await until(functools.partial(_stored, router, task))
        offered = (await until(lambda: _polled(manager))).tasks[0]
        accepted = await manager.accept(offered)
        await manager.complete(accepted)
        if number % 4 == 3:
            await asyncio.to_thread(service.kill)
            await asyncio.to_thread(service.start)
    await until(lambda: asyncio.to_thread(lambda: _outbox_rows(postgres.dsn) == 0), seconds=20)

    consumer = AIOKafkaConsumer(
        "kairos.task-events.v1", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    wanted = {task.task_id: task.customer.customer_id for task in tasks}
    seen: dict[str, list[tuple[int, str]]] = {task_id: [] for task_id in wanted}
    try:
        async with asyncio.timeout(20):
            while any(len(set(events)) < 4 for events in seen.values()):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    for record in batch:
                        event = decode(record.value, allowed=["kairos.tasks.v1.TaskEvent"]).record
                        if event["task_id"] in wanted:
                            assert record.key == str(wanted[event["task_id"]]).encode()
                            assert dict(record.headers)["ce_id"].decode() == event["event_id"]
                            seen[event["task_id"]].append((event["sequence"], event["to_state"]))
    finally:
        await consumer.stop()
        await manager.channel.close()
    for events in seen.values():
        first_seen = list(dict.fromkeys(events))  # a repeat after a crash is the same event
        assert first_seen == [(1, "QUEUED"), (2, "OFFERED"), (3, "ACCEPTED"), (4, "DONE")]


def _outbox_rows(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM workbench.outbox").fetchone()
    return -1 if row is None else int(row[0])


async def _is_available(manager: Client) -> bool:
    try:
        await manager.presence()
    except grpc.aio.AioRpcError:
        return False
    return True


async def _polled(manager: Client) -> Any:
    try:
        response = await manager.poll(1)
    except grpc.aio.AioRpcError:
        return None
    return response if response.tasks else None


def _curl(service: Service, method: str, body: dict[str, Any], token: str) -> dict[str, Any]:
    url = f"http://{service.target}/kairos.workbench.v1.ManagerService/{method}"
    command = [str(Path(sys.executable).with_name("buf")), "curl", "--protocol", "grpc", "--http2-prior-knowledge"]
    command += ["--header", f"authorization: Bearer {token}", "--header", "accept-language: en"]
    done = subprocess.run(
        [*command, "--data", json.dumps(body), url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    return answer


async def test_a_foreign_client_finds_the_schema_and_completes_a_task(service: Service, router: Client) -> None:
    token = tokens.mint(KEY, subject="m-NJ-01", role="manager")

    async def call(method: str, body: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(_curl, service, method, body, token)

    assert (await call("SetPresence", {"presence": "PRESENCE_AVAILABLE"}))["presence"] == "PRESENCE_AVAILABLE"
    task = wire_task()
    await router.dispatch(task)
    offered = (await call("PollTasks", {"requestId": "curl-1", "waitSeconds": 5}))["tasks"][0]
    lease = {"taskId": task.task_id, "leaseEpoch": offered["lease"]["epoch"]}
    assert (await call("AcceptTask", lease))["task"]["state"] == "TASK_STATE_ACCEPTED"
    finish = lease | {"requestId": "curl-2", "disposition": "DISPOSITION_REACHED_RESOLVED"}
    assert (await call("CompleteTask", finish))["task"]["state"] == "TASK_STATE_DONE"


async def test_who_may_not_call_is_told_why(service: Service, router: Client) -> None:
    expired = tokens.mint(KEY, subject="m-NJ-01", role="manager", hours=1, now_ms=1_700_000_000_000)
    forged = tokens.mint(bytes(32), subject="m-NJ-01", role="manager")
    for token, reason in ((None, "TOKEN_MISSING"), (expired, "TOKEN_EXPIRED"), (forged, "TOKEN_INVALID")):
        client = Client(service.target, token=token)
        with refused() as faults:
            await client.poll()
        assert (faults[0].code, faults[0].reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
        await client.channel.close()
    for role, subject in (("router", "router"), ("admin", "admin"), ("sre", "sre"), ("ingest", "crm")):
        other = Client(service.target, subject, role)  # type: ignore[arg-type]
        with refused() as faults:
            await other.poll()
        assert (faults[0].code, faults[0].reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        await other.channel.close()
    manager = Client(service.target)
    with refused() as faults:
        await manager.dispatch(wire_task())
    assert faults[0].reason == "ROLE_NOT_ALLOWED"
    with refused() as faults:
        await Client(service.target, "m-unknown").poll()
    assert (faults[0].code, faults[0].reason) == (grpc.StatusCode.NOT_FOUND, "MANAGER_UNKNOWN")


def test_logs_hold_no_personal_data(service: Service) -> None:
    service.stop()
    log = (service.home / "workbench.log").read_text()
    assert "138****" not in log
    assert "Bearer" not in log
    for line in log.splitlines():
        json.loads(line)


def test_a_token_is_printed_and_holds(service: Service) -> None:
    command = [sys.executable, "-m", "services.workbench_api", "token", "--role", "manager", "--subject", "m-NJ-01"]
    done = subprocess.run(command, cwd=ROOT, env=service.environment, capture_output=True, text=True, check=True)
    assert tokens.verify(KEY, done.stdout.strip()).subject == "m-NJ-01"


class Terminal:
    """The client on a terminal of its own: what it shows, and keys to press."""

    def __init__(self, service: Service, *arguments: str) -> None:
        self._parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 100, 0, 0))
        command = [sys.executable, "-m", "services.manager", "--as", "m-NJ-01", *arguments]
        environment = service.environment | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "45"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=child, stdout=child, stderr=child, start_new_session=True
        )
        os.close(child)
        self.shown = ""

    async def shows(self, words: str, *, seconds: float = 30.0) -> None:
        """Wait until the words appear in what came since the last call."""
        ends = time.monotonic() + seconds
        while words not in self.shown:
            assert time.monotonic() < ends, f"{words!r} is not in {self.shown[-3000:]!r}"
            await asyncio.to_thread(self._read)
        self.shown = self.shown.partition(words)[2]

    def press(self, keys: str) -> None:
        os.write(self._parent, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._parent)

    def _read(self) -> None:
        ready, _, _ = select.select([self._parent], [], [], 0.1)
        if ready:
            with contextlib.suppress(OSError):  # the other end is closed
                self.shown += os.read(self._parent, 65_536).decode("utf-8", errors="ignore")


async def test_a_person_works_at_a_terminal_through_a_restart_of_the_server(service: Service, router: Client) -> None:
    terminal = Terminal(service, "--language", "en")
    try:
        await terminal.shows("Waiting for work")
        task = wire_task()
        await until(lambda: _stored(router, task))
        await terminal.shows("Why now")
        await terminal.shows("¥8.50")
        await terminal.shows("s left to accept")
        terminal.press("a")
        await terminal.shows("lease")
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(service.start)
        terminal.press("c")
        await terminal.shows("nobody answered")
        terminal.press("1")
        await terminal.shows("Note")
        terminal.press("called back\n")
        await terminal.shows("Done")
        await terminal.shows("1 done, 0 given back")
        await asyncio.to_thread(service.kill)
        await terminal.shows("Connection lost")
        await asyncio.to_thread(service.start)
        await terminal.shows("Connected again")
        terminal.press("b")
        await terminal.shows("On a break")
        terminal.press("q")
        await terminal.shows("Goodbye")
        assert await asyncio.to_thread(terminal.process.wait, 20) == 0
    finally:
        terminal.close()


async def test_the_terminal_speaks_chinese_and_declines(service: Service, router: Client, postgres: Database) -> None:
    terminal = Terminal(service, "--language", "zh")
    try:
        await terminal.shows("等待任务")
        task = wire_task()
        await until(lambda: _stored(router, task))
        await terminal.shows("为什么现在联系")
        terminal.press("d")
        await terminal.shows("正忙")
        terminal.press("1")
        await terminal.shows("已退回")
        terminal.press("q")
        await terminal.shows("再见")
    finally:
        terminal.close()
    with psycopg.connect(postgres.dsn) as connection:
        row = connection.execute("SELECT reason FROM workbench.task_events WHERE to_state = 'DECLINED'").fetchone()
    assert row is not None
    assert row[0] == "BUSY"
