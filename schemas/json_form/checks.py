"""One check per field, made once from the contract's field table: value in, value of the Avro form or a Fault out.

Checks are closures over constants, because one event runs a dozen of them: see docs/decisions/0031.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

from schemas.events import Field, FieldType
from schemas.json_form.countries import COUNTRIES
from schemas.json_form.faults import Fault, type_word
from schemas.json_form.phones import normalise_mobile
from schemas.limits import EARLIEST_MS
from schemas.reasons import Reason

Check = Callable[[Any], Any]
"""Takes a value that is not None; returns what goes into the Avro form, or a Fault."""

# JSON readers of some languages lose digits beyond 2^53: these ids may also be written as decimal text.
_IDS_AS_TEXT = frozenset({"customer_id", "counterpart_key"})
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MILLISECOND = timedelta(milliseconds=1)
_DATE_FIRST, _DATE_LAST = date(1900, 1, 1), date(2199, 12, 31)
_LATEST_MS = 7_258_118_400_000  # 2200-01-01
_WORDS_SHOWN_MAX = 20


def check_for(field: Field) -> Check:
    """Return the check of a field of the contract."""
    if field.name == "country":
        return one_of(field.name, tuple(sorted(COUNTRIES)), wanted="want an ISO 3166 alpha-2 code, such as JP")
    if field.name == "time_zone":
        return one_of(field.name, tuple(available_timezones()), wanted="want an IANA time zone, such as Asia/Tokyo")
    if field.name == "phone":
        return mobile_number(field.name)
    if field.name == "quiet_windows":
        return texts(field, item=quiet_window(field))
    return _BY_TYPE[field.type](field)


def integer(field: Field) -> Check:
    """Whole numbers within the limits; ids also as decimal text."""
    name, least, most = field.name, field.limit.least, field.limit.most
    range_fault = Fault(name, Reason.OUT_OF_RANGE, f"want a whole number from {least} to {most}")
    wanted = f"want a whole number from {least} to {most}"
    as_text = name in _IDS_AS_TEXT
    form_fault = Fault(name, Reason.BAD_FORMAT, f"{wanted}, or the same as text of decimal digits")

    def check(value: Any) -> Any:
        if value.__class__ is int:
            return value if least <= value <= most else range_fault
        if as_text and value.__class__ is str:
            if _DECIMAL.fullmatch(value) is None:
                return form_fault
            number = int(value)
            return number if least <= number <= most else range_fault
        return Fault(name, Reason.WRONG_TYPE, f"{wanted}; got {type_word(value)}")

    return check


def text(field: Field) -> Check:
    """Texts within the limits, without control characters, of the field's pattern."""
    if field.words:
        return one_of(field.name, field.words)
    name, least, most = field.name, field.limit.length_least, field.limit.length_most
    pattern = re.compile(field.limit.pattern, re.ASCII) if field.limit.pattern else None
    wanted = f"want a text of {least} to {most} characters"
    empty_fault = Fault(name, Reason.EMPTY, wanted)
    long_fault = Fault(name, Reason.TOO_LONG, wanted)
    control_fault = Fault(name, Reason.BAD_FORMAT, "want a text without control characters")
    form_fault = Fault(name, Reason.BAD_FORMAT, f"want the form {field.limit.pattern}")

    def check(value: Any) -> Any:
        if value.__class__ is not str:
            return Fault(name, Reason.WRONG_TYPE, f"{wanted}; got {type_word(value)}")
        if not value:
            return empty_fault
        if len(value) > most:
            return long_fault
        if not value.isprintable() and _CONTROL.search(value):
            return control_fault
        if (pattern is not None and pattern.fullmatch(value) is None) or len(value) < least:
            return form_fault
        return value

    return check


def one_of(name: str, words: tuple[str, ...], *, wanted: str = "", stored: Callable[[str], str] | None = None) -> Check:
    """Words of a closed list; `stored` turns them into what the Avro form has."""
    allowed = {word: stored(word) if stored else word for word in words}
    shown = ", ".join(words[:_WORDS_SHOWN_MAX])
    value_fault = Fault(name, Reason.UNKNOWN_VALUE, wanted or f"want one of {shown}")

    def check(value: Any) -> Any:
        if value.__class__ is str:
            return allowed.get(value, value_fault)
        return Fault(name, Reason.WRONG_TYPE, f"{value_fault.message}; got {type_word(value)}")

    return check


def word(field: Field) -> Check:
    """Symbols of an enum; the two languages are written small in JSON and large in Avro."""
    return one_of(field.name, field.words, stored=str.upper)


def boolean(field: Field) -> Check:
    """True or false, nothing that only looks like it."""
    name = field.name

    def check(value: Any) -> Any:
        if value.__class__ is bool:
            return value
        return Fault(name, Reason.WRONG_TYPE, f"want true or false; got {type_word(value)}")

    return check


