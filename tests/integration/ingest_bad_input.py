"""The table of bad input: what is sent through which door, and the reason code it must get. One row, one fault.

doors: h HTTP, g gRPC, f file. Every bad event travels between two good ones of its kind, which must get through.
"""

from dataclasses import dataclass
from typing import Any

from schemas.reasons import Reason
from tests.integration.ingest_rig import NOW_MS

DAY_MS = 86_400_000
COMMON: dict[str, Any] = {"event_id": "", "customer_id": 1, "occurred_at": NOW_MS - 60_000, "source": "table"}
GOOD: dict[str, dict[str, Any]] = {
    "balance": {"balance_fen": 500},
    "usage": {"service": "VOICE", "quantity": 61, "charge_fen": 20},
    "handset-change": {"device_model": "M1"},
    "complaint": {"complaint_id": "c1", "state": "OPENED", "topic": "NETWORK"},
    "bill": {"cycle": "2026-08", "total_fen": 9900},
    "service-order": {"order_id": "o1", "action": "SUBSCRIBE", "category": "TV"},
    "roaming": {"country": "JP", "state": "LANDED"},
    "inquiry": {"inquiry_id": "i1", "topic": "FEE"},
    "line-status": {"status": "ACTIVE"},
    "contact": {"channel": "CALL"},
    "customer": {"city": "NJ"},
}
ABSENT = object()


@dataclass(frozen=True)
class BadEvent:
    """An event with one fault. change: fields that differ from the good one; ABSENT takes one away."""

    name: str
    kind: str
    change: dict[str, Any]
    field: str
    reason: Reason
    doors: str = "hgf"
    grpc_field: str = ""


