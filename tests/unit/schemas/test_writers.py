"""Writers made of schemas write what the codec writes, and refuse what it refuses."""

import random
import uuid
from typing import Any

import pytest

from schemas.codec import encode, without_logical_types
from schemas.errors import Unencodable
from schemas.registry import REGISTRY
from schemas.writers import writer_of
from services.detector.engine.moments import MOMENTS, moment_id

MOMENT = "kairos.moments.v1.Moment"
NAMES = (MOMENT, "kairos.events.v1.UsageEvent", "kairos.events.v1.CustomerEvent", "kairos.control.v1.Tick")
_TEXTS = ("", "a", "kurz", "中国移动", "x" * 63, "x" * 64, "y" * 1_000)
_NUMBERS = {"int": (0, 1, -1, 63, 64, -64, -65, 2**31 - 1, -(2**31)), "long": (0, 8_191, 8_192, 2**63 - 1, -(2**63))}


def value_of(rng: random.Random, type_: Any) -> Any:
    """A value of a type, at the edges of its encoding."""
    if isinstance(type_, list):
        return None if rng.random() < 0.4 else value_of(rng, type_[1])
    if isinstance(type_, str) and type_ in _NUMBERS:
        return rng.choice(_NUMBERS[type_])
    if type_ == "string":
        return rng.choice(_TEXTS)
    if type_ == "double":
        return rng.choice((0.0, -0.0, 1.5, -1e300, 3))
    if type_ == "boolean":
        return rng.random() < 0.5
    if type_["type"] == "enum":
        return rng.choice(type_["symbols"])
    if type_["type"] == "array":
        return [value_of(rng, type_["items"]) for _ in range(rng.choice((0, 1, 3, 70)))]
    if type_["type"] == "map":
        return {f"k{n}": value_of(rng, type_["values"]) for n in range(rng.choice((0, 1, 5)))}
    return {field["name"]: value_of(rng, field["type"]) for field in type_["fields"]}


def record_of(seed: int, name: str) -> dict[str, Any]:
    """A record of any values that its schema allows."""
    found: dict[str, Any] = value_of(random.Random(seed), without_logical_types(REGISTRY.newest(name).schema))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes_as_the_codec(name: str) -> None:
    for seed in range(60):
        record = record_of(seed, name)
        assert writer_of(name)(record) == encode(name, record)


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 2**31}, {"revision": 1.0}, {"revision": True}, {"revision": None}, {"customer_id": 2**63},
        {"rule_id": None}, {"rule_id": 5}, {"moment_class": "NEW"},
        {"risk_score": "x"}, {"risk_score": None}, {"risk_terms": [{"name": "a", "bin": "b"}]},
        {"parameters": {"a": 1}}, {"unknown": 1}, {"evidence": None, "more": 1},
    ],
    ids=lambda change: "-".join(f"{key}-{type(value).__name__}" for key, value in change.items()),
)  # fmt: skip
def test_what_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Unencodable):
        writer_of(MOMENT)(record_of(1, MOMENT) | change)


def test_a_missing_field_and_a_record_that_is_too_large_are_refused() -> None:
    record = record_of(1, MOMENT)
    with pytest.raises(Unencodable, match="more than a record"):
        writer_of(MOMENT)(record | {"brand": "z" * 1_100_000})
    del record["rule_id"]
    with pytest.raises(Unencodable):
        writer_of(MOMENT)(record)


def test_fields_left_out_have_their_defaults() -> None:
    record = record_of(1, MOMENT)
    del record["supersedes"]
    assert writer_of(MOMENT)(record) == encode(MOMENT, record)


def test_moment_ids_are_version_5_uuids() -> None:
    for customer in (1, 2**40, 999):
        assert moment_id(customer, "AN4", "2026-09-01") == str(uuid.uuid5(MOMENTS, f"{customer}|AN4|2026-09-01"))
