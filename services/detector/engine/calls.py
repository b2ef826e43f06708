"""How compiled loops call compiled rules: by the address of their code, over tables that they find by address.

So the loops know no rule and are compiled once per release, and a rule is compiled once for all sets that it is in. A
call costs two nanoseconds; it passes whole numbers only.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

from services.detector.engine.jit import inlined
from services.detector.engine.layout import CASE_WORDS, WORDS

AT_RECORDS, AT_POOL, AT_META, AT_OUT, AT_OUTF, AT_COUNTS, AT_CALENDAR, FRAME_WORDS = range(8)
"""Words of a frame: where the tables of a partition begin."""
FAILED = -1
"""What a call gives when the code that was called gave up."""
JUDGE_ARGUMENTS = 12
"""(frame, parameters, s, case, at, day, log, occurred, key, key_at, flags, n) → the next free row of findings."""
QUICK_ARGUMENTS = 6
"""(frame, parameters, s, case, at, day) → 0 when the rule cannot fire."""
MAY_RAISE, IS_HISTORY, IS_SWEEP, HAS_WAITED = 1, 2, 4, 8
"""Bits of `flags`. IS_SWEEP: at a nominal hour of an immediate rule. HAS_WAITED: the wait after an event is over."""
_ROWS = 1 << 31
_FAILED = ir.Constant(ir.IntType(64), FAILED)


def _call(given: tuple[Any, ...]) -> Any:
    """Return the type and the code of a call: an address, then its arguments."""
    whole = types.int64
    signature = whole(*(whole,) * len(given))

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        wanted = (whole,) * (len(arguments) - 1)
        code = builder.inttoptr(arguments[0], context.call_conv.get_function_type(whole, wanted).as_pointer())
        status, found = context.call_conv.call_function(builder, code, whole, wanted, arguments[1:])
        return builder.select(status.is_ok, found, _FAILED)

    return signature, generate


def _call_judge(_: Any, code: Any, frame: Any, p: Any, s: Any, case: Any, at: Any, day: Any, log: Any, occurred: Any,
                key: Any, key_at: Any, flags: Any, n: Any) -> Any:  # fmt: skip
    return _call((code, frame, p, s, case, at, day, log, occurred, key, key_at, flags, n))


def _call_quick(_: Any, code: Any, frame: Any, p: Any, s: Any, case: Any, at: Any, day: Any) -> Any:
    return _call((code, frame, p, s, case, at, day))


def _pointer(item: Any) -> Any:
    def typed(_: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        to_item: Any = types.CPointer
        return to_item(item)(types.int64), generate

    return typed


call_judge: Any = intrinsic(_call_judge)
call_quick: Any = intrinsic(_call_quick)
_whole_numbers: Any = intrinsic(_pointer(types.int64))
_words: Any = intrinsic(_pointer(types.int32))
_numbers: Any = intrinsic(_pointer(types.float64))


@inlined
def table_at(frame: Any, which: Any) -> Any:
    """Return where a table begins."""
    return carray(_whole_numbers(frame), (FRAME_WORDS,))[which]


@inlined
def records_of(frame: Any) -> Any:
    """Return the records of customers."""
    return carray(_words(table_at(frame, AT_RECORDS)), (_ROWS, WORDS))


@inlined
def pool_of(frame: Any) -> Any:
    """Return the pool of cases."""
    return carray(_words(table_at(frame, AT_POOL)), (_ROWS, CASE_WORDS))


@inlined
def integers_of(frame: Any, which: Any, rows: Any) -> Any:
    """Return a row of whole numbers: AT_META, AT_COUNTS or AT_CALENDAR."""
    return carray(_whole_numbers(table_at(frame, which)), (rows,))


@inlined
def findings_of(frame: Any, columns: Any) -> Any:
    """Return the integers of findings."""
    return carray(_whole_numbers(table_at(frame, AT_OUT)), (_ROWS, columns))


@inlined
def figures_of(frame: Any, columns: Any) -> Any:
    """Return the numbers of findings."""
    return carray(_numbers(table_at(frame, AT_OUTF)), (_ROWS, columns))


@inlined
def parameters_of(address: Any, rows: Any, columns: Any) -> Any:
    """Return the parameter values of one rule."""
    return carray(_numbers(address), (rows, columns))


@inlined
def new_frame(st: Any, pool: Any, meta: Any, out: Any, outf: Any, counts: Any, calendar: Any) -> Any:
    """Return a frame of these tables; they must stay where they are as long as it is used."""
    frame = np.empty(FRAME_WORDS, np.int64)
    frame[AT_RECORDS] = st.ctypes.data
    frame[AT_POOL] = pool.ctypes.data
    frame[AT_META] = meta.ctypes.data
    frame[AT_OUT] = out.ctypes.data
    frame[AT_OUTF] = outf.ctypes.data
    frame[AT_COUNTS] = counts.ctypes.data
    frame[AT_CALENDAR] = calendar.ctypes.data
    return frame
