"""What each field of an Avro body is, and into which column of the event table it goes: a program per schema.

Programs are made from the locked schemas, so an older schema version has a program of its own; `walk` turns them into
compiled functions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.reasons import DecodeReason
from schemas.registry import REGISTRY, Schema
from services.detector.engine.log_format.scan import text_key

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
TO_CODE = 5
TO_CUSTOMER, TO_OCCURRED, TO_INGESTED, TO_HISTORY, TO_EVENT_ID, TO_SOURCE, TO_NOTHING = range(6, 13)
LONG, BOOLEAN, ENUM, TEXT, NULL_LONG, NULL_TEXT, TEXTS, STOP = range(8)
INT_BITS = 32
"""In place of the number of symbols: a whole number of the schema's `int`, which has no more bits than that."""

_COMMON = {
    "customer_id": (TO_CUSTOMER, 0),
    "occurred_at": (TO_OCCURRED, 0),
    "ingested_at": (TO_INGESTED, 0),
    "history": (TO_HISTORY, 0),
    "event_id": (TO_EVENT_ID, 0),
    "source": (TO_SOURCE, 0),
}
# Where each field goes: payload column or bit of the code. Texts go as 64-bit keys; ids of a source are keyed with it.
PLACES: Mapping[int, Mapping[str, tuple[int, int]]] = {
    USAGE: {
        "service": (TO_CODE, 0),
        "direction": (TO_CODE, 2),
        "counterpart_network": (TO_CODE, 4),
        "succeeded": (TO_CODE, 7),
        "roaming": (TO_CODE, 8),
        "quantity": (A, 0),
        "charge_fen": (B, 0),
        "out_of_bundle_fen": (C, 0),
        "counterpart_key": (D, 0),
    },
    BALANCE: {"balance_fen": (A, 0), "change_fen": (B, 0), "reason": (TO_CODE, 0)},
    HANDSET: {
        "device_model": (A, 0),
        "previous_device_model": (B, 0),
        "device_tac": (C, 0),
        "capabilities": (TO_CODE, 0),
    },
    COMPLAINT: {
        "complaint_id": (A, 1),
        "state": (TO_CODE, 0),
        "topic": (TO_CODE, 3),
        "severity": (TO_CODE, 6),
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
        "action": (TO_CODE, 0),
        "category": (TO_CODE, 3),
        "addon": (TO_CODE, 8),
        "bundled": (TO_CODE, 9),
        "core": (TO_CODE, 10),
        "product": (B, 0),
        "effective_on": (C, 0),
        "ends_on": (D, 0),
    },
    ROAMING: {"country": (A, 0), "state": (TO_CODE, 0), "time_zone": (B, 0)},
    INQUIRY: {
        "inquiry_id": (A, 1),
        "topic": (TO_CODE, 0),
        "channel": (TO_CODE, 3),
        "service": (TO_CODE, 6),
        "state": (TO_CODE, 8),
        "area": (B, 0),
    },
    LINE: {"status": (TO_CODE, 0), "suspension_expected_at": (A, 0)},
    CUSTOMER: {},
}
KEYED_WITH_SOURCE, AS_CYCLE = 1, 2
"""Flags of texts: an id of its source; a month `YYYY-MM`, kept as months since 2000."""

ALONE, IS_TICK, SHORT_FRAME, UNFRAMED, UNKNOWN_SCHEMA, CUT_OFF = range(6)
"""What the walk found instead of an event: a record to be read alone, a tick, or one that nobody can read, and why."""
REFUSED = (
    "", "", DecodeReason.TRUNCATED_FRAME, DecodeReason.NOT_FRAMED, DecodeReason.UNKNOWN_SCHEMA_ID,
    DecodeReason.TRUNCATED_BODY,
)  # fmt: skip

LATEST_MS = 4_102_444_800_000
"""2100-01-01: no event is younger."""
TEXT_BYTES_MAX = 1024
"""Of a text that is hashed or kept."""
_SCHEMA_IDS = 4096


@dataclass(frozen=True)
class Step:
    """A field of a body: its Avro type, where it goes, a shift or flag of that place, and how many symbols or bits."""

    name: str
    type: int
    place: int
    flag: int
    bound: int


@dataclass(frozen=True)
class Program:
    """The fields of a schema in order; none for kinds that are read alone, whatever they hold."""

    schema_id: int
    kind: int
    steps: tuple[Step, ...]


def make_programs() -> tuple[Program, ...]:
    """Return the programs of every locked schema that may be in the event log, by schema id."""
    found = [(i, REGISTRY.by_id(i)) for i in sorted(REGISTRY.ids)]
    return tuple(
        Program(schema_id, RECORDS[locked.name], _steps(RECORDS[locked.name], locked.schema))
        for schema_id, locked in found
        if locked.name in RECORDS
    )


def _steps(kind: int, schema: Schema) -> tuple[Step, ...]:
    if kind in (CUSTOMER, TICK):
        return ()
    steps = []
    for field in schema["fields"]:
        place, flag = _COMMON.get(field["name"]) or PLACES[kind].get(field["name"], (TO_NOTHING, 0))
        type_, bound = _type(field["type"])
        steps.append(Step(field["name"], type_, place, flag, bound))
    return tuple(steps)


def programs_by_schema() -> npt.NDArray[np.int32]:
    """Return the place of each schema id in PROGRAMS; -1 = not of the event log, -2 = of nobody."""
    assert max(REGISTRY.ids) < _SCHEMA_IDS, "higher ids are taken for unknown ones"
    found = np.full(_SCHEMA_IDS, -2, np.int32)
    found[list(REGISTRY.ids)] = -1
    for row, program in enumerate(PROGRAMS):
        found[program.schema_id] = row
    return found


def _type(avro: Any) -> tuple[int, int]:
    if isinstance(avro, list):
        assert avro[0] == "null"
        assert len(avro) == 2
        inner, bits = _type(avro[1])
        return {LONG: NULL_LONG, TEXT: NULL_TEXT}[inner], bits
    if isinstance(avro, dict):
        if avro["type"] == "enum":
            return ENUM, len(avro["symbols"])
        return (TEXTS, 0) if avro["type"] == "array" else _type(avro["type"])
    return {"long": LONG, "int": LONG, "boolean": BOOLEAN, "string": TEXT}[avro], INT_BITS if avro == "int" else 0


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
OF_SCHEMA = programs_by_schema()
CAPABILITY_KEYS = np.array([text_key(word) for word in CAPABILITIES], np.int64)
SYMBOLS = make_symbols()
