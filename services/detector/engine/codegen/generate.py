"""A rule → the text of a module: what judges, and what tells. The text follows from the rule alone, so its machine code
is the same in every rule set.

`_judge` and `_end` are called by `loops` with the arguments of `calls.JUDGE_ARGUMENTS`, `_quick` with those of
`calls.QUICK_ARGUMENTS`; it is asked before `_judge` at events.
"""

from services.detector.engine.codegen.stepped import (
    end_of_cycle,
    ends_of_steps,
    judge_of_cycle,
    judge_of_steps,
    judge_without_row,
)
from services.detector.engine.codegen.writing import (
    CALENDAR,
    COUNTS,
    FAILED,
    FAILS,
    HEAD,
    JUDGE,
    META,
    NO_USE,
    OUT,
    OUTF,
    QUICK,
    TELL,
    as_number,
    due,
    function,
    tables,
    watch,
)
from services.detector.engine.customer.findings import FIRST_RISK, FIRST_TEXT
from services.detector.engine.customer.layout import live_bit
from services.detector.engine.language.expressions import Typed
from services.detector.engine.language.names import LAYER, Names, may_be_none
from services.detector.engine.language.parameters import ROWS
from services.detector.engine.language.rule_forms import (
    BY_COMPLAINT,
    BY_CONTRACT,
    BY_CYCLE,
    BY_DAY,
    BY_HANDSET,
    STEP_BITS,
    STEP_MASK,
    Also,
    Evidence,
    Rule,
)
from services.detector.engine.risk import RiskCard

ROW_NAMES = frozenset({"kept", "opened_at", "episode_cycle", "contract_opened_at", "episode_contract_at"})
"""Names of what the row of the rule knows."""


def rule_text(rule: Rule) -> str:
    """Return the text of a rule's module. Parameter values are no part of it: they are data."""
    writer = Writer(rule)
    parts = [HEAD, writer.tell("_tell", rule.evidence)]
    if rule.resolved_evidence:
        parts.append(writer.tell("_tell_end", rule.resolved_evidence))
    if rule.slot is None and not rule.wait_hours:
        parts.append(writer.quick())
    if rule.episode == BY_CYCLE:
        parts += [judge_of_cycle(writer), end_of_cycle()]
        return "\n\n".join(parts)
    if not rule.keeps_row:
        parts.append(judge_without_row(writer))
    elif rule.episode == BY_CONTRACT:
        parts += [writer.judge_at_hour("_step"), judge_of_steps(writer)]
    else:
        parts.append(writer.judge_at_event() if rule.slot is None else writer.judge_at_hour())
    if rule.also is not None:
        parts.append(writer.judge_at_sweep(rule.also))
    if rule.resolve_on:
        parts += [writer.end_at_event("_end_step"), ends_of_steps(writer)] if rule.steps else [writer.end_at_event()]
    return "\n\n".join(parts)


def risk_text(card: RiskCard) -> str:
    """Return the text of a risk card's module: its `_judge` writes the inputs of row n."""
    body = [*tables(), f"{OUTF}"]
    body += [f"{name} = {typed.code}" for name, typed in card.locals]
    for i, term in enumerate(card.terms):
        body.append(f"outf[n, {FIRST_RISK + i}] = {as_number(term.value)} if {term.known.code} else np.nan")
    return HEAD + function("_judge", JUDGE, ["case = np.int64(0)", *body, "return n"])


