"""Laws of ingest: any input gets an answer, a good event always passes, and splitting a batch changes nothing."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode, encode
from schemas.events import KINDS
from schemas.json_form.faults import Rejection
from schemas.json_form.lines import json_event
from schemas.json_form.validation import VALIDATORS, DoorRules
from schemas.reasons import Reason
from services.ingest.publish import RawEvent, prepare

NOW_MS = 1_788_746_400_000
RULES = DoorRules(phone_key=b"k" * 32)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80) | st.dates().map(str)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
KIND = st.sampled_from(sorted(KINDS))


@st.composite
def events(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Events of a kind whose fields are right, wrong or missing."""
    names = draw(st.lists(st.sampled_from([field.name for field in KINDS[kind].fields]), unique=True))
    words = [word for field in KINDS[kind].fields for word in field.words]
    value = JSON | st.sampled_from(words or ["x"]) | st.integers(1, 2**40)
    return {name: draw(value) for name in names} | draw(st.dictionaries(st.text(max_size=10), JSON, max_size=2))


@settings(max_examples=600, deadline=None)
@given(st.data(), KIND)
def test_any_event_becomes_a_record_of_its_schema_or_a_list_of_known_reasons(data: st.DataObject, kind: str) -> None:
    raw = data.draw(events(kind))

    found = VALIDATORS[kind].validate(raw, now_ms=NOW_MS, rules=RULES)

    if isinstance(found, Rejection):
        assert found.faults
        assert all(fault.reason in Reason and fault.message and len(fault.field) < 100 for fault in found.faults)
    else:
        assert decode(encode(KINDS[kind].record, found)).name == KINDS[kind].record


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_as_the_json_library_reads_them_or_refused(data: bytes) -> None:
    found = json_event(data)

    if not isinstance(found, Rejection):
        assert found == msgspec.json.decode(data)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 3)), max_size=8), st.sampled_from(["", " ", "\n", "\t"]))
def test_a_field_that_comes_twice_is_always_noticed(pairs: list[tuple[str, int]], space: str) -> None:
    text = ",".join(f"{json.dumps(name)}{space}:{number}" for name, number in pairs)
    names = [name for name, _ in pairs]

    found = json_event(("{" + text + "}").encode())

    is_refused = isinstance(found, Rejection) and found.faults[0].reason == Reason.DUPLICATE_FIELD
    assert is_refused == (len(set(names)) != len(names))


BALANCES = st.lists(st.tuples(st.integers(0, 30), st.integers(-3, 3), st.booleans()), max_size=40)


@settings(max_examples=200, deadline=None)
@given(BALANCES, st.integers(0, 40))
def test_splitting_a_batch_of_different_events_changes_no_record(rows: list[tuple[int, int, bool]], cut: int) -> None:
    batch = [
        RawEvent(
            "balance",
            {
                "event_id": f"e{number}",
                "customer_id": customer + 1,
                "occurred_at": NOW_MS,
                "source": "s",
                "balance_fen": fen if is_good else "bad",
            },
        )
        for number, (customer, fen, is_good) in enumerate(rows)
    ]

    whole = prepare(batch, now_ms=NOW_MS, rules=RULES)
    parts = [prepare(part, now_ms=NOW_MS, rules=RULES) for part in (batch[:cut], batch[cut:])]

    topic = "kairos.events.v1"
    assert whole.records.get(topic, []) == [record for part in parts for record in part.records.get(topic, [])]
    assert whole.results == [result for part in parts for result in part.results]
