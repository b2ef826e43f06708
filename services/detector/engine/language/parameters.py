"""Parameters of rules with units and layers: province < city < segment < city and segment; the most specific wins."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.detector.engine.language.located import Document, Path, checked_keys, checked_number
from services.detector.records.decode import CITY_CODES, SEGMENT_CODES

UNITS = ("fen", "seconds", "kib", "ms", "count", "ratio", "percent", "days", "hours", "minutes", "weeks")
PROVINCE, CITY, SEGMENT, CITY_AND_SEGMENT = "PROVINCE", "CITY", "SEGMENT", "CITY_AND_SEGMENT"
LAYERS = (PROVINCE, CITY, SEGMENT, CITY_AND_SEGMENT)
CITIES, SEGMENTS = len(CITY_CODES) + 1, len(SEGMENT_CODES) + 1
"""How many numbers cities and segments have, with 0 = unknown."""
PERCENT_MAX, NUMBER_MAX = 100_000.0, 1e15
ROWS = CITIES * SEGMENTS
"""One row of parameter values per city and segment: city * SEGMENTS + segment."""


@dataclass(frozen=True)
class Parameter:
    """A parameter: its unit, and its value and layer per row of city and segment."""

    name: str
    unit: str
    values: npt.NDArray[np.float64]
    layers: npt.NDArray[np.int8]  # index into LAYERS


def row_of(codes: int) -> int:
    """Return the row for the CODES word of a customer."""
    return (codes & 0xFF) * SEGMENTS + (codes >> 8 & 0xFF)


def read_parameters(document: Document) -> dict[str, Parameter]:
    """Return the parameters of a rule; raises RuleError."""
    given = document.value.get("parameters", {})
    if not isinstance(given, dict):
        raise document.error(("parameters",), "want a mapping of names to values")
    return {str(name): _parameter(document, str(name), each) for name, each in given.items()}


def _parameter(document: Document, name: str, given: Any) -> Parameter:
    path = ("parameters", name)
    checked_keys(
        document, path, given,
        {"value": True, "unit": True, "about": False, "city": False, "segment": False, "city_and_segment": False},
    )  # fmt: skip
    if given["unit"] not in UNITS:
        raise document.error((*path, "unit"), f"want one of {', '.join(UNITS)}")
    least, most = (0.0, PERCENT_MAX) if given["unit"] == "percent" else (-NUMBER_MAX, NUMBER_MAX)

    def number(place: Path, value: Any) -> float:
        return checked_number(document, place, value, least, most)

    values = np.full((CITIES, SEGMENTS), number((*path, "value"), given["value"]), np.float64)
    layers = np.zeros((CITIES, SEGMENTS), np.int8)
    for code, value in _layer(given, "city").items():
        row = _code(document, (*path, "city", code), code, CITY_CODES)
        values[row, :], layers[row, :] = number((*path, "city", code), value), 1
    for code, value in _layer(given, "segment").items():
        column = _code(document, (*path, "segment", code), code, SEGMENT_CODES)
        values[:, column], layers[:, column] = number((*path, "segment", code), value), 2
    for both, value in _layer(given, "city_and_segment").items():
        place = (*path, "city_and_segment", both)
        city, _, segment = str(both).partition("/")
        at = (_code(document, place, city, CITY_CODES), _code(document, place, segment, SEGMENT_CODES))
        values[at], layers[at] = number(place, value), 3
    return Parameter(name, str(given["unit"]), values.reshape(ROWS), layers.reshape(ROWS))


def _layer(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = given.get(key, {})
    return value if isinstance(value, dict) else {str(value): None}


def _code(document: Document, path: tuple[str, ...], code: str, known: Mapping[str, int]) -> int:
    if code not in known:
        raise document.error(path, f"{code} is not configured; known: {', '.join(known)}")
    return known[code]
