"""Router and workbench as processes, side by side: the contract between them, from a moment to a worked card."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from kairos.workbench.v1 import admin_pb2, admin_pb2_grpc, manager_pb2, manager_pb2_grpc, task_pb2

from services.router.decode import CUSTOMERS, MOMENTS
from services.stack.ports import free_ports
from services.transport.grpc_channel import bearer, sync_channel
from services.transport.tokens import Role, mint
from tests.doubles.router_process import REPOSITORY, RouterRig
from tests.doubles.router_records import customer, moment

if TYPE_CHECKING:
    from services.stack.kafka_server import KafkaServer
    from tests.servers import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


class Pair:
    """A rig whose router talks to a real workbench, and clients of that workbench."""

    def __init__(self, rig: RouterRig) -> None:
        self.rig = rig
        self.key = bytes.fromhex((rig.home / "secrets" / "token_signing_key").read_text(encoding="ascii"))
        self.grpc_port, self.metrics_port = free_ports(2)
        rig.workbench.stop()
        rig.target = f"127.0.0.1:{self.grpc_port}"
        self.channel = sync_channel(rig.target)
        self.workbench: subprocess.Popen[bytes] | None = None

    def start_workbench(self) -> None:
        environment = {
            **os.environ,
            "KAIROS_ENVIRONMENT": "test",
            "KAIROS_CLOCK": f"@{self.rig.clock_file}",
            "KAIROS_KAFKA_BOOTSTRAP": self.rig.bootstrap,
            "KAIROS_POSTGRES_DSN": self.rig.dsn,
            "KAIROS_SECRETS_DIR": str(self.rig.home / "secrets"),
            "KAIROS_WORKBENCH_GRPC_PORT": str(self.grpc_port),
            "KAIROS_WORKBENCH_METRICS_PORT": str(self.metrics_port),
            "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'schemas' / 'rpc'}",
        }
        with (self.rig.home / "workbench.log").open("ab") as log:
            self.workbench = subprocess.Popen(
                [sys.executable, "-m", "services.workbench_api"],
                cwd=REPOSITORY,
                env=environment,
                stderr=log,
                stdout=log,
            )
        self.rig.wait(self._is_ready, seconds=40, what="the workbench")

    def kill_workbench(self) -> None:
        if self.workbench is not None:
            self.workbench.kill()
            self.workbench.wait(10)
            self.workbench = None

    def metadata(self, subject: str, role: Role) -> tuple[tuple[str, str], ...]:
        return (bearer(mint(self.key, subject=subject, role=role)),)

    def add_managers(self, *manager_ids: str) -> None:
        managers = [admin_pb2.Manager(manager_id=manager_id, city="NJ", active=True) for manager_id in manager_ids]
        admin_pb2_grpc.AdminServiceStub(self.channel).UpsertManagers(
            admin_pb2.UpsertManagersRequest(managers=managers), metadata=self.metadata("root", "admin"), timeout=10
        )
        for manager_id in manager_ids:
            self.call(manager_id, "SetPresence", manager_pb2.SetPresenceRequest(presence=task_pb2.PRESENCE_AVAILABLE))

    def call(self, manager_id: str, method: str, request: Any) -> Any:
        stub = manager_pb2_grpc.ManagerServiceStub(self.channel)
        return getattr(stub, method)(request, metadata=self.metadata(manager_id, "manager"), timeout=10)

    def poll(self, manager_id: str, *, seconds: float = 15.0) -> task_pb2.Task:
        """The first offer; fails after the deadline."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            request = manager_pb2.PollTasksRequest(request_id=uuid.uuid4().hex, wait_seconds=1.0)
            try:
                found = self.call(manager_id, "PollTasks", request)
            except grpc.RpcError:
                time.sleep(0.05)
                continue
            if found.tasks:
                task: task_pb2.Task = found.tasks[0]
                return task
        raise AssertionError(f"no offer for {manager_id} within {seconds} s")

    def row(self, customer_id: int, rule_id: str = "AN17") -> tuple[str, str]:
        rows = self.rig.rows(
            f"SELECT row_state, reason FROM moments WHERE customer_id = {customer_id} AND rule_id = '{rule_id}'"
        )
        return rows[0] if rows else ("", "")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="module")