class Writer:
    """Writes the functions of one rule."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._names = Names(rule)

    def locals(
        self, *expressions: Typed | None, known: set[str] | None = None, failed: list[str] | None = None
    ) -> list[str]:
        """Return the lines that define what the expressions need: parameters, then features in their order.

        known: what is defined already; it grows. failed: what is done when a feature is no number; not given, nothing.
        """
        rule = self.rule
        wanted = self._names.needed(*expressions)
        done: set[str] = set() if known is None else known
        lines = []
        if not done & rule.parameters.keys() and wanted & rule.parameters.keys():
            lines.append(LAYER)
        for i, name in enumerate(rule.parameters):
            if name in wanted - done:
                lines.append(f"p_{name} = parameters[layer, {i}]")
        if "kept" in wanted - done:
            lines.append("kept = pool[row, EPISODE_KEPT]")
        for name in rule.features:
            if name in wanted - done:
                lines += self._feature(name, failed)
        done |= wanted
        return lines

    def _feature(self, name: str, failed: list[str] | None) -> list[str]:
        """Return the lines that define a feature; one that may overflow is looked at."""
        typed = self.rule.features[name]
        lines = [f"f_{name} = {typed.code}"]
        if failed is None or not may_be_none(typed):
            return lines
        return [*lines, f"if not np.isfinite(f_{name}):", *("    " + line for line in failed)]

    def unless(
        self, conditions: tuple[Typed, ...], leave: list[str], known: set[str], failed: list[str] | None = None
    ) -> list[str]:
        """Return the lines that leave unless all conditions hold: the cheapest first, each with what it needs."""
        lines = []
        for each in sorted(conditions, key=self._names.cost):
            lines += self.locals(each, known=known, failed=failed or [FAILS, *leave])
            lines += [f"if not {each.code}:", *("    " + line for line in leave)]
        return lines

    def entered(self, *lines: str) -> list[str]:
        """Return the first lines of every function that `loops` calls: its tables."""
        count = len(self.rule.parameters)
        found = [*tables(), COUNTS, *([f"parameters = parameters_of(p, {ROWS}, {count})"] if count else [])]
        return [*found, *(line for line in lines if line != COUNTS)]

    def tell(self, name: str, conditions: tuple[Evidence, ...]) -> str:
        """The function that writes a finding: evidence, sentence parameters, priority, channel."""
        rule = self.rule
        numbers: list[Typed] = []
        texts: list[Typed] = []
        for evidence in conditions:
            numbers += evidence.numbers
            texts += (
                [evidence.observed_text] if evidence.observed_text and evidence.observed_text.type == "text" else []
            )
            numbers += (
                [evidence.observed_text] if evidence.observed_text and evidence.observed_text.type != "text" else []
            )
        for told in rule.tells:
            (texts if told.value.type == "text" else numbers).append(told.value)
        body = self.locals(*numbers, *texts, rule.priority, rule.channel, rule.earliest)
        body += [f"outf[n, {i}] = {as_number(each)}" for i, each in enumerate(numbers)]
        body += [f"out[n, {FIRST_TEXT + i}] = {each.code}" for i, each in enumerate(texts)]
        earliest = rule.earliest.code if rule.earliest else "0"
        body.append(
            "tell(st, s, pool, row, out, n, state, resolution, "
            f"np.int64({rule.priority.code}), np.int64({rule.channel.code}), np.int64({earliest}), occurred, log, "
            "history)"
        )
        named = ["key = get64(pool, row, EPISODE_KEY)", f"step = key & {STEP_MASK}"]
        return function(name, TELL, self.entered(OUT, OUTF, NO_USE, *named, *body))

    def quick(self) -> str:
        """The function that an event asks first: 0 when the rule cannot fire. Asked of customers without a row of the
        rule that is open or disarmed."""
        conditions, _ = self.split(self.rule.fire)
        body = [NO_USE, "before = counts[RULE_FAILED]"]
        if any(self._names.needed(each) & self.rule.parameters.keys() for each in conditions):
            body.append(LAYER)
        told = ["counts[RULE_FAILED] = before  # judged, it counts itself", "return np.int64(1)"]
        body.append(f"for step in range({max(len(self.rule.steps), 1)}):")
        for each in sorted(conditions, key=self._names.cost):
            body += [f"    if not {self._names.lazily(each)} and counts[RULE_FAILED] == before:", "        continue"]
        return function("_quick", QUICK, self.entered(*body, *("    " + line for line in told), "return np.int64(0)"))

    def judge_at_event(self) -> str:
        """The function of an immediate rule: at its events, at due times, and after loading."""
        rule = self.rule
        watched = rule.watched
        also = rule.also.fire if rule.also is not None else None
        needed = [
            rule.fire,
            also,
            rule.rearm,
            *(r.when for r in rule.resolutions),
            *watched,
            rule.keep,
            rule.recheck_at,
        ]
        may_raise = f"may_raise = flags & {'HAS_WAITED' if rule.wait_hours else 'MAY_RAISE'} != 0"
        body = self.entered(META, COUNTS, NO_USE, may_raise, "history = flags & IS_HISTORY != 0")
        body += self.gate()
        body += [
            f"row = find_episode(st, s, pool, np.int64({rule.code}), bool({int(rule.episode == BY_COMPLAINT)}), key)",
            *self.locals(*needed, failed=FAILED),
            *self.ends(),
            "if row != 0 and pool[row, EPISODE_BITS] & OPEN != 0:",
            "    if end_if(pool, row, at, ends != 0) == RESOLVED:",
            *self.emit("RESOLVED", "ends", indent=8),
        ]
        if watched:
            body += [
                "    elif pool[row, EPISODE_BITS] & OPEN != 0:",
                f"        watch = {watch(watched)}",
                f"        if update_if(pool, row, watch, {rule.expires}, {due(rule)}, log) == UPDATED:",
                *self.emit("UPDATED", "0", indent=12),
            ]
        if rule.rearm:
            body += [f"if {rule.rearm.code}:", "    rearm(pool, row)"]
        fires = rule.fire.code if also is None else f"({also.code} if flags & IS_SWEEP else {rule.fire.code})"
        body += [f"if may_raise and ends == 0 and {fires} and may_open(pool, row, day):"]
        body += ["    " + line for line in self.warm(rule.observed_days)]
        if rule.also is not None and rule.also.observed_days:
            body += ["    if flags & IS_SWEEP:", *("        " + line for line in self.warm(rule.also.observed_days))]
        body += [
            f"    expires = {rule.expires}",
            "    if log < expires:",
            *("        " + line for line in self.open("key", "key_at", "local_day(occurred)")),
        ]
        if also is not None:
            body += ["        if flags & IS_SWEEP:", "            pool[row, EPISODE_BITS] |= BY_PERIOD"]
        return function("_judge", JUDGE, [*body, *self.emit("RAISED", "0", indent=8), "return n"])

    def judge_at_sweep(self, also: Also) -> str:
        """The function of an immediate rule at its nominal hours: named by the day, it is judged as at an event."""
        conditions, _ = self.split(also.fire)
        body = self.entered(NO_USE)
        if also.is_hourly:  # one that was missed long ago is no news
            body += ["if log - at > 24 * HOUR_MS:", "    return n"]
        leave = self.unless(conditions, ["return n"], set())
        body += [
            "case = np.int64(0)",
            f"if st[s, FLAGS] & {live_bit(self.rule.code)} == 0:",
            *("    " + line for line in leave),
            "flags = np.int64(MAY_RAISE | IS_SWEEP)",
            "return _judge(frame, p, s, case, at, day, log, at, np.int64(day), np.int64(at), flags, n)",
        ]
        return function("_sweep", JUDGE, body)

    def judge_at_hour(self, name: str = "_judge") -> str:
        """The function of a calendar rule at a nominal hour. An episode that was raised before is not raised again."""
        rule = self.rule
        case = "newest_swap(st, s, pool, at)" if rule.episode == BY_HANDSET else "np.int64(0)"
        body = self.entered(META, COUNTS, CALENDAR, "history = bool(0)")
        body += [*self.gate(), f"case = {case}"]
        if rule.episode == BY_HANDSET:
            body += ["if case == 0:", "    return n", "key = get64(pool, case, SWAP_EVENT)"]
            body += ["key_at = get64(pool, case, SWAP_AT)"]
        elif rule.episode == BY_CONTRACT:
            body += [f"key = np.int64(st[s, CONTRACT_ENDS]) << {STEP_BITS} | step", "key_at = np.int64(at)"]
        else:
            body += ["key = np.int64(day)", "key_at = np.int64(0)"]
        body += self.warm(rule.observed_days)
        known: set[str] = set()
        conditions, rest = self.split(rule.fire)
        occurred = f"np.int64({rule.occurred.code})" if rule.occurred else "np.int64(at)"
        find = f"row = {self.finding()}"
        same = "" if rule.episode == BY_CONTRACT else " and get64(pool, row, EPISODE_AT) == key_at"
        body += [
            f"if st[s, FLAGS] & {live_bit(rule.code)} != 0:",
            f"    {find}",
            *("    " + line for line in self._ends_at_hour()),
            *self._remember(known),
            *self.unless(conditions, ["return n"], known),
            find,
            "if not may_open(pool, row, day):",
            "    return n",
            *self.unless(rest, ["return n"], known),
            f"if row != 0 and get64(pool, row, EPISODE_KEY) == key{same}:",
            "    return n",
            *self.locals(rule.keep, rule.occurred, rule.expires_at, known=known, failed=FAILED),
            f"occurred = {occurred}",
            f"expires = {rule.expires}",
            *self.open("key", "key_at", "day"),
            *self.emit("RAISED", "0", indent=0),
            "return n",
        ]
        return function(name, JUDGE + (", step" if rule.steps else ""), body)

    def _remember(self, known: set[str]) -> list[str]:
        """Return the lines that note that this week the condition held which others count, raised or not."""
        condition = self.rule.remembers
        if condition is None:
            return []
        held = f"hold(st, s, pool, meta, np.int64({self.rule.code}), day)"
        return [*self.locals(condition, known=known, failed=FAILED), f"if {condition.code}:", "    " + held]

    def _ends_at_hour(self) -> list[str]:
        """Close what has expired; where the rule says so, resolve what ends at the hour."""
        if not self.rule.ends_at_hour:
            return ["end_if(pool, row, at, bool(0))"]
        return [
            *self.locals(*(r.when for r in self.rule.resolutions), failed=FAILED),
            *self.ends(),
            "occurred = np.int64(at)",
            "if end_if(pool, row, at, ends != 0) == RESOLVED:",
            *self.emit("RESOLVED", "ends", indent=4),
            "    return n",
        ]

    def finding(self) -> str:
        """Return the text that finds the row of the rule, or of its step."""
        if self.rule.steps or self.rule.episode == BY_CYCLE:
            return f"find_step(st, s, pool, np.int64({self.rule.code}), step)"
        return f"find_episode(st, s, pool, np.int64({self.rule.code}), bool(0), np.int64(0))"

    def split(self, condition: Typed) -> tuple[tuple[Typed, ...], tuple[Typed, ...]]:
        """Return the parts of a condition that need no row of the rule, and those that do."""
        parts = condition.conjuncts
        needs_row = {each for each in parts if ROW_NAMES & self._names.needed(each)}
        return tuple(p for p in parts if p not in needs_row), tuple(p for p in parts if p in needs_row)

    def end_at_event(self, name: str = "_end") -> str:
        """The function that ends an open episode at an event of a kind that cannot raise it; that of a period, at an
        event of the period or later."""
        rule = self.rule
        case = "newest_swap(st, s, pool, at)" if rule.episode == BY_HANDSET else "np.int64(0)"
        body = [
            "event = np.int64(case)",
            *self.entered("history = flags & IS_HISTORY != 0"),
            f"row = {self.finding()}",
            "if row == 0 or pool[row, EPISODE_BITS] & OPEN == 0:",
            "    return n",
        ]
        if rule.episode == BY_DAY:
            body += ["if day < get64(pool, row, EPISODE_KEY):", "    return n"]
        body.append(f"case = {case}")
        if rule.count_when is not None:
            known: set[str] = set()
            body += [
                *self.locals(rule.count_when, known=known, failed=FAILED),
                f"if {rule.count_when.code} and at >= get64(pool, row, EPISODE_AT):",
                "    pool[row, EPISODE_KEPT] += 1",
            ]
        body += [
            *self.locals(*(r.when for r in rule.resolutions), failed=FAILED),
            *self.ends(),
            "if end_if(pool, row, at, ends != 0) == RESOLVED:",
            *self.emit("RESOLVED", "ends", indent=4),
            "return n",
        ]
        return function(name, JUDGE + (", step" if rule.steps else ""), body)

    def gate(self) -> list[str]:
        """Return the lines that leave when the customer record is missing."""
        if not self.rule.needs_profile:
            return []
        return ["if st[s, FLAGS] & HAS_PROFILE == 0:", "    counts[NO_PROFILE] += 1", "    return n"]

    def warm(self, days: int) -> list[str]:
        """Return the lines that leave while the baseline was not observed."""
        leave = ["    counts[NOT_WARM] += 1", "    return n"]
        lines = [f"if st[s, FIRST_DAY] == 0 or st[s, FIRST_DAY] > day - {days}:", *leave] if days else []
        if self.rule.warm is not None:
            lines += [*self.locals(self.rule.warm, failed=FAILED), f"if not {self.rule.warm.code}:", *leave]
        return lines

    def ends(self) -> list[str]:
        """Return the lines that say which end condition holds; 0 = none."""
        lines = ["ends = 0"]
        for i, resolution in enumerate(self.rule.resolutions, 1):
            when = resolution.when.code
            if "kept" in self._names.needed(resolution.when):  # what is kept of an episode that is over says nothing
                when = f"pool[row, EPISODE_BITS] & OPEN != 0 and {when}"
            lines += [f"{'if' if i == 1 else 'elif'} {when}:", f"    ends = {i}"]
        return lines

    def open(self, key: str, key_at: str, day: str) -> list[str]:
        """Return the line that opens an episode."""
        rule = self.rule
        keep = f"np.int64({rule.keep.code})" if rule.keep else "np.int64(0)"
        seen, later = watch(rule.watched), due(rule)
        return [
            f"row = open_episode(st, s, pool, meta, row, np.int64({rule.code}), {key}, {key_at}, expires, "
            f"day + {rule.cool_down_days}, bool({int(rule.rearm is not None)}), {keep}, {seen}, {later}, log, "
            f"{day})"
        ]

    def emit(self, state: str, resolution: str, *, indent: int) -> list[str]:
        """Return the lines that tell a revision."""
        name = "_tell_end" if state == "RESOLVED" and self.rule.resolved_evidence else "_tell"
        where = "frame, p, s, case, at, day, row, flags"
        call = f"{name}({where}, np.int64({state}), np.int64({resolution}), occurred, log, history, n)"
        return [" " * indent + call, " " * indent + "n += 1"]
