"""Which migration files are accepted and which are still to apply; values and files only."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.transport.postgres import MigrationRefused, plan_migrations, read_migrations


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.sql").write_text(text)
    return tmp_path


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    found = read_migrations("s", folder(tmp_path, **{"0002_b": "SELECT 2", "0001_a": "SELECT 1"}))
    assert [(each.number, each.name) for each in found] == [(1, "0001_a.sql"), (2, "0002_b.sql")]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["1_a"], "not NNNN_words"),
        (["0001_A"], "not NNNN_words"),
        (["0001_a", "0003_c"], "expected number 0002"),
        (["0001_a", "0001_b"], "expected number 0002"),
        (["0002_a"], "expected number 0001"),
    ],
)
def test_wrong_names_and_gaps_are_refused(tmp_path: Path, names: list[str], reason: str) -> None:
    with pytest.raises(MigrationRefused, match=reason):
        read_migrations("s", folder(tmp_path, **dict.fromkeys(names, "SELECT 1")))


def test_only_what_is_not_applied_is_planned(tmp_path: Path) -> None:
    first, second = read_migrations("s", folder(tmp_path, **{"0001_a": "SELECT 1", "0002_b": "SELECT 2"}))
    assert plan_migrations("s", [first, second], {1: (first.name, first.sha256)}) == [second]


def test_changed_file_is_refused_by_name(tmp_path: Path) -> None:
    [first] = read_migrations("s", folder(tmp_path, **{"0001_a": "SELECT 1"}))
    with pytest.raises(MigrationRefused, match=r"0001_a\.sql: was applied .* with other text; add a new file instead"):
        plan_migrations("s", [first], {1: (first.name, "other")})


def test_newer_version_of_the_database_is_left_alone(tmp_path: Path) -> None:
    [first] = read_migrations("s", folder(tmp_path, **{"0001_a": "SELECT 1"}))
    assert plan_migrations("s", [first], {1: (first.name, first.sha256), 2: ("0002_b.sql", "x")}) == []
