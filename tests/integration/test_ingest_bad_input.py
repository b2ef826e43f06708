"""Bad input through the three doors: each case gets its reason code, the good rest gets through, nothing bad does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from kairos.ingest.v1 import ingest_pb2 as pb
from kairos.ingest.v1 import ingest_pb2_grpc

from schemas.codec import decode
from schemas.events import KINDS
from services.stack.kafka_server import KafkaServer
from services.transport.grpc_channel import fault_of
from tests.integration.ingest_bad_input import (
    ABSENT,
    BAD_CSV_LINES,
    BAD_EVENTS,
    BAD_NDJSON_LINES,
    BAD_REQUESTS,
    COMMON,
    CSV_HEADER,
    GOOD,
    BadEvent,
    BadLine,
    BadRequest,
)
from tests.integration.ingest_rig import (
    CONTACTS,
    DEAD_LETTERS,
    EVENTS,
    NOW_MS,
    Found,
    Ingest,
    records_of,
    running_ingest,
)

pytestmark = pytest.mark.integration
PUBLISH_EVENTS = "/kairos.ingest.v1.IngestService/PublishEvents"
Told = tuple[str, str]
"""Field and reason."""


@dataclass
class Outcomes:
    """What was told about every case, and what must and must not be in the topics."""

    told: dict[tuple[str, str], list[Told]] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    in_topics: list[str] = field(default_factory=list)
    dead_letters: list[Found] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def ingest(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    with running_ingest(kafka.bootstrap, tmp_path_factory.mktemp("ingest")) as running:
        yield running


@pytest.fixture(scope="module")
def outcomes(ingest: Ingest, kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Send everything once, then read the topics."""
    found = Outcomes()
    with httpx.Client(base_url=ingest.url, timeout=30) as client, grpc.insecure_channel(ingest.target) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        for case in BAD_EVENTS:
            if "h" in case.doors:
                _through_http(client, case, found)
            if "g" in case.doors:
                _through_grpc(stub, case, found)
        for request in BAD_REQUESTS:
            _refused(client, request, found)
            good = _event("balance", f"after-{request.name}")
            assert client.post("/v1/events/balance", json=good).status_code == 200
            found.good.add(good["event_id"])
    folder = tmp_path_factory.mktemp("files")
    for kind in KINDS:
        _through_file(ingest, folder, kind, found)
    _lines_through_file(ingest, folder / "lines.csv", CSV_HEADER, BAD_CSV_LINES, found)
    _lines_through_file(ingest, folder / "lines.ndjson", None, BAD_NDJSON_LINES, found)
    for topic in (EVENTS, CONTACTS):
        found.in_topics += [
            decode(record.value or b"").record["event_id"] for record in records_of(kafka.bootstrap, topic)
        ]
    found.dead_letters = records_of(kafka.bootstrap, DEAD_LETTERS)
    return found


@pytest.mark.parametrize("case", BAD_EVENTS, ids=lambda case: case.name)
@pytest.mark.parametrize("door", ["h", "g", "f"], ids=["http", "grpc", "file"])
def test_bad_event_gets_its_reason(outcomes: Outcomes, case: BadEvent, door: str) -> None:
    if door not in case.doors:
        assert (door, case.name) not in outcomes.told
        return
    expected = case.field
    if door == "g":
        body = KINDS[case.kind].proto_body
        expected = case.grpc_field or (case.field if case.field in COMMON else f"{body}.{case.field}")
    assert outcomes.told[door, case.name] == [(expected, case.reason.value)]


@pytest.mark.parametrize("case", BAD_REQUESTS, ids=lambda case: case.name)
def test_bad_request_is_refused_as_a_whole(outcomes: Outcomes, case: BadRequest) -> None:
    status, reason, _ = outcomes.refusals[case.name]

    assert (status, reason) == (case.status, case.reason)


@pytest.mark.parametrize("case", [*BAD_CSV_LINES, *BAD_NDJSON_LINES], ids=lambda case: case.name)
def test_bad_line_gets_its_reason(outcomes: Outcomes, case: BadLine) -> None:
    assert [reason for _, reason in outcomes.told["f", case.name]] == [case.reason.value]


def test_table_has_enough_cases() -> None:
    assert len(BAD_EVENTS) + len(BAD_REQUESTS) + len(BAD_CSV_LINES) + len(BAD_NDJSON_LINES) >= 60


def test_good_rest_got_through_once_and_nothing_bad_did(outcomes: Outcomes) -> None:
    assert len(outcomes.good) > 3 * len(BAD_EVENTS)
    assert outcomes.good <= set(outcomes.in_topics)
    assert outcomes.bad.isdisjoint(outcomes.in_topics)
    assert sorted(outcomes.in_topics) == sorted(outcomes.good)


