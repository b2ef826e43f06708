"""A draft beside live: what is alike is counted, what is not is told once per moment, customer by customer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.detector.authoring.rules_commands import app
from services.detector.records.decode import decode_chunk
from services.detector.stored.comparing import CHANGED, ONLY_DRAFT, ONLY_LIVE, Comparison
from services.detector.stored.shadow import beside
from services.detector.stored.shadow_commands import parse_duration
from tests.reference.logs import MONDAY, Log, local, raw_records, run_engine, shipped


def moment(moment_id: str, revision: int = 1, **fields: Any) -> dict[str, Any]:
    """A moment with defaults for all that is not given."""
    body = {"customer_id": 7, "rule_id": "AN4", "rule_version": "a@1", "priority": 2}
    return {**body, "moment_id": moment_id, "revision": revision, **fields}


def test_what_both_find_is_counted_whatever_the_version() -> None:
    found = Comparison()
    found.take_live(moment("m"))
    found.take_draft(moment("m", rule_version="draft@0"))
    assert found.same == {"AN4": 1}
    assert list(found.differences()) == []


def test_differences_are_by_customer_and_moment() -> None:
    found = Comparison()
    found.take_draft(moment("b", customer_id=9))
    found.take_live(moment("a", 1, customer_id=3))
    found.take_live(moment("a", 2, customer_id=3))
    found.take_live(moment("c"))
    found.take_draft(moment("c", priority=1))
    told = list(found.differences())
    assert [(each.customer_id, each.moment_id, each.what) for each in told] == [
        (3, "a", ONLY_LIVE), (7, "c", CHANGED), (9, "b", ONLY_DRAFT),
    ]  # fmt: skip
    assert told[0].live is not None
    assert told[0].live["revision"] == 2
    assert told[1].fields == ("priority",)


def test_a_revision_that_comes_twice_is_alike_twice() -> None:
    found = Comparison()
    for take in (found.take_live, found.take_live, found.take_draft, found.take_draft):
        take(moment("m"))
    assert found.same == {"AN4": 2}
    assert list(found.differences()) == []


def test_both_sides_begin_with_the_live_state() -> None:
    log = Log()
    log.tick(local(MONDAY, 8))
    log.profile(local(MONDAY, 9))
    log.event("balance", local(MONDAY, 10), balance_fen=100)
    _, partition = run_engine(log.entries)
    each, comparison = beside(partition), Comparison()
    log.event("balance", local(MONDAY, 11), balance_fen=50_000, reason="TOP_UP")
    draft = replace(shipped(), version="draft@0")
    rest = raw_records(log.entries)[3:]
    each.apply(decode_chunk(0, rest), {0: shipped()}, {0: draft}, comparison)
    assert comparison.same == {"AN4": 1}, "the open episode ends on both sides"
    assert list(comparison.differences()) == []
    assert each.next_offset == each.draft.next_offset == 4


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0.0), ("90s", 90.0), ("30m", 1_800.0), ("2h", 7_200.0), ("1d", 86_400.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["0s", "10", "1w", "-1m"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="--for wants"):
        parse_duration(text)


def test_a_shadow_never_overwrites_its_draft(tmp_path: Path) -> None:
    draft = tmp_path / "an4.yaml"
    draft.write_text("id: AN4", encoding="utf-8")
    done = CliRunner().invoke(app, ["shadow", "--rules", str(tmp_path), "--out", str(draft)])
    assert done.exit_code == 2
    assert "would overwrite what --rules reads" in done.stderr
    assert draft.read_text(encoding="utf-8") == "id: AN4"
