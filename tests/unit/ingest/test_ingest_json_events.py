"""Reading JSON strictly: one fault per line stays with its line; a body that is no JSON is refused as a whole."""

import pytest

from schemas.json_form.faults import Rejection
from schemas.json_form.lines import json_event
from schemas.reasons import Reason
from services.ingest.errors import RequestRefused
from services.ingest.json_events import json_body, json_lines


def reason_of(found: object) -> Reason:
    assert isinstance(found, Rejection), f"accepted: {found!r}"
    return found.faults[0].reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":1', Reason.MALFORMED_JSON),
        (b"{'a':1}", Reason.MALFORMED_JSON),
        (b'{"a":NaN}', Reason.MALFORMED_JSON),
        (b'{"a":1} {"b":2}', Reason.MALFORMED_JSON),
        (b'{"a":"\\ud800"}', Reason.MALFORMED_JSON),
        (b'{"a":"\xff"}', Reason.NOT_UTF8),
        (b'\xff{"a":1}', Reason.NOT_UTF8),
        ('{"a":1}'.encode("utf-16"), Reason.NOT_UTF8),
        (b'{"a":1,"a":2}', Reason.DUPLICATE_FIELD),
        (b'{"a":1,"a" :2}', Reason.DUPLICATE_FIELD),
        (b'{"a":1,"a"\n:2}', Reason.DUPLICATE_FIELD),
        (b'{"m":{"a":1,"a":2}}', Reason.DUPLICATE_FIELD),
        (b'{"a":' + b"[" * 9 + b"]" * 9 + b"}", Reason.TOO_DEEP),
        (b"[" * 100_000, Reason.TOO_DEEP),
        (b'{"a":"' + b"x" * 262_144 + b'"}', Reason.TOO_LARGE),
    ],
)
def test_unreadable_event_is_refused_for_its_reason(data: bytes, reason: Reason) -> None:
    assert reason_of(json_event(data)) == reason


def test_brackets_inside_texts_are_no_nesting() -> None:
    assert json_event(b'{"a":"[[[[[[[[[[[["}') == {"a": "[[[[[[[[[[[["}


def test_quotes_and_colons_inside_texts_are_no_fields() -> None:
    assert json_event(b'{"a":"\\"b\\":1","b":"x"}') == {"a": '"b":1', "b": "x"}


def test_bad_line_leaves_the_others_alone() -> None:
    found = json_lines(b'{"a":1}\r\n\n  \nnot json\n{"b":2}')

    assert [found[0], found[2]] == [{"a": 1}, {"b": 2}]
    assert reason_of(found[1]) == Reason.MALFORMED_JSON
    assert len(found) == 3


def test_byte_order_mark_is_skipped() -> None:
    assert json_lines(b'\xef\xbb\xbf{"a":1}') == [{"a": 1}]
    assert json_body(b'\xef\xbb\xbf[{"a":1}]') == [{"a": 1}]


def test_body_is_one_object_or_a_list() -> None:
    assert json_body(b' {"a":1} ') == [{"a": 1}]
    assert json_body(b' [{"a":1}, 7] ') == [{"a": 1}, 7]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY_BATCH),
        (b" \n ", Reason.EMPTY_BATCH),
        (b"[]", Reason.EMPTY_BATCH),
        (b"{", Reason.MALFORMED_JSON),
        (b'[{"a":1},', Reason.MALFORMED_JSON),
        (b'[{"a":1} {"b":2}]', Reason.MALFORMED_JSON),
        (b'[{"a":\xff}]', Reason.NOT_UTF8),
        (b"[" * 100_000, Reason.TOO_DEEP),
        (b"[" + b",".join([b"1"] * 10_001) + b"]", Reason.BATCH_TOO_LARGE),
        (b"[" + b"1," * 2_000_000 + b"1]", Reason.BATCH_TOO_LARGE),
    ],
)
def test_unreadable_body_is_refused_as_a_whole(body: bytes, reason: Reason) -> None:
    with pytest.raises(RequestRefused) as refused:
        json_body(body)
    assert refused.value.reason == reason


def test_too_many_lines_are_refused_as_a_whole() -> None:
    with pytest.raises(RequestRefused) as refused:
        json_lines(b"{}\n" * 10_001)
    assert refused.value.reason == Reason.BATCH_TOO_LARGE