def test_answers_hold_no_traceback_and_no_value(outcomes: Outcomes) -> None:
    for text in outcomes.texts:
        for word in (b"Traceback", b".py", b"13800138000", b"Exception"):
            assert word not in text, text[:500]


def test_refused_rows_are_dead_letters_with_their_bytes(outcomes: Outcomes) -> None:
    letters = {letter.key: letter for letter in outcomes.dead_letters}

    row = letters[b"lines.csv:3"]
    assert row.value == BAD_CSV_LINES[0].line
    assert row.headers["reason"] == b"malformed_row"
    assert (row.headers["line"], row.headers["kind"], row.headers["file"]) == (b"3", b"balance", b"lines.csv")


def test_phone_number_of_a_refused_row_reaches_no_topic(outcomes: Outcomes) -> None:
    withheld = [letter for letter in outcomes.dead_letters if letter.headers.get("withheld")]

    assert withheld
    assert all(
        b"13800138000" not in (letter.value or b"")
        for letter in outcomes.dead_letters
        if letter.headers["kind"] == b"customer"
    )


def test_one_bad_event_in_ten_thousand_leaves_the_others(ingest: Ingest, kafka: KafkaServer) -> None:
    events = [_event("usage", f"tenk-{number}", customer_id=number + 1) for number in range(10_000)]
    events[6_789]["quantity"] = -1
    body = "\n".join(json.dumps(event) for event in events)

    answer = httpx.post(
        f"{ingest.url}/v1/events/usage", content=body, headers={"Content-Type": "application/x-ndjson"}, timeout=30
    )

    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [number for number, result in enumerate(results) if result["outcome"] != "accepted"] == [6_789]
    assert (results[6_789]["field"], results[6_789]["reason"]) == ("quantity", "out_of_range")
    found = {name for name in _ids(kafka.bootstrap) if name.startswith("tenk-")}
    assert found == {event["event_id"] for event in events} - {"tenk-6789"}


def test_same_event_twice_in_a_request_is_one_and_other_contents_are_refused(
    ingest: Ingest, kafka: KafkaServer
) -> None:
    first = _event("balance", "twice")
    with grpc.insecure_channel(ingest.target) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        request = pb.PublishEventsRequest(
            events=[_proto("balance", first), _proto("balance", first), _proto("balance", first | {"balance_fen": 1})]
        )
        answer = stub.PublishEvents(request, timeout=10)

    assert (answer.accepted_count, answer.rejected_count) == (2, 1)
    assert answer.results[2].faults[0].reason == "duplicate_in_batch"
    assert _ids(kafka.bootstrap).count("twice") == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "EMPTY_BATCH"),
        (b"\x0a\x7f truncated frame", "MALFORMED_BODY"),
        (b"\xff\xff\xff\xff", "MALFORMED_BODY"),
        (b"GET / HTTP/1.1\r\n", "MALFORMED_BODY"),
        (pb.PublishEventsRequest(events=[pb.Event()] * 10_001).SerializeToString(), "BATCH_TOO_LARGE"),
        # A text that is not UTF-8: protobuf refuses the message.
        (b"\x0a\x04\x0a\x02\xff\xff", "MALFORMED_BODY"),
    ],
    ids=["empty", "truncated", "garbage", "http", "10001-events", "not-utf8"],
)
def test_grpc_request_that_is_none_is_refused_as_a_whole(ingest: Ingest, data: bytes, reason: str) -> None:
    with grpc.insecure_channel(ingest.target) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PUBLISH_EVENTS)
        with pytest.raises(grpc.RpcError) as refused:
            call(data, timeout=10)
    fault = fault_of(refused.value)
    assert (fault.code, fault.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert "Traceback" not in fault.message


def test_grpc_event_of_an_unknown_kind_has_no_body(ingest: Ingest) -> None:
    # Field 99 of Event: a kind that this server does not know yet.
    unknown = (
        pb.Event(event_id="e", customer_id=1, occurred_at_ms=NOW_MS, source="s").SerializeToString() + b"\x9a\x06\x00"
    )
    data = b"\x0a" + bytes([len(unknown)]) + unknown
    with grpc.insecure_channel(ingest.target) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PUBLISH_EVENTS)
        answer = pb.PublishEventsResponse.FromString(call(data, timeout=10))

    assert [(fault.field, fault.reason) for fault in answer.results[0].faults] == [("body", "missing")]


def test_grpc_message_over_four_mebibytes_is_exhausting(ingest: Ingest) -> None:
    with grpc.insecure_channel(ingest.target) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PUBLISH_EVENTS)
        with pytest.raises(grpc.RpcError) as refused:
            call(b"\x00" * (4 * 2**20 + 1), timeout=10)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def _event(kind: str, event_id: str, **change: Any) -> dict[str, Any]:
    return {**COMMON, **GOOD[kind], "event_id": event_id, **change}


