"""Rules → the text of a module: one judging and one telling function per rule, and the four entries that the loops
call."""

import inspect

from services.detector.engine import loops
from services.detector.engine.expressions import Typed
from services.detector.engine.findings import FIRST_TEXT
from services.detector.engine.parameters import SEGMENTS
from services.detector.engine.risk import RiskCard
from services.detector.engine.rules import BY_COMPLAINT, BY_HANDSET, BY_LINE, Evidence, Rule

_MARK = "# --- the generated module begins here"
_HEAD = '''"""Generated from rule files; do not edit. The second half is the text of loops.py."""
import numpy as np

from services.detector.engine import wire
from services.detector.engine.cases import *
from services.detector.engine.episodes import *
from services.detector.engine.findings import *
from services.detector.engine.jit import entry, inlined, kernel
from services.detector.engine.kernel import *
from services.detector.engine.layout import *
from services.detector.engine.prefetch import prefetch
from typing import Any


@kernel
def _ratio(a, b):
    return a / b if b != 0 else np.float64(0)


@kernel
def _bits(x):
    count = 0
    while x:
        count += x & 1
        x >>= 1
    return count


@kernel
def _unseen_days(st, s, pool, case):
    seen = model_last_seen(st, s, pool, case)
    return local_day(get64(pool, case, SWAP_AT)) - local_day(seen) if seen != 0 else 100_000


@kernel
def _is_birthday(st, s, calendar):
    day = st[s, BIRTHDAY]
    if day == 0:
        return False
    first = 2 if (st[s, CODES] >> 20) & 15 == 2 else 0
    return day == calendar[first] or day == calendar[first + 1]


'''
_STATE = "st, s, pool, meta, parameters"
_SINK = "out, outf, n, counts"


def generate(rules: list[Rule], card: RiskCard) -> str:
    """Return the text of the module of a rule set. Parameter values are no part of it: they are data."""
    offsets = _parameter_offsets(rules)
    parts = [_HEAD, _risk(card)]
    for number, rule in enumerate(rules):
        writer = _Writer(rule, number, offsets[rule.id], len(card.terms))
        parts.append(writer.tell("_tell", rule.evidence))
        if rule.resolved_evidence:
            parts.append(writer.tell("_tell_end", rule.resolved_evidence))
        parts.append(writer.judge_at_event() if rule.slot is None else writer.judge_at_hour())
        if rule.slot is not None and rule.resolve_on:
            parts.append(writer.end_at_event())
    parts += [_wants(rules), _on_event(rules), _on_day(rules), _on_due(rules), _on_pending(rules)]
    return "\n\n".join(parts) + "\n\n" + _loops_text()


def _loops_text() -> str:
    text = inspect.getsource(loops)
    return text[text.index(_MARK) :]


def _parameter_offsets(rules: list[Rule]) -> dict[str, int]:
    found, at = {}, 0
    for rule in rules:
        found[rule.id] = at
        at += len(rule.parameters)
    return found


