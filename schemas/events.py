"""The eleven kinds of events: kind ⇄ Avro record ⇄ topic ⇄ gRPC body, and the fields of each in their JSON form.

Owns the names, types and limits that upstream engineers see (docs/events.md is generated from here). Validation itself
is the matter of ingest; the Avro form is in schemas/avro.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.cities import CITIES, SEGMENTS
from schemas.limits import LIMITS, OWN_FIELDS, WORDS, Limit
from schemas.registry import REGISTRY, Schema

EVENTS_TOPIC = "kairos.events.v1"
CONTACTS_TOPIC = "kairos.contacts.v1"
TICK = "kairos.control.v1.Tick"
HAND_OVER = "kairos.control.v1.HandOver"
OWN_FIELD_PREFIX = "x_"
"""Fields of upstream systems' own: accepted and ignored; every other unknown field is refused."""
SET_BY_INGEST = frozenset({"ingested_at", "history", "phone_token", "phone_masked"})
"""Fields of the Avro form that upstream systems cannot send."""


class FieldType(StrEnum):
    """How a field is written in JSON."""

    INTEGER = "integer"
    TEXT = "text"
    WORD = "word"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    DATE = "date"
    TEXTS = "texts"
    TEXT_MAP = "text_map"


@dataclass(frozen=True)
class Field:
    """One field of the JSON form.

    words: what a WORD may be (the UNKNOWN symbol of the Avro form is not for sending); of TEXT and TEXTS, the allowed
    items where the list is closed. avro_name: the field of the Avro form; empty when ingest derives others from it.
    default: what stands in the Avro form when the field is absent or null.
    """

    name: str
    type: FieldType
    is_required: bool
    is_nullable: bool
    default: Any
    words: tuple[str, ...]
    limit: Limit
    about: str
    avro_name: str


@dataclass(frozen=True)
class EventKind:
    """One kind: its name in URLs and files, its Avro record, its topic, its field in the gRPC message."""

    name: str
    record: str
    topic: str
    proto_body: str
    about: str
    fields: tuple[Field, ...]

    @property
    def fields_by_name(self) -> Mapping[str, Field]:
        """Return the fields by their JSON name."""
        return {field.name: field for field in self.fields}


_RECORDS = {
    "balance": "BalanceEvent",
    "usage": "UsageEvent",
    "handset-change": "HandsetChangeEvent",
    "complaint": "ComplaintEvent",
    "bill": "BillEvent",
    "service-order": "ServiceOrderEvent",
    "roaming": "RoamingEvent",
    "inquiry": "InquiryEvent",
    "line-status": "LineStatusEvent",
    "contact": "ContactEvent",
    "customer": "CustomerEvent",
}
_PLAIN_TYPES = {
    "long": FieldType.INTEGER,
    "int": FieldType.INTEGER,
    "string": FieldType.TEXT,
    "boolean": FieldType.BOOLEAN,
}
_NESTED_TYPES = {
    "timestamp-millis": FieldType.INSTANT,
    "date": FieldType.DATE,
    "enum": FieldType.WORD,
    "array": FieldType.TEXTS,
    "map": FieldType.TEXT_MAP,
}


def _kind(name: str, record: str) -> EventKind:
    full = f"kairos.events.v1.{record}"
    schema = REGISTRY.newest(full).schema
    fields = [_field(name, field) for field in schema["fields"] if field["name"] not in SET_BY_INGEST]
    fields += [_own_field(kind, own) for kind, own in OWN_FIELDS if kind == name]
    topic = CONTACTS_TOPIC if name == "contact" else EVENTS_TOPIC
    return EventKind(name, full, topic, name.replace("-", "_"), schema["doc"], tuple(fields))


def _field(kind: str, field: Schema) -> Field:
    name, avro_type = field["name"], field["type"]
    is_nullable = isinstance(avro_type, list)
    if is_nullable:
        avro_type = avro_type[1]
    words = _words(kind, name, avro_type)
    return Field(
        name=name,
        type=_type(avro_type),
        is_required="default" not in field,
        is_nullable=is_nullable or field.get("default") == "UNKNOWN",
        default=field.get("default"),
        words=words,
        limit=LIMITS.get((kind, name), LIMITS.get(("", name), Limit())),
        about=field["doc"],
        avro_name=name,
    )


def _own_field(kind: str, name: str) -> Field:
    return Field(
        name=name,
        type=FieldType.TEXT,
        is_required=False,
        is_nullable=True,
        default=None,
        words=(),
        limit=LIMITS[kind, name],
        about=OWN_FIELDS[kind, name],
        avro_name="",
    )


def _type(avro_type: Any) -> FieldType:
    if isinstance(avro_type, str):
        return _PLAIN_TYPES[avro_type]
    return _NESTED_TYPES[avro_type.get("logicalType") or avro_type["type"]]


def _words(kind: str, name: str, avro_type: Any) -> tuple[str, ...]:
    if name == "city":
        return tuple(CITIES)
    if name == "segment":
        return tuple(SEGMENTS)
    if isinstance(avro_type, dict) and avro_type["type"] == "enum":
        symbols = (symbol for symbol in avro_type["symbols"] if symbol != "UNKNOWN")
        return tuple(symbol.lower() if name == "language" else symbol for symbol in symbols)
    return WORDS.get((kind, name), ())


KINDS: Mapping[str, EventKind] = {name: _kind(name, record) for name, record in _RECORDS.items()}
"""All kinds by name, in the order of their schema ids."""

KIND_OF_RECORD: Mapping[str, EventKind] = {kind.record: kind for kind in KINDS.values()}
"""All kinds by the full name of their Avro record."""

KIND_OF_PROTO_BODY: Mapping[str, EventKind] = {kind.proto_body: kind for kind in KINDS.values()}
"""All kinds by the field of kairos.ingest.v1.Event that carries them."""