BAD_EVENTS = [
    # wrong type
    BadEvent("amount-as-text", "balance", {"balance_fen": "500"}, "balance_fen", Reason.WRONG_TYPE, "hf"),
    BadEvent("amount-with-fraction", "balance", {"balance_fen": 5.5}, "balance_fen", Reason.WRONG_TYPE, "hf"),
    BadEvent("amount-true", "usage", {"quantity": True}, "quantity", Reason.WRONG_TYPE, "hf"),
    BadEvent("flag-as-text", "usage", {"succeeded": "yes"}, "succeeded", Reason.WRONG_TYPE, "hf"),
    BadEvent("text-as-number", "complaint", {"complaint_id": 7}, "complaint_id", Reason.WRONG_TYPE, "hf"),
    BadEvent("list-as-text", "customer", {"quiet_windows": "09:00-10:00"}, "quiet_windows", Reason.WRONG_TYPE, "hf"),
    BadEvent("map-as-list", "customer", {"attributes": ["a"]}, "attributes", Reason.WRONG_TYPE, "hf"),
    BadEvent("word-as-list", "usage", {"service": ["VOICE"]}, "service", Reason.WRONG_TYPE, "hf"),
    BadEvent("instant-as-object", "usage", {"occurred_at": {}}, "occurred_at", Reason.WRONG_TYPE, "hf"),
    BadEvent("id-as-fraction", "usage", {"customer_id": 1.0}, "customer_id", Reason.WRONG_TYPE, "hf"),
    # missing
    BadEvent("no-customer", "usage", {"customer_id": ABSENT}, "customer_id", Reason.MISSING),
    BadEvent("no-instant", "bill", {"occurred_at": ABSENT}, "occurred_at", Reason.MISSING, grpc_field="occurred_at_ms"),
    BadEvent("no-source", "roaming", {"source": ABSENT}, "source", Reason.MISSING),
    BadEvent("no-amount", "balance", {"balance_fen": ABSENT}, "balance_fen", Reason.MISSING),
    BadEvent("no-state", "complaint", {"state": ABSENT}, "state", Reason.MISSING),
    BadEvent("null-amount", "usage", {"quantity": None}, "quantity", Reason.MISSING, "hf"),
    BadEvent("no-city", "customer", {"city": ABSENT}, "city", Reason.MISSING),
    # out of range, too long, empty
    BadEvent("negative-id", "usage", {"customer_id": -5}, "customer_id", Reason.OUT_OF_RANGE),
    BadEvent("id-of-64-bits", "usage", {"customer_id": 2**63}, "customer_id", Reason.OUT_OF_RANGE, "hf"),
    BadEvent("huge-id", "usage", {"customer_id": 10**300}, "customer_id", Reason.OUT_OF_RANGE, "hf"),
    BadEvent("negative-quantity", "usage", {"quantity": -1}, "quantity", Reason.OUT_OF_RANGE),
    BadEvent("huge-quantity", "usage", {"quantity": 10**13}, "quantity", Reason.OUT_OF_RANGE),
    BadEvent("negative-charge", "usage", {"charge_fen": -1}, "charge_fen", Reason.OUT_OF_RANGE),
    BadEvent("huge-balance", "balance", {"balance_fen": -(10**15)}, "balance_fen", Reason.OUT_OF_RANGE),
    BadEvent("negative-plan-fee", "customer", {"plan_fee_fen": -1}, "plan_fee_fen", Reason.OUT_OF_RANGE),
    BadEvent("far-date", "customer", {"contract_ends_on": "9999-01-01"}, "contract_ends_on", Reason.OUT_OF_RANGE),
    BadEvent("long-event-id", "usage", {"event_id": "x" * 65}, "event_id", Reason.TOO_LONG),
    BadEvent("long-area", "inquiry", {"area": "京" * 65}, "area", Reason.TOO_LONG),
    BadEvent("empty-event-id", "usage", {"event_id": ""}, "event_id", Reason.EMPTY, "hf"),
    BadEvent("empty-model", "handset-change", {"device_model": ""}, "device_model", Reason.EMPTY, "hf"),
    BadEvent("many-windows", "customer", {"quiet_windows": ["1:00"] * 9}, "quiet_windows", Reason.TOO_MANY_ITEMS),
    # time
    BadEvent(
        "future", "usage", {"occurred_at": NOW_MS + DAY_MS}, "occurred_at", Reason.IN_THE_FUTURE,
        grpc_field="occurred_at_ms",
    ),
    BadEvent(
        "before-2000", "usage", {"occurred_at": 946_684_799_999}, "occurred_at", Reason.TOO_OLD,
        grpc_field="occurred_at_ms",
    ),
    BadEvent("no-offset", "usage", {"occurred_at": "2026-09-07T09:50:00"}, "occurred_at", Reason.BAD_FORMAT, "hf"),
    BadEvent("no-such-day", "usage", {"occurred_at": "2026-02-30T00:00:00Z"}, "occurred_at", Reason.BAD_FORMAT, "hf"),
    BadEvent(
        "microseconds", "usage", {"occurred_at": NOW_MS * 1000}, "occurred_at", Reason.OUT_OF_RANGE, "hf"
    ),
    # form
    BadEvent("loud-source", "usage", {"source": "CRM"}, "source", Reason.BAD_FORMAT),
    BadEvent("spaced-source", "usage", {"source": "c r m"}, "source", Reason.BAD_FORMAT),
    BadEvent("control-character", "usage", {"area": "a\x00b"}, "area", Reason.BAD_FORMAT),
    BadEvent("short-tac", "handset-change", {"device_tac": "1234567"}, "device_tac", Reason.BAD_FORMAT),
    BadEvent("thirteenth-month", "bill", {"cycle": "2026-13"}, "cycle", Reason.BAD_FORMAT),
    BadEvent("date-of-order", "service-order", {"effective_on": "2026-9-7"}, "effective_on", Reason.BAD_FORMAT),
    BadEvent("birthday", "customer", {"birthday": "1999-02-29"}, "birthday", Reason.BAD_FORMAT),
    BadEvent("quiet-window", "customer", {"quiet_windows": ["9-10"]}, "quiet_windows[0]", Reason.BAD_FORMAT),
    BadEvent("bad-phone", "customer", {"phone": "555-0100"}, "phone", Reason.BAD_FORMAT),
    BadEvent("phone-in-file", "customer", {"phone": "13800138000"}, "phone", Reason.NOT_ALLOWED_HERE, "f"),
    # closed lists
    BadEvent("wrong-city", "customer", {"city": "Shanghai"}, "city", Reason.UNKNOWN_VALUE),
    BadEvent("small-city", "customer", {"city": "nj"}, "city", Reason.UNKNOWN_VALUE),
    BadEvent("wrong-tier", "customer", {"tier": "GOLD"}, "tier", Reason.UNKNOWN_VALUE),
    BadEvent("wrong-service", "usage", {"service": "FAX"}, "service", Reason.UNKNOWN_VALUE),
    BadEvent("unknown-symbol", "line-status", {"status": "UNKNOWN"}, "status", Reason.UNKNOWN_VALUE),
    BadEvent("wrong-country", "roaming", {"country": "ZZ"}, "country", Reason.UNKNOWN_VALUE),
    BadEvent("wrong-zone", "roaming", {"time_zone": "Mars/Base"}, "time_zone", Reason.UNKNOWN_VALUE),
    BadEvent("wrong-channel", "contact", {"channel": "PIGEON"}, "channel", Reason.UNKNOWN_VALUE),
    BadEvent("wrong-action", "service-order", {"action": "BUY"}, "action", Reason.UNKNOWN_VALUE),
    # unknown fields, contradictions
    BadEvent("unknown-field", "usage", {"colour": "red"}, "colour", Reason.UNKNOWN_FIELD, "hf"),
    BadEvent("field-of-ingest", "usage", {"ingested_at": NOW_MS}, "ingested_at", Reason.UNKNOWN_FIELD, "hf"),
    BadEvent("field-of-other-kind", "bill", {"balance_fen": 1}, "balance_fen", Reason.UNKNOWN_FIELD, "hf"),
    BadEvent("number-as-field", "usage", {"13800138000": 1}, "*", Reason.UNKNOWN_FIELD, "hf"),
    BadEvent(
        "part-above-whole", "usage", {"out_of_bundle_fen": 21}, "out_of_bundle_fen", Reason.INCONSISTENT
    ),
    BadEvent(
        "ends-before-begin", "service-order", {"effective_on": "2026-09-08", "ends_on": "2026-09-07"}, "ends_on",
        Reason.INCONSISTENT,
    ),
    # nesting
    BadEvent("deep", "usage", {"x_deep": [[[[[[[[[[1]]]]]]]]]]}, "", Reason.TOO_DEEP, "hf"),
]  # fmt: skip


