"""Metrics are declared before they are used, topics are those of the file, and test files have names of their own."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.topics import load_topics
from tests.architecture.source import ROOT, modules

METRIC = re.compile(r"^kairos_[a-z]+_[a-z0-9_]+$")
UNITS = ("_seconds", "_bytes", "_ratio", "_total")
PERSONAL_LABELS = {"customer", "customer_id", "manager", "manager_id", "task", "task_id", "phone", "token"}
TOPIC = re.compile(r"^kairos\.[a-z][a-z-]*(?:\.[a-z]+)?\.v\d+$")
RECORD_NAMESPACES = {
    "kairos.control.v1",
    "kairos.state.v1",
    "kairos.tasks.v1",
    "kairos.workbench.v1",
    "kairos.ingest.v1",
}


def declared() -> Iterator[tuple[str, str, ast.Call]]:
    """(service, metric name, call) of every metric declared in a metrics.py."""
    for module in modules():
        if module.path.endswith("/metrics.py"):
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                    name = node.args[0].value
                    if isinstance(name, str) and METRIC.match(name):
                        yield module.name.split(".")[1], name, node


@pytest.mark.parametrize(
    ("service", "name", "call"), list(declared()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_metric_says_service_unit_help_and_no_person(service: str, name: str, call: ast.Call) -> None:
    prefix = {"workbench_api": "workbench"}.get(service, service)
    assert name.startswith(f"kairos_{prefix}_")
    is_counter = isinstance(call.func, ast.Name) and call.func.id == "Counter"  # the library appends _total
    assert is_counter or name.endswith((*UNITS, "s")) or "_is_" in name, "the unit, or what is counted, comes last"
    assert len(call.args) >= 2, "help is the second argument"
    labels = {
        e.value for arg in call.args[2:] if isinstance(arg, ast.List) for e in arg.elts if isinstance(e, ast.Constant)
    }
    assert not labels & PERSONAL_LABELS


def test_metrics_that_are_read_are_declared() -> None:
    names = {name for _, name, _ in declared()}
    suffixed = names | {f"{name}{suffix}" for name in names for suffix in ("_bucket", "_sum", "_count", "_total")}
    unknown = {
        (module.path, text)
        for module in modules()
        if not module.path.endswith("/metrics.py")
        for text in module.strings()
        if METRIC.match(text)
        and text.removeprefix("kairos_").split("_")[0] in ("ingest", "detector", "router", "workbench")
        and text not in suffixed
    }
    assert not unknown


def test_every_topic_in_the_code_is_in_the_file() -> None:
    known = set(load_topics()) | RECORD_NAMESPACES
    unknown = {(m.path, text) for m in modules() for text in m.strings() if TOPIC.match(text) and text not in known}
    assert not unknown


def test_every_topic_of_the_file_is_used_by_who_it_says() -> None:
    """A producer or consumer that the file names has the topic's name, or that of its constant, in its code."""
    unused = []
    for topic in load_topics().values():
        for service in {*topic.producers, *topic.consumers}:
            folder = {"rules": "detector"}.get(service, service)
            texts = [text for m in modules() if m.path.startswith(f"services/{folder}/") for text in m.strings()]
            if topic.name not in texts and not _named_by_constant(topic.name, folder):
                unused.append((topic.name, service))
    assert not unused


def test_test_files_have_names_of_their_own() -> None:
    """pytest takes the file's name for the module's: two of the same name collide."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, count in names.items() if count > 1]


def test_no_file_outgrows_its_reader() -> None:
    long = [(m.path, len((ROOT / m.path).read_text(encoding="utf-8").splitlines())) for m in modules()]
    assert not [(path, lines) for path, lines in long if lines > 600]


def _named_by_constant(topic: str, folder: str) -> bool:
    """True when the service takes the name from a constant or table in schemas/."""
    words = topic.removeprefix("kairos.").removesuffix(".v1").replace(".", "-").split("-")
    constant = "_".join(words).upper()
    sources = [
        Path(ROOT / m.path).read_text(encoding="utf-8") for m in modules() if m.path.startswith(f"services/{folder}/")
    ]
    return any(constant in source or "schemas.events" in source for source in sources)
