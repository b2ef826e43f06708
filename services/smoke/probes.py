"""Asks the processes of a stack how they are: clocks on /healthz, queues on /metrics. Silence is an answer too."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping

import httpx
import psycopg

from services.simulator.endpoints import Endpoints

PROBE_SECONDS = 2.0
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# Every one of these is zero when nothing is under way.
QUEUES: Mapping[str, tuple[str, ...]] = {
    "detector": ("kairos_detector_lag_records", "kairos_detector_sweep_customers", "kairos_detector_outbox_records"),
    "router": ("kairos_router_lag_records", "kairos_router_outbox_rows", "kairos_router_rescinds_open_tasks"),
    "workbench": ("kairos_workbench_outbox_rows", "kairos_workbench_open_offers"),
    "ingest": ("kairos_ingest_in_flight_requests",),
}
# Reasons of the router's rows: it has not finished; it waits for a person, who may not come just now.
UNFINISHED = frozenset({"undecided", "dispatching"})
WITH_PEOPLE = frozenset(
    {"on_card", "awaiting_assignment", "declined", "offer_missed", "owner_first", "no_capacity", "capacity_unknown"}
)

ROWS_BY_REASON = "SELECT reason, count(*) FROM router.moments WHERE row_state <> 'LEDGER' GROUP BY reason"

Metrics = Mapping[str, list[tuple[dict[str, str], float]]]


class RowProbe:
    """Counts the router's rows by reason over a connection of its own, opened again when it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[tuple[str, int]] | None = None

    def counts(self) -> dict[str, int] | None:
        """Rows by reason; None when the database does not answer."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=2)
            return dict(self._connection.execute(ROWS_BY_REASON).fetchall())
        except psycopg.Error:
            self.close()
            return None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Probes:
    """One HTTP client for all processes."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._client = httpx.AsyncClient(timeout=PROBE_SECONDS, trust_env=False)
        self._rows = RowProbe(endpoints.postgres_dsn)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        self._rows.close()

    async def rows(self) -> dict[str, int] | None:
        """The router's open rows by reason; None when the database does not answer."""
        return await asyncio.to_thread(self._rows.counts)

    async def clocks_ms(self) -> dict[str, int]:
        """Business time of every process; 0 of one that does not answer."""
        services = list(self._endpoints.metrics)
        found = await asyncio.gather(*(self._now_ms(service) for service in services))
        return dict(zip(services, found, strict=True))

    async def busy(self) -> dict[str, float]:
        """What is still under way, by metric; empty when all is idle.

        A process that is silent or not ready counts as busy: its gauges may say nothing because it knows nothing yet.
        """
        services = list(self._endpoints.metrics)
        pages = await asyncio.gather(*(self._metrics(service) for service in services))
        ready = await asyncio.gather(*(self._is_ready(service) for service in services))
        found: dict[str, float] = {}
        for service, page, is_ready in zip(services, pages, ready, strict=True):
            if page is None or not is_ready:
                found[f"{service} is not ready"] = 1.0
                continue
            for name in QUEUES.get(service, ()):
                found[name] = sum(value for _, value in page.get(name, []))
        return {name: value for name, value in found.items() if value}

    async def _now_ms(self, service: str) -> int:
        try:
            response = await self._client.get(self._endpoints.health_url(service))
            return int(response.json()["now_ms"])
        except (httpx.HTTPError, ValueError, KeyError):
            return 0

    async def _is_ready(self, service: str) -> bool:
        try:
            response = await self._client.get(self._endpoints.health_url(service, "readyz"))
        except httpx.HTTPError:
            return False
        return response.status_code == httpx.codes.OK

    async def _metrics(self, service: str) -> Metrics | None:
        try:
            response = await self._client.get(self._endpoints.metrics[service])
        except httpx.HTTPError:
            return None
        return parse_metrics(response.text)


def parse_metrics(text: str) -> Metrics:
    """Samples of a metrics page by name: labels and value."""
    found: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for line in text.splitlines():
        match = SAMPLE.match(line)
        if match:
            found[match[1]].append((dict(LABEL.findall(match[2] or "")), float(match[3])))
    return found