def pair(kafka: KafkaServer, postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    rig = RouterRig(tmp_path_factory.mktemp("pair"), bootstrap=kafka.bootstrap, dsn=postgres.dsn)
    pair = Pair(rig)
    pair.start_workbench()
    pair.add_managers("m-NJ-01", "m-NJ-02")
    rig.start()
    rig.wait_until_ready()
    yield pair
    assert rig.stop() == 0
    pair.kill_workbench()
    pair.channel.close()
    rig.close()


def test_a_moment_is_offered_accepted_and_worked(pair: Pair) -> None:
    pair.rig.publish(CUSTOMERS, [customer(1, owner_manager_id="m-NJ-01")], wait=True)
    pair.rig.publish(MOMENTS, [moment(1)], wait=True)
    task = pair.poll("m-NJ-01")
    assert [m.rule_id for m in task.moments] == ["AN17"]
    assert task.moments[0].evidence[0].observed == 500.0
    pair.call(
        "m-NJ-01",
        "AcceptTask",
        manager_pb2.AcceptTaskRequest(task_id=task.task_id, lease_epoch=task.lease.epoch),
    )
    pair.call(
        "m-NJ-01",
        "CompleteTask",
        manager_pb2.CompleteTaskRequest(
            task_id=task.task_id,
            lease_epoch=task.lease.epoch,
            request_id="done-1",
            disposition=manager_pb2.DISPOSITION_REACHED_RESOLVED,
        ),
    )
    pair.rig.wait(lambda: pair.row(1) == ("CARD", "worked"), what="the row")
    pair.rig.publish(MOMENTS, [moment(1, "AN14")], wait=True)
    pair.rig.wait(lambda: pair.row(1, "AN14") == ("PENDING", "recent_contact"), what="the next moment's row")


def test_a_declined_task_goes_to_the_other_manager_even_over_a_kill(pair: Pair) -> None:
    pair.rig.publish(CUSTOMERS, [customer(2, owner_manager_id="m-NJ-01")], wait=True)
    pair.rig.publish(MOMENTS, [moment(2)], wait=True)
    task = pair.poll("m-NJ-01")
    pair.call(
        "m-NJ-01",
        "DeclineTask",
        manager_pb2.DeclineTaskRequest(
            task_id=task.task_id, lease_epoch=task.lease.epoch, reason=manager_pb2.DECLINE_REASON_BUSY
        ),
    )
    pair.kill_workbench()
    pair.start_workbench()
    again = pair.poll("m-NJ-02")
    assert (again.task_id, again.version) == (task.task_id, 2)


def test_a_suspension_takes_a_waiting_card_back(pair: Pair) -> None:
    pair.rig.publish(CUSTOMERS, [customer(3, owner_manager_id="m-NJ-01")], wait=True)
    pair.rig.publish(MOMENTS, [moment(3)], wait=True)
    task = pair.poll("m-NJ-01")
    pair.rig.publish(MOMENTS, [moment(3, "NS2", group="NONE", dimension="NONE", channel="NONE")], wait=True)
    pair.rig.wait(lambda: pair.row(3) == ("PENDING", "line_suspended"), what="the row")
    pair.rig.wait(lambda: pair.rig.rows("SELECT count(*) FROM rescinds") == [(0,)], what="the withdrawal")
    with pytest.raises(grpc.RpcError) as refused:
        pair.call(
            "m-NJ-01",
            "AcceptTask",
            manager_pb2.AcceptTaskRequest(task_id=task.task_id, lease_epoch=task.lease.epoch),
        )
    assert refused.value.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED)
    assert pair.row(3, "NS2") == ("LEDGER", "gate")


def test_a_killed_router_repeats_nothing(pair: Pair) -> None:
    ids = range(10, 18)
    pair.rig.publish(CUSTOMERS, [customer(i) for i in ids], wait=True)
    pair.rig.publish(MOMENTS, [moment(i) for i in ids], wait=True)
    pair.rig.kill()
    pair.rig.start()
    pair.rig.wait(
        lambda: pair.rig.rows("SELECT count(*) FROM moments WHERE customer_id BETWEEN 10 AND 17") == [(8,)],
        what="all rows",
    )
    pair.rig.wait_until_ready()
    on_card = "SELECT count(*) FROM moments WHERE customer_id BETWEEN 10 AND 17 AND reason = 'on_card'"
    pair.rig.wait(lambda: pair.rig.rows(on_card)[0][0] >= 7, what="as many cards as fit")
    stored = pair.rig.rows(
        "SELECT count(*), count(DISTINCT customer_id) FROM workbench.tasks WHERE customer_id BETWEEN 10 AND 17"
    )
    assert stored[0][0] == stored[0][1] == pair.rig.rows(on_card)[0][0]
