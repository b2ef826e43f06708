"""The generated reference pages: docs/events.md for upstream engineers, docs/topics.md for operators.

Pure: a template of schemas/pages, the schemas, limits and reasons in; Markdown out. `schemas.generate` writes the pages
and checks that they are fresh.
"""

import json
from collections.abc import Iterable, Sequence
from string import Template

from schemas import limits
from schemas.cities import CITIES, SEGMENTS
from schemas.events import KINDS, OWN_FIELD_PREFIX, EventKind, Field, FieldType
from schemas.reasons import EXPLANATIONS, DecodeReason, Reason
from schemas.registry import REGISTRY
from schemas.topics import TOPICS, Topic

_NOTICE = "<!-- Made by `make proto` from schemas/. Do not edit. -->\n\n"
_COMMON = ("event_id", "customer_id", "occurred_at", "source")
_TYPE_NAMES = {
    FieldType.INTEGER: "integer",
    FieldType.TEXT: "text",
    FieldType.WORD: "word",
    FieldType.BOOLEAN: "true or false",
    FieldType.INSTANT: "instant",
    FieldType.DATE: "date",
    FieldType.TEXTS: "list of text",
    FieldType.TEXT_MAP: "map of text to text",
}


def events_page(template: str) -> str:
    """Return docs/events.md, made from schemas/pages/events.md."""
    common = [field for field in next(iter(KINDS.values())).fields if field.name in _COMMON]
    return _NOTICE + Template(template).substitute(
        batch_events=f"{limits.BATCH_EVENTS_MAX:,}",
        text_bytes=f"{limits.TEXT_BYTES_MAX:,}",
        event_kib=limits.EVENT_BYTES_MAX // 1024,
        nesting=limits.NESTING_MAX,
        future_minutes=limits.FUTURE_TOLERANCE_MS // 60_000,
        own_prefix=OWN_FIELD_PREFIX,
        common_fields=_fields_table(common),
        kinds="\n\n".join(_kind_section(kind) for kind in KINDS.values()),
        codes=_codes_table(),
        reasons=_reasons_table(Reason),
        decode_reasons=_reasons_table(DecodeReason),
    )


def topics_page(template: str) -> str:
    """Return docs/topics.md, made from schemas/pages/topics.md."""
    return _NOTICE + Template(template).substitute(
        overview=_table(
            ("topic", "key", "partitions", "clean-up", "kept", "written by", "read by"),
            map(_topic_row, TOPICS.values()),
        ),
        sections="\n\n".join(map(_topic_section, TOPICS.values())),
        schema_ids=_table(("id", "record", "version", "file"), map(_schema_row, REGISTRY.ids)),
    )


def _kind_section(kind: EventKind) -> str:
    own = [field for field in kind.fields if field.name not in _COMMON]
    places = f"Topic `{kind.topic}`, record `{kind.record}`, gRPC `{kind.proto_body}`."
    return f"### {kind.name}\n\n{kind.about} {places}\n\n{_fields_table(own)}"


def _fields_table(fields: Iterable[Field]) -> str:
    rows = ((_name(each), _TYPE_NAMES[each.type], _allowed(each), _default(each), each.about) for each in fields)
    return _table(("field", "type", "allowed", "default", "meaning"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _name(field: Field) -> str:
    return f"**`{field.name}`**" if field.is_required else f"`{field.name}`"


def _default(field: Field) -> str:
    if field.is_required:
        return ""
    if field.default is None or field.default == "UNKNOWN":
        return "none"
    return f"`{json.dumps(field.default) if not isinstance(field.default, str) else field.default}`"


def _allowed(field: Field) -> str:
    limit = field.limit
    if field.name in ("city", "segment"):
        return "a code below"
    if field.words:
        return _words(field.words)
    if field.type is FieldType.INTEGER:
        return f"{_number(limit.least)} to {_number(limit.most)}"
    if field.type is FieldType.TEXT_MAP:
        return f"up to {limit.items_most} entries, keys and texts up to {limit.length_most} characters"
    if field.type in (FieldType.TEXT, FieldType.TEXTS):
        each = f"up to {limit.items_most} of " if field.type is FieldType.TEXTS else ""
        return each + (f"`{_escaped(limit.pattern)}`" if limit.pattern else _lengths(limit))
    return ""


def _lengths(limit: limits.Limit) -> str:
    if limit.length_least == limit.length_most:
        return f"{limit.length_most} characters"
    return f"{limit.length_least} to {limit.length_most} characters"


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _escaped(pattern: str) -> str:
    return pattern.replace("|", "\\|")


def _number(value: int) -> str:
    if value == limits.INT63_MAX:
        return "2^63-1"
    return "-2^63" if value == -(2**63) else f"{value:,}"


def _codes_table() -> str:
    rows = [("city", f"`{city.code}`", city.en, city.zh) for city in CITIES.values()]
    rows += [("segment", f"`{segment.code}`", segment.en, segment.zh) for segment in SEGMENTS.values()]
    return _table(("field", "code", "name", "名称"), rows)


def _reasons_table(reasons: Iterable[Reason | DecodeReason]) -> str:
    rows = ((f"`{reason}`", EXPLANATIONS[reason].en, EXPLANATIONS[reason].zh) for reason in reasons)
    return _table(("code", "meaning", "含义"), rows)


def _topic_row(topic: Topic) -> tuple[str, ...]:
    return (
        f"`{topic.name}`",
        topic.key,
        "P" if topic.partitions is None else str(topic.partitions),
        topic.cleanup,
        _kept(topic),
        ", ".join(topic.producers),
        ", ".join(topic.consumers) or "people",
    )


def _kept(topic: Topic) -> str:
    if topic.retention_hours < 0:
        return "for good"
    return f"{topic.retention_hours // 24} d" if topic.retention_hours % 24 == 0 else f"{topic.retention_hours} h"


def _topic_section(topic: Topic) -> str:
    lines = [f"## {topic.name}\n", topic.about]
    if topic.schemas:
        lines.append(f"Records: {', '.join(f'`{name}` ({REGISTRY.id_of(name)})' for name in topic.schemas)}.")
    if topic.dead_letters:
        lines.append(f"What cannot be decoded goes to `{topic.dead_letters}`.")
    return "\n".join(lines)


def _schema_row(schema_id: int) -> tuple[str, ...]:
    locked = REGISTRY.by_id(schema_id)
    file = locked.entry.file
    return str(schema_id), f"`{locked.name}`", str(locked.version), f"[{file}](../schemas/{file})"
