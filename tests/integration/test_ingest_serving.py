"""The serving process as clients and operators see it: protocols, limits, overload, outage, drain, memory."""

import asyncio
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from kairos.ingest.v1 import ingest_pb2 as pb
from kairos.ingest.v1 import ingest_pb2_grpc

from schemas.codec import decode
from services.stack.kafka_server import KafkaServer
from services.transport.grpc_channel import fault_of
from tests.integration.ingest_rig import EVENTS, NOW_MS, Ingest, event_ids, records_of, running_ingest, wait_until

pytestmark = pytest.mark.integration
MEMORY_MEBIBYTES_MAX = 512


@pytest.fixture(scope="module")
def ingest(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    with running_ingest(kafka.bootstrap, tmp_path_factory.mktemp("ingest"), acknowledge_seconds="4") as running:
        yield running


def balance(event_id: str, **more: Any) -> dict[str, Any]:
    event = {"event_id": event_id, "customer_id": 5, "occurred_at": NOW_MS - 1000, "source": "test", "balance_fen": 1}
    return event | more


def ids(kafka: KafkaServer) -> list[str]:
    return event_ids(records_of(kafka.bootstrap, EVENTS))


def test_cloud_events_in_all_three_modes(ingest: Ingest, kafka: KafkaServer) -> None:
    envelope = {
        "specversion": "1.0",
        "id": "ce-structured",
        "source": "crm",
        "type": "balance",
        "time": "2026-09-07T09:50:00+08:00",
        "subject": "77",
        "data": {"balance_fen": 850},
    }
    url = f"{ingest.url}/v1/events/balance"
    answers = [
        httpx.post(url, content=json.dumps(envelope), headers={"Content-Type": "application/cloudevents+json"}),
        httpx.post(
            url,
            content=json.dumps([envelope | {"id": "ce-batch-1"}, envelope | {"id": "ce-batch-2"}]),
            headers={"Content-Type": "application/cloudevents-batch+json; charset=UTF-8"},
        ),
        httpx.post(
            url,
            json={"balance_fen": 850, "customer_id": 77, "occurred_at": NOW_MS},
            headers={"ce-specversion": "1.0", "ce-id": "ce-binary", "ce-source": "crm", "ce-type": "balance"},
        ),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200], [answer.text for answer in answers]
    assert {"ce-structured", "ce-batch-1", "ce-batch-2", "ce-binary"} <= set(ids(kafka))


def test_answer_tells_each_event_in_order(ingest: Ingest) -> None:
    lines = [balance("order-1"), balance("order-2", balance_fen="x"), balance("order-3")]

    answer = httpx.post(
        f"{ingest.url}/v1/events/balance",
        content="\n".join(map(json.dumps, lines)),
        headers={"Content-Type": "application/x-ndjson"},
    )

    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 1)
    assert [result["outcome"] for result in body["results"]] == ["accepted", "rejected", "accepted"]
    refused = body["results"][1]
    assert (refused["field"], refused["reason"]) == ("balance_fen", "wrong_type")
    assert "whole number" in refused["message"]


def test_event_is_stamped_by_the_business_clock(ingest: Ingest, kafka: KafkaServer) -> None:
    assert httpx.post(f"{ingest.url}/v1/events/balance", json=balance("clock")).status_code == 200

    (record,) = [
        decoded.record
        for decoded in (decode(found.value or b"") for found in records_of(kafka.bootstrap, EVENTS))
        if decoded.record["event_id"] == "clock"
    ]
    assert NOW_MS <= record["ingested_at"] < NOW_MS + 600_000
    assert record["history"] is False


