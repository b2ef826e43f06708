"""A raw event of one kind → the record of its Avro form, or all that is wrong with it.

Pure: the clock, the key for phone numbers and the door's rules come in as arguments. Same path for every door.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.events import KINDS, OWN_FIELD_PREFIX, EventKind, FieldType
from schemas.json_form.checks import check_for, date_of
from schemas.json_form.faults import Fault, Rejection, rejected, shown_name, type_word
from schemas.json_form.phones import phone_forms
from schemas.limits import CYCLE_AHEAD_MONTHS, FUTURE_TOLERANCE_MS
from schemas.reasons import Reason

Record = dict[str, Any]
_FAULTS_MAX = 32
_FUTURE = Fault("occurred_at", Reason.IN_THE_FUTURE, "want an instant at most 5 minutes ahead of now")
_LOCAL_MS = 8 * 3_600_000
"""Asia/Shanghai against UTC."""
_YEAR_2100_MS = 4_102_444_800_000
"""Cycles end before it; a later instant is refused for itself."""
_NO_PHONE_HERE = Fault("phone", Reason.NOT_ALLOWED_HERE, "phone numbers are taken by the HTTP and gRPC doors only")


@dataclass(frozen=True, kw_only=True)
class DoorRules:
    """What a door adds. phone_key: the key of the tokens; None = the door takes no phone numbers.

    is_history: events are the past; `ingested_at` is then `occurred_at`.
    """

    phone_key: bytes | None = None
    is_history: bool = False

    def __repr__(self) -> str:
        return f"DoorRules(takes_phones={self.phone_key is not None}, is_history={self.is_history})"


class KindValidator:
    """Validates the events of one kind; immutable, made once at start."""

    def __init__(self, kind: EventKind) -> None:
        self.kind = kind
        self._checks = {field.name: check_for(field) for field in kind.fields}
        self._required = frozenset(field.name for field in kind.fields if field.is_required)
        self._consistent = _CONSISTENCY.get(kind.name)
        self._has_phone = any(field.name == "phone" for field in kind.fields)

    def validate(self, raw: Any, *, now_ms: int, rules: DoorRules) -> Record | Rejection:
        """Return the record to encode, or every fault of the event. `raw` is left untouched."""
        if raw.__class__ is not dict:
            return rejected(Reason.NOT_AN_OBJECT, f"want an object; got {type_word(raw)}")
        record: Record = {}
        faults: list[Fault] = []
        checks = self._checks
        for name, value in raw.items():
            check = checks.get(name)
            if check is None:
                if not (name.__class__ is str and name.startswith(OWN_FIELD_PREFIX)):
                    faults.append(self._unknown(name))
            elif value is not None:
                found = check(value)
                if found.__class__ is Fault:
                    faults.append(found)
                else:
                    record[name] = found
        if not self._required <= record.keys():
            faults += self._missing(raw)
        at = record.get("occurred_at", 0)
        if at > now_ms + FUTURE_TOLERANCE_MS:
            faults.append(_FUTURE)
        if self._consistent is not None:
            faults += self._consistent(record)
        if self._has_phone:
            _keep_phone(record, faults, rules)
        if faults:
            return Rejection(tuple(faults[:_FAULTS_MAX]))
        record["ingested_at"] = at if rules.is_history else now_ms
        record["history"] = rules.is_history
        return record

    def _missing(self, raw: Mapping[Any, Any]) -> list[Fault]:
        absent = [name for name in self._checks if name in self._required and raw.get(name) is None]
        return [Fault(name, Reason.MISSING, f"{name} is required") for name in absent]

    def _unknown(self, name: object) -> Fault:
        return Fault(
            shown_name(name),
            Reason.UNKNOWN_FIELD,
            f"{self.kind.name} has no such field; it has {', '.join(self._checks)}; own fields start with x_",
        )


def _keep_phone(record: Record, faults: list[Fault], rules: DoorRules) -> None:
    """Replace the number by its token and mask; it must not outlive this function."""
    number = record.pop("phone", None)
    if number is None:
        return
    if rules.phone_key is None:
        faults.append(_NO_PHONE_HERE)
        return
    forms = phone_forms(number, key=rules.phone_key)
    record["phone_token"], record["phone_masked"] = forms.token, forms.masked


def _usage_is_consistent(record: Record) -> tuple[Fault, ...]:
    if record.get("out_of_bundle_fen", 0) > record.get("charge_fen", 0):
        return (Fault("out_of_bundle_fen", Reason.INCONSISTENT, "want at most charge_fen, of which it is a part"),)
    return ()


def _bill_is_consistent(record: Record) -> tuple[Fault, ...]:
    """A bill is for the month after its bill run at most; beyond, all bills before it would be old."""
    at, cycle = record.get("occurred_at"), record.get("cycle")
    if at is None or cycle is None:
        return ()
    run = datetime.fromtimestamp(min(at + _LOCAL_MS, _YEAR_2100_MS) / 1000, tz=UTC)
    if int(cycle[:4]) * 12 + int(cycle[5:]) > run.year * 12 + run.month + CYCLE_AHEAD_MONTHS:
        return (Fault("cycle", Reason.INCONSISTENT, "want at most the month after the local month of occurred_at"),)
    return ()


def _order_is_consistent(record: Record) -> tuple[Fault, ...]:
    starts, ends = record.get("effective_on"), record.get("ends_on")
    if starts is not None and ends is not None and ends < starts:
        return (Fault("ends_on", Reason.INCONSISTENT, "want a date not before effective_on"),)
    return ()


def _customer_is_consistent(record: Record) -> tuple[Fault, ...]:
    birthday = record.get("birthday")
    if birthday is None:
        return ()
    # A lunar month has at most 30 days; a solar day must exist, 29 February in a leap year or without a year.
    if record.get("birthday_calendar") == "LUNAR":
        exists = int(birthday[-2:]) <= 30
    else:
        exists = date_of(birthday if len(birthday) == 10 else f"2000-{birthday}") is not None
    if not exists:
        return (Fault("birthday", Reason.BAD_FORMAT, "want a day that exists in birthday_calendar"),)
    return ()


_CONSISTENCY: Mapping[str, Callable[[Record], tuple[Fault, ...]]] = {
    "usage": _usage_is_consistent,
    "bill": _bill_is_consistent,
    "service-order": _order_is_consistent,
    "customer": _customer_is_consistent,
}

VALIDATORS: Mapping[str, KindValidator] = {name: KindValidator(kind) for name, kind in KINDS.items()}
"""One per kind, by its name."""

INSTANT_FIELDS = frozenset(
    field.name for kind in KINDS.values() for field in kind.fields if field.type is FieldType.INSTANT
)
"""Names of the instants: the gRPC form adds _ms to them."""
