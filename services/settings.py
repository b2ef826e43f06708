"""Environment to frozen settings: one dataclass per service, read once, all faults reported together.

A field `lease_seconds` of a class read with prefix `WORKBENCH` comes from KAIROS_WORKBENCH_LEASE_SECONDS; a field made
with `shared("KAFKA_BOOTSTRAP")` comes from KAIROS_KAFKA_BOOTSTRAP. A field without a default is required.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Secret(str):
    """A text that never shows itself: repr gives ***."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


class SettingsRefused(ValueError):
    """Some settings are missing or malformed; `faults` has one sentence each. The process must not start."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def shared(name: str, *, default: Any = dataclasses.MISSING) -> Any:
    """A field whose variable is KAIROS_<name>, whatever the service's prefix."""
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata={"variable": f"KAIROS_{name}"})
    return dataclasses.field(default=default, metadata={"variable": f"KAIROS_{name}"})


def read_settings(cls: type[T], prefix: str, environ: Mapping[str, str] | None = None) -> T:
    """Build `cls` (a frozen dataclass) from the environment; an empty variable counts as unset.

    Raises SettingsRefused with every fault, including a ValueError that the class raises about its values.
    """
    env = os.environ if environ is None else environ
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # callers pass dataclasses
        variable = field.metadata.get("variable", f"KAIROS_{prefix}_{field.name.upper()}")
        text = env.get(variable, "")
        if not text:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                faults.append(f"{variable} is required ({field.name})")
            continue
        try:
            values[field.name] = _convert(text, hints[field.name])
        except ValueError as exc:
            faults.append(f"{variable}={'***' if hints[field.name] is Secret else text!r}: {exc}")
    if faults:
        raise SettingsRefused(faults)
    try:
        return cls(**values)
    except ValueError as exc:
        raise SettingsRefused([str(exc)]) from exc


def _convert(text: str, wanted: Any) -> Any:
    if typing.get_origin(wanted) in (types.UnionType, typing.Union):
        wanted = next(arg for arg in typing.get_args(wanted) if arg is not type(None))
    if wanted is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ValueError("want true or false")
    if wanted in (int, float):
        try:
            return wanted(text)
        except ValueError:
            raise ValueError(f"want {'a whole number' if wanted is int else 'a number'}") from None
    if typing.get_origin(wanted) is tuple:
        inner = typing.get_args(wanted)[0]
        return tuple(_convert(part.strip(), inner) for part in text.split(",") if part.strip())
    if wanted in (str, Secret, Path):
        return wanted(text)
    if typing.get_origin(wanted) is typing.Literal:
        if text in typing.get_args(wanted):
            return text
        raise ValueError(f"want one of {', '.join(map(str, typing.get_args(wanted)))}")
    raise AssertionError(f"settings cannot be of type {wanted}")
