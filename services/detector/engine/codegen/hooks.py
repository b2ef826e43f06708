"""Which compiled functions a rule set has, and when each is called: the table that `loops` goes by.

The first rows say where the entries of each occasion are: one row per kind of event, then those of nominal hours, due
times and of what loading left open. All that is generated is compiled here, or found on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from services.detector.engine.codegen.calls import JUDGE_ARGUMENTS, QUICK_ARGUMENTS
from services.detector.engine.codegen.generate import risk_text, rule_text
from services.detector.engine.codegen.jit import address, generated_module
from services.detector.engine.customer.calendars import Slot
from services.detector.engine.customer.case_layout import ORDERS_KEPT
from services.detector.engine.customer.findings import BUFFER_ROWS
from services.detector.engine.customer.layout import COMPLAINTS_KEPT, live_bit
from services.detector.engine.language.parameters import ROWS
from services.detector.engine.language.rule_forms import BY_COMPLAINT, EPISODES, Rule
from services.detector.engine.log_format import wire
from services.detector.engine.risk import RiskCard

NOMINAL_HOURS, DUE_TIMES, LEFT_OPEN, WAITS, GENERAL = range(len(wire.KINDS), len(wire.KINDS) + 5)
"""Rows of occasions, after those of the kinds. GENERAL: the margin of findings, and the address of the risk card."""
FIRST_ENTRY = GENERAL + 1
FIRST, END = 0, 1
"""Columns of an occasion: its entries."""
(
    JUDGE, QUICK, PARAMETERS, LIVE, NUMBER, CODE, EPISODE, SLOT, NEEDS_PROFILE, HOURS, COLUMNS,
) = range(11)  # fmt: skip
"""Columns of an entry. QUICK 0: the entry ends open episodes only. LIVE: the rule's bit in FLAGS. SLOT: its bits in
sweep masks. HOURS: how long it waits after an event."""
_SLOTS_MAX = 62


class TooManyRules(ValueError):
    """More than one table can hold."""


@dataclass(frozen=True)
class Hooks:
    """The table; what it points to lives as long as this does."""

    table: npt.NDArray[np.int64]
    slots: tuple[Slot, ...]
    hourly: int = 0  # bits of the slots at which only rules of every hour are judged
    modules: tuple[ModuleType, ...] = ()
    values: tuple[npt.NDArray[np.float64], ...] = ()


def hooks_of(rules: Sequence[Rule], card: RiskCard) -> Hooks:
    """Compile what is new in these rules and return their table; raises TooManyRules."""
    slots = tuple(sorted({slot for rule in rules for slot in rule.slots}))
    if len(slots) > _SLOTS_MAX:
        raise TooManyRules(f"more than {_SLOTS_MAX} different nominal hours")
    margin = findings_at_once(rules)
    if margin > BUFFER_ROWS // 2:
        raise TooManyRules(f"these rules could find {margin} moments at once; {BUFFER_ROWS // 2} is the most")
    risk = generated_module("risk", risk_text(card))
    modules = [generated_module(f"rule_{rule.id}", rule_text(rule)) for rule in rules]
    values = [_values(rule) for rule in rules]
    occasions: list[list[list[int]]] = [[] for _ in range(GENERAL)]
    for number, (rule, module) in enumerate(zip(rules, modules, strict=True)):
        columns = [
            values[number].ctypes.data, live_bit(rule.code), number, rule.code, EPISODES.index(rule.episode),
            sum(1 << slots.index(slot) for slot in rule.slots), int(rule.needs_profile), rule.wait_hours,
        ]  # fmt: skip
        _add_entries(occasions, rule, module, columns)
    occasions[WAITS].sort(key=lambda entry: entry[HOURS])
    table = np.zeros((FIRST_ENTRY + sum(map(len, occasions)), COLUMNS), np.int64)
    row = FIRST_ENTRY
    for occasion, entries in enumerate(occasions):
        table[occasion, FIRST], table[occasion, END] = row, row + len(entries)
        for given in entries:
            table[row] = given
            row += 1
    table[GENERAL, FIRST], table[GENERAL, END] = margin, address(risk._judge, JUDGE_ARGUMENTS)
    daily = {slot for rule in rules if rule.also is None or not rule.also.is_hourly for slot in rule.slots}
    hourly = sum(1 << bit for bit, slot in enumerate(slots) if slot not in daily)
    return Hooks(table, slots, hourly, (risk, *modules), tuple(values))


def _add_entries(occasions: list[list[list[int]]], rule: Rule, module: ModuleType, columns: list[int]) -> None:
    """Add the entries of a rule to the occasions at which it is called. columns: from PARAMETERS on."""
    judge = address(module._judge, JUDGE_ARGUMENTS)
    quick = address(module._quick, QUICK_ARGUMENTS) if hasattr(module, "_quick") else 0
    entry = [judge, quick, *columns]
    for kind in rule.kinds:
        occasions[kind].append(entry)
    for kind in rule.resolve_on:
        occasions[kind].append([address(module._end, JUDGE_ARGUMENTS), 0, *columns])
    if rule.slot is not None:
        occasions[NOMINAL_HOURS].append(entry)
    elif rule.also is not None:
        occasions[NOMINAL_HOURS].append([address(module._sweep, JUDGE_ARGUMENTS), 0, *columns])
    if rule.recheck_at is not None:
        occasions[DUE_TIMES].append(entry)
    if rule.tells_history:
        occasions[LEFT_OPEN].append(entry)
    if rule.wait_hours:
        occasions[WAITS].append(entry)


def findings_at_once(rules: Sequence[Rule]) -> int:
    """Return a bound of what one event, customer or due page row finds: per rule, all its episodes; what was left
    open, then the event."""
    return 2 * sum(map(_judged_at_once, rules)) + 1


def _judged_at_once(rule: Rule) -> int:
    if rule.wait_hours:  # all orders may be due at one tick
        return ORDERS_KEPT
    return COMPLAINTS_KEPT if rule.episode == BY_COMPLAINT else rule.episodes_at_once


def _values(rule: Rule) -> npt.NDArray[np.float64]:
    columns: Any = [parameter.values for parameter in rule.parameters.values()]
    return np.ascontiguousarray(np.array(columns, np.float64).T) if columns else np.zeros((ROWS, 1), np.float64)
