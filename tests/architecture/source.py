"""The source tree as data: modules, their imports and string literals. Read once, with `ast`, importing nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TREES = ("schemas", "services")
GENERATED = ROOT / "schemas" / "rpc"


@dataclass(frozen=True)
class Module:
    """One file: dotted name, path from the root, syntax tree, and every module it imports anywhere in it."""

    name: str
    path: str
    tree: ast.Module
    imports: frozenset[str]

    def docstring_only(self) -> bool:
        return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in self.tree.body)

    def strings(self) -> Iterator[str]:
        """Every string literal, parts of f-strings included."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@cache
def modules() -> tuple[Module, ...]:
    """All modules of the product, by path."""
    paths = sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py") if GENERATED not in path.parents)
    return tuple(_module(path) for path in paths)


def _module(path: Path) -> Module:
    relative = path.relative_to(ROOT)
    parts = relative.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(relative))
    return Module(name, str(relative), tree, frozenset(_imports(tree)))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    """True for the package itself and everything in it."""
    return name == package or name.startswith(f"{package}.")
