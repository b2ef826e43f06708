"""Avro bodies → columns, one compiled walk over the joined bytes of a chunk.

The walk follows a program per schema id (what each field is, and into which column it goes), made from the locked
schema,
so an older schema version has a program of its own. It only accepts what it is sure of: a frame with a known id,
shortest
numbers, known enum symbols, ASCII texts, the right key and nothing behind. Everything else is left to `decode`,
which reads
the record alone and either finds an event after all or isolates the poison.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.limits import EARLIEST_MS
from schemas.registry import REGISTRY, Schema
from services.detector.engine.jit import entry, kernel

USAGE, BALANCE, HANDSET, COMPLAINT, BILL, ORDER, ROAMING, INQUIRY, LINE, CUSTOMER, TICK = range(11)
KINDS: Mapping[str, int] = {
    "usage": USAGE,
    "balance": BALANCE,
    "handset-change": HANDSET,
    "complaint": COMPLAINT,
    "bill": BILL,
    "service-order": ORDER,
    "roaming": ROAMING,
    "inquiry": INQUIRY,
    "line-status": LINE,
    "customer": CUSTOMER,
}
"""Kinds of the event log by name, with their number in the event table."""
RECORDS: Mapping[str, int] = {
    "kairos.events.v1.UsageEvent": USAGE,
    "kairos.events.v1.BalanceEvent": BALANCE,
    "kairos.events.v1.HandsetChangeEvent": HANDSET,
    "kairos.events.v1.ComplaintEvent": COMPLAINT,
    "kairos.events.v1.BillEvent": BILL,
    "kairos.events.v1.ServiceOrderEvent": ORDER,
    "kairos.events.v1.RoamingEvent": ROAMING,
    "kairos.events.v1.InquiryEvent": INQUIRY,
    "kairos.events.v1.LineStatusEvent": LINE,
    "kairos.events.v1.CustomerEvent": CUSTOMER,
    "kairos.control.v1.Tick": TICK,
}
CAPABILITIES = ("2G", "3G", "4G", "5G", "VOLTE", "ESIM", "DUAL_SIM")
"""Capabilities by bit; others are not kept."""

A, B, C, D, E = range(5)
"""Columns of the payload: numbers of 64 bits whose meaning depends on the kind."""
PAYLOAD_COLUMNS = 5
_TO_CODE = 5
_TO_CUSTOMER, _TO_OCCURRED, _TO_INGESTED, _TO_HISTORY, _TO_EVENT_ID, _TO_SOURCE, _TO_NOTHING = range(6, 13)
_LONG, _BOOLEAN, _ENUM, _TEXT, _NULL_LONG, _NULL_TEXT, _TEXTS, _STOP = range(8)

_COMMON = {
    "customer_id": (_TO_CUSTOMER, 0),
    "occurred_at": (_TO_OCCURRED, 0),
    "ingested_at": (_TO_INGESTED, 0),
    "history": (_TO_HISTORY, 0),
    "event_id": (_TO_EVENT_ID, 0),
    "source": (_TO_SOURCE, 0),
}
# Where each field goes: payload column or bit of the code. Texts go as 64-bit keys; ids of a source are keyed with it.
PLACES: Mapping[int, Mapping[str, tuple[int, int]]] = {
    USAGE: {
        "service": (_TO_CODE, 0),
        "direction": (_TO_CODE, 2),
        "counterpart_network": (_TO_CODE, 4),
        "succeeded": (_TO_CODE, 7),
        "roaming": (_TO_CODE, 8),
        "quantity": (A, 0),
        "charge_fen": (B, 0),
        "out_of_bundle_fen": (C, 0),
        "counterpart_key": (D, 0),
        "area": (E, 0),
    },
    BALANCE: {"balance_fen": (A, 0), "change_fen": (B, 0), "reason": (_TO_CODE, 0)},
    HANDSET: {
        "device_model": (A, 0),
        "previous_device_model": (B, 0),
        "device_tac": (C, 0),
        "capabilities": (_TO_CODE, 0),
    },
    COMPLAINT: {
        "complaint_id": (A, 1),
        "state": (_TO_CODE, 0),
        "topic": (_TO_CODE, 3),
        "severity": (_TO_CODE, 6),
        "area": (B, 0),
    },
    BILL: {
        "cycle": (D, 2),
        "total_fen": (A, 0),
        "plan_fee_fen": (B, 0),
        "out_of_bundle_fen": (C, 0),
        "make_up_fen": (E, 0),
    },
    ORDER: {
        "order_id": (A, 1),
        "action": (_TO_CODE, 0),
        "category": (_TO_CODE, 3),
        "addon": (_TO_CODE, 8),
        "bundled": (_TO_CODE, 9),
        "core": (_TO_CODE, 10),
        "product": (B, 0),
        "effective_on": (C, 0),
        "ends_on": (D, 0),
    },
    ROAMING: {"country": (A, 0), "state": (_TO_CODE, 0), "time_zone": (B, 0)},
    INQUIRY: {
        "inquiry_id": (A, 1),
        "topic": (_TO_CODE, 0),
        "channel": (_TO_CODE, 3),
        "service": (_TO_CODE, 6),
        "state": (_TO_CODE, 8),
        "area": (B, 0),
    },
    LINE: {"status": (_TO_CODE, 0), "suspension_expected_at": (A, 0)},
    CUSTOMER: {},
}
KEYED_WITH_SOURCE, AS_CYCLE = 1, 2
"""Flags of texts: an id of its source; a month `YYYY-MM`, kept as months since 2000."""

ACCEPTED, ALONE, IS_TICK = range(3)
"""What the walk found: an event, a record to be read alone, a tick."""

LATEST_MS = 4_102_444_800_000
"""2100-01-01: no event is younger."""
_SCHEMA_IDS = 4096
_FIELDS_MAX = 16
_OFFSET = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_MIX = 0xBF58476D1CE4E5B9
_NOT_ASCII = 0x80


@dataclass(frozen=True)
class Programs:
    """What the walk has to know of all schemas. steps: (program, field, (type, place, shift or flag, symbols))."""

    of_schema: npt.NDArray[np.int32]  # by schema id; -1 = unknown
    kinds: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    steps: npt.NDArray[np.int32]
    capabilities: npt.NDArray[np.int64]  # text keys, by bit


def make_programs() -> Programs:
    """Return the programs of every locked schema that may be in the event log."""
    found = [(i, REGISTRY.by_id(i)) for i in REGISTRY.ids if i < _SCHEMA_IDS and REGISTRY.by_id(i).name in RECORDS]
    of_schema = np.full(_SCHEMA_IDS, -1, np.int32)
    kinds = np.zeros(len(found), np.int32)
    lengths = np.zeros(len(found), np.int32)
    steps = np.zeros((len(found), _FIELDS_MAX, 4), np.int32)
    for row, (schema_id, locked) in enumerate(found):
        kind = RECORDS[locked.name]
        program = _program(kind, locked.schema)
        of_schema[schema_id], kinds[row], lengths[row] = row, kind, len(program)
        steps[row, : len(program)] = program
    keys = np.array([text_key(word) for word in CAPABILITIES], np.int64)
    return Programs(of_schema, kinds, lengths, steps, keys)


def _program(kind: int, schema: Schema) -> list[tuple[int, int, int, int]]:
    if kind in (CUSTOMER, TICK):  # read alone, whatever they hold
        return [(_STOP, 0, 0, 0)]
    steps = []
    for field in schema["fields"]:
        place, flag = _COMMON.get(field["name"]) or PLACES[kind].get(field["name"], (_TO_NOTHING, 0))
        type_, symbols = _type(field["type"])
        steps.append((type_, place, flag, symbols))
    assert len(steps) <= _FIELDS_MAX, f"{schema['name']} has more fields than a program may have"
    return steps


def _type(avro: Any) -> tuple[int, int]:
    if isinstance(avro, list):
        assert avro[0] == "null"
        assert len(avro) == 2
        inner, _ = _type(avro[1])
        return {_LONG: _NULL_LONG, _TEXT: _NULL_TEXT}[inner], 0
    if isinstance(avro, dict):
        if avro["type"] == "enum":
            return _ENUM, len(avro["symbols"])
        return (_TEXTS, 0) if avro["type"] == "array" else _type(avro["type"])
    return {"long": _LONG, "int": _LONG, "boolean": _BOOLEAN, "string": _TEXT}[avro], 0


@kernel
def _hash(data: Any, start: Any, end: Any, seed: Any) -> Any:
    """FNV-1a over bytes, from a seed."""
    x = seed
    for j in range(start, end):
        x = (x ^ np.uint64(data[j])) * np.uint64(_PRIME)
    return x


@kernel
def _mixed(x: Any) -> Any:
    """Spread the bits of an FNV value; never 0, which means none."""
    x ^= x >> np.uint64(29)
    x *= np.uint64(_MIX)
    x ^= x >> np.uint64(32)
    return np.int64(x) if x != 0 else np.int64(1)


@entry
def _text_key(data: Any, size: Any) -> Any:
    """The key of a text that stands alone."""
    return _mixed(_hash(data, 0, size, np.uint64(_OFFSET)))


@kernel
def _varint(data: Any, p: Any, end: Any) -> Any:
    """Return the zigzag number at p and where it ends; -1 when it is cut off or not in its shortest form."""
    v = np.uint64(0)
    shift = np.uint64(0)
    while p < end:
        x = np.uint64(data[p])
        p += 1
        if shift == 63 and x > 1:
            return np.int64(0), -1
        v |= (x & np.uint64(127)) << shift
        if x < 128:
            if x == 0 and shift > 0:
                return np.int64(0), -1
            return np.int64(v >> np.uint64(1)) ^ -np.int64(v & np.uint64(1)), p
        shift += np.uint64(7)
        if shift > 63:
            return np.int64(0), -1
    return np.int64(0), -1


@kernel
def _letter(byte: Any) -> Any:
    """Six bits of a byte that keep its order (not strictly): digits and letters apart, what is between them joined."""
    b = np.int64(byte)
    if b < 48:
        return np.int64(1)
    if b < 58:
        return b - 46
    if b < 65:
        return np.int64(12)
    if b < 91:
        return b - 53
    if b < 97:
        return np.int64(38)
    return min(b - 58, np.int64(63))


@entry
def _rank(data: Any, source: Any, source_end: Any, event: Any, event_end: Any) -> Any:
    """Two numbers that order (source, event_id) as text does: 2 letters of the source, 18 of the id."""
    high = np.int64(0)
    low = np.int64(0)
    for j in range(2):
        high = high << 6 | (_letter(data[source + j]) if source + j < source_end else np.int64(0))
    for j in range(8):
        high = high << 6 | (_letter(data[event + j]) if event + j < event_end else np.int64(0))
    for j in range(8, 18):
        low = low << 6 | (_letter(data[event + j]) if event + j < event_end else np.int64(0))
    return high, low


@entry
def _cycle(data: Any, start: Any, end: Any) -> Any:
    """Return the months since 2000 of `YYYY-MM`; -1 when it is none."""
    if end - start != 7 or data[start + 4] != 45:
        return np.int64(-1)
    number = np.int64(0)
    for j in (0, 1, 2, 3, 5, 6):
        digit = np.int64(data[start + j]) - 48
        if digit < 0 or digit > 9:
            return np.int64(-1)
        number = number * 10 + digit
    month = number % 100
    if number < 200001 or month < 1 or month > 12:
        return np.int64(-1)
    return (number // 100 - 2000) * 12 + month - 1


@kernel
def _is_ascii(data: Any, start: Any, end: Any) -> Any:
    seen = 0
    for j in range(start, end):
        seen |= data[j]
    return seen < _NOT_ASCII


@kernel
def _is_key(keys: Any, start: Any, end: Any, customer: Any) -> Any:
    """True when these bytes are exactly the decimal form of the customer id."""
    if end <= start or end - start > 19 or customer <= 0:
        return False
    v = np.int64(0)
    for j in range(start, end):
        digit = np.int64(keys[j]) - 48
        if digit < 0 or digit > 9 or (j == start and digit == 0):
            return False
        v = v * 10 + digit
    return v == customer


@kernel
def _texts_bits(data: Any, p: Any, end: Any, capabilities: Any) -> Any:
    """Return the bits of the known words in an array of texts in one block, and where it ends; -1 when unsure."""
    count, p = _varint(data, p, end)
    if p < 0 or count < 0 or count > 64:
        return 0, -1
    bits = 0
    for _ in range(count):
        size, p = _varint(data, p, end)
        if p < 0 or size < 0 or p + size > end or not _is_ascii(data, p, p + size):
            return 0, -1
        key = _mixed(_hash(data, p, p + size, np.uint64(_OFFSET)))
        for bit in range(capabilities.size):
            if capabilities[bit] == key:
                bits |= 1 << bit
        p += size
    if count > 0:
        last, p = _varint(data, p, end)
        if p < 0 or last != 0:
            return 0, -1
    return bits, p


@kernel
def _walk(  # noqa: C901  # one pass over one record; leaving it in one piece keeps it in registers
    data: Any, p: Any, end: Any, i: Any, n_steps: Any, steps: Any, capabilities: Any, kind: Any,
    customer: Any, occurred: Any, ingested: Any, history: Any, ident: Any, rank: Any, payload: Any, code: Any,
    spans: Any,
) -> Any:  # fmt: skip
    """Read one body into row i; False when it must be read alone. Every step is checked against the end."""
    event = event_end = source = source_end = 0
    bits = np.int64(0)
    seed = np.uint64(_OFFSET)
    for k in range(n_steps):
        type_ = steps[k, 0]
        place = steps[k, 1]
        value = np.int64(0)
        if type_ == _BOOLEAN:
            if p >= end or data[p] > 1:
                return False
            value = np.int64(data[p])
            p += 1
        elif type_ == _TEXTS:
            value, p = _texts_bits(data, p, end, capabilities)
            if p < 0:
                return False
        else:
            value, p = _varint(data, p, end)
            if p < 0:
                return False
            is_text = type_ == _TEXT
            if type_ == _NULL_LONG or type_ == _NULL_TEXT:  # noqa: SIM109  # no tuples in kernels
                if value < 0 or value > 1:
                    return False
                is_text = type_ == _NULL_TEXT and value == 1
                if value == 1:
                    value, p = _varint(data, p, end)
                    if p < 0:
                        return False
            if type_ == _ENUM and (value < 0 or value >= steps[k, 3]):
                return False
            if is_text:
                start, stop = p, p + value
                if value < 0 or value > 1024 or stop > end or not _is_ascii(data, start, stop):
                    return False
                p = stop
                if place == _TO_EVENT_ID:
                    event, event_end = start, stop
                elif place == _TO_SOURCE:
                    source, source_end = start, stop
                    seed = _hash(data, start, stop, np.uint64(_OFFSET))
                    seed = (seed ^ np.uint64(124)) * np.uint64(_PRIME)
                elif place < _TO_CODE:
                    if steps[k, 2] == AS_CYCLE:
                        value = _cycle(data, start, stop)
                        if value < 0:
                            return False
                    else:
                        from_seed = seed if steps[k, 2] == KEYED_WITH_SOURCE else np.uint64(_OFFSET)
                        value = _mixed(_hash(data, start, stop, from_seed))
                    if place <= B:
                        spans[i, 2 * place] = start
                        spans[i, 2 * place + 1] = stop
        if place < _TO_CODE:
            payload[i, place] = value
        elif place == _TO_CODE:
            bits |= value << steps[k, 2]
        elif place == _TO_CUSTOMER:
            customer[i] = value
        elif place == _TO_OCCURRED:
            occurred[i] = value
        elif place == _TO_INGESTED:
            ingested[i] = value
        elif place == _TO_HISTORY:
            history[i] = value != 0
    code[i] = bits
    if event_end - event < 1 or event_end - event > 64 or source_end - source < 1 or source_end - source > 32:
        return False
    if occurred[i] < EARLIEST_MS or occurred[i] >= LATEST_MS or ingested[i] < 0 or ingested[i] >= LATEST_MS:
        return False
    ident[i] = _mixed(_hash(data, event, event_end, seed))
    if kind != USAGE:
        rank[i, 0], rank[i, 1] = _rank(data, source, source_end, event, event_end)
    return p == end


@entry
def read_records(
    data: Any, ends: Any, keys: Any, key_ends: Any, of_schema: Any, kinds: Any, lengths: Any, steps: Any,
    capabilities: Any, status: Any, kind: Any, customer: Any, occurred: Any, ingested: Any, history: Any, ident: Any,
    rank: Any, payload: Any, code: Any, spans: Any,
) -> Any:  # fmt: skip
    """Walk all records; fill the columns, `status` per record; return how many were not accepted as events.

    data, keys: values and keys laid end to end (uint8); ends, key_ends: where each ends (int64).
    """
    others = 0
    start = key_start = np.int64(0)
    for i in range(ends.size):
        end = ends[i]
        key_end = key_ends[i]
        status[i] = ALONE
        if end - start >= 6 and data[start] == 0:
            schema_id = (
                np.int64(data[start + 1]) << 24 | np.int64(data[start + 2]) << 16
                | np.int64(data[start + 3]) << 8 | np.int64(data[start + 4])
            )  # fmt: skip
            program = of_schema[schema_id] if schema_id < of_schema.size else -1
            if program >= 0:
                kind[i] = kinds[program]
                if kinds[program] == TICK:
                    status[i] = IS_TICK
                elif (
                    kinds[program] != CUSTOMER
                    and _walk(
                        data, start + 5, end, i, lengths[program], steps[program], capabilities, kinds[program],
                        customer, occurred, ingested, history, ident, rank, payload, code, spans,
                    )
                    and _is_key(keys, key_start, key_end, customer[i])
                ):  # fmt: skip
                    status[i] = ACCEPTED
        if status[i] != ACCEPTED:
            others += 1
        start = end
        key_start = key_end
    return others


def text_key(text: str) -> int:
    """Return the 64-bit key of a text; the same as the walk's."""
    return _key_of_bytes(text.encode())


def source_text_key(source: str, text: str) -> int:
    """Return the 64-bit key of an id that is unique per source only."""
    return _key_of_bytes(f"{source}|{text}".encode())


def text_rank(source: str, event_id: str) -> tuple[int, int]:
    """Return the two numbers that order events of one instant."""
    raw = np.frombuffer(source.encode() + event_id.encode(), np.uint8)
    cut = len(source.encode())
    high, low = _rank(raw, 0, cut, cut, raw.size)
    return int(high), int(low)


def _key_of_bytes(raw: bytes) -> int:
    data = np.frombuffer(raw or b"\0", np.uint8)
    return int(_text_key(data, len(raw)))


def cycle_number(text: str) -> int:
    """Return the months since 2000 of `YYYY-MM`; -1 when it is none."""
    return int(_cycle(np.frombuffer(text.encode() or b"\0", np.uint8), 0, len(text.encode())))


def make_symbols() -> Mapping[int, Mapping[str, tuple[str, ...]]]:
    """Return the words of every enum field, by kind and field, of the newest schemas."""
    return {
        kind: {
            field["name"]: tuple(field["type"]["symbols"])
            for field in REGISTRY.newest(name).schema["fields"]
            if isinstance(field["type"], dict) and field["type"]["type"] == "enum"
        }
        for name, kind in RECORDS.items()
    }


PROGRAMS = make_programs()
SYMBOLS = make_symbols()
