"""GET / of the HTTP door: which kinds there are, what they carry, and a command to try."""

import json
from collections.abc import Collection, Mapping
from functools import cache
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from schemas.events import KINDS, OWN_FIELD_PREFIX, Field
from schemas.limits import BATCH_EVENTS_MAX, EVENT_BYTES_MAX

_EXAMPLE: Mapping[str, Any] = {
    "event_id": "demo-1",
    "customer_id": 100200300,
    "occurred_at": "2026-09-07T09:50:00+08:00",
    "source": "billing",
    "balance_fen": 850,
    "change_fen": -150,
    "reason": "CHARGE",
}


def help_response(request: Request, kinds: Collection[str]) -> Response:
    """Return the help as a page for browsers, as JSON for programs."""
    address = f"{request.url.scheme}://{request.url.netloc}"
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page(address, tuple(kinds)))
    body = json.dumps(help_document(address, tuple(kinds)), ensure_ascii=False, indent=1)
    return Response(body + "\n", media_type="application/json")


@cache
def help_document(address: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Return the help as data: address, media types, limits, kinds with their fields, an example."""
    return {
        "post": f"{address}/v1/events/{{kind}}",
        "media_types": [
            "application/json (an event, or a list)",
            "application/x-ndjson (an event per line)",
            "application/cloudevents+json",
            "application/cloudevents-batch+json",
        ],
        "limits": {"events": BATCH_EVENTS_MAX, "event_bytes": EVENT_BYTES_MAX},
        "own_fields": f"fields that start with {OWN_FIELD_PREFIX} are accepted and ignored",
        "kinds": {name: {field.name: _described(field) for field in KINDS[name].fields} for name in kinds},
        "example": _command(address, kinds),
    }


def _described(field: Field) -> str:
    words = f", one of {' '.join(field.words)}" if field.words else ""
    return f"{field.type.value}{', required' if field.is_required else ''}{words}. {field.about}"


def _command(address: str, kinds: tuple[str, ...]) -> str:
    kind = "balance" if "balance" in kinds else kinds[0]
    body = json.dumps(dict(_EXAMPLE)) if kind == "balance" else "{...}"
    return f"curl -s -H 'Content-Type: application/json' -d '{body}' {address}/v1/events/{kind}"


def _page(address: str, kinds: tuple[str, ...]) -> str:
    sections = "".join(
        f"<h2 id='{name}'>{name}</h2><p>{escape(KINDS[name].about)}</p><table><tr><th>field<th>what</tr>"
        + "".join(
            f"<tr><td><code>{field.name}</code><td>{escape(_described(field))}</tr>" for field in KINDS[name].fields
        )
        + "</table>"
        for name in kinds
    )
    links = " · ".join(f"<a href='#{name}'>{name}</a>" for name in kinds)
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Kairos ingest</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "code,pre{background:#8882;padding:.1em .3em}pre{overflow:auto;padding:1em}td{padding:.2em .8em;"
        "vertical-align:top}:root{color-scheme:light dark}</style>"
        f"<h1>Kairos ingest · 事件接入</h1><p>POST <code>{escape(address)}/v1/events/&lt;kind&gt;</code></p>"
        f"<p>{links}</p><pre>{escape(_command(address, kinds))}</pre>{sections}"
    )
