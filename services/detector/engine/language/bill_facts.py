"""What rules can ask about bills, months, allowances, contacts, contracts, festivals and their own open episode."""

from collections.abc import Callable, Mapping
from typing import Any

from services.detector.engine.customer.festivals import FESTIVALS
from services.detector.engine.customer.layout import BILL_CYCLES, MONTHLY_MONTHS
from services.detector.engine.language.expressions import Typed
from services.detector.engine.language.fact_forms import (
    CONTRACT,
    CYCLE,
    FESTIVAL,
    Aggregate,
    BadFeature,
    Fact,
    enum,
    integer,
    number,
    only,
    word,
)
from services.detector.engine.language.rule_forms import STEP_BITS
from services.detector.engine.log_format import wire

_ACTIONS = wire.SYMBOLS[wire.ORDER]["action"]
_CATEGORIES = wire.SYMBOLS[wire.ORDER]["category"]
EVENTS = ("HOUR", *wire.KINDS)
"""What a rule may be judged at: a nominal hour or a due time, or an event of a kind."""
_OPENED = "(get64(pool, row, EPISODE_AT) if pool[row, EPISODE_BITS] & OPEN else np.int64(at))"
_KEY = f"(get64(pool, row, EPISODE_KEY) >> {STEP_BITS})"
_MIDNIGHT = "* 86_400_000 - TZ_MS"

FACTS: Mapping[str, Fact] = {
    "event": enum("flags >> EVENT_SHIFT", EVENTS, "what is judged: an event of a kind, or HOUR"),
    "one_second": number("1", "seconds", "a second, to make pure numbers of seconds"),
    "month": number("month_of(day)", "count", "local month, months since 2000"),
    "month_ends": number(f"first_day_of(month_of(day) + 1) {_MIDNIGHT}", "ms", "when the local month of `at` ends"),
    "next_hour": number("(at // 3_600_000 + 1) * 3_600_000", "ms", "the next full hour"),
    "observed_months": number("observed_months(st, s, day)", "count", "whole months of usage observed before this one"),
    "month_charge_fen": number("accrued(st, s, day)", "fen", "charge of the local month so far"),
    "used_voice_seconds": number("used_in_month(st, s, USED_VOICE, day)", "seconds",
                                 "outgoing calls of the month so far, roaming left out"),
    "used_data_kib": number("used_in_month(st, s, USED_DATA, day)", "kib", "data of the month so far, likewise"),
    "used_sms": number("used_in_month(st, s, USED_SMS, day)", "count", "outgoing messages of the month so far"),
    "plan_voice_seconds": number("max(st[s, PLAN_VOICE], 0)", "seconds", "allowance a month; 0 = none or unknown"),
    "plan_data_kib": number("max(st[s, PLAN_DATA], 0)", "kib", "allowance a month; 0 = none or unknown"),
    "plan_sms": number("max(st[s, PLAN_SMS], 0)", "count", "allowance a month; 0 = none or unknown"),
    "plan_cycle": number("(month_of(st[s, PLAN_DAY]) if st[s, PLAN_DAY] != 0 else -1)", "count",
                         "month in which the newest plan begins, by orders; -1 = unknown"),
    "plan_cycle_before": number("(month_of(st[s, PLAN_BEFORE]) if st[s, PLAN_BEFORE] != 0 else -1)", "count",
                                "month in which the plan before it begins, likewise"),
    "plan_ordered_at": number("plan_ordered_at(st, s, pool)", "ms",
                              "when a plan was ordered last, of the orders kept; 0 = never"),
    "renewed_at": number("st[s, RENEWED] * np.int64(MINUTE_MS)", "ms", "when a contract was renewed last; 0 = never"),
    "joined_cycle": number("(month_of(st[s, JOINED]) if st[s, JOINED] != 0 else -1)", "count",
                           "month of joining; -1 = unknown"),
    "days_since_change": number("days_since_change(st, s, day)", "days",
                                "since a plan change, suspension or travel; 100000 = never"),
    "bill_cycle": number("st[s, BILL_CYCLE]", "count", "newest billed cycle, months since 2000; 0 = none"),
    "bill_plan_fee_fen": number("st[s, BILL_PLAN_FEE]", "fen", "plan fee of the newest bill"),
    "bill_age_days": number("bill_age_days(st, s, day)", "days", "since the newest bill; 100000 = none"),
    "contract_ends_at": number(f"(st[s, CONTRACT_ENDS] {_MIDNIGHT} if st[s, CONTRACT_ENDS] != 0 else 0)", "ms",
                               "local midnight of the last day of the contract; 0 = none"),
    "contract_days_left": number("(st[s, CONTRACT_ENDS] - day if st[s, CONTRACT_ENDS] != 0 else -1)", "days",
                                 "until the contract ends; -1 = no contract"),
    "anniversary_years": number("years_since_joining(st, s, day, np.int64(st[s, JOINED]))", "count",
                                "years since joining when today is the anniversary, else 0"),
    "opened_at": number(_OPENED, "ms", "instant of what opened the moment that is open; else `at`", CYCLE),
    "episode_cycle": number(_KEY, "count", "cycle of the moment that was opened last", CYCLE),
    "contract_opened_at": number(_OPENED, "ms", "nominal hour of the moment that is open", CONTRACT),
    "episode_contract_at": number(f"{_KEY} {_MIDNIGHT}", "ms", "contract end of the moment that is open", CONTRACT),
    "festival": enum(f"key & {(1 << STEP_BITS) - 1}", FESTIVALS, "which festival it is", FESTIVAL),
    "festival_at": number(f"(key >> {STEP_BITS}) {_MIDNIGHT}", "ms", "local midnight of the festival", FESTIVAL),
}  # fmt: skip

