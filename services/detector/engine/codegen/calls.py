"""How compiled loops call compiled rules: by the address of their code, over tables that they find by address.

So the loops know no rule and are compiled once per release, and a rule is compiled once for all sets that it is in. A
call costs two nanoseconds; it passes whole numbers only.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from services.detector.engine.codegen.jit import inlined
from services.detector.engine.customer.findings import INTEGERS, NUMBERS_MAX
from services.detector.engine.customer.layout import CASE_WORDS, WORDS

AT_RECORDS, AT_POOL, AT_META, AT_OUT, AT_OUTF, AT_COUNTS, AT_CALENDAR, FRAME_WORDS = range(8)
"""Words of a frame: where the tables of a partition begin."""
FAILED = -1
"""What a call gives when the code that was called gave up."""
JUDGE_ARGUMENTS = 12
"""(frame, parameters, s, case, at, day, log, occurred, key, key_at, flags, n) → the next free row of findings."""
QUICK_ARGUMENTS = 7
"""(frame, parameters, s, case, at, day, flags) → 0 when the rule cannot fire."""
MAY_RAISE, IS_HISTORY, IS_SWEEP, HAS_WAITED = 1, 2, 4, 8
"""Bits of `flags`. IS_SWEEP: at a nominal hour of an immediate rule. HAS_WAITED: the wait after an event is over."""
EVENT_SHIFT = 8
"""From this bit on `flags` says what is judged: 0 an hour or a due time, else the kind of the event and 1."""
AT_BILL, AT_ORDER = 5, 6
CALENDAR_WORDS = 8
"""What `calendars.calendar_of` tells of the day of a nominal hour."""
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


def _call_quick(_: Any, code: Any, frame: Any, p: Any, s: Any, case: Any, at: Any, day: Any, flags: Any) -> Any:
    return _call((code, frame, p, s, case, at, day, flags))


def _view(context: Any, builder: Any, type_: Any, address: Any, shape: list[Any]) -> Any:
    """Return an array over memory that somebody else owns. shape: rows, and columns where it has them."""
    make: Any = context.make_array(type_)
    array = make(context, builder)
    size = ir.Constant(ir.IntType(64), context.get_abi_sizeof(context.get_data_type(type_.dtype)))
    strides = [size] if len(shape) == 1 else [builder.mul(shape[1], size), size]
    data = builder.inttoptr(address, context.get_data_type(type_.dtype).as_pointer())
    populate: Any = populate_array
    populate(array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
    return array._getvalue()


def _word_of(builder: Any, frame: Any, which: Any) -> Any:
    words = builder.inttoptr(frame, ir.IntType(64).as_pointer())
    return builder.load(builder.gep(words, [which]))


def _whole(number: int) -> Any:
    return ir.Constant(ir.IntType(64), number)


def _table_of(item: Any, which: int, columns: int) -> Any:
    """An intrinsic (frame) → the table of a frame whose columns are known."""

    def typed(_: Any, frame: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address = _word_of(builder, arguments[0], _whole(which))
            return _view(context, builder, signature.return_type, address, [_whole(_ROWS), _whole(columns)])

        return types.Array(item, 2, "C")(types.int64), generate

    return intrinsic(typed)


def _integers_of(_: Any, frame: Any, which: Any, rows: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _word_of(builder, arguments[0], arguments[1])
        return _view(context, builder, signature.return_type, address, [arguments[2]])

    return types.Array(types.int64, 1, "C")(types.int64, types.int64, types.int64), generate


def _parameters_of(_: Any, address: Any, rows: Any, columns: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _view(context, builder, signature.return_type, arguments[0], [arguments[1], arguments[2]])

    return types.Array(types.float64, 2, "C")(types.int64, types.int64, types.int64), generate


def _set_table(_: Any, frame: Any, which: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        words = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store(arguments[2], builder.gep(words, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


def _new_frame(_: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        words = ir.ArrayType(ir.IntType(64), FRAME_WORDS)
        allocate: Any = cgutils.alloca_once
        return builder.ptrtoint(allocate(builder, words), ir.IntType(64))

    return types.int64(), generate


new_frame: Any = intrinsic(_new_frame)
"""new_frame(): the address of a frame that lasts as long as the function that asks; only for entries, not for what is
compiled into them."""
call_judge: Any = intrinsic(_call_judge)
call_quick: Any = intrinsic(_call_quick)
records_of: Any = _table_of(types.int32, AT_RECORDS, WORDS)
pool_of: Any = _table_of(types.int32, AT_POOL, CASE_WORDS)
findings_of: Any = _table_of(types.int64, AT_OUT, INTEGERS)
figures_of: Any = _table_of(types.float64, AT_OUTF, NUMBERS_MAX)
"""Of a frame: records of customers, pool of cases, integers and numbers of findings."""
integers_of: Any = intrinsic(_integers_of)
"""integers_of(frame, which, rows): AT_META, AT_COUNTS or AT_CALENDAR."""
parameters_of: Any = intrinsic(_parameters_of)
"""parameters_of(address, rows, columns): the values of one rule."""
set_table: Any = intrinsic(_set_table)
"""set_table(frame, which, address): another table, which must stay there as long as the frame is used."""


@inlined
def fill_frame(frame: Any, st: Any, pool: Any, meta: Any, out: Any, outf: Any, counts: Any, calendar: Any) -> None:
    """Put into a frame where these tables are."""
    set_table(frame, AT_RECORDS, st.ctypes.data)
    set_table(frame, AT_POOL, pool.ctypes.data)
    set_table(frame, AT_META, meta.ctypes.data)
    set_table(frame, AT_OUT, out.ctypes.data)
    set_table(frame, AT_OUTF, outf.ctypes.data)
    set_table(frame, AT_COUNTS, counts.ctypes.data)
    set_table(frame, AT_CALENDAR, calendar.ctypes.data)
