"""uvicorn as the HTTP door needs it: bounded request heads, no signal handlers of its own, quiet."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX: Final = 32 * 1024
HEAD_SECONDS_MAX: Final = 10.0  # a connection that sends no complete head for so long is closed


class BoundedHttp(HttpToolsProtocol):
    """The protocol of uvicorn with a bound on the bytes of request heads, which it lacks, and on the wait for one."""

    _head_bytes = 0
    _is_in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS_MAX, self._close_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
            # One read holds at most 256 KiB, so a head that came with its body can look long: parse it first.
        super().data_received(data)
        if self._is_in_head and self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response(f"want at most {HEAD_BYTES_MAX} bytes of request head")

    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head, self._head_bytes = False, 0
        self._stop_timer()
        super().on_headers_complete()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close_slow(self) -> None:
        if self._is_in_head and not self.transport.is_closing():
            self.transport.close()


class HttpServer(uvicorn.Server):
    """A uvicorn server run by our own loop and stopped by our own signal handler."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the process."""
        yield


def http_server(application: Any, *, connections_max: int, drain_seconds: float) -> HttpServer:
    """Return a server for an ASGI application; `serve(sockets=[...])` runs it, `should_exit = True` drains it."""
    return HttpServer(
        uvicorn.Config(
            application,
            http=BoundedHttp,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=connections_max,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(drain_seconds),
        )
    )


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound, listening socket; raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener
