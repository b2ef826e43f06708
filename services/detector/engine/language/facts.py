"""What rules can ask of a customer's state: the names of facts, the aggregates, and how each is computed.

A fact is a name that every expression may use. An aggregate is a feature that a rule declares with numbers of its
own. New rules need no code here as long as the state has what they ask for.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas.cities import SEGMENTS
from services.detector.engine.language import bill_facts
from services.detector.engine.language.case_facts import CASE_AGGREGATES, CASE_FACTS
from services.detector.engine.language.expressions import Typed
from services.detector.engine.language.fact_forms import (
    CALENDAR,
    CASE_COMPLAINT,
    CASE_HANDSET,
    Aggregate,
    BadFeature,
    Fact,
    enum,
    integer,
    number,
    only,
    text,
    truth,
)
from services.detector.engine.log_format import wire
from services.detector.records.decode import TIERS

_LINE_WORDS = wire.SYMBOLS[wire.LINE]["status"]
_REASONS = wire.SYMBOLS[wire.BALANCE]["reason"]
_STATES = wire.SYMBOLS[wire.COMPLAINT]["state"]
_TOPICS = wire.SYMBOLS[wire.COMPLAINT]["topic"]
_SEVERITIES = wire.SYMBOLS[wire.COMPLAINT]["severity"]

_SILENT = "max(at // 60_000 - st[s, LAST_OK], np.int64(0))"

FACTS: Mapping[str, Fact] = {
    **CASE_FACTS,
    "at": number("at", "ms", "instant of the evaluation: of the event, of the nominal hour, or of the tick"),
    "today": number("day * 86_400_000 - TZ_MS", "ms", "local midnight at which the day of `at` began"),
    "hour": number("3_600_000", "ms", "an hour"),
    "minute": number("60_000", "ms", "a minute"),
    "unknown": Fact(Typed("np.nan", "number", is_literal=True),
                    "no number, of any unit: evidence leaves it out, sentences show ?"),
    "has_profile": truth("st[s, FLAGS] & HAS_PROFILE != 0", "a customer record is known"),
    "auto_pay": truth("st[s, FLAGS] & AUTO_PAY != 0", "bills are paid automatically"),
    "tier": enum("st[s, CODES] >> 16 & 15", TIERS, "value tier"),
    "segment": enum("st[s, CODES] >> 8 & 255", ("", *SEGMENTS), "segment of customers; empty = unknown"),
    "arpu_fen": number("st[s, ARPU]", "fen", "average monthly revenue; -1 = unknown"),
    "plan_fee_fen": number("st[s, PLAN_FEE]", "fen", "monthly plan fee; -1 = unknown"),
    "tenure_days": number("(day - st[s, JOINED] if st[s, JOINED] != 0 else -1)", "days",
                           "since joining; -1 = unknown"),
    "observed_days": number("(day - st[s, FIRST_DAY] if st[s, FIRST_DAY] != 0 else 0)", "days",
                             "since the first usage of the customer; 0 = none seen"),
    "balance_fen": number("get64(st, s, BALANCE)", "fen", "newest balance"),
    "balance_is_known": truth("get64(st, s, BALANCE_AT) != 0", "a balance was told"),
    "balance_at": number("get64(st, s, BALANCE_AT)", "ms", "when it was told; 0 = never"),
    "topped_up_at": number("get64(st, s, TOPPED_UP_AT)", "ms",
                           "when the newest top-up was that left no arrears; 0 = never"),
    "balance_reason": enum("(st[s, STATUSES] & 255)", _REASONS, "why the newest balance was told"),
    "line_status": enum("line_status(st, s)", _LINE_WORDS, "newest status of the line"),
    "line_since": number("get64(st, s, LINE_AT)", "ms", "since when"),
    "suspension_expected_at": number("get64(st, s, LINE_EXPECTED)", "ms",
                                     "forecast of suspension in the newest status; 0 = none"),
    "silent_minutes": number(f"({_SILENT} if st[s, LAST_OK] != 0 else -1)", "minutes",
                             "whole ones since the last successful use; -1 = none seen"),
    "silent_hours": number(f"({_SILENT} // 60 if st[s, LAST_OK] != 0 else -1)", "hours",
                            "since the last successful use; -1 = none seen"),
    "complaint_state": enum("pool[case, COMPLAINT_BITS] & 7", _STATES, "state of the complaint", CASE_COMPLAINT),
    "complaint_topic": enum("pool[case, COMPLAINT_BITS] >> 3 & 7", _TOPICS, "what it is about", CASE_COMPLAINT),
    "complaint_severity": enum("pool[case, COMPLAINT_BITS] >> 6 & 3", _SEVERITIES, "how grave", CASE_COMPLAINT),
    "complaint_opened_at": number("get64(pool, case, COMPLAINT_OPENED)", "ms", "when it was opened", CASE_COMPLAINT),
    "complaint_at": number("get64(pool, case, COMPLAINT_AT)", "ms", "its newest event", CASE_COMPLAINT),
    "complaint_id": text("get64(pool, case, COMPLAINT_ID)", "its id at its source", CASE_COMPLAINT),
    "handset_is_known": truth("case != 0", "a handset change is known", CASE_HANDSET),
    "handset_changed_at": number("get64(pool, case, SWAP_AT)", "ms", "when the newest change was", CASE_HANDSET),
    "handset_age_days": number("day - local_day(get64(pool, case, SWAP_AT))", "days",
                                "local days since the newest change", CASE_HANDSET),
    "handset_model": text("get64(pool, case, SWAP_MODEL)", "model now in use", CASE_HANDSET),
    "handset_previous": text("get64(pool, case, SWAP_PREVIOUS)", "model before, where told", CASE_HANDSET),
    "handset_is_history": truth("pool[case, SWAP_BITS] & SWAP_HISTORY != 0", "the change was loaded as the past",
                                 CASE_HANDSET),
    "handset_unseen_days": number("_unseen_days(st, s, pool, case)", "days",
                                   "local days between the model's last use and the change; 100000 = never used",
                                   CASE_HANDSET),
    "handset_beyond_plan": number("_bits(pool[case, SWAP_BITS] & 127 & ~st[s, PLAN_CAPABILITIES])", "count",
                                   "capabilities of the handset that the plan lacks", CASE_HANDSET),
    **bill_facts.FACTS,
    "is_birthday": truth("_is_birthday(st, s, calendar)", "today is kept as the customer's birthday", CALENDAR),
}  # fmt: skip

RINGS: Mapping[str, tuple[str, str]] = {
    "voice_seconds": ("VOICE_SECONDS", "seconds"),
    "successes": ("SUCCESSES", "count"),
    "data_kib": ("DATA_KIB", "kib"),
    "charge_fen": ("CHARGE_FEN", "fen"),
}
_LISTS = frozenset({"ordered", "ordered_later"})
"""Fields of aggregates that may be several values."""
DAYS_MAX = 41
"""Closed days that an aggregate can reach back: what the rings keep beside the running day."""


def feature(given: Mapping[str, Any], code_of_rule: Callable[[str], int]) -> Typed:
    """Return the typed form of a declared aggregate; raises BadFeature."""
    for key, value in given.items():
        if isinstance(value, dict) or (isinstance(value, list) and key not in _LISTS):
            raise BadFeature(key, f"{key} wants one value")
    for name, make in _AGGREGATES.items():
        if name in given:
            return make(given, code_of_rule)
    raise BadFeature("", f"want one of {', '.join(_AGGREGATES)}, or an expression")


def _ring(given: Mapping[str, Any], word: str, rings: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    if given[word] not in rings:
        raise BadFeature(word, f"{given[word]} is not kept; kept are {', '.join(rings)}")
    return rings[given[word]]


def _days(given: Mapping[str, Any], word: str) -> tuple[str, str, int]:
    what, unit = _ring(given, word, RINGS)
    days, offset = integer(given, "days", None, DAYS_MAX), integer(given, "offset", 0, DAYS_MAX)
    if days < 1 or days + offset > DAYS_MAX:
        raise BadFeature("days", f"days and offset together reach back at most {DAYS_MAX} closed days")
    return f"day_sum(st, s, {what}, day - {days + offset}, day - {offset + 1})", unit, days


def _sum(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "sum", "days", "offset")
    code, unit, _days_given = _days(given, "sum")
    return Typed(f"np.float64({code})", "number", unit)


def _mean(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "mean", "days", "offset", "per")
    code, unit, days = _days(given, "mean")
    per = integer(given, "per", 1, DAYS_MAX)
    if per < 1 or days % per:
        raise BadFeature("per", f"{days} days do not divide into periods of {per}")
    return Typed(f"(np.float64({code}) / np.float64({days // per}))", "number", unit)


def _running_days(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """{running_days: charge_fen, days: 1}: so many closed days, and the running one."""
    only(given, "running_days", "days")
    what, unit = _ring(given, "running_days", RINGS)
    days = integer(given, "days", None, DAYS_MAX)
    return Typed(f"np.float64(day_sum(st, s, {what}, day - {days}, day))", "number", unit)


def _running_week(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "running_week")
    what, unit = _ring(given, "running_week", RINGS)
    monday = "day - (day + 3) % 7"
    return Typed(f"np.float64(day_sum(st, s, {what}, {monday}, {monday} + 6))", "number", unit)


def _hours(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "charge_of_hours")
    hours = integer(given, "charge_of_hours", None, 24)
    now = "(at + TZ_MS) // 3_600_000"
    return Typed(f"np.float64(hour_sum(st, s, {now} - {hours - 1}, {now}))", "number", "fen")


def _topic(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "complaints_on_topic")
    days = integer(given, "complaints_on_topic", None, 400)
    return Typed(f"np.float64(same_topic_before(st, s, pool, case, {days}))", "number", "count")


def _complaints(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "complaints")
    days = integer(given, "complaints", None, 400)
    return Typed(f"np.float64(complaints_since(st, s, pool, day - {days}, day))", "number", "count")


def _swaps(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "handset_changes")
    days = integer(given, "handset_changes", None, 400)
    return Typed(f"np.float64(swaps_until(st, s, pool, case, {days}))", "number", "count")


def _open(given: Mapping[str, Any], code_of_rule: Callable[[str], int]) -> Typed:
    only(given, "open")
    return Typed(f"has_open(st, s, pool, np.int64({code_of_rule(str(given['open']))}), at)", "boolean")


_AGGREGATES: Mapping[str, Aggregate] = {
    **CASE_AGGREGATES,
    **bill_facts.AGGREGATES,
    "sum": _sum,
    "mean": _mean,
    "running_days": _running_days,
    "running_week": _running_week,
    "charge_of_hours": _hours,
    "complaints_on_topic": _topic,
    "complaints": _complaints,
    "handset_changes": _swaps,
    "open": _open,
}