class _Writer:
    """Writes the functions of one rule."""

    def __init__(self, rule: Rule, number: int, first_parameter: int, risk_inputs: int) -> None:
        self._rule = rule
        self._number = number
        self._first_parameter = first_parameter
        self._risk_inputs = risk_inputs

    def locals(self, *expressions: Typed | None, kept: bool = False) -> list[str]:
        """Return the lines that define what the expressions need: parameters, then features in their order."""
        rule = self._rule
        wanted: set[str] = set()
        queue = [name for each in expressions if each is not None for name in each.names]
        while queue:
            name = queue.pop()
            if name not in wanted:
                wanted.add(name)
                if name in rule.features:
                    queue.extend(rule.features[name].names)
        lines = []
        used = [name for name in rule.parameters if name in wanted]
        if used:
            lines.append(f"layer = (st[s, CODES] & 255) * {SEGMENTS} + ((st[s, CODES] >> 8) & 255)")
        for i, name in enumerate(rule.parameters):
            if name in wanted:
                lines.append(f"p_{name} = parameters[layer, {self._first_parameter + i}]")
        if "kept" in wanted and not kept:
            lines.append("kept = pool[row, EPISODE_KEPT]")
        lines += [f"f_{name} = {typed.code}" for name, typed in rule.features.items() if name in wanted]
        return lines

    def tell(self, name: str, conditions: tuple[Evidence, ...]) -> str:
        """The function that writes a finding: evidence, sentence parameters, priority, channel."""
        rule = self._rule
        numbers: list[Typed] = []
        texts: list[Typed] = []
        for evidence in conditions:
            numbers += [e for e in (evidence.observed, evidence.baseline, evidence.threshold) if e is not None]
            texts += (
                [evidence.observed_text] if evidence.observed_text and evidence.observed_text.type == "text" else []
            )
            numbers += (
                [evidence.observed_text] if evidence.observed_text and evidence.observed_text.type != "text" else []
            )
        for told in rule.tells:
            (texts if told.value.type == "text" else numbers).append(told.value)
        body = self.locals(*numbers, *texts, rule.priority, rule.channel, rule.earliest)
        first = self._risk_inputs
        body += [f"outf[n, {first + i}] = {_as_number(each)}" for i, each in enumerate(numbers)]
        body += [f"out[n, {FIRST_TEXT + i}] = {each.code}" for i, each in enumerate(texts)]
        body.append("_risk(st, s, pool, at, day, outf, n)")
        earliest = rule.earliest.code if rule.earliest else "0"
        body.append(
            f"tell(st, s, pool, row, out, n, np.int64({self._number}), state, resolution, "
            f"np.int64({rule.priority.code}), np.int64({rule.channel.code}), np.int64({earliest}), occurred, log, "
            "nominal, history)"
        )
        arguments = "st, s, pool, parameters, case, at, day, row, state, resolution, occurred, log, nominal, history"
        return _function(f"{name}_{rule.id}", f"{arguments}, out, outf, n", body)

    def judge_at_event(self) -> str:
        """The function of an immediate rule: at its events, at due times, and after loading."""
        rule = self._rule
        watched = rule.watched
        needed = [rule.fire, rule.rearm, *(r.when for r in rule.resolutions), *watched, rule.keep, rule.recheck_at]
        body = self._gate()
        body += [
            f"row = find_episode(st, s, pool, np.int64({rule.code}), bool({int(rule.episode == BY_COMPLAINT)}), key)",
            *self.locals(*needed),
            *self._ends(),
            "if row != 0 and pool[row, EPISODE_BITS] & OPEN != 0:",
            "    if end_if(pool, row, at, ends != 0) == RESOLVED:",
            *self._emit("RESOLVED", "ends", indent=8),
        ]
        if watched:
            body += [
                "    elif pool[row, EPISODE_BITS] & OPEN != 0:",
                f"        watch = {_watch(watched)}",
                f"        if update_if(pool, row, watch, {rule.expires}, {_due(rule)}, log) == UPDATED:",
                *self._emit("UPDATED", "0", indent=12),
            ]
        if rule.rearm:
            body += [f"if {rule.rearm.code}:", "    rearm(pool, row)"]
        body += [f"if may_raise and ends == 0 and {rule.fire.code} and may_open(pool, row, day):"]
        body += ["    " + line for line in self._warm()]
        body += [
            f"    expires = {rule.expires}",
            "    if log < expires:",
            *("        " + line for line in self._open("key", "key_at")),
            *self._emit("RAISED", "0", indent=8),
            "return n",
        ]
        arguments = f"{_STATE}, case, at, day, log, occurred, key, key_at, may_raise, history, {_SINK}"
        return _function(f"_judge_{rule.id}", arguments, body)

    def judge_at_hour(self) -> str:
        """The function of a calendar rule at a nominal hour. An episode that was raised before is not raised again."""
        rule = self._rule
        case = "newest_swap(st, s, pool, at)" if rule.episode == BY_HANDSET else "np.int64(0)"
        body = self._gate()
        body += [f"case = {case}"]
        if rule.episode == BY_HANDSET:
            body += ["if case == 0:", "    return n", "key = get64(pool, case, SWAP_EVENT)"]
            body += ["key_at = get64(pool, case, SWAP_AT)"]
        else:
            body += ["key = np.int64(day)", "key_at = np.int64(0)"]
        body += self._warm()
        occurred = f"np.int64({rule.occurred.code})" if rule.occurred else "np.int64(at)"
        body += [
            f"row = find_episode(st, s, pool, np.int64({rule.code}), bool(0), key)",
            "end_if(pool, row, at, bool(0))",
            *self.locals(rule.fire, rule.keep, rule.occurred),
            "history = bool(0)",
            "nominal = day",
            f"occurred = {occurred}",
            f"if {rule.fire.code} and may_open(pool, row, day):",
            "    if row == 0 or get64(pool, row, EPISODE_KEY) != key or get64(pool, row, EPISODE_AT) != key_at:",
            f"        expires = {rule.expires}",
            *("        " + line for line in self._open("key", "key_at")),
            *self._emit("RAISED", "0", indent=8, nominal="day"),
            "return n",
        ]
        return _function(f"_judge_{rule.id}", f"{_STATE}, day, at, log, calendar, {_SINK}", body)

    def end_at_event(self) -> str:
        """The function that ends a calendar rule's open episode at an event, of its period or later."""
        rule = self._rule
        case = "newest_swap(st, s, pool, at)" if rule.episode == BY_HANDSET else "np.int64(0)"
        body = [
            f"row = find_episode(st, s, pool, np.int64({rule.code}), bool(0), np.int64(0))",
            "if row == 0 or pool[row, EPISODE_BITS] & OPEN == 0:",
            "    return n",
        ]
        if rule.episode != BY_HANDSET:
            body += ["if day < get64(pool, row, EPISODE_KEY):", "    return n"]
        body += [
            f"case = {case}",
            *self.locals(*(r.when for r in rule.resolutions)),
            *self._ends(),
            "if end_if(pool, row, at, ends != 0) == RESOLVED:",
            *self._emit("RESOLVED", "ends", indent=4),
            "return n",
        ]
        return _function(f"_end_{rule.id}", f"{_STATE}, at, day, log, occurred, history, {_SINK}", body)

    def _gate(self) -> list[str]:
        if not self._rule.needs_profile:
            return []
        return ["if st[s, FLAGS] & HAS_PROFILE == 0:", "    counts[NO_PROFILE] += 1", "    return n"]

    def _warm(self) -> list[str]:
        days = self._rule.observed_days
        if not days:
            return []
        condition = f"if st[s, FIRST_DAY] == 0 or st[s, FIRST_DAY] > day - {days}:"
        return [condition, "    counts[NOT_WARM] += 1", "    return n"]

    def _ends(self) -> list[str]:
        lines = ["ends = 0"]
        for i, resolution in enumerate(self._rule.resolutions, 1):
            lines += [f"{'if' if i == 1 else 'elif'} {resolution.when.code}:", f"    ends = {i}"]
        return lines

    def _open(self, key: str, key_at: str) -> list[str]:
        rule = self._rule
        keep = f"np.int64({rule.keep.code})" if rule.keep else "np.int64(0)"
        watch = _watch(rule.watched)
        return [
            f"row = open_episode(st, s, pool, meta, row, np.int64({rule.code}), {key}, {key_at}, expires, "
            f"day + {rule.cool_down_days}, bool({int(rule.rearm is not None)}), {keep}, {watch}, {_due(rule)}, log)"
        ]

    def _emit(self, state: str, resolution: str, *, indent: int, nominal: str = "local_day(occurred)") -> list[str]:
        name = "_tell_end" if state == "RESOLVED" and self._rule.resolved_evidence else "_tell"
        where = "st, s, pool, parameters, case, at, day, row"
        what = f"np.int64({state}), np.int64({resolution}), occurred, log, {nominal}, history, out, outf, n"
        call = f"{name}_{self._rule.id}({where}, {what})"
        return [" " * indent + call, " " * indent + "n += 1"]


