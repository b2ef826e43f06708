"""A schema → a writer of its own: straight-line code for records of one kind that are written many a second.

The bytes are those of `codec.encode`, at less than half its cost: the text of a writer has a line per field, and
short texts keep their encoded form. A record that does not fit, or leaves out fields with a default, goes to the
codec. Of types only those are known that records of the log use.
"""

import itertools
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from schemas.codec import INT_MAX, INT_MIN, RECORD_BYTES_MAX, Record, encode, frame_header, without_logical_types
from schemas.errors import Unencodable
from schemas.registry import REGISTRY

_TEXTS_KEPT = 20_000
_FAULTS = (TypeError, ValueError, KeyError, AttributeError, OverflowError, struct.error)
_INT_RANGE, _LONG_RANGE = range(INT_MIN, INT_MAX + 1), range(-(2**63), 2**63)


@cache
def writer_of(name: str) -> Callable[[Record], bytes]:
    """Return the function that frames a record of the newest schema of this name; it raises Unencodable."""
    lines = _Lines()
    lines.write(without_logical_types(REGISTRY.newest(name).schema), "record", 1)
    text = "\n".join(["def body(record, add):", *lines.lines])
    known: dict[str, Any] = {
        "texts": _Texts(), "number": _number, "truth": _truth, "double": struct.Struct("<d").pack, **lines.enums,
        "INTS": _INT_RANGE, "LONGS": _LONG_RANGE,
    }  # fmt: skip
    exec(compile(text, f"<writer of {name}>", "exec"), known)  # noqa: S102  # made of a locked schema
    body, header = known["body"], frame_header(name)

    def write(record: Record) -> bytes:
        parts = [header]
        try:
            body(record, parts.append)
        except _FAULTS:
            return encode(name, record)  # which says what is wrong, or fills in a default
        data = b"".join(parts)
        if len(data) > RECORD_BYTES_MAX:
            raise Unencodable(name, f"{len(data)} bytes are more than a record may have")
        return data

    return write


class _Texts(dict[str, bytes]):
    """Texts, encoded; forgotten together when there are too many."""

    def __missing__(self, text: str) -> bytes:
        data = text.encode()
        found = _number(len(data), _LONG_RANGE) + data
        if len(data) < 64:
            if len(self) >= _TEXTS_KEPT:
                self.clear()
            self[text] = found
        return found


def _number(value: int, known: range) -> bytes:
    if type(value) is not int or value not in known:
        raise ValueError(f"{value!r} is no whole number of this size")
    rest = value << 1 ^ value >> 63
    if rest < 128:
        return _SMALL[rest]
    parts = bytearray()
    while rest > 127:
        parts.append(rest & 127 | 128)
        rest >>= 7
    parts.append(rest)
    return bytes(parts)


_SMALL = [bytes((n,)) for n in range(128)]
_TRUTH = {False: b"\0", True: b"\1"}


def _truth(value: bool) -> bytes:
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return _TRUTH[value]


class _Lines:
    """The text of a writer. `add` takes bytes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.enums: dict[str, Mapping[str, bytes]] = {}
        self._numbers = itertools.count(1)

    def write(self, type_: Any, value: str, depth: int) -> None:
        """Add the lines that write the value of an expression."""
        if isinstance(type_, list):
            self._nullable(type_, value, depth)
        elif isinstance(type_, dict):
            getattr(self, f"_{type_['type']}")(type_, value, depth)
        else:
            self._add(depth, f"add({_PRIMITIVES[type_].format(value)})")

    def _name(self) -> str:
        return f"held{next(self._numbers)}"

    def _add(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def _nullable(self, branches: list[Any], value: str, depth: int) -> None:
        assert branches[0] == "null"
        assert len(branches) == 2, "a union is null or one type"
        held = self._name()
        self._add(depth, f"{held} = {value}")
        self._add(depth, f"if {held} is None: add(b'\\0')")
        self._add(depth, "else:")
        self._add(depth + 1, "add(b'\\2')")
        self.write(branches[1], held, depth + 1)

    def _record(self, type_: Any, value: str, depth: int) -> None:
        held = self._name()
        self._add(depth, f"{held} = {value}")
        self._add(depth, f"if len({held}) != {len(type_['fields'])}: raise ValueError('unknown fields')")
        for field in type_["fields"]:
            self.write(field["type"], f"{held}[{field['name']!r}]", depth)

    def _enum(self, type_: Any, value: str, depth: int) -> None:
        name = f"enum{len(self.enums)}"
        self.enums[name] = {symbol: _number(n, _LONG_RANGE) for n, symbol in enumerate(type_["symbols"])}
        self._add(depth, f"add({name}[{value}])")

    def _array(self, type_: Any, value: str, depth: int) -> None:
        held, item = self._name(), self._name()
        self._add(depth, f"{held} = {value}")
        self._add(depth, f"if {held}:")
        self._add(depth + 1, f"add(number(len({held}), LONGS))")
        self._add(depth + 1, f"for {item} in {held}:")
        self.write(type_["items"], item, depth + 2)
        self._add(depth, "add(b'\\0')")

    def _map(self, type_: Any, value: str, depth: int) -> None:
        held, key, item = self._name(), self._name(), self._name()
        self._add(depth, f"{held} = {value}")
        self._add(depth, f"if {held}:")
        self._add(depth + 1, f"add(number(len({held}), LONGS))")
        self._add(depth + 1, f"for {key}, {item} in {held}.items():")
        self._add(depth + 2, f"add(texts[{key}])")
        self.write(type_["values"], item, depth + 2)
        self._add(depth, "add(b'\\0')")


_PRIMITIVES = {
    "string": "texts[{}]",
    "int": "number({}, INTS)",
    "long": "number({}, LONGS)",
    "double": "double({})",
    "boolean": "truth({})",
}
