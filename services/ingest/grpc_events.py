"""Events of the gRPC contract ⇄ raw events and results of the core; answers name the fields of the message."""

from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Any

from google.protobuf.message import DecodeError
from kairos.ingest.v1 import ingest_pb2 as pb

from schemas.events import KIND_OF_PROTO_BODY
from schemas.json_form.faults import Fault, Rejection, rejected
from schemas.json_form.validation import INSTANT_FIELDS
from schemas.limits import BATCH_EVENTS_MAX
from schemas.reasons import Reason
from services.ingest.errors import RequestRefused
from services.ingest.publish import RawEvent

# The contract adds the unit to instants; JSON has them without.
_RENAMED = {f"{name}_ms": name for name in INSTANT_FIELDS}
_COMMON = frozenset({"event_id", "customer_id", "occurred_at", "source"})
_PLAIN = frozenset({int, str, bool})
_FAULT_MESSAGES_MAX = 2_000  # beyond so many refused events an answer could pass the message limit
NO_KIND = "none"


def parse_request(data: bytes) -> pb.PublishEventsRequest:
    """Return the request in the bytes; raises RequestRefused when they are none, or hold no or too many events."""
    try:
        request = pb.PublishEventsRequest.FromString(data)
    except DecodeError as exc:
        raise RequestRefused(Reason.MALFORMED_BODY, "want a kairos.ingest.v1.PublishEventsRequest") from exc
    if not request.events:
        raise RequestRefused(Reason.EMPTY_BATCH, "want at least one event")
    if len(request.events) > BATCH_EVENTS_MAX:
        raise RequestRefused(
            Reason.BATCH_TOO_LARGE, f"want at most {BATCH_EVENTS_MAX} events a request; got {len(request.events)}"
        )
    return request


def raw_event(event: pb.Event, kinds: Collection[str]) -> RawEvent:
    """Return an event in the form of the core. What is not set is left out: absent fields take their defaults."""
    body_name = event.WhichOneof("body")
    if body_name is None:
        return RawEvent(NO_KIND, rejected(Reason.MISSING, "want one of the bodies to be set", field="body"))
    kind = KIND_OF_PROTO_BODY[body_name].name
    if kind not in kinds:
        return RawEvent(kind, rejected(Reason.UNKNOWN_KIND, "this server does not take that kind", field=body_name))
    raw: dict[str, Any] = {}
    if event.event_id:
        raw["event_id"] = event.event_id
    if event.customer_id:
        raw["customer_id"] = event.customer_id
    if event.occurred_at_ms:
        raw["occurred_at"] = event.occurred_at_ms
    if event.source:
        raw["source"] = event.source
    _BODY_READERS[body_name](getattr(event, body_name), raw)
    return RawEvent(kind, raw)


def _body_reader(descriptor: Any) -> Callable[[Any, dict[str, Any]], None]:
    """Return the function that copies what is set in a body. ListFields takes thrice as long."""
    fields = list(descriptor.fields)
    get_all = attrgetter(*(field.name for field in fields)) if len(fields) > 1 else None
    names = [(_RENAMED.get(field.name, field.name), field.name if field.has_presence else "") for field in fields]

    def read(body: Any, raw: dict[str, Any]) -> None:
        values = get_all(body) if get_all is not None else (getattr(body, fields[0].name),)
        for (name, presence_name), value in zip(names, values, strict=True):
            if value:
                if value.__class__ in _PLAIN:
                    raw[name] = value
                else:
                    raw[name] = dict(value) if hasattr(value, "items") else list(value)
            elif presence_name and body.HasField(presence_name):
                raw[name] = value

    return read


def response(results: Sequence[Rejection | None], events: Sequence[str]) -> pb.PublishEventsResponse:
    """Return the answer; `events` has the body name of every event. Long answers leave the sentences out."""
    refused = sum(result is not None for result in results)
    is_short = refused <= _FAULT_MESSAGES_MAX
    answer = pb.PublishEventsResponse(accepted_count=len(results) - refused, rejected_count=refused)
    add = answer.results.add
    for result, body_name in zip(results, events, strict=True):
        if result is None:
            add(outcome=pb.EventResult.OUTCOME_ACCEPTED)
            continue
        faults = result.faults if is_short else result.faults[:1]
        add(
            outcome=pb.EventResult.OUTCOME_REJECTED,
            faults=[_fault(fault, body_name, with_message=is_short) for fault in faults],
        )
    return answer


def _fault(fault: Fault, body_name: str, *, with_message: bool) -> pb.Fault:
    field = f"{fault.field}_ms" if fault.field in INSTANT_FIELDS else fault.field
    if field and fault.field not in _COMMON and field not in ("body", body_name):
        field = f"{body_name}.{field}"
    return pb.Fault(field=field, reason=fault.reason.value, message=fault.message if with_message else "")


_BODY_READERS = {
    field.name: _body_reader(field.message_type) for field in pb.Event.DESCRIPTOR.oneofs_by_name["body"].fields
}
