"""A hint to the processor: this word of a table will be needed soon.

Customers come in random order: without it every event waits for memory, with it the wait overlaps with other work.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_READ, _SECOND_LEVEL, _DATA = 0, 2, 1


def _prefetch(typing_context: Any, table: Any, row: Any, word: Any) -> Any:
    """Return the type and the code of a prefetch instruction, for a table of int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        stride = builder.extract_value(array.strides, 0)
        data = builder.ptrtoint(array.data, ir.IntType(64))
        size = ir.Constant(ir.IntType(64), 4)
        row_at = builder.mul(builder.sext(arguments[1], ir.IntType(64)), stride)
        word_at = builder.mul(builder.sext(arguments[2], ir.IntType(64)), size)
        address = builder.add(data, builder.add(row_at, word_at))
        byte_pointer, word_type = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint_type = ir.FunctionType(ir.VoidType(), [byte_pointer, word_type, word_type, word_type])
        insert: Any = cgutils.get_or_insert_function
        hint = insert(builder.module, hint_type, "llvm.prefetch.p0")
        flags = [ir.Constant(word_type, flag) for flag in (_READ, _SECOND_LEVEL, _DATA)]
        builder.call(hint, [builder.inttoptr(address, byte_pointer), *flags])
        return context.get_dummy_value()

    return types.void(table, types.int64, types.int64), generate


prefetch: Any = intrinsic(_prefetch)
"""prefetch(table, row, word): ask for the cache line of table[row, word]; never faults, whatever the row."""
