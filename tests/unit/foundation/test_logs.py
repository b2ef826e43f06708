"""Logs tell what went wrong without the rows it went wrong with."""

import json
import logging
import sys

import psycopg
import pytest

from services.telemetry.logs import JsonLines

ROW = """null value in column "city" of relation "moments" violates not-null constraint
DETAIL:  Failing row contains (4711, Mrs Wang asked for a call
on her second number, 13900000000).
CONTEXT:  SQL statement "INSERT INTO moments VALUES (4711)"
PL/pgSQL"""


def logged(error: BaseException) -> str:
    """The traceback field of a line that tells of this error, raised on the way out of another."""
    try:
        try:
            raise error
        except psycopg.Error as exc:
            raise RuntimeError("the batch failed") from exc
    except RuntimeError:
        record = logging.LogRecord("services.x", logging.ERROR, "x.py", 1, "x.failed", None, sys.exc_info())
    return str(json.loads(JsonLines("x").format(record))["traceback"])


def test_a_database_error_is_logged_without_the_row() -> None:
    text = logged(psycopg.errors.NotNullViolation(ROW))
    for secret in ("4711", "Wang", "13900000000", "second number", "INSERT"):
        assert secret not in text
    assert 'in column "city" of relation "moments"' in text
    assert "RuntimeError: the batch failed" in text, "what came after the quotation is kept"
    assert text.count("Traceback (most recent call last)") == 2


@pytest.mark.parametrize(
    "message",
    [
        'value "4711471147114711471147" is out of range for type bigint',
        'invalid input syntax for type integer: "4711"',
    ],
)
def test_a_refused_value_is_logged_without_the_value(message: str) -> None:
    text = logged(psycopg.errors.DataError(message))
    assert "4711" not in text
    assert message[:20].split('"')[0] in text


def test_other_tracebacks_stay_whole() -> None:
    try:
        raise KeyError("DETAIL")
    except KeyError:
        record = logging.LogRecord("services.x", logging.ERROR, "x.py", 1, "x.failed", None, sys.exc_info())
    text = json.loads(JsonLines("x").format(record))["traceback"]
    assert text == logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]  # it is set
