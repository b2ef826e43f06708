"""Acknowledged events per second of each ingest door, against a running stack; also the server's CPU per event.

    python -m benchmarks.ingest_doors --events 200000 --doors http,grpc,file --json

Addresses come from var/endpoints.json or the options. Load generators run beside the server, so on a small machine the
CPU figure (from the server's own metrics) tells more than the rate. The last line with --json is one JSON object.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from kairos.ingest.v1 import ingest_pb2, ingest_pb2_grpc

HTTP_BATCH, GRPC_BATCH = 1_000, 2_000
HTTP_CONNECTIONS, GRPC_CALLS = 6, 4
_CPU = re.compile(r"^process_cpu_seconds_total ([0-9.e+]+)", re.MULTILINE)
Figures = dict[str, float | int]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the doors asked for and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    endpoints = _endpoints()
    metrics = endpoints.get("metrics", {})
    parser.add_argument("--http", default=endpoints.get("ingest_http", "http://127.0.0.1:8080"))
    parser.add_argument("--grpc", default=endpoints.get("ingest_grpc", "127.0.0.1:8081"))
    parser.add_argument("--metrics", default=metrics.get("ingest", "") if isinstance(metrics, dict) else "")
    parser.add_argument("--kafka", default=endpoints.get("kafka", os.environ.get("KAIROS_KAFKA_BOOTSTRAP", "")))
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--doors", default="http,grpc,file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    runs: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, Figures]]] = {
        "http": measure_http,
        "grpc": measure_grpc,
        "file": measure_file,
    }
    figures = {door: asyncio.run(runs[door](options)) for door in options.doors.split(",")}
    for door, found in figures.items():
        cpu = found.get("cpu_us_per_event", 0)
        print(f"{door:5} {found['events_per_second']:>10,.0f} events/s  {cpu:6.1f} µs CPU/event", file=sys.stderr)
    if options.json:
        print(json.dumps({f"ingest_{door}": found for door, found in figures.items()}))
    return 0


async def measure_http(options: argparse.Namespace) -> Figures:
    """NDJSON in requests of 1,000 events over a few kept connections."""
    address = urlsplit(options.http if "://" in options.http else f"http://{options.http}")
    run = uuid.uuid4().hex[:8]
    requests = [
        _http_request(address.netloc, b"\n".join(_json_event(run, number) for number in range(first, last)))
        for first, last in _ranges(options.events, HTTP_BATCH)
    ]

    async def client(share: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for request in share:
            writer.write(request)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head[:200]
            found = re.search(rb"content-length: (\d+)", head.lower())
            assert found is not None
            await reader.readexactly(int(found[1]))
        writer.close()

    shares = [requests[number::HTTP_CONNECTIONS] for number in range(HTTP_CONNECTIONS)]
    return await _timed(options, options.events, lambda: _all(client(share) for share in shares))


async def measure_grpc(options: argparse.Namespace) -> Figures:
    """PublishEvents with 2,000 usage events a call, a few calls at a time."""
    run = uuid.uuid4().hex[:8]
    requests = [
        ingest_pb2.PublishEventsRequest(events=[_proto_event(run, number) for number in range(first, last)])
        for first, last in _ranges(options.events, GRPC_BATCH)
    ]
    async with grpc.aio.insecure_channel(options.grpc) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)

        async def client(share: list[Any]) -> None:
            for request in share:
                answer = await stub.PublishEvents(request, timeout=30)
                assert answer.rejected_count == 0, answer.results[0]

        shares = [requests[number::GRPC_CALLS] for number in range(GRPC_CALLS)]
        return await _timed(options, options.events, lambda: _all(client(share) for share in shares))


async def measure_file(options: argparse.Namespace) -> Figures:
    """A CSV of usage events, without pacing; CPU is that of the loading process, start-up included."""
    run = uuid.uuid4().hex[:8]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"usage-{run}.csv"
        with path.open("w") as file:
            file.write("event_id,customer_id,occurred_at,source,service,quantity,charge_fen,area,counterpart_key\n")
            file.writelines(_csv_row(run, number) for number in range(options.events))
        command = [
            sys.executable,
            "-m",
            "services.ingest",
            "file",
            "--kind",
            "usage",
            "--no-pacing",
            "--json",
            str(path),
        ]
        env = {**os.environ, "KAIROS_KAFKA_BOOTSTRAP": options.kafka, "KAIROS_VAR_DIR": folder}
        done = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["accepted"] == options.events, summary
    return {"events": options.events, "seconds": summary["seconds"], "events_per_second": summary["events_per_second"]}


async def _timed(options: argparse.Namespace, events: int, run: Callable[[], Awaitable[None]]) -> Figures:
    cpu = _server_cpu(options.metrics)
    started = time.perf_counter()
    await run()
    seconds = time.perf_counter() - started
    figures: Figures = {"events": events, "seconds": round(seconds, 3), "events_per_second": round(events / seconds)}
    after = _server_cpu(options.metrics)
    if cpu is not None and after is not None:
        figures["cpu_us_per_event"] = round((after - cpu) / events * 1e6, 2)
    return figures


async def _all(clients: Any) -> None:
    await asyncio.gather(*clients)


def _server_cpu(url: str) -> float | None:
    if not url:
        return None
    page = urllib.request.urlopen(f"{url.removesuffix('/metrics')}/metrics", timeout=5).read().decode()
    found = _CPU.search(page)
    return float(found[1]) if found else None


def _ranges(count: int, size: int) -> list[tuple[int, int]]:
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def _customer(number: int) -> int:
    return 100_000_000 + number * 7919 % 1_000_003


def _at(number: int) -> int:
    return 1_700_000_000_000 + number


def _csv_row(run: str, number: int) -> str:
    use = f"VOICE,{number % 600},{number % 90},NJ-01,{number + 1}"
    return f"{run}-{number},{_customer(number)},{_at(number)},bench,{use}\n"


def _json_event(run: str, number: int) -> bytes:
    event = {
        "event_id": f"{run}-{number}",
        "customer_id": _customer(number),
        "occurred_at": _at(number),
        "source": "bench",
        "service": "VOICE",
        "quantity": number % 600,
        "charge_fen": number % 90,
        "area": "NJ-01",
        "counterpart_key": number + 1,
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _proto_event(run: str, number: int) -> Any:
    return ingest_pb2.Event(
        event_id=f"{run}-{number}",
        customer_id=_customer(number),
        occurred_at_ms=_at(number),
        source="bench",
        usage=ingest_pb2.Usage(
            service="VOICE", quantity=number % 600, charge_fen=number % 90, area="NJ-01", counterpart_key=number + 1
        ),
    )


def _http_request(host: str, body: bytes) -> bytes:
    head = f"POST /v1/events/usage HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-ndjson\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _endpoints() -> dict[str, Any]:
    path = Path(os.environ.get("KAIROS_VAR_DIR", "var")) / "endpoints.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


if __name__ == "__main__":
    raise SystemExit(main())