def instant(field: Field) -> Check:
    """RFC 3339 with offset, or UTC milliseconds; from 2000 on. The future is judged by the caller, who has a clock."""
    name = field.name
    wanted = "want RFC 3339 with an offset, such as 2026-09-07T09:50:00+08:00, or whole UTC milliseconds"
    form_fault = Fault(name, Reason.BAD_FORMAT, wanted)
    old_fault = Fault(name, Reason.TOO_OLD, "want an instant from 2000-01-01 on")
    range_fault = Fault(name, Reason.OUT_OF_RANGE, "want an instant before 2200-01-01; milliseconds, not microseconds")

    def check(value: Any) -> Any:
        if value.__class__ is str:
            found = instant_ms(value)
            if found is None:
                return form_fault
            value = found
        elif value.__class__ is not int:
            return Fault(name, Reason.WRONG_TYPE, f"{wanted}; got {type_word(value)}")
        if value < EARLIEST_MS:
            return old_fault
        return value if value < _LATEST_MS else range_fault

    return check


def instant_ms(value: str) -> int | None:
    """Return the UTC milliseconds of an RFC 3339 text with offset, None when it is none. Digits past the third drop."""
    if _INSTANT.fullmatch(value) is None:
        return None
    try:
        return (datetime.fromisoformat(value.upper()) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


def local_date(field: Field) -> Check:
    """YYYY-MM-DD that exists, as days since 1970-01-01."""
    name = field.name
    form_fault = Fault(name, Reason.BAD_FORMAT, "want a date that exists, YYYY-MM-DD")
    range_fault = Fault(name, Reason.OUT_OF_RANGE, f"want a date from {_DATE_FIRST} to {_DATE_LAST}")

    def check(value: Any) -> Any:
        if value.__class__ is not str:
            return Fault(name, Reason.WRONG_TYPE, f"want a date YYYY-MM-DD as text; got {type_word(value)}")
        found = date_of(value)
        if found is None:
            return form_fault
        return found.toordinal() - _EPOCH_ORDINAL if _DATE_FIRST <= found <= _DATE_LAST else range_fault

    return check


def date_of(value: str) -> date | None:
    """Return the date of YYYY-MM-DD, None when there is no such day."""
    if _DATE.fullmatch(value) is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def texts(field: Field, *, item: Check | None = None) -> Check:
    """Lists of texts, each within the limits; the fault names the index."""
    name, most = field.name, field.limit.items_most
    check_item = item or text(field)
    many_fault = Fault(name, Reason.TOO_MANY_ITEMS, f"want at most {most} items")

    def check(value: Any) -> Any:
        if value.__class__ is not list:
            return Fault(name, Reason.WRONG_TYPE, f"want a list of texts; got {type_word(value)}")
        if len(value) > most:
            return many_fault
        kept = []
        for index, element in enumerate(value):
            found = check_item(element)
            if found.__class__ is Fault:
                return found._replace(field=f"{name}[{index}]")
            kept.append(found)
        return kept

    return check


def text_map(field: Field) -> Check:
    """Objects of texts by text."""
    name, most = field.name, field.limit.items_most
    check_text = text(field)
    many_fault = Fault(name, Reason.TOO_MANY_ITEMS, f"want at most {most} entries")

    def check(value: Any) -> Any:
        if value.__class__ is not dict:
            return Fault(name, Reason.WRONG_TYPE, f"want an object of texts; got {type_word(value)}")
        if len(value) > most:
            return many_fault
        for number, (key, element) in enumerate(value.items()):
            for found in (check_text(key), check_text(element)):
                if found.__class__ is Fault:
                    return found._replace(field=f"{name}[{number}]")
        return value

    return check


def quiet_window(field: Field) -> Check:
    """HH:MM-HH:MM, may pass midnight, not empty."""
    check_text = text(field)
    empty_fault = Fault(field.name, Reason.INCONSISTENT, "want a window whose start differs from its end")

    def check(value: Any) -> Any:
        found = check_text(value)
        if found.__class__ is str and found[:5] == found[6:]:
            return empty_fault
        return found

    return check


def mobile_number(name: str) -> Check:
    """A Chinese mobile number in any usual writing, as 11 digits."""
    form_fault = Fault(name, Reason.BAD_FORMAT, "want a Chinese mobile number of 11 digits, with or without +86")

    def check(value: Any) -> Any:
        if value.__class__ is not str:
            return Fault(name, Reason.WRONG_TYPE, "want a phone number as text")
        return normalise_mobile(value[:64]) or form_fault

    return check


_BY_TYPE: dict[FieldType, Callable[[Field], Check]] = {
    FieldType.INTEGER: integer,
    FieldType.TEXT: text,
    FieldType.WORD: word,
    FieldType.BOOLEAN: boolean,
    FieldType.INSTANT: instant,
    FieldType.DATE: local_date,
    FieldType.TEXTS: texts,
    FieldType.TEXT_MAP: text_map,
}
