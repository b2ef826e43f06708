"""Text of the functions of rules whose episodes are cycles, steps of a contract, or festivals."""

from typing import TYPE_CHECKING

from services.detector.engine.codegen.writing import CALENDAR, COUNTS, FAILED, JUDGE, META, NO_USE, function
from services.detector.engine.language.rule_forms import BY_FESTIVAL, STEP_BITS

if TYPE_CHECKING:
    from services.detector.engine.codegen.generate import Writer


def judge_of_cycle(writer: "Writer") -> str:
    """The functions of an immediate rule with an episode per cycle, and per step where it has steps.

    An open episode comes to its end first, then the next one may be raised. One that was over before it began is not
    told, and there is no other of its cycle.
    """
    rule = writer.rule
    conditions, rest = writer.split(rule.fire)
    ends = tuple(resolution.when for resolution in rule.resolutions)
    opens = writer.open("key", "np.int64(at)", "local_day(occurred)")
    over = ["elif expires <= at:", *("    " + line for line in [*opens, "pool[row, EPISODE_BITS] &= ~OPEN"])]
    known: set[str] = set()
    body = [
        *writer.entered(META, COUNTS, NO_USE, "history = flags & IS_HISTORY != 0"),
        f"row = {writer.finding()}",
        "if row != 0 and pool[row, EPISODE_BITS] & OPEN != 0:",
        *("    " + line for line in [*writer.locals(*ends, failed=FAILED), *writer.ends()]),
        "    if end_if(pool, row, at, ends != 0) == RESOLVED:",
        *writer.emit("RESOLVED", "ends", indent=8),
        "if flags & MAY_RAISE == 0:",
        "    return n",
        *writer.unless((*conditions, *rest), ["return n"], known),
        *writer.warm(writer.rule.observed_days),
        "cycle = np.int64(st[s, BILL_CYCLE]) if flags >> EVENT_SHIFT == AT_BILL else month_of(day)",
        f"key = cycle << {STEP_BITS} | step",
        "if not may_open_cycle(pool, row, key):",
        "    return n",
        *writer.locals(rule.keep, rule.expires_at, known=known, failed=FAILED),
        f"expires = {rule.expires}",
        "if log < expires:",
        *("    " + line for line in opens),
        *writer.emit("RAISED", "0", indent=4),
        *(over if rule.may_be_over else []),
        "return n",
    ]
    loop = _in_steps(writer, "_step")
    judge = function("_judge", JUDGE, [*writer.entered(COUNTS), *writer.gate(), *loop, "return n"])
    return function("_step", JUDGE + ", step", body) + "\n\n" + judge


def end_of_cycle() -> str:
    """The function that ends what a rule of cycles has open, at an event that cannot raise it."""
    return function("_end", JUDGE, [f"return _judge({JUDGE.replace('flags', 'flags & ~MAY_RAISE')})"])


def judge_of_steps(writer: "Writer") -> str:
    """The function of a calendar rule with steps: `_step` for each."""
    return function("_judge", JUDGE, [*_in_steps(writer, "_step"), "return n"])


def ends_of_steps(writer: "Writer") -> str:
    """The function that ends what a calendar rule with steps has open."""
    return function("_end", JUDGE, [*_in_steps(writer, "_end_step"), "return n"])


def _in_steps(writer: "Writer", name: str) -> list[str]:
    return [f"for step in range({max(len(writer.rule.steps), 1)}):", f"    n = {name}({JUDGE}, np.int64(step))"]


def judge_without_row(writer: "Writer") -> str:
    """The function of a calendar rule whose moments leave no row: nothing but the nominal hour makes them."""
    rule = writer.rule
    is_festival = rule.episode == BY_FESTIVAL
    occurred = f"np.int64({rule.occurred.code})" if rule.occurred else "np.int64(at)"
    known: set[str] = set()
    body = [
        *writer.unless(rule.fire.conjuncts, ["continue"], known),
        *writer.locals(rule.occurred, rule.expires_at, known=known),
        f"occurred = {occurred}",
        f"open_nowhere(pool, key, {rule.expires}, day)",
        *writer.emit("RAISED", "0", indent=0),
        "close_nowhere(pool)",
    ]
    if is_festival:
        keyed = [
            f"key = calendar[5 + 2 * which] << {STEP_BITS} | calendar[4 + 2 * which]",
            "if key == 0:",
            "    continue",
        ]
    else:
        keyed = ["key = np.int64(day)"]
    lines = [
        *writer.entered(META, COUNTS, CALENDAR, "history = bool(0)", "row = np.int64(0)", "case = np.int64(0)"),
        *writer.gate(),
        *writer.warm(writer.rule.observed_days),
        f"for which in range({rule.episodes_at_once}):",
        *("    " + line for line in [*keyed, *body]),
        "return n",
    ]
    return function("_judge", JUDGE, lines)
