"""Pieces of text that every generated function is made of."""

from services.detector.engine.language.expressions import Typed
from services.detector.engine.language.rule_forms import Rule

HEAD = '''"""Generated from a rule file; do not edit."""
import numpy as np

from services.detector.engine.codegen.calls import *
from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.bills import *
from services.detector.engine.customer.case_layout import *
from services.detector.engine.customer.cases import *
from services.detector.engine.customer.contacts import *
from services.detector.engine.customer.episodes import *
from services.detector.engine.customer.findings import *
from services.detector.engine.customer.inquiries import *
from services.detector.engine.customer.journeys import *
from services.detector.engine.customer.kernel import *
from services.detector.engine.customer.layout import *
from services.detector.engine.customer.orders import *


@kernel
def _ratio(a, b):
    return a / b if b != 0 else np.float64(0)


@kernel
def _sure(counts, x):
    if not np.isfinite(x):
        counts[RULE_FAILED] += 1
    return x


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
JUDGE = "frame, p, s, case, at, day, log, occurred, key, key_at, flags, n"
QUICK = "frame, p, s, case, at, day, flags"
TELL = "frame, p, s, case, at, day, row, flags, state, resolution, occurred, log, history, n"
FAILS = "counts[RULE_FAILED] += 1"
FAILED = [FAILS, "return n"]
"""What a judging function does when a number is none: the rule is left out, for this customer and this time."""
NO_USE = "event = np.int64(0)"
META = "meta = integers_of(frame, AT_META, 2)"
COUNTS = "counts = integers_of(frame, AT_COUNTS, COUNTS)"
CALENDAR = "calendar = integers_of(frame, AT_CALENDAR, CALENDAR_WORDS)"
OUT = "out = findings_of(frame)"
OUTF = "outf = figures_of(frame)"


def tables() -> list[str]:
    """Return the lines by which a function finds the records and the pool."""
    return ["st = records_of(frame)", "pool = pool_of(frame)"]


def watch(watched: tuple[Typed, ...]) -> str:
    """Return the hash of what is told again when it changes."""
    code = "np.int64(0)"
    for each in watched:
        code = f"watched({code}, np.int64({each.code}))"
    return code


def due(rule: Rule) -> str:
    """Return when the episode is looked at without an event."""
    return f"np.int64({rule.recheck_at.code})" if rule.recheck_at else "np.int64(0)"


def as_number(typed: Typed) -> str:
    """Return an expression as the number that findings have."""
    return f"(1.0 if {typed.code} else 0.0)" if typed.type == "boolean" else f"np.float64({typed.code})"


def function(name: str, arguments: str, body: list[str]) -> str:
    """Return a compiled function."""
    lines = "\n".join("    " + line for line in body)
    return f"@kernel\ndef {name}({arguments}):\n{lines}\n"
