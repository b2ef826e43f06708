"""The HTTP door: POST /v1/events/{kind} with JSON, NDJSON or CloudEvents; every event gets its own result.

Owns bodies, media types and status codes. 200 all accepted; 207 some or all refused; 400 the body is unreadable; 404,
405, 408 the body came too slowly; 413, 415; 429 with Retry-After; 503 the brokers did not acknowledge: send it again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.events import KINDS
from schemas.json_form.lines import json_event
from schemas.json_form.validation import DoorRules
from schemas.reasons import Reason
from services.ingest import metrics
from services.ingest.admission import RETRY_SECONDS, Admission, Admitted
from services.ingest.answers import refusal_body, results_body
from services.ingest.cloud_events import HEADER_PREFIX, is_json_type, raw_of_binary, raw_of_structured
from services.ingest.errors import BrokersUnavailable, Draining, Overloaded, RequestRefused
from services.ingest.help_page import help_response
from services.ingest.json_events import json_body, json_lines
from services.ingest.publish import EventPublisher, RawEvent

log = logging.getLogger(__name__)

DOOR = "http"
_JSON = "application/json"
_STATUS = {
    Reason.UNKNOWN_KIND: 404,
    Reason.BODY_TOO_LARGE: 413,
    Reason.BATCH_TOO_LARGE: 413,
    Reason.TOO_LARGE: 413,
    Reason.UNSUPPORTED_MEDIA_TYPE: 415,
    Reason.UNSUPPORTED_ENCODING: 415,
}
_READERS: dict[str, Callable[[bytes], list[Any]]] = {
    _JSON: json_body,
    "application/x-ndjson": json_lines,
    "application/ndjson": json_lines,
    "application/jsonl": json_lines,
    "application/cloudevents+json": lambda body: [raw_of_structured(json_event(body))],
    "application/cloudevents-batch+json": lambda body: [raw_of_structured(event) for event in _list_body(body)],
}


class HttpDoor:
    """The ASGI application of the door."""

    def __init__(
        self,
        publisher: EventPublisher,
        admission: Admission,
        *,
        rules: DoorRules,
        kinds: Collection[str] = tuple(KINDS),
        body_bytes_max: int,
        body_seconds: float,
        acknowledge_seconds: float,
    ) -> None:
        self._publisher = publisher
        self._admission = admission
        self._rules = rules
        self._kinds = tuple(kinds)
        self._body_bytes_max = body_bytes_max
        self._body_seconds = body_seconds
        self._acknowledge_seconds = acknowledge_seconds

    def application(self) -> Starlette:
        """Return the routes with handlers for what no route takes, so that every answer is JSON."""
        return Starlette(
            routes=[
                Route("/v1/events/{kind}", self._post_events, methods=["POST"]),
                Route("/v1/events/{kind}/", self._post_events, methods=["POST"]),
                Route("/", self._help, methods=["GET"]),
                Route("/v1/events", self._help, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _http_exception, Exception: _unexpected},
        )

    async def _help(self, request: Request) -> Response:
        return help_response(request, self._kinds)

    async def _post_events(self, request: Request) -> Response:
        started = time.monotonic()
        try:
            return await self._take(request)
        except RequestRefused as exc:
            return _refusal(_STATUS.get(exc.reason, 400), exc.reason, exc.message)
        except Overloaded as exc:
            return _refusal(429, Reason.OVERLOADED, str(exc), retry_seconds=exc.retry_seconds)
        except Draining as exc:
            return _refusal(503, Reason.OVERLOADED, str(exc), retry_seconds=RETRY_SECONDS)
        except BrokersUnavailable:
            return _refusal(
                503,
                Reason.BROKERS_UNAVAILABLE,
                "the brokers did not acknowledge in time; nothing is promised, send the same again",
                retry_seconds=RETRY_SECONDS,
            )
        except TimeoutError:
            return _refusal(408, Reason.MALFORMED_BODY, f"want the whole body within {self._body_seconds:g} s")
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        finally:
            metrics.REQUEST_SECONDS.labels(DOOR).observe(time.monotonic() - started)

    async def _take(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in self._kinds:
            raise RequestRefused(Reason.UNKNOWN_KIND, f"want one of {', '.join(self._kinds)}")
        read = _reader(request)
        declared = _declared_length(request)
        if declared is not None and declared > self._body_bytes_max:
            raise RequestRefused(Reason.BODY_TOO_LARGE, f"want at most {self._body_bytes_max} bytes; got {declared}")
        with self._admission.admit(declared or 0) as admitted:
            body = await self._body(request, admitted, counted=declared or 0)
            batch = self._publisher.prepare((RawEvent(kind, raw) for raw in read(body)), rules=self._rules)
            del body
            await self._publisher.publish(batch, door=DOOR, deadline_seconds=self._acknowledge_seconds)
        status = 200 if batch.rejected_count == 0 else 207
        return Response(results_body(batch.results), status_code=status, media_type=_JSON)

    async def _body(self, request: Request, admitted: Admitted, *, counted: int) -> bytes:
        """Read the body as it comes, never more than the limit, within the time."""
        body = bytearray()
        async with asyncio.timeout(self._body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > self._body_bytes_max:
                    raise RequestRefused(Reason.BODY_TOO_LARGE, f"want at most {self._body_bytes_max} bytes")
                if len(body) > counted:
                    admitted.grow(len(body) - counted)
                    counted = len(body)
        return bytes(body)


def _reader(request: Request) -> Callable[[bytes], list[Any]]:
    """Choose how to read the body, before any of it is read."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise RequestRefused(Reason.UNSUPPORTED_ENCODING, "want no content encoding (identity)")
    content_type = request.headers.get("content-type", "")
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    charset = parameters.lower().replace('"', "").partition("charset=")[2].partition(";")[0].strip()
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise RequestRefused(Reason.UNSUPPORTED_MEDIA_TYPE, "want charset utf-8")
    if is_json_type(media_type) and f"{HEADER_PREFIX}specversion" in request.headers:
        headers = dict(request.headers)
        return lambda body: [raw_of_binary(headers, event) for event in _one(json_body(body))]
    reader = _READERS.get(media_type)
    if reader is None:
        raise RequestRefused(Reason.UNSUPPORTED_MEDIA_TYPE, f"want one of {', '.join(_READERS)}")
    return reader


