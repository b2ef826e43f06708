"""The rules in force before any are announced: none. Generated modules of rule sets have these functions too."""

from typing import Any

from services.detector.engine.jit import inlined, kernel


@inlined
def wants(kind: Any, has_cases: Any) -> Any:
    """True when some rule listens to this kind of event; rules that only end something, only when there are cases."""
    return False


@kernel
def on_event(st: Any, s: int, pool: Any, meta: Any, parameters: Any, kind: Any, fresh: bool, case: Any, at: Any,
             log: Any, ident: Any, history: bool, out: Any, outf: Any, n: Any, counts: Any) -> Any:  # fmt: skip
    """Judge the immediate rules at an event; return the next free row."""
    return n


@kernel
def on_day(st: Any, s: int, pool: Any, meta: Any, parameters: Any, day: Any, at: Any, log: Any, mask: Any,
           calendar: Any, out: Any, outf: Any, n: Any, counts: Any) -> Any:  # fmt: skip
    """Judge the calendar rules of `mask` for a nominal day; return the next free row."""
    return n


@kernel
def on_due(st: Any, s: int, pool: Any, meta: Any, parameters: Any, log: Any, out: Any, outf: Any, n: Any,
           counts: Any) -> Any:  # fmt: skip
    """Judge the open episodes that are due; return the next free row."""
    return n


@kernel
def on_pending(st: Any, s: int, pool: Any, meta: Any, parameters: Any, log: Any, out: Any, outf: Any, n: Any,
               counts: Any) -> Any:  # fmt: skip
    """Tell what history left open; clear PENDING unless a profile is still missing. Returns the next free row."""
    return n
