"""Clients that share nothing with the product but its contracts: curl, buf curl, Apache Avro, kcat."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import kafka
import pytest

from tests.end_to_end.conftest import ROOT, RunningStack, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

CUSTOMER = 8_200_000_000_000_017
MANAGER = "m-NJ-01"
NOW = "2026-09-07T09:50:00+08:00"
BUF = Path(sys.executable).with_name("buf")


def curl(url: str, body: dict[str, Any], *headers: str) -> tuple[int, dict[str, Any]]:
    """POST with curl; status and decoded answer."""
    command = ["curl", "-sS", "--max-time", "20", "-X", "POST", url, "--data-binary", json.dumps(body)]
    command += ["-w", "\n%{http_code}"]
    for header in headers:
        command += ["-H", header]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    answer, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(answer)


def buf_curl(stack: RunningStack, method: str, body: dict[str, Any], *, role: str) -> dict[str, Any]:
    """Call a method by server reflection: buf is given no proto file."""
    address = stack.addresses["workbench_grpc"].removeprefix("http://")
    token = stack.addresses["tokens"][role]
    command = [str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", json.dumps(body)]
    command += ["-H", f"authorization: Bearer {token}", f"http://{address}/kairos.workbench.v1.{method}"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    return answer


def cloud_event(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """A CloudEvent in structured mode."""
    return {
        "specversion": "1.0",
        "id": uuid.uuid4().hex,
        "source": "foreign-crm",
        "type": f"kairos.{kind}",
        "time": NOW,
        "subject": str(CUSTOMER),
        "data": data,
    }


def read_topic(stack: RunningStack, topic: str) -> list[Any]:
    """All records of a topic, by kafka-python."""
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=stack.addresses["kafka"], group_id=None, enable_auto_commit=False, fetch_max_wait_ms=100
    )
    try:
        parts = [kafka.TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        found: list[Any] = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=500).values():
                found.extend(records)
        return found
    finally:
        consumer.close()


def decode_by_lock_file(value: bytes) -> tuple[str, dict[str, Any]]:
    """Name and fields of a framed record, by schemas/registry.lock.json and Apache's avro package."""
    lock = json.loads((ROOT / "schemas" / "registry.lock.json").read_text(encoding="utf-8"))
    assert value[0] == 0
    entry = lock[str(int.from_bytes(value[1:5], "big"))]
    schema = avro.schema.parse((ROOT / "schemas" / entry["file"]).read_text(encoding="utf-8"))
    record = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(io.BytesIO(value[5:])))
    assert isinstance(record, dict)
    return entry["subject"], record


def test_curl_and_buf_bring_a_task_from_event_to_done(stack: RunningStack) -> None:
    ingest = stack.addresses["ingest_http"]
    structured = "content-type: application/cloudevents+json"
    roster = {"managers": [{"managerId": MANAGER, "city": "NJ", "team": "NJ-1", "active": True}]}
    buf_curl(stack, "AdminService/UpsertManagers", roster, role="admin")
    buf_curl(stack, "ManagerService/SetPresence", {"presence": "PRESENCE_AVAILABLE"}, role="manager")
    profile = {"city": "NJ", "segment": "GO", "tier": "TOP", "arpu_fen": 68_000, "owner_manager_id": MANAGER}
    status, answer = curl(f"{ingest}/v1/events/customer", cloud_event("customer", profile), structured)
    assert (status, answer["accepted"]) == (200, 1), answer
    status, answer = curl(f"{ingest}/v1/events/balance", cloud_event("balance", {"balance_fen": 320}), structured)
    assert (status, answer["accepted"]) == (200, 1), answer

    def poll() -> dict[str, Any] | None:
        request = {"requestId": uuid.uuid4().hex, "waitSeconds": 10}
        tasks = buf_curl(stack, "ManagerService/PollTasks", request, role="manager").get("tasks", [])
        return next((task for task in tasks if task["customer"]["customerId"] == str(CUSTOMER)), None)

    task = wait_for(poll, seconds=60, what="the task is offered")
    held = {"taskId": task["taskId"], "leaseEpoch": task["lease"]["epoch"]}
    accepted = buf_curl(stack, "ManagerService/AcceptTask", held, role="manager")
    done = buf_curl(
        stack,
        "ManagerService/CompleteTask",
        held | {"requestId": uuid.uuid4().hex, "disposition": "DISPOSITION_REACHED_RESOLVED"},
        role="manager",
    )

    assert task["moments"][0]["ruleId"] == "AN4"
    assert any(evidence["name"] for evidence in task["moments"][0]["evidence"])
    assert accepted["task"]["state"] == "TASK_STATE_ACCEPTED"
    assert done["task"]["state"] == "TASK_STATE_DONE"


def test_apache_avro_decodes_an_event_by_the_lock_file(stack: RunningStack) -> None:
    event_id = uuid.uuid4().hex
    body = {"event_id": event_id, "customer_id": CUSTOMER, "occurred_at": NOW, "source": "foreign-billing"}
    url = f"{stack.addresses['ingest_http']}/v1/events/usage"
    status, _ = curl(url, body | {"service": "DATA", "quantity": 2_048}, "content-type: application/json")
    assert status == 200

    decoded = [
        (record.key, *decode_by_lock_file(record.value))
        for record in read_topic(stack, "kairos.events.v1")
        if record.value is not None
    ]
    found = [(key, fields) for key, name, fields in decoded if fields.get("event_id") == event_id]

    assert len(found) == 1
    key, fields = found[0]
    assert key == str(CUSTOMER).encode()
    assert (fields["customer_id"], fields["service"], fields["quantity"]) == (CUSTOMER, "DATA", 2_048)


def test_a_refused_cloud_event_says_why(stack: RunningStack) -> None:
    url = f"{stack.addresses['ingest_http']}/v1/events/balance"
    event = cloud_event("balance", {"balance_fen": "a lot"})
    status, answer = curl(url, event, "content-type: application/cloudevents+json")

    assert status == 207
    assert answer["results"][0]["outcome"] == "rejected"
    assert answer["results"][0]["reason"] == "wrong_type"


def test_kcat_reads_the_event_log(stack: RunningStack) -> None:
    if shutil.which("kcat") is None:
        if os.environ.get("KAIROS_REQUIRE_SERVERS"):
            pytest.fail("kcat is missing; `make test-tools` installs it")
        pytest.skip("kcat is missing")
    topic = "kairos.events.v1"
    expected = len(read_topic(stack, topic))
    command = ["kcat", "-C", "-b", stack.addresses["kafka"], "-t", topic, "-e", "-q", "-f", "%p/%o %k\n"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()

    assert len(lines) >= expected, done.stderr[-2_000:]
    assert any(line.endswith(f" {CUSTOMER}") for line in lines)
