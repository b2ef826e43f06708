"""Numba behind one name: where machine code is kept, and how generated modules become importable.

Machine code is kept per function, in a file that is named by its `fingerprint`: an edit compiles what follows from it
anew and nothing else, and there is no code on disk that could be stale. Kernels check no bounds; with
NUMBA_BOUNDSCHECK=1 all do, and an index out of range is an IndexError (`make soak` runs a long log so).
"""

import contextlib
import hashlib
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import llvmlite
import numba
import numpy as np
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from services.detector.engine.codegen.fingerprint import fingerprint

F = TypeVar("F", bound=Callable[..., Any])
_CACHE_VARIABLE = "KAIROS_CACHE_DIR"
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
"""No references are counted: callers hold all tables, and no kernel makes or returns one. To count one is an atomic
instruction, which waits until all memory that was asked for has come: half of the time of an event."""
_FOLDERS_KEPT = 3
"""Folders of compiler versions that stay; older ones are removed."""
_FILES_KEPT = 6_000
"""Files that stay in a folder; beyond, those go that were not used for longest."""


def cache_dir() -> Path:
    """Folder of compiled kernels: KAIROS_CACHE_DIR, else ~/.cache/kairos, else a folder of this user under /tmp.

    Read here because kernels are bound at import, before any settings exist.
    """
    wished = os.environ.get(_CACHE_VARIABLE)
    places = [Path(wished)] if wished else [Path.home() / ".cache" / "kairos"]
    places.append(Path(tempfile.gettempdir()) / f"kairos-cache-{os.getuid()}")
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    raise OSError(f"no writable folder for compiled kernels; set {_CACHE_VARIABLE}")


def _folder() -> Path:
    """Return the folder of these versions of the compilers; folders of other versions go once there are many."""
    versions = f"{numba.__version__} {llvmlite.__version__} {np.__version__} {sys.version}"
    place = cache_dir() / f"kernels-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"
    place.mkdir(exist_ok=True)
    with contextlib.suppress(OSError):  # another process tidies up at the same time
        os.utime(place)
        folders = sorted(place.parent.glob("kernels-*"), key=lambda folder: folder.stat().st_mtime)
        for old in folders[:-_FOLDERS_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return place


CACHE = _folder()


def drop_unused(folder: Path, most: int) -> None:
    """Remove the files that were not used for longest, beyond `most`."""
    with contextlib.suppress(OSError):
        files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[: max(len(files) - most, 0)]:
            file.unlink(missing_ok=True)


class _MachineCode(_Cache):
    """The machine code of one function on disk, a file per signature."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function = function
        self._options = sorted(options.items())
        self._fingerprint = ""

    @property
    def cache_path(self) -> str:
        """The folder, as numba asks for it."""
        return str(CACHE)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function for a signature; None when it must be compiled."""
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        rebuild: Any = CompileResult._rebuild
        try:
            found = pickle.loads(path.read_bytes())  # noqa: S301  # our own folder
            os.utime(path)
            return rebuild(target_context, *found)
        except Exception:  # noqa: BLE001  # a file may be damaged in any way: it is written anew
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function."""
        if data.library.has_dynamic_globals or any(not each.can_cache for each in data.lifted):
            return
        path = self._path(sig, data.codegen)
        part = path.with_suffix(f".{os.getpid()}.part")
        as_bytes: Any = dumps
        with contextlib.suppress(OSError):  # a full disk costs the next start its time, no rule its validity
            part.write_bytes(as_bytes(data._reduce()))
            part.replace(path)
        drop_unused(CACHE, _FILES_KEPT)

    def enable(self) -> None:
        """Always on."""

    def disable(self) -> None:
        """Always on."""

    def flush(self) -> None:
        """Nothing is kept that could be stale."""

    def _path(self, sig: Any, codegen: Any) -> Path:
        if not self._fingerprint:  # not before all globals are bound
            self._fingerprint = fingerprint(self._function, self._options)
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        checks = " bounds" if numba.config.BOUNDSCHECK else ""  # type: ignore[attr-defined]
        told = f"{name} {self._fingerprint} {sig} {codegen.magic_tuple()}{checks}"
        key = hashlib.sha256(told.encode()).hexdigest()[:24]
        return CACHE / f"{name.rsplit('.', 2)[-2]}.{self._function.__name__}-{key}.nbc"


def _compiled(function: F, **options: Any) -> F:
    options = {**_OPTIONS, **options}
    dispatcher: Any = numba.njit(**options)(function)
    dispatcher._cache = _MachineCode(function, options)
    compiled: F = dispatcher
    return compiled


def kernel(function: F) -> F:
    """Compile a function to machine code on first use; kept on disk, runs without the interpreter lock.

    For functions that only compiled code calls: they have no way in from Python, which is half of the compiler's work.
    """
    return _compiled(function, no_cpython_wrapper=True)


def inlined(function: F) -> F:
    """Compile a function into its callers, for what every event runs: passing tables costs as much as the work."""
    return _compiled(function, no_cpython_wrapper=True, forceinline=True)


def entry(function: F) -> F:
    """Compile a function that Python calls; otherwise as `kernel`."""
    return _compiled(function)


def address(function: Any, arguments: int) -> int:
    """Compile a kernel for so many whole numbers; return where its code begins. It stays as long as the function."""
    signature = (numba.types.int64,) * arguments
    function.compile(signature)
    result = function.overloads[signature]
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


def generated_module(name: str, text: str) -> ModuleType:
    """Return a module made of this text; the same text gives the same file."""
    full_name = f"kairos_{name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    path = CACHE / f"{full_name}.py"  # to be read by people; what is run is the text
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part")
        with contextlib.suppress(OSError):
            part.write_text(text, encoding="utf-8")
            part.replace(path)
    module = ModuleType(full_name)
    module.__file__ = str(path)
    sys.modules[full_name] = module
    exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102  # written by this release
    return module
