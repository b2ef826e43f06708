"""The walk over Avro bodies: one compiled pass that fills columns, hashes ids, checks keys, and is sure or says so.

A function per schema is written from its program in `wire` and compiled: no step is looked up while events pass. Bounds
are checked at every step, numbers must be in their shortest form, texts ASCII, enums known: a record that is anything
else is left to be read alone.
"""

from collections.abc import Sequence
from types import ModuleType

from services.detector.engine.codegen.jit import generated_module
from services.detector.engine.log_format import wire
from services.detector.engine.log_format.wire import Program, Step

COLUMNS = ("kind", "customer", "occurred", "ingested", "history", "ident", "rank", "payload", "code", "texts")
"""What the walk fills, in the order in which it wants them. texts (n, 4): where texts of the columns A and B lie."""

_HEAD = '''"""Generated from the locked schemas; do not edit."""
import numpy as np

from schemas.limits import EARLIEST_MS
from services.detector.engine.log_format.frames import KEY, KEY_END, VALUE, VALUE_END
from services.detector.engine.codegen.jit import entry, inlined, kernel
from services.detector.engine.customer.layout import INT32_MAX
from services.detector.engine.codegen.memory import byte_at, int64_at, put_byte, put_int64
from services.detector.engine.log_format.scan import (
    FNV_OFFSET, cycle_of, hash_after_source, hash_bytes, is_ascii, is_key, mixed, rank_of, texts_bits, varint,
)
from services.detector.engine.log_format.wire import *
'''

_TAIL = '''
@entry
def read_records(data, spans, of_schema, known_texts, others, codes, kind, customer, occurred, ingested, history,
                 ident, rank, payload, code, texts):
    """Walk all records; fill the columns, a row per event; return how many records are not accepted as one.

    data (uint8): where the records are; spans: see `frames`. others, codes: filled with the places of those
    that are not accepted, and why. Those to be read alone have rows too, which hold anything.
    """
    found_others = 0
    row = 0
    bytes_at = data.ctypes.data
    columns_at = (
        customer.ctypes.data, occurred.ctypes.data, ingested.ctypes.data, history.ctypes.data, ident.ctypes.data,
        rank.ctypes.data, payload.ctypes.data, code.ctypes.data, texts.ctypes.data, known_texts.ctypes.data,
    )
    for i in range(spans.shape[0]):
        start = bytes_at + spans[i, VALUE]
        end = bytes_at + spans[i, VALUE_END]
        found = np.int64(-1)
        status = ALONE
        if spans[i, VALUE] < 0:
            pass
        elif end - start < 5:
            status = SHORT_FRAME
        elif byte_at(start) != 0:
            status = UNFRAMED
        else:
            schema_id = (
                byte_at(start + 1) << 24 | byte_at(start + 2) << 16 | byte_at(start + 3) << 8 | byte_at(start + 4)
            )
            program = np.int64(of_schema[schema_id]) if schema_id < of_schema.size else np.int64(-2)
            if program == -2:
                status = UNKNOWN_SCHEMA
            elif program >= 0:
                found = _body(program, bytes_at, start + 5, end, row, known_texts.size, columns_at)
                if found == -2:
                    status = CUT_OFF
        if (
            found >= 0 and found != TICK and spans[i, KEY] >= 0
            and is_key(bytes_at + spans[i, KEY], bytes_at + spans[i, KEY_END], customer[row])
        ):
            kind[row] = found
            row += 1
            continue
        if found == TICK:
            status = IS_TICK
        elif status == ALONE:
            row += 1
        others[found_others] = i
        codes[found_others] = status
        found_others += 1
    return found_others
'''


def walk_module(programs: Sequence[Program] = wire.PROGRAMS) -> ModuleType:
    """Return the module with `read_records` for these schemas."""
    return generated_module("walk", walk_text(programs))


def walk_text(programs: Sequence[Program]) -> str:
    """Return the module's text: a function per schema, their choice by number, and the loop over records."""
    parts = [_HEAD, *(_Writer(number, program).function() for number, program in enumerate(programs) if program.steps)]
    choice = ["@inlined", "def _body(program, bytes_at, p, end, i, texts_known, columns_at):"]
    for number, program in sorted(enumerate(programs), key=lambda each: each[1].kind):  # usage first
        found = (
            f"_read_{number}(bytes_at, p, end, i, texts_known, columns_at)" if program.steps else str(_alone(program))
        )
        choice += [f"    if program == {number}:", f"        return {found}"]
    return "\n\n".join([*parts, "\n".join([*choice, "    return -1"]), _TAIL])


def _alone(program: Program) -> int:
    return wire.TICK if program.kind == wire.TICK else -1