def _risk(card: RiskCard) -> str:
    body = [f"{name} = {typed.code}" for name, typed in card.locals]
    for i, term in enumerate(card.terms):
        body.append(f"outf[n, {i}] = {_as_number(term.value)} if {term.known.code} else np.nan")
    return _function("_risk", "st, s, pool, at, day, outf, n", ["case = np.int64(0)", *body])


def _wants(rules: list[Rule]) -> str:
    judged = sorted({kind for rule in rules for kind in rule.kinds})
    ended = sorted({kind for rule in rules for kind in rule.resolve_on} - set(judged))
    conditions = [f"kind == {kind}" for kind in judged] + [f"(has_cases and kind == {kind})" for kind in ended]
    body = [f"return {' or '.join(conditions) or 'False'}"]
    return _function("wants", "kind, has_cases", body).replace("@kernel", "@inlined")


def _on_event(rules: list[Rule]) -> str:
    body = ["if not fresh:", "    return n", "day = local_day(at)"]
    kinds = sorted({kind for rule in rules for kind in (*rule.kinds, *rule.resolve_on)})
    for kind in kinds:
        body.append(f"if kind == {kind}:")
        lines: list[str] = []
        for rule in rules:
            if kind in rule.kinds:
                lines += _call_at_event(rule)
            if kind in rule.resolve_on and rule.slot is not None:
                call = f"_end_{rule.id}({_STATE}, at, day, log, at, history, {_SINK})"
                lines += ["if st[s, CASES] != 0:", f"    n = {call}"]
        body += ["    " + line for line in [*lines, "return n"]]
    arguments = f"{_STATE}, kind, fresh, case, at, log, ident, history, {_SINK}"
    return _function("on_event", arguments, [*body, "return n"])


