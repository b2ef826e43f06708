"""A sitting of the terminal client against a workbench of values: what the person is told, and how often."""

import io
import time
from concurrent.futures import Future
from typing import Any, cast

from kairos.workbench.v1 import manager_pb2, task_pb2
from rich.console import Console

from services.manager.api import HEARTBEAT_SECONDS, ManagerApi, Refused
from services.manager.keys import Keys
from services.manager.session import Session
from services.manager.texts import text
from services.transport.grpc_channel import RpcFault
from services.workbench_api.settings import WorkbenchSettings

OFFER_SECONDS = 0.4
WATCHED_SECONDS = 1.2


class Workbench:
    """Delivers one offer again and again until its lease ends, as the real one does, then says NOT_RESPONDING."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.ends_at_ms = time.time_ns() // 1_000_000 + int(OFFER_SECONDS * 1000)
        self.waits: list[float] = []

    def start_poll(self, *, wait_seconds: float = 25.0) -> "Future[manager_pb2.PollTasksResponse]":
        self.waits.append(wait_seconds)
        now_ms = time.time_ns() // 1_000_000
        response = manager_pb2.PollTasksResponse(presence=task_pb2.PRESENCE_AVAILABLE, server_now_ms=now_ms)
        if now_ms < self.ends_at_ms:
            lease = task_pb2.Lease(epoch=1, expires_at_ms=self.ends_at_ms)
            response.tasks.add(task_id="t", priority=2, title="x", lease=lease)
        else:
            response.presence = task_pb2.PRESENCE_NOT_RESPONDING
        future: Future[manager_pb2.PollTasksResponse] = Future()
        future.set_result(response)
        return future

    def end_poll(self, future: Any) -> Any:
        return future.result()

    def set_presence(self, presence: str) -> None:
        assert presence in ("AVAILABLE", "OFFLINE")

    def in_work(self) -> list[task_pb2.Task]:
        return []

    def card(self, _: str) -> Any:
        raise Refused(RpcFault(cast(Any, None), "", "TASK_NOT_FOUND"))


class Nobody:
    """A keyboard that nobody touches until the watched time is over; then the person leaves."""

    def __init__(self, started: float) -> None:
        self._ends = started + WATCHED_SECONDS

    def read(self, seconds: float) -> str | None:
        time.sleep(min(seconds, 0.02))
        return "q" if time.monotonic() >= self._ends else None


def test_an_offer_left_alone_is_said_to_be_gone_once() -> None:
    """The last second of a lease counts: given up early, the same offer would come back and be lost again."""
    workbench = Workbench()
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    keys = Nobody(workbench.started)
    session = Session(cast(ManagerApi, workbench), console, cast(Keys, keys), manager_id="m-NJ-01", language="en")
    assert session.run() == 0
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.count(text("offer_gone", "en")) == 1
    assert workbench.waits[0] < 0, "the first poll tells at once how things stand"


def test_a_person_on_the_phone_is_not_taken_for_silent() -> None:
    """The contract asks for a heartbeat every minute, and this client may lose one: silence begins well after."""
    silence_seconds = cast(float, WorkbenchSettings.__dataclass_fields__["silence_seconds"].default)
    assert silence_seconds >= 60.0 + 15.0
    assert silence_seconds > 2 * HEARTBEAT_SECONDS + 15.0
