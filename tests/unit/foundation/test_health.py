"""Health answers what probes and people ask."""

import json
import urllib.error
import urllib.request

from prometheus_client import CollectorRegistry, Counter

from services.clock import ManualClock
from services.telemetry.health import Health, HealthServer


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_readiness_tells_the_reason_and_liveness_stays() -> None:
    health = Health("ingest", ManualClock(42))
    health.add_ready("kafka", lambda: "no broker answers")
    with HealthServer(health, registry=CollectorRegistry()) as server:
        base = f"http://127.0.0.1:{server.port}"
        status, body = _get(f"{base}/readyz")
        assert (status, json.loads(body)["faults"]) == (503, {"kafka": "no broker answers"})
        status, body = _get(f"{base}/healthz")
        assert (status, json.loads(body)["now_ms"]) == (200, 42)
        assert _get(f"{base}/else")[0] == 404


def test_metrics_are_served() -> None:
    registry = CollectorRegistry()
    Counter("kairos_example_total", "Examples.", registry=registry).inc()
    with HealthServer(Health("x", ManualClock(0)), registry=registry) as server:
        assert "kairos_example_total 1.0" in _get(f"http://127.0.0.1:{server.port}/metrics")[1]