def test_phone_number_is_kept_as_token_and_mask_only(ingest: Ingest, kafka: KafkaServer) -> None:
    event = {"event_id": "phone", "customer_id": 6, "occurred_at": NOW_MS, "source": "crm", "city": "NJ"}

    answer = httpx.post(f"{ingest.url}/v1/events/customer", json=event | {"phone": "+86 138 0013 8000"})

    assert answer.status_code == 200
    stored = [found.value or b"" for found in records_of(kafka.bootstrap, EVENTS)]
    record = next(one for value in stored if (one := decode(value).record)["event_id"] == "phone")
    assert record["phone_masked"] == "138****8000"
    assert re.fullmatch("[0-9a-f]{32}", record["phone_token"])
    assert all(b"13800138000" not in value for value in stored)
    assert "13800138000" not in ingest.log.read_text()
    assert "13800138000" not in ingest.metrics()


def test_help_tells_kinds_and_an_example_that_works(ingest: Ingest) -> None:
    document = httpx.get(f"{ingest.url}/").json()

    assert len(document["kinds"]) == 11
    found = re.search(r"-d '(.*)' (http\S+)$", document["example"])
    assert found
    answer = httpx.post(found[2], content=found[1], headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    page = httpx.get(f"{ingest.url}/", headers={"Accept": "text/html"})
    assert page.text.startswith("<!doctype html>")


def test_health_and_reflection_answer(ingest: Ingest) -> None:
    with grpc.insecure_channel(ingest.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "kairos.ingest.v1.IngestService"):
            request = health_pb2.HealthCheckRequest(service=service)
            assert health.Check(request, timeout=5).status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5)
        names = {service.name for service in next(iter(answers)).list_services_response.service}
    assert "kairos.ingest.v1.IngestService" in names


def test_process_for_one_kind_takes_no_other(kafka: KafkaServer, tmp_path: Path) -> None:
    with running_ingest(kafka.bootstrap, tmp_path, "--kind", "usage") as one:
        answer = httpx.post(f"{one.url}/v1/events/balance", json=balance("other-kind"))
        assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_kind")
        with grpc.insecure_channel(one.target) as channel:
            event = pb.Event(event_id="other", customer_id=1, balance=pb.Balance(balance_fen=1))
            result = ingest_pb2_grpc.IngestServiceStub(channel).PublishEvents(
                pb.PublishEventsRequest(events=[event]), timeout=5
            )
        assert result.results[0].faults[0].reason == "unknown_kind"
        assert list(httpx.get(one.url).json()["kinds"]) == ["usage"]


def test_body_that_trickles_in_too_slowly_is_cut_off(kafka: KafkaServer, tmp_path: Path) -> None:
    with running_ingest(kafka.bootstrap, tmp_path, body_seconds="0.5") as slow, _raw(slow) as connection:
        head = "POST /v1/events/balance HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_endless_head_is_cut_off(ingest: Ingest) -> None:
    with _raw(ingest) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):
            connection.sendall(b"".join(b"x-%d: %b\r\n" % (number, b"y" * 1000) for number in range(50_000)))