def _three(case: BadEvent, door: str, found: Outcomes) -> list[dict[str, Any]]:
    """A good event, the bad one, a good one."""
    first, last = (_event(case.kind, f"{case.name}-{door}-{side}") for side in ("before", "after"))
    bad = {**_event(case.kind, f"{case.name}-{door}-bad"), **case.change}
    bad = {name: value for name, value in bad.items() if value is not ABSENT}
    found.good |= {first["event_id"], last["event_id"]}
    if isinstance(bad.get("event_id"), str):
        found.bad.add(bad["event_id"])
    return [first, bad, last]


def _through_http(client: httpx.Client, case: BadEvent, found: Outcomes) -> None:
    answer = client.post(f"/v1/events/{case.kind}", json=_three(case, "h", found))
    results = answer.json()["results"]
    assert answer.status_code == 207, answer.text
    assert [result["outcome"] for result in results] == ["accepted", "rejected", "accepted"], answer.text
    found.texts.append(answer.content)
    found.told["h", case.name] = [(fault["field"], fault["reason"]) for fault in results[1]["faults"]]


def _through_grpc(stub: ingest_pb2_grpc.IngestServiceStub, case: BadEvent, found: Outcomes) -> None:
    events = [_proto(case.kind, event) for event in _three(case, "g", found)]
    answer = stub.PublishEvents(pb.PublishEventsRequest(events=events), timeout=10)
    accepted, rejected = pb.EventResult.OUTCOME_ACCEPTED, pb.EventResult.OUTCOME_REJECTED
    assert [result.outcome for result in answer.results] == [accepted, rejected, accepted], answer
    found.texts.append(answer.SerializeToString())
    found.told["g", case.name] = [(fault.field, fault.reason) for fault in answer.results[1].faults]


def _through_file(ingest: Ingest, folder: Path, kind: str, found: Outcomes) -> None:
    """All cases of a kind as lines of one NDJSON file."""
    cases = [case for case in BAD_EVENTS if case.kind == kind and "f" in case.doors]
    lines = [json.dumps(event) for case in cases for event in _three(case, "f", found)]
    path = folder / f"{kind}.ndjson"
    path.write_text("\n".join(lines), encoding="utf-8")
    summary = ingest.load(path, "--kind", kind)
    assert (summary["accepted"], summary["rejected"]) == (2 * len(cases), len(cases)), summary
    rejects = _rejects(summary)
    for number, case in enumerate(cases):
        reject = rejects[3 * number + 2]
        found.told["f", case.name] = [(fault["field"], fault["reason"]) for fault in reject["faults"]]


def _lines_through_file(
    ingest: Ingest, path: Path, header: bytes | None, cases: list[BadLine], found: Outcomes
) -> None:
    """A header, then good, bad, good, bad, ... lines of balance events."""
    lines = [header] if header else []
    for number, case in enumerate([*cases, None]):
        name = f"ok-{path.suffix[1:]}-{number}"
        good = f"{name},1,{NOW_MS - 1},table,5,,".encode() if header else json.dumps(_event("balance", name)).encode()
        found.good.add(name)
        lines += [good, case.line] if case else [good]
    path.write_bytes(b"\n".join(lines))
    summary = ingest.load(path, "--kind", "balance")
    assert (summary["accepted"], summary["rejected"]) == (len(cases) + 1, len(cases)), summary
    rejects = _rejects(summary)
    first = 3 if header else 2
    for number, case in enumerate(cases):
        found.told["f", case.name] = [
            (fault["field"], fault["reason"]) for fault in rejects[first + 2 * number]["faults"]
        ]
    found.bad |= {"bad", "refused-whole"}


def _rejects(summary: dict[str, Any]) -> dict[int, dict[str, Any]]:
    if not summary["rejects_file"]:
        return {}
    lines = Path(summary["rejects_file"]).read_text(encoding="utf-8").splitlines()
    return {reject["line"]: reject for reject in map(json.loads, lines)}


def _refused(client: httpx.Client, case: BadRequest, found: Outcomes) -> None:
    headers = dict(case.headers) | ({"Content-Type": case.content_type} if case.content_type else {})
    answer = client.request(case.method, case.path, content=case.body, headers=headers)
    found.refusals[case.name] = (answer.status_code, answer.json().get("reason", ""), answer.content)
    found.texts.append(answer.content)


def _ids(bootstrap: str) -> list[str]:
    return [decode(record.value or b"").record["event_id"] for record in records_of(bootstrap, EVENTS)]


def _proto(kind: str, event: dict[str, Any]) -> pb.Event:
    """The event as a message; only for events that the message can express."""
    message = pb.Event()
    body = getattr(message, KINDS[kind].proto_body)
    body.SetInParent()
    for name, value in event.items():
        if name == "occurred_at":
            message.occurred_at_ms = value
        elif name in COMMON:
            setattr(message, name, value)
        elif isinstance(value, list):
            getattr(body, name).extend(value)
        else:
            setattr(body, name, value)
    return message