_MONTH_RINGS: Mapping[str, tuple[str, str]] = {
    "on_net_seconds": ("ON_NET_SECONDS", "seconds"),
    "off_net_seconds": ("OFF_NET_SECONDS", "seconds"),
    "out_of_bundle_fen": ("OUT_OF_BUNDLE_FEN", "fen"),
}
_BILLED: Mapping[str, str] = {
    "total_fen": "BILL_TOTAL", "out_of_bundle_fen": "BILL_OUT_OF_BUNDLE", "make_up_fen": "BILL_MAKE_UP",
}  # fmt: skip


def _of_months(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """{month_sum: out_of_bundle_fen, months: 3, offset: 0}: closed local months; months 0 is the running one."""
    only(given, "month_sum", "months", "offset")
    what, unit = _MONTH_RINGS.get(given["month_sum"], ("", ""))
    if not what:
        raise BadFeature("month_sum", f"{given['month_sum']} is not kept; kept are {', '.join(_MONTH_RINGS)}")
    months, offset = integer(given, "months", None, MONTHLY_MONTHS - 1), integer(given, "offset", 0, MONTHLY_MONTHS - 1)
    if months + offset >= MONTHLY_MONTHS or (not months and offset):
        raise BadFeature("months", f"months and offset together reach back at most {MONTHLY_MONTHS - 1} closed months")
    first, last = (0, 0) if not months else (months + offset, offset + 1)
    code = f"month_sum(st, s, {what}, month_of(day) - {first}, month_of(day) - {last})"
    return Typed(f"np.float64({code})", "number", unit)


def _of_bills(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """{bills: total_fen, cycles: 3, before: bill}: cycles before the newest billed one, or before the local month;
    cycles 0 is that one itself."""
    only(given, "bills", "cycles", "before")
    if given["bills"] not in _BILLED:
        raise BadFeature("bills", f"{given['bills']} is not kept; kept are {', '.join(_BILLED)}")
    code = f"bill_sum(st, s, {_BILLED[given['bills']]}, {_cycles(given)})"
    return Typed(f"np.float64({code})", "number", "fen")


def _bills_known(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "bills_known", "before")
    code = f"bills_known(st, s, {_cycles({'cycles': given['bills_known'], 'before': given.get('before')})})"
    return Typed(f"np.float64({code})", "number", "count")


def _cycles(given: Mapping[str, Any]) -> str:
    cycles = integer(given, "cycles", None, BILL_CYCLES - 1)
    bases = {"bill": "np.int64(st[s, BILL_CYCLE])", "month": "month_of(day)"}
    if given.get("before") not in bases:
        raise BadFeature("before", f"want one of {', '.join(bases)}")
    base = bases[given["before"]]
    return f"{base} - {cycles}, {base} - {min(cycles, 1)}"


def _moved(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    only(given, "moved_contacts")
    days = integer(given, "moved_contacts", None, 400)
    return Typed(f"np.float64(moved_contacts(st, s, day, {days}))", "number", "count")


def _held(given: Mapping[str, Any], code_of_rule: Callable[[str], int]) -> Typed:
    """{held: AN7, weeks: 4}: closed weeks in which the condition of a rule that remembers held."""
    only(given, "held", "weeks")
    code = code_of_rule(str(given["held"]))
    weeks = integer(given, "weeks", None, 8)
    return Typed(f"np.float64(weeks_held(st, s, pool, np.int64({code}), day, {weeks}))", "number", "count")


def _ordered(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """{ordered: [DATA_PACK], action: SUBSCRIBE}: the event at hand is such an order."""
    code = f"(flags >> EVENT_SHIFT == AT_ORDER and is_order(pool, case, {_what_is_ordered(given, 'ordered')}))"
    return Typed(code, "boolean")


def _ordered_later(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """{ordered_later: [DATA_PACK], action: SUBSCRIBE}: such an order was placed after `at` and is known already."""
    return Typed(f"ordered_later(st, s, pool, {_what_is_ordered(given, 'ordered_later')}, at)", "boolean")


def _what_is_ordered(given: Mapping[str, Any], name: str) -> str:
    only(given, name, "action")
    action, categories = word(given, "action", _ACTIONS), 0
    for each in given[name] if isinstance(given[name], list) else [given[name]]:
        categories |= 1 << word({name: each}, name, _CATEGORIES)
    return f"{action}, {categories}"


AGGREGATES: Mapping[str, Aggregate] = {
    "ordered": _ordered,
    "ordered_later": _ordered_later,
    "month_sum": _of_months,
    "bills": _of_bills,
    "bills_known": _bills_known,
    "moved_contacts": _moved,
    "held": _held,
}
