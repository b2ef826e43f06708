"""What the machine code of a compiled function follows from: its bytecode and everything that the bytecode refers to.

Numba freezes globals into the code it makes, and compiles what a function calls into it. So the code is named by the
values of those globals and, through its callees, by theirs: a change of a word in the layout names every function
anew that reads the word, and no other. What cannot be described for sure is refused, so stale code cannot be found.
"""

import builtins
import dis
import hashlib
import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.types import Type
from numba.extending import _Intrinsic  # type: ignore[attr-defined]

_COMPILERS = ("numpy", "numba", "llvmlite", "math", "builtins")
"""Packages that are described by their name: their versions name the folder of the cache."""
_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic)


class Indescribable(TypeError):
    """A global of a compiled function whose value cannot be described for sure."""


def fingerprint(function: Callable[..., Any], options: Any = None) -> str:
    """Return a hash of all that the machine code of a function follows from."""
    return _Describer().function(function, repr(options))


class _Describer:
    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def function(self, function: Callable[..., Any], options: str) -> str:
        """Return the hash of a plain function. One that is being described already (a recursion) is its name."""
        if id(function) in self._known:
            return self._known[id(function)]
        self._known[id(function)] = function.__qualname__
        assert isinstance(function, FunctionType)
        digest = hashlib.sha256(options.encode())
        for each in (*_code(function.__code__, function.__doc__), repr(function.__defaults__), *self._cells(function)):
            digest.update(each.encode() + b"\n")
        names, attributes = _loaded(function.__code__)
        for name in sorted(names):
            if name in function.__globals__:
                found = self.value(function.__globals__[name], attributes)
            elif hasattr(builtins, name):
                found = "builtin"
            else:
                raise Indescribable(f"{function.__qualname__} refers to {name}, which is not there")
            digest.update(f"{name}={found}\n".encode())
        self._known[id(function)] = digest.hexdigest()
        return self._known[id(function)]

    def value(self, value: Any, attributes: frozenset[str]) -> str:
        """Describe a global; of a module, the attributes that the code could mean."""
        if isinstance(value, Dispatcher):
            return self.function(value.py_func, repr(sorted(value.targetoptions.items(), key=lambda item: item[0])))
        if isinstance(value, _Intrinsic):
            return _intrinsic(value._defn)
        if isinstance(value, _PLAIN):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, tuple):
            return f"({','.join(self.value(each, attributes) for each in value)})"
        if isinstance(value, np.ndarray):
            return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        if isinstance(value, ModuleType):
            return self._module(value, attributes)
        if isinstance(value, Type):
            return str(value)
        if isinstance(value, type | BuiltinFunctionType | FunctionType | np.ufunc):
            home = getattr(value, "__module__", None) or "numpy"
            if home.split(".")[0] in _COMPILERS:
                return f"{home}.{value.__name__}"
        raise Indescribable(f"{value!r} of {type(value).__name__}")

    def _module(self, module: ModuleType, attributes: frozenset[str]) -> str:
        if module.__name__.split(".")[0] in _COMPILERS:
            return module.__name__
        found = {name: getattr(module, name) for name in sorted(attributes) if hasattr(module, name)}
        return repr({name: self.value(value, attributes) for name, value in found.items()})

    def _cells(self, function: FunctionType) -> Iterator[str]:
        for cell in function.__closure__ or ():
            yield self.value(cell.cell_contents, frozenset())


def _code(code: CodeType, about: str | None = None) -> Iterator[str]:
    """Yield what a code object consists of, without its docstring and its line numbers."""
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars, code.co_argcount, code.co_flags))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:
            yield "about" if constant == about else f"{type(constant).__name__} {constant!r}"


@lru_cache(maxsize=4_096)
def _loaded(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of globals, and those of attributes, that the bytecode loads, nested functions included."""
    names, attributes = set(), set()
    for each in dis.get_instructions(code):
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(each.argval)
        elif each.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(each.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner_names, inner_attributes = _loaded(constant)
            names |= inner_names
            attributes |= inner_attributes
    return frozenset(names), frozenset(attributes)


def _intrinsic(definition: FunctionType) -> str:
    """Describe what writes machine code itself: the text of its file, and the numbers and words that it imports."""
    found = {
        name: value
        for name, value in sorted(definition.__globals__.items())
        if isinstance(value, _PLAIN) and not name.startswith("__")
    }
    return f"{_text_of(inspect.getfile(definition))} {found!r}"


@lru_cache(maxsize=64)
def _text_of(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
