"""/metrics, /healthz and /readyz of a process, served by a thread of its own so that a busy loop can still be seen."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.clock import Clock

Check = Callable[[], str | None]
_REQUEST_SECONDS = 5.0


class Health:
    """What a process says of itself. A check returns None when all is well, else the reason in one sentence."""

    def __init__(self, service: str, clock: Clock) -> None:
        self.service = service
        self._clock = clock
        self._live: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}

    def add_live(self, name: str, check: Check) -> None:
        """A failing live check means that only a restart helps."""
        self._live[name] = check

    def add_ready(self, name: str, check: Check) -> None:
        """A failing ready check means that the process cannot do its work just now."""
        self._ready[name] = check

    def report(self, *, readiness: bool) -> tuple[bool, dict[str, object]]:
        """Whether all checks pass, and the body of the answer."""
        checks = self._live | self._ready if readiness else self._live
        faults = {name: fault for name, check in checks.items() if (fault := check()) is not None}
        body = {"service": self.service, "ok": not faults, "faults": faults, "now_ms": self._clock.now_ms()}
        return not faults, body


class HealthServer:
    """Serves one Health; port 0 takes a free one, told by `port` once open."""

    def __init__(
        self, health: Health, *, host: str = "127.0.0.1", port: int = 0, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._health = health
        self._address = (host, port)
        self._registry = registry
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "not open"
        return int(self._server.server_address[1])

    def open(self) -> None:
        self._server = ThreadingHTTPServer(self._address, _handler_for(self._health, self._registry))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> "HealthServer":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _handler_for(health: Health, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_SECONDS
        server_version = "kairos"
        sys_version = ""

        def do_GET(self) -> None:  # name given by the base class
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path in ("/healthz", "/readyz"):
                ok, body = health.report(readiness=path == "/readyz")
                self._answer(200 if ok else 503, json.dumps(body).encode(), "application/json")
            else:
                self._answer(404, b"try /metrics, /healthz or /readyz\n", "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name given by the base class
            """Requests of probes are no news."""

    return Handler