@dataclass(frozen=True)
class BadRequest:
    """A request that is refused as a whole, at the HTTP door. The event in it, if any, must not get through."""

    name: str
    body: bytes
    status: int
    reason: str
    content_type: str = "application/json"
    path: str = "/v1/events/balance"
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()


LONE = (
    b'{"event_id":"refused-whole","customer_id":1,"occurred_at":"2026-09-07T09:50:00+08:00",'
    b'"source":"table","balance_fen":1}'
)
BAD_REQUESTS = [
    BadRequest("empty-body", b"", 400, "empty_batch"),
    BadRequest("blank-body", b" \n\t", 400, "empty_batch"),
    BadRequest("empty-list", b"[]", 400, "empty_batch"),
    BadRequest("blank-lines", b"\n\n \n", 400, "empty_batch", "application/x-ndjson"),
    BadRequest("cut-off-json", LONE[:-4], 400, "malformed_json"),
    BadRequest("cut-off-list", b"[" + LONE + b",", 400, "malformed_json"),
    BadRequest("list-without-commas", b"[" + LONE + b" " + LONE + b"]", 400, "malformed_json"),
    BadRequest("not-a-number", LONE.replace(b":1}", b":NaN}"), 400, "malformed_json"),
    BadRequest("xml", b"<event/>", 400, "malformed_json"),
    BadRequest("not-utf8", LONE.replace(b"table", b"t\xffble"), 400, "not_utf8"),
    BadRequest("utf16", LONE.decode().encode("utf-16"), 400, "not_utf8"),
    BadRequest("deep-nesting", b"[" * 500_000, 400, "too_deep"),
    BadRequest("deep-object", b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400, "too_deep"),
    BadRequest("10001-events", b"[" + b",".join([LONE] * 10_001) + b"]", 413, "batch_too_large"),
    BadRequest("10001-lines", (LONE + b"\n") * 10_001, 413, "batch_too_large", "application/x-ndjson"),
    BadRequest("two-million-numbers", b"[" + b"1," * 2_000_000 + b"1]", 413, "batch_too_large"),
    BadRequest("over-size", b" " * (8 * 2**20 + 1), 413, "body_too_large"),
    BadRequest("plain-text", LONE, 415, "unsupported_media_type", "text/plain"),
    BadRequest("form", LONE, 415, "unsupported_media_type", "application/x-www-form-urlencoded"),
    BadRequest("no-type", LONE, 415, "unsupported_media_type", ""),
    BadRequest("latin-1", LONE, 415, "unsupported_media_type", "application/json; charset=latin-1"),
    BadRequest("gzip", LONE, 415, "unsupported_encoding", headers=(("Content-Encoding", "gzip"),)),
    BadRequest("unknown-kind", LONE, 404, "unknown_kind", path="/v1/events/weather"),
    BadRequest("kind-of-other-case", LONE, 404, "unknown_kind", path="/v1/events/BALANCE"),
    BadRequest("climbing-path", LONE, 404, "unknown_kind", path="/v1/events/%2e%2e"),
    BadRequest("unknown-address", LONE, 404, "not_allowed_here", path="/v2/events/balance"),
    BadRequest("put", LONE, 405, "not_allowed_here", method="PUT"),
    BadRequest("delete", b"", 405, "not_allowed_here", method="DELETE"),
    BadRequest("batch-that-is-none", LONE, 400, "malformed_body", "application/cloudevents-batch+json"),
    BadRequest(
        "binary-batch", b"[" + LONE + b"," + LONE + b"]", 413, "batch_too_large",
        headers=(("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "table"), ("ce-type", "t")),
    ),
]  # fmt: skip


@dataclass(frozen=True)
class BadLine:
    """A line of a file that is refused; the lines around it load."""

    name: str
    line: bytes
    reason: Reason


CSV_HEADER = b"event_id,customer_id,occurred_at,source,balance_fen,change_fen,reason"
BAD_CSV_LINES = [
    BadLine("too-few-cells", b"bad,1,1788746340000,table", Reason.MALFORMED_ROW),
    BadLine("too-many-cells", b"bad,1,1788746340000,table,1,,,,,", Reason.MALFORMED_ROW),
    BadLine("unclosed-quote", b'"bad,1,1788746340000,table,1,,', Reason.MALFORMED_ROW),
    BadLine("quote-inside", b'"bad"x,1,1788746340000,table,1,,', Reason.MALFORMED_ROW),
    BadLine("latin-1-cell", b"bad-\xe9,1,1788746340000,table,1,,", Reason.NOT_UTF8),
    BadLine("word-for-number", b"bad,1,1788746340000,table,much,,", Reason.WRONG_TYPE),
    BadLine("thousands-separator", b'bad,1,1788746340000,table,"1,000",,', Reason.WRONG_TYPE),
    BadLine("arabic-digits", "bad,١,1788746340000,table,1,,".encode(), Reason.BAD_FORMAT),
    BadLine("unknown-word", b"bad,1,1788746340000,table,1,,GIFT", Reason.UNKNOWN_VALUE),
    BadLine("empty-required", b"bad,,1788746340000,table,1,,", Reason.MISSING),
    BadLine("endless-cell", b"bad,1,1788746340000,table,1,," + b"9" * 400_000, Reason.TOO_LARGE),
    BadLine("other-contents", b"ok-csv-0,1,1788746340000,table,999,,", Reason.DUPLICATE_IN_BATCH),
]
BAD_NDJSON_LINES = [
    BadLine("cut-off", LONE[:-9], Reason.MALFORMED_JSON),
    BadLine("not-utf8-line", LONE.replace(b"table", b"t\xffble"), Reason.NOT_UTF8),
    BadLine("field-twice", LONE.replace(b'"source"', b'"source":"a","source"'), Reason.DUPLICATE_FIELD),
    BadLine("number", b"7", Reason.NOT_AN_OBJECT),
    BadLine("list", b"[" + LONE + b"]", Reason.NOT_AN_OBJECT),
    BadLine("endless-line", b'{"a":"' + b"x" * 1_000_000 + b'"}', Reason.TOO_LARGE),
    BadLine("half-surrogate", LONE.replace(b"refused-whole", b"\\ud800"), Reason.MALFORMED_JSON),
]
