"""Reading and writing memory by address, for what every event runs. Compiled code only.

Numba counts references of every array that a function is given, on every way out of it; with ten columns and as many
early returns that costs more than the work. An entry takes `array.ctypes.data` once, keeps the array alive, and passes
integers. Nothing is checked: whoever computes an address has checked the index.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_LONG = ir.IntType(64)


def _load(bits: int, *, is_signed: bool) -> Callable[[Any, Any], Any]:
    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer, align=1)
            if bits == 64:
                return value
            return builder.sext(value, _LONG) if is_signed else builder.zext(value, _LONG)

        return types.int64(types.int64), generate

    return load


def _store(bits: int) -> Callable[[Any, Any, Any], Any]:
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            value = arguments[1] if bits == 64 else builder.trunc(arguments[1], ir.IntType(bits))
            builder.store(value, pointer, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return store


byte_at: Any = intrinsic(_load(8, is_signed=False))
"""byte_at(address) -> int64: the byte there, 0..255."""
int32_at: Any = intrinsic(_load(32, is_signed=True))
"""int32_at(address) -> int64."""
int64_at: Any = intrinsic(_load(64, is_signed=True))
"""int64_at(address) -> int64; little-endian, as the machine has it."""
put_byte: Any = intrinsic(_store(8))
"""put_byte(address, value): the lowest eight bits of an int64."""
put_int32: Any = intrinsic(_store(32))
"""put_int32(address, value): the lowest 32 bits of an int64."""
put_int64: Any = intrinsic(_store(64))
"""put_int64(address, value)."""