def _call_at_event(rule: Rule) -> list[str]:
    keys = {BY_LINE: ("get64(st, s, LINE_EVENT)", "get64(st, s, LINE_AT)"),
            BY_COMPLAINT: ("get64(pool, case, COMPLAINT_ID)", "np.int64(0)")}  # fmt: skip
    key, key_at = keys.get(rule.episode, ("ident", "at"))
    call = f"n = _judge_{rule.id}({_STATE}, case, at, day, log, at, {key}, {key_at}, not history, history, {_SINK})"
    if rule.episode != BY_COMPLAINT:
        return [call]
    return [
        f"counts[CASES_EVICTED] += drop_orphans(st, s, pool, meta, {rule.code})",
        "if case != 0:",
        f"    {call}",
    ]


def _on_day(rules: list[Rule]) -> str:
    body = []
    for bit, rule in enumerate(rule for rule in rules if rule.slot is not None):
        body += [f"if mask & {1 << bit}:", f"    n = _judge_{rule.id}({_STATE}, day, at, log, calendar, {_SINK})"]
    return _function("on_day", f"{_STATE}, day, at, log, mask, calendar, {_SINK}", [*body, "return n"])


def _on_due(rules: list[Rule]) -> str:
    body = [
        "row = np.int64(st[s, CASES])",
        "while row != 0:",
        "    following = np.int64(pool[row, NEXT])",
        "    due = get64(pool, row, EPISODE_DUE) if pool[row, TYPE] == EPISODE else np.int64(0)",
        "    if due != 0 and due <= log and pool[row, EPISODE_BITS] & OPEN != 0:",
        "        set64(pool, row, EPISODE_DUE, np.int64(0))",
        "        key, key_at = get64(pool, row, EPISODE_KEY), get64(pool, row, EPISODE_AT)",
    ]
    for rule in rules:
        if rule.recheck_at is None:
            continue
        case = "find_case(st, s, pool, COMPLAINT, COMPLAINT_ID, key)" if rule.episode == BY_COMPLAINT else "np.int64(0)"
        call = (
            f"_judge_{rule.id}({_STATE}, case, due, local_day(due), log, due, key, key_at, bool(0), bool(0), {_SINK})"
        )
        body += [f"        if pool[row, EPISODE_RULE] == {rule.code}:", f"            case = {case}"]
        is_there = "case != 0" if rule.episode == BY_COMPLAINT else "True"
        body += [f"            if {is_there}:", f"                n = {call}"]
    body += ["    row = following", "return n"]
    return _function("on_due", f"{_STATE}, log, {_SINK}", body)


def _on_pending(rules: list[Rule]) -> str:
    body = ["has_profile = st[s, FLAGS] & HAS_PROFILE != 0", "waits = False", "day = local_day(log)"]
    for rule in (rule for rule in rules if rule.tells_history):
        gate = "has_profile" if rule.needs_profile else "True"
        call = f"n = _judge_{rule.id}({_STATE}, case, log, day, log, occurred, key, key_at, bool(1), bool(1), {_SINK})"
        if rule.episode == BY_LINE:
            body += [
                "if get64(st, s, LINE_AT) != 0:",
                f"    if {gate}:",
                "        case = np.int64(0)",
                "        key, key_at = get64(st, s, LINE_EVENT), get64(st, s, LINE_AT)",
                "        occurred = key_at",
                f"        {call}",
                "    else:",
                "        waits = True",
            ]
        else:
            body += [
                "case = np.int64(st[s, CASES])",
                "while case != 0:",
                "    if pool[case, TYPE] == COMPLAINT:",
                f"        if {gate}:",
                "            key, key_at = get64(pool, case, COMPLAINT_ID), np.int64(0)",
                "            occurred = get64(pool, case, COMPLAINT_OPENED)",
                f"            {call}",
                "        else:",
                "            waits = True",
                "    case = np.int64(pool[case, NEXT])",
            ]
    body += ["if not waits:", "    st[s, FLAGS] &= ~PENDING", "return n"]
    return _function("on_pending", f"{_STATE}, log, {_SINK}", body)


def _watch(watched: tuple[Typed, ...]) -> str:
    code = "np.int64(0)"
    for each in watched:
        code = f"watched({code}, np.int64({each.code}))"
    return code


def _due(rule: Rule) -> str:
    return f"np.int64({rule.recheck_at.code})" if rule.recheck_at else "np.int64(0)"


def _as_number(typed: Typed) -> str:
    return f"(1.0 if {typed.code} else 0.0)" if typed.type == "boolean" else f"np.float64({typed.code})"


def _function(name: str, arguments: str, body: list[str]) -> str:
    lines = "\n".join("    " + line for line in body)
    return f"@kernel\ndef {name}({arguments}):\n{lines}\n"