def _one(events: list[Any]) -> list[Any]:
    if len(events) != 1:
        raise RequestRefused(Reason.BATCH_TOO_LARGE, "want one event in binary mode; batches have their own media type")
    return events


def _list_body(body: bytes) -> list[Any]:
    if not body.lstrip().startswith(b"["):
        raise RequestRefused(Reason.MALFORMED_BODY, "want a list of CloudEvents")
    return json_body(body)


def _declared_length(request: Request) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _refusal(status: int, reason: Reason, message: str, *, retry_seconds: float | None = None) -> Response:
    metrics.REFUSED_REQUESTS.labels(DOOR, reason.value).inc()
    # The rest of a body is read and dropped by the server: closing at once would cost the client this answer.
    headers = {} if retry_seconds is None else {"Retry-After": str(max(1, round(retry_seconds)))}
    return Response(refusal_body(reason, message), status_code=status, media_type=_JSON, headers=headers)


async def _http_exception(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    messages = {
        404: "there is nothing here; POST to /v1/events/{kind}, GET / tells how",
        405: "want another method; GET / tells how",
    }
    body = refusal_body(
        Reason.MALFORMED_BODY if exc.status_code == 400 else Reason.NOT_ALLOWED_HERE,
        messages.get(exc.status_code, str(exc.detail)),
    )
    return Response(body, status_code=exc.status_code, media_type=_JSON, headers=exc.headers)


async def _unexpected(_: Request, exc: Exception) -> Response:
    """The outermost place of a request: a mistake of ours; logged here, no word of it to the client."""
    log.error("ingest.http.failed", extra={"error": type(exc).__name__}, exc_info=exc)
    return Response(
        b'{"reason":"internal","message":"a fault of the server; send the same again or report the time"}\n',
        status_code=500,
        media_type=_JSON,
    )
