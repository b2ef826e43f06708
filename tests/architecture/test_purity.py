"""Pure modules decide with values alone: no clock, environment, log, metric, file, network or chance."""

from __future__ import annotations

import ast
from fnmatch import fnmatch

import pytest

from tests.architecture.source import Module, modules, within

PURE = (
    "services/detector/engine/*",
    "services/router/policy.py",
    "services/router/ranking.py",
    "services/router/capacity.py",
    "services/router/caps.py",
    "services/router/quiet_hours.py",
    "services/router/assignment.py",
    "services/router/decide.py",
    "services/workbench_api/tasks.py",
    "services/workbench_api/leases.py",
    "services/workbench_api/states.py",
    "services/workbench_api/access.py",
    "schemas/json_form/validation.py",
    "services/ingest/mapping.py",
)
IMPURE_LIBRARIES = (
    "aiokafka", "asyncio", "faust", "grpc", "http", "httpx", "kafka", "logging", "prometheus_client", "psycopg",
    "random", "requests", "secrets", "services.clock", "services.settings", "services.telemetry", "services.transport",
    "socket", "starlette", "subprocess", "threading", "time", "urllib.request",
)  # fmt: skip
READS_ENVIRONMENT = {
    "services/settings.py": "the one place for services",
    "services/clock.py": "KAIROS_CLOCK",
    "services/cli/main.py": "the language of the help",
    "services/*/commands.py": "defaults of options, for jobs that have no settings class",
    "services/manager/connection.py": "a person's client: options, then environment, then var/endpoints.json",
    "services/router/app.py": "the crash point of tests, refused in production",
    "services/detector/engine/codegen/jit.py": "numba's own variable for its cache folder",
    "services/stack/*": "hands the environment on to the processes it starts",
    "services/smoke/*": "hands the environment on to the stack it starts",
    "services/simulator/*": "hands the environment on",
}


@pytest.mark.parametrize(
    "module",
    [m for m in modules() if any(fnmatch(m.path, pattern) for pattern in PURE)],
    ids=lambda module: module.path,
)
def test_pure_module_imports_nothing_impure(module: Module) -> None:
    impure = [name for name in module.imports if any(within(name, library) for library in IMPURE_LIBRARIES)]
    assert not impure


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.path)
def test_environment_is_read_by_settings_only(module: Module) -> None:
    reads = [
        node.lineno
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert not reads or any(fnmatch(module.path, pattern) for pattern in READS_ENVIRONMENT), f"lines {reads}"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.path)
def test_no_naive_times(module: Module) -> None:
    """`utcnow` and `utcfromtimestamp` make datetimes without a zone."""
    assert not [
        n.lineno
        for n in ast.walk(module.tree)
        if isinstance(n, ast.Attribute) and n.attr.startswith("utc") and n.attr in ("utcnow", "utcfromtimestamp")
    ]