class _Writer:
    """Writes the function that reads the bodies of one schema; it returns the kind, or -1: to be read alone, or -2: all
    is well up to its end, but that is too early."""

    def __init__(self, number: int, program: Program) -> None:
        self._number = number
        self._program = program
        self._lines: list[str] = []
        self._payload = ["0"] * wire.PAYLOAD_COLUMNS
        self._bits: list[str] = []
        self._knows_source = False

    def function(self) -> str:
        """Return the text of the function."""
        for at, step in enumerate(self._program.steps):
            self._step(f"v{at}", step)
        self._check()
        decorator = "@inlined" if self._program.kind == wire.USAGE else "@kernel"
        head = [decorator, f"def _read_{self._number}(bytes_at, p, end, i, texts_known, columns_at):"]
        head.append(f"    {', '.join(COLUMNS[1:])}, known_texts = columns_at")
        return "\n".join([*head, *("    " + line for line in self._lines)])

    def _add(self, *lines: str) -> None:
        self._lines += lines

    def _step(self, name: str, step: Step) -> None:
        if step.type == wire.BOOLEAN:
            self._byte("byte_at(p) > 1")
            self._add(f"{name} = byte_at(p)", "p += 1")
        elif step.type == wire.ENUM:
            assert 2 * step.bound <= 128, f"{step.name} has too many symbols"
            self._byte(f"byte_at(p) & 1 != 0 or byte_at(p) >= {2 * step.bound}")
            self._add(f"{name} = byte_at(p) >> 1", "p += 1")
        elif step.type == wire.TEXTS:
            self._add(f"{name}, p = texts_bits(p, end, known_texts, texts_known)", "if p == 0:", "    return -1")
        elif step.type in (wire.NULL_LONG, wire.NULL_TEXT):
            self._byte("byte_at(p) & 253 != 0")
            self._add(f"{name} = np.int64(0)", "p += 1", "if byte_at(p - 1) != 0:")
            outer, self._lines = self._lines, []
            self._value(name, step, is_text=step.type == wire.NULL_TEXT)
            self._lines = outer + ["    " + line for line in self._lines]
        else:
            self._value(name, step, is_text=step.type == wire.TEXT)
        self._put(name, step)

    def _byte(self, wrong: str) -> None:
        """There must be a byte, and not a wrong one."""
        self._add("if p >= end:", "    return -2", f"if {wrong}:", "    return -1")

    def _value(self, name: str, step: Step, *, is_text: bool) -> None:
        self._add(f"{name}, p = varint(p, end)", "if p == 0:", f"    return -1 - {name}")
        if not is_text:
            if step.bound == wire.INT_BITS:
                self._add(f"if {name} > INT32_MAX or {name} < -INT32_MAX - 1:", "    return -1")
            return
        self._add(f"{name}_end = p + {name}")
        self._add(f"if {name} < 0 or {name} > TEXT_BYTES_MAX:", "    return -1")
        self._add(f"if {name}_end > end:", "    return -2")
        self._add(f"if not is_ascii(p, {name}_end):", "    return -1")
        self._add(f"{name}_start = p", f"p = {name}_end")
        if step.place < wire.TO_CODE:
            self._key(name, step)

    def _key(self, name: str, step: Step) -> None:
        """The number of a text that is kept as one."""
        if step.flag == wire.AS_CYCLE:
            self._add(f"{name} = cycle_of({name}_start, {name}_end)", f"if {name} < 0:", "    return -1")
            return
        assert step.flag != wire.KEYED_WITH_SOURCE or self._knows_source, f"{step.name} stands before the source"
        seed = "seed" if step.flag == wire.KEYED_WITH_SOURCE else "np.uint64(FNV_OFFSET)"
        self._add(f"{name} = mixed(hash_bytes({name}_start, {name}_end, {seed}))")
        if step.place <= wire.B:
            self._add(f"put_int64(texts + 32 * i + {16 * step.place}, {name}_start - bytes_at)")
            self._add(f"put_int64(texts + 32 * i + {16 * step.place + 8}, {name}_end - bytes_at)")

    def _put(self, name: str, step: Step) -> None:
        columns = {wire.TO_CUSTOMER: "customer", wire.TO_OCCURRED: "occurred", wire.TO_INGESTED: "ingested"}
        if step.place < wire.TO_CODE:
            self._payload[step.place] = name
        elif step.place == wire.TO_CODE:
            self._bits.append(f"{name} << {step.flag}")
        elif step.place in columns:
            self._add(f"put_int64({columns[step.place]} + 8 * i, {name})")
            if step.place != wire.TO_CUSTOMER:
                self._add(f"if {name} < EARLIEST_MS or {name} >= LATEST_MS:", "    return -1")
        elif step.place == wire.TO_HISTORY:
            self._add(f"put_byte(history + i, {name})")
        elif step.place == wire.TO_EVENT_ID:
            self._add(f"event, event_end = {name}_start, {name}_end", f"if {name} < 1 or {name} > 64:", "    return -1")
        elif step.place == wire.TO_SOURCE:
            self._add(f"source, source_end = {name}_start, {name}_end")
            self._add(f"if {name} < 1 or {name} > 32:", "    return -1")
            self._add("seed = hash_after_source(hash_bytes(source, source_end, np.uint64(FNV_OFFSET)))")
            self._knows_source = True

    def _check(self) -> None:
        """What is known only at the end of the body."""
        self._add("if p != end:", "    return -1")
        self._add("put_int64(ident + 8 * i, mixed(hash_bytes(event, event_end, seed)))")
        is_usage = self._program.kind == wire.USAGE
        rank = "np.int64(0), np.int64(0)" if is_usage else "rank_of(source, source_end, event, event_end)"
        self._add(f"high, low = {rank}", "put_int64(rank + 16 * i, high)", "put_int64(rank + 16 * i + 8, low)")
        for column, value in enumerate(self._payload):
            self._add(f"put_int64(payload + {8 * wire.PAYLOAD_COLUMNS} * i + {8 * column}, np.int64({value}))")
        self._add(f"put_int64(code + 8 * i, np.int64({' | '.join(self._bits) or '0'}))")
        self._add(f"return {self._program.kind}")


read_records = walk_module().read_records
