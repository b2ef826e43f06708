"""A service that does nothing but say that it is ready: `python dummy_service.py PORT [deaf|broken]`.

deaf: ignores SIGTERM. broken: ends with exit code 3."""

from __future__ import annotations

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"ok": true, "faults": {}, "now_ms": 0}' if self.path == "/readyz" else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the base class
        pass


def stop(*_: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    manner = sys.argv[2] if len(sys.argv) > 2 else ""
    if manner == "broken":
        print("this service is broken on purpose", flush=True)
        sys.exit(3)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == "deaf" else stop)
    print("dummy is up", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