def test_overload_is_told_with_the_time_to_wait(kafka: KafkaServer, tmp_path: Path) -> None:
    with (
        running_ingest(kafka.bootstrap, tmp_path, in_flight_requests_max="1", acknowledge_seconds="3") as small,
        _frozen(kafka),
    ):
        waiting = threading.Thread(
            target=lambda: httpx.post(f"{small.url}/v1/events/balance", json=balance("w"), timeout=20)
        )
        waiting.start()
        wait_until(lambda: "kairos_ingest_in_flight_requests 1.0" in small.metrics(), 5)

        answer = httpx.post(f"{small.url}/v1/events/balance", json=balance("overload"))
        with grpc.insecure_channel(small.target) as channel, pytest.raises(grpc.RpcError) as refused:
            ingest_pb2_grpc.IngestServiceStub(channel).PublishEvents(
                pb.PublishEventsRequest(events=[pb.Event()]), timeout=5
            )

        assert (answer.status_code, answer.json()["reason"]) == (429, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        fault = fault_of(refused.value)
        assert (fault.code, fault.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert (fault.retry_seconds or 0) > 0
        waiting.join()


def test_brokers_that_do_not_acknowledge_mean_unavailable_and_nothing_promised(
    ingest: Ingest, kafka: KafkaServer
) -> None:
    with _frozen(kafka):
        answer = httpx.post(f"{ingest.url}/v1/events/balance", json=balance("frozen"), timeout=20)
        event = pb.Event(
            event_id="f", customer_id=1, occurred_at_ms=NOW_MS, source="s", balance=pb.Balance(balance_fen=1)
        )
        request = pb.PublishEventsRequest(events=[event])
        with grpc.insecure_channel(ingest.target) as channel, pytest.raises(grpc.RpcError) as refused:
            ingest_pb2_grpc.IngestServiceStub(channel).PublishEvents(request, timeout=10)
        wait_until(lambda: not ingest.is_ready(), 15)

    assert (answer.status_code, answer.json()["reason"]) == (503, "brokers_unavailable")
    assert "retry-after" in answer.headers
    fault = fault_of(refused.value)
    assert (fault.code, fault.reason) == (grpc.StatusCode.UNAVAILABLE, "BROKERS_UNAVAILABLE")
    wait_until(ingest.is_ready, 30)
    assert httpx.post(f"{ingest.url}/v1/events/balance", json=balance("frozen"), timeout=20).status_code == 200


def test_flood_of_bad_and_oversize_input_leaves_memory_bounded(ingest: Ingest) -> None:
    """Forty clients for a few seconds, each with another way to be large."""
    bodies = [
        b"[" * 4_000_000,
        b"[" + b"{}," * 300_000 + b"{}]",
        b"\n" * 8_000_000,
        b'{"a":"' + b"x" * 8_000_000 + b'"}',
        b"[" + b",".join([b'{"event_id":1,"customer_id":[],"y":{}}'] * 10_000) + b"]",
        b"\xff" * 8_000_000,
        b"0" * (9 * 2**20),
        b'{"' + b"k" * 200_000 + b'":1}',
    ]
    peak = 0.0
    deadline = time.monotonic() + 8

    async def client(http: httpx.AsyncClient, number: int) -> None:
        nonlocal peak
        while time.monotonic() < deadline:
            body = bodies[number % len(bodies)]
            kind = "application/x-ndjson" if number % 3 else "application/json"
            answer = await http.post(f"{ingest.url}/v1/events/usage", content=body, headers={"Content-Type": kind})
            assert answer.status_code in (207, 400, 413, 429), answer.text[:200]
            assert b"Traceback" not in answer.content
            peak = max(peak, ingest.resident_mebibytes())

    async def flood() -> None:
        limits = httpx.Limits(max_connections=40)
        async with httpx.AsyncClient(timeout=60, limits=limits) as http:
            await asyncio.gather(*(client(http, number) for number in range(40)))

    asyncio.run(flood())

    assert 0 < peak < MEMORY_MEBIBYTES_MAX, f"{peak:.0f} MiB"
    assert httpx.post(f"{ingest.url}/v1/events/balance", json=balance("after-flood")).status_code == 200


def test_flood_of_grpc_messages_leaves_memory_bounded(ingest: Ingest) -> None:
    data = pb.PublishEventsRequest(
        events=[pb.Event(event_id="x" * 300, usage=pb.Usage(service="?"))] * 10_000
    ).SerializeToString()
    assert len(data) > 3_000_000
    peak = 0.0
    deadline = time.monotonic() + 6

    async def client(channel: grpc.aio.Channel) -> None:
        nonlocal peak
        call: Any = channel.unary_unary("/kairos.ingest.v1.IngestService/PublishEvents")
        while time.monotonic() < deadline:
            try:
                await call(data, timeout=30)
            except grpc.aio.AioRpcError as exc:
                assert exc.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED), exc  # noqa: PT017
            peak = max(peak, ingest.resident_mebibytes())

    async def flood() -> None:
        async with grpc.aio.insecure_channel(ingest.target) as channel:
            await asyncio.gather(*(client(channel) for _ in range(40)))

    asyncio.run(flood())

    assert 0 < peak < MEMORY_MEBIBYTES_MAX, f"{peak:.0f} MiB"


def test_logs_hold_no_traceback(ingest: Ingest) -> None:
    assert "Traceback" not in ingest.log.read_text()


def test_broker_killed_in_mid_stream_loses_nothing_accepted(kafka: KafkaServer, tmp_path: Path) -> None:
    with running_ingest(kafka.bootstrap, tmp_path) as ingest, _Stream(ingest, "kafka-killed") as stream:
        stream.wait_for(200)
        assert kafka.process is not None
        os.kill(kafka.process.pid, signal.SIGKILL)
        kafka.stop()
        kafka.start()
        kafka.wait_until_ready()
        stream.wait_for(len(stream.accepted) + 200)
        stream.stop()

        found = set(ids(kafka))
    assert stream.accepted <= found
    assert stream.refused.isdisjoint(found)


def test_sigterm_in_mid_stream_finishes_what_was_taken(kafka: KafkaServer, tmp_path: Path) -> None:
    with running_ingest(kafka.bootstrap, tmp_path) as ingest, _Stream(ingest, "sigterm") as stream:
        stream.wait_for(100)
        started = time.monotonic()
        code = ingest.stop()
        seconds = time.monotonic() - started
        stream.stop()

    assert code == 0
    assert seconds < 10
    assert stream.accepted <= set(ids(kafka))
    assert "Traceback" not in ingest.log.read_text()


def test_kill_9_of_ingest_loses_nothing_accepted(kafka: KafkaServer, tmp_path: Path) -> None:
    with running_ingest(kafka.bootstrap, tmp_path) as ingest, _Stream(ingest, "killed") as stream:
        stream.wait_for(100)
        os.kill(ingest.pid, signal.SIGKILL)
        assert ingest.process is not None
        ingest.process.wait(10)
        ingest.start()
        stream.wait_for(len(stream.accepted) + 100)
        stream.stop()

    assert stream.accepted <= set(ids(kafka))


def test_process_without_kafka_ends_for_its_supervisor(tmp_path: Path) -> None:
    ingest = Ingest("127.0.0.1:1", tmp_path, brokers_lost_seconds="1")
    ingest.launch()
    assert ingest.process is not None
    assert ingest.process.wait(20) == 1
    assert "ingest.kafka.unreachable" in ingest.log.read_text()


class _Stream:
    """Good and bad events over HTTP until told to stop; what fails for want of a server is sent again."""

    def __init__(self, ingest: Ingest, name: str) -> None:
        self.accepted: set[str] = set()
        self.refused: set[str] = set()
        self._ingest = ingest
        self._name = name
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(3)]

    def __enter__(self) -> "_Stream":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.accepted) >= count, 60, self._ingest.log.read_text)

    def _run(self, thread: int) -> None:
        number = 0
        with httpx.Client(timeout=20) as client:
            while not self._stopping.is_set():
                good = [balance(f"{self._name}-{thread}-{number}-{part}") for part in range(5)]
                bad = balance(f"{self._name}-{thread}-{number}-bad", balance_fen=[])
                try:
                    answer = client.post(f"{self._ingest.url}/v1/events/balance", json=[*good, bad])
                except httpx.TransportError:
                    self._stopping.wait(0.05)
                    continue
                if answer.status_code == 207:
                    self.accepted |= {event["event_id"] for event in good}
                    self.refused.add(bad["event_id"])
                    number += 1
                else:
                    assert answer.status_code in (429, 503), answer.text
                    self._stopping.wait(0.05)


class _frozen:  # noqa: N801 - used as a word: with _frozen(kafka)
    """The broker stands still."""

    def __init__(self, kafka: KafkaServer) -> None:
        assert kafka.process is not None
        self._pid = kafka.process.pid

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


def _raw(ingest: Ingest) -> socket.socket:
    return socket.create_connection(("127.0.0.1", ingest.http_port), timeout=10)
