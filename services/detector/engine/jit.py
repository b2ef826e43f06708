"""Numba behind one name: where compiled code is kept, and how generated modules become importable.

Numba's disk cache knows the file of a function but not what that function calls in other files. So the cache folder is
named by the text of all engine modules and the versions of the compilers: a change anywhere starts a folder of its own.
"""

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import llvmlite
import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
_CACHE_VARIABLE = "KAIROS_CACHE_DIR"
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_HERE = Path(__file__).resolve().parent


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


def fingerprint() -> str:
    """Return a short hash of every engine module's text and of the compilers' versions."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__} {np.__version__} {sys.version}".encode())
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


FINGERPRINT = fingerprint()
CACHE = cache_dir() / f"kernels-{FINGERPRINT}"
CACHE.mkdir(exist_ok=True)
numba.config.CACHE_DIR = str(CACHE)  # type: ignore[attr-defined]  # set at run time


def kernel(function: F) -> F:
    """Compile a function to machine code on first use; kept on disk, runs without the interpreter lock.

    For functions that only compiled code calls: they have no way in from Python, which is half of the compiler's work.
    """
    compiled: F = numba.njit(**{**_OPTIONS, "no_cpython_wrapper": True})(function)
    return compiled


def inlined(function: F) -> F:
    """Compile a function into its callers, for what every event runs: passing tables costs as much as the work."""
    compiled: F = numba.njit(**{**_OPTIONS, "no_cpython_wrapper": True, "forceinline": True})(function)
    return compiled


def entry(function: F) -> F:
    """Compile a function that Python calls; otherwise as `kernel`."""
    compiled: F = numba.njit(**_OPTIONS)(function)
    return compiled


def generated_module(name: str, text: str) -> ModuleType:
    """Return a module made of this text; the same text gives the same file, so its machine code is found again."""
    full_name = f"kairos_{name}_{hashlib.sha256((FINGERPRINT + text).encode()).hexdigest()[:16]}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    path = CACHE / f"{full_name}.py"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    spec = importlib.util.spec_from_file_location(full_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[full_name] = module
    spec.loader.exec_module(module)
    return module
