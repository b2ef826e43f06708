"""Rule documents → a compiled rule set: checked rules, parameter values, lateness, the risk card, and their kernels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from services.detector.engine.codegen.hooks import COLUMNS, FIRST_ENTRY, Hooks, TooManyRules, hooks_of
from services.detector.engine.customer import calendars, loops
from services.detector.engine.customer.findings import FIRST_RISK, RULE, RULES_MAX
from services.detector.engine.customer.forgetting import FORGET_MINUTE, FORGETS
from services.detector.engine.errors import RuleError
from services.detector.engine.language.gate import Gate, is_gate, read_gate
from services.detector.engine.language.located import Document, checked_keys, checked_number, read_document
from services.detector.engine.language.risk_card import read_card
from services.detector.engine.language.rule_forms import Rule
from services.detector.engine.language.rules import read_rule
from services.detector.engine.log_format import wire
from services.detector.engine.moments import make_moment
from services.detector.engine.risk import NO_CARD, RiskCard

RISK_FILE, LATENESS_FILE = "risk.yaml", "lateness.yaml"
DEFAULT_LATENESS_HOURS: Mapping[str, float] = {
    "usage": 2, "balance": 1 / 6, "bill": 72, "handset-change": 24, "complaint": 24, "service-order": 24,
    "roaming": 24, "inquiry": 24, "line-status": 24, "customer": 24,
}  # fmt: skip
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class CompiledRuleSet:
    """An immutable version of all rules. The loops are compiled functions of `loops`, which go by `hooks`."""

    version: str
    effective_from_ms: int
    rules: tuple[Rule, ...]
    card: RiskCard
    lateness_ms: npt.NDArray[np.int64]
    compiled: Hooks = field(repr=False)

    @property
    def has_rules(self) -> bool:
        """False for the set that holds before any is announced."""
        return bool(self.rules)

    @property
    def hooks(self) -> npt.NDArray[np.int64]:
        """The table of what to call, and when."""
        return self.compiled.table

    @property
    def remembering(self) -> int:
        """How many rules remember when their condition held: each may need a row of every customer it visits."""
        return sum(rule.remembers is not None for rule in self.rules)

    @property
    def untold(self) -> int:
        """How many rules may open at an event what is not told: each may need a row of every customer."""
        return sum(rule.may_be_over for rule in self.rules)

    @cached_property
    def bulk(self) -> frozenset[str]:
        """Ids of the rules whose moments reach everybody at once."""
        return frozenset(rule.id for rule in self.rules if rule.bulk)

    @property
    def apply_events(self) -> Any:
        """The loop over events."""
        return loops.apply_events

    @property
    def visit_customers(self) -> Any:
        """The loop over customers that ticks ask for."""
        return loops.visit_customers

    @property
    def nominal_minutes(self) -> tuple[int, ...]:
        """Every minute of the day at which some rule is judged, or rows are forgotten."""
        return tuple(sorted({slot.minute for slot in self.compiled.slots} | {FORGET_MINUTE}))

    def mask_at(self, at_ms: int, day: int, now_ms: int) -> int:
        """Return the bits of the nominal hours that a nominal instant of a local day is, and whether rows go then.

        Full hours of more than a day ago are left out, where only rules of every hour are judged: it is no news.
        """
        if not self.has_rules:
            return 0
        minute = (at_ms - calendars.local_midnight(day)) // calendars.MINUTE_MS
        judged = sum(
            1 << bit for bit, slot in enumerate(self.compiled.slots) if slot.minute == minute and slot.is_on(day)
        )
        if now_ms - at_ms > calendars.DAY_MS:
            judged &= ~self.compiled.hourly
        return judged | (FORGETS if minute == FORGET_MINUTE else 0)

    def moment(self, row: Any, numbers: Any, texts: Mapping[int, str]) -> dict[str, Any]:
        """Return the moment of one finding."""
        return make_moment(self.rules[int(row[RULE])], self.card, self.version, row, numbers, texts)


@dataclass
class Contents:
    """What documents say before anything is compiled, and the first fault of each document that is wrong."""

    documents: list[Document] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    card: RiskCard = NO_CARD
    lateness_ms: npt.NDArray[np.int64] = field(default_factory=lambda: _lateness({}, None))
    faults: list[RuleError] = field(default_factory=list)


def compile_rule_set(
    documents: Mapping[str, str], version: str, effective_from_ms: int = 0
) -> CompiledRuleSet:  # fmt: skip
    """Return the compiled set of these documents (path → text); raises RuleError.

    `risk.yaml` is the risk card, `lateness.yaml` the allowed lateness per kind; a continuous gate is only checked;
    every other document is a rule. The order of rules is that of their ids, whatever the order of the documents.
    """
    contents = read_contents(documents)
    if contents.faults:
        raise contents.faults[0]
    return CompiledRuleSet(
        version=version,
        effective_from_ms=effective_from_ms,
        rules=tuple(contents.rules),
        card=contents.card,
        lateness_ms=contents.lateness_ms,
        compiled=_compiled(contents.rules, contents.card, sorted(documents)),
    )


def read_contents(documents: Mapping[str, str]) -> Contents:
    """Check every document and compile nothing: what they say, and the first fault of each that is wrong."""
    contents = Contents()
    for path in sorted(documents):
        try:
            _read(path, documents[path], contents)
        except RuleError as fault:
            contents.faults.append(fault)
    contents.rules.sort(key=lambda rule: rule.id)
    return contents


def _read(path: str, text: str, contents: Contents) -> None:
    document = read_document(path, text)
    contents.documents.append(document)
    name = path.rsplit("/", 1)[-1]
    if name == RISK_FILE:
        contents.card = read_card(document)
    elif name == LATENESS_FILE:
        contents.lateness_ms = _lateness(document.value, document)
    elif is_gate(document):
        contents.gates.append(read_gate(document))
    else:
        contents.rules.append(_new_rule(document, contents.rules))


def _new_rule(document: Document, known: list[Rule]) -> Rule:
    rule = read_rule(document)
    if any(each.id == rule.id or each.code == rule.code for each in known):
        raise document.error(("id",), f"another document has the id {rule.id} already")
    if len(known) >= RULES_MAX:
        raise document.error(("id",), f"more than {RULES_MAX} rules")
    numbers = max(
        sum(len(each.numbers) + (each.observed_text is not None) for each in told)
        for told in (rule.evidence, rule.resolved_evidence)
    )
    if numbers + len(rule.tells) > FIRST_RISK:
        raise document.error(("evidence",), f"more than {FIRST_RISK} numbers in evidence and tells")
    return rule


def _compiled(rules: list[Rule], card: RiskCard, paths: list[str]) -> Hooks:
    try:
        return hooks_of(rules, card)
    except TooManyRules as fault:
        raise RuleError(paths[-1], 1, 1, str(fault)) from None


def _lateness(given: Mapping[str, Any], document: Document | None) -> npt.NDArray[np.int64]:
    """Return the allowed lateness per kind, ms."""
    hours = dict(DEFAULT_LATENESS_HOURS)
    if document is not None:
        checked_keys(document, (), given, {"hours": True})
        if not isinstance(given["hours"], dict):
            raise document.error(("hours",), "want hours per kind of event, such as usage: 2")
        for kind, value in given["hours"].items():
            if kind not in hours:
                raise document.key_error(("hours", kind), f"{kind} is no kind of event; kinds are {', '.join(hours)}")
            hours[kind] = checked_number(document, ("hours", kind), value, 0, 24 * 31)
    found = np.zeros(len(wire.KINDS), np.int64)
    for kind, value in hours.items():
        found[wire.KINDS[kind]] = round(value * _HOUR_MS)
    return found


NO_RULES = CompiledRuleSet(
    version="",
    effective_from_ms=0,
    rules=(),
    card=NO_CARD,
    lateness_ms=_lateness({}, None),
    compiled=Hooks(np.zeros((FIRST_ENTRY, COLUMNS), np.int64), ()),
)
"""What holds before a rule set is announced: state is kept, nothing is found."""
