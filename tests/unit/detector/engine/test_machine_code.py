"""What machine code is named by, how compiled loops call compiled rules, and what is kept on disk."""

import importlib
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.detector.engine.codegen import calls, hooks, jit
from services.detector.engine.codegen.fingerprint import Indescribable, fingerprint
from services.detector.engine.codegen.generate import rule_text
from services.detector.engine.codegen.hooks import TooManyRules, findings_at_once, hooks_of
from services.detector.engine.codegen.jit import address, drop_unused, entry, kernel
from services.detector.engine.codegen.writing import HEAD
from services.detector.engine.customer.case_layout import ORDERS_KEPT
from services.detector.engine.customer.layout import COMPLAINTS_KEPT, WORDS
from services.detector.engine.language.rule_forms import Rule
from services.detector.engine.rule_set import compile_rule_set
from tests.reference.logs import shipped, shipped_documents

TEXT = '''
import numpy as np
from numba import njit

LIMIT = 3
TABLE = np.array([1, 2])
OTHER = 4


@njit
def callee(x):
    """Text about it."""
    return x + LIMIT + TABLE[0]


@njit
def caller(x):
    return callee(x) * 2
'''


def named(text: str, name: str = "caller") -> str:
    """The fingerprint of a function of this text."""
    module: dict[str, Any] = {"__name__": "somewhere"}
    exec(compile(textwrap.dedent(text), "somewhere.py", "exec"), module)
    return fingerprint(module[name].py_func)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 5"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("[1, 2]", "[1, 3]"),
        ("[1, 2]", "[1, 2], np.int32"),
        ("x + LIMIT", "x - LIMIT"),
        ("x + LIMIT", "x + OTHER"),
        ("* 2", "* 3"),
        ("@njit\ndef callee", "@njit(fastmath=True)\ndef callee"),
        ("def callee(x)", "def callee(x, y=1)"),
    ],
    ids=["global", "type", "table", "table-type", "callee", "another-global", "caller", "options", "arguments"],
)
def test_machine_code_is_named_anew_when_anything_that_it_follows_from_changes(old: str, new: str) -> None:
    assert old in TEXT
    assert named(TEXT.replace(old, new)) != named(TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [("OTHER = 4", "OTHER = 5"), ("Text about it", "Better text about it"), ("LIMIT = 3\n", "\n\n\nLIMIT = 3\n")],
    ids=["unused-global", "docstring", "lines"],
)
def test_machine_code_keeps_its_name_otherwise(old: str, new: str) -> None:
    assert old in TEXT
    assert named(TEXT.replace(old, new)) == named(TEXT)


@pytest.mark.parametrize("value", ["[1, 2]", "{1: 2}", "open", "object()"])
def test_what_cannot_be_described_is_refused(value: str) -> None:
    with pytest.raises(Indescribable):
        named(TEXT.replace("LIMIT = 3", f"LIMIT = {value}"))


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(Indescribable, match="LIMIT"):
        named(TEXT.replace("LIMIT = 3", ""))


def _reads_a_record(frame: Any) -> Any:
    return calls.records_of(frame)


def test_what_writes_machine_code_is_named_by_the_words_that_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a record that grows is read with its old length by code that was kept."""
    before = fingerprint(_reads_a_record)
    monkeypatch.setattr(calls, "WORDS", WORDS + 2)
    assert fingerprint(_reads_a_record) != before


def test_the_names_that_generated_modules_import_are_unambiguous() -> None:
    found: dict[str, Any] = {}
    modules = re.findall(r"from (\S+) import \*", HEAD)
    assert len(modules) == 12
    for name in modules:
        for word, value in vars(importlib.import_module(name)).items():
            if not word.startswith("_"):
                assert found.setdefault(word, value) == value, word


def rule(rule_id: str = "AN4") -> Rule:
    """A shipped rule."""
    return next(each for each in shipped().rules if each.id == rule_id)


def test_a_rule_is_the_same_code_in_every_rule_set() -> None:
    alone = compile_rule_set({"an4.yaml": shipped_documents()["rules/an4.yaml"]}, "alone@1")
    together = shipped()
    entries = [
        {tuple(row[[hooks.JUDGE, hooks.QUICK]]) for row in each.hooks[hooks.FIRST_ENTRY :]}
        for each in (alone, together)
    ]
    assert entries[0] < entries[1]
    assert alone.hooks[hooks.GENERAL, hooks.END] != together.hooks[hooks.GENERAL, hooks.END]  # one has a risk card


def quick_of(*changes: tuple[str, str], rule: str = "an4") -> str:
    """The text of what an event asks a changed rule first."""
    text = shipped_documents()[f"rules/{rule}.yaml"]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    changed = compile_rule_set({f"{rule}.yaml": text}, "changed@1").rules[0]
    return rule_text(changed).split("def _quick")[1].split("@kernel")[0]


def test_events_ask_cheap_conditions_first_and_compute_only_what_these_leave() -> None:
    quick = quick_of(("balance_fen < limit AND NOT auto_pay", "mean_daily_charge > 5 AND NOT auto_pay"))
    assert quick.index("AUTO_PAY") < quick.index("continue") < quick.index("day_sum")
    assert "GREATEST" not in quick
    assert "max(" not in quick


def test_parts_of_a_condition_are_asked_in_the_order_of_their_cost_at_every_depth() -> None:
    quick = quick_of(
        ("balance_fen < limit AND NOT auto_pay", "mean_daily_charge > 5 OR balance_fen < 7 AND NOT auto_pay")
    )
    assert quick.index("AUTO_PAY") < quick.index("day_sum")


def test_a_choice_is_one_condition_whatever_its_last_branch_joins() -> None:
    choice = "CASE WHEN auto_pay THEN balance_fen < 5 ELSE balance_fen < limit AND balance_fen < floor END"
    quick = quick_of(("balance_fen < limit AND NOT auto_pay", choice))
    assert quick.count("continue") == 1
    assert " if (st[s, FLAGS] & AUTO_PAY != 0) else " in quick


def test_room_for_findings_follows_from_the_rules() -> None:
    assert findings_at_once([rule("AN1")]) == 2 * COMPLAINTS_KEPT + 1
    assert findings_at_once([rule("FT1")]) > ORDERS_KEPT  # all that wait may be due at one tick
    with pytest.raises(TooManyRules, match="could find"):
        hooks_of([rule("AN1")] * 200, shipped().card)


@kernel
def _fails(frame: Any, p: Any, s: Any, case: Any, at: Any, day: Any, log: Any, occurred: Any, key: Any, key_at: Any,
           flags: Any, n: Any) -> Any:  # fmt: skip
    if s == 3:
        raise ValueError
    return n + s


@entry
def _call(code: Any, s: Any) -> Any:
    zero = np.int64(0)
    return calls.call_judge(code, zero, zero, s, zero, zero, zero, zero, zero, zero, zero, zero, np.int64(10))


def test_a_call_that_fails_says_so_and_harms_nothing_else() -> None:
    code = address(_fails, calls.JUDGE_ARGUMENTS)
    assert [_call(code, s) for s in (1, 3, 4)] == [11, calls.FAILED, 14]


def test_files_that_were_not_used_for_longest_go_first(tmp_path: Path) -> None:
    for age in range(5):
        file = tmp_path / f"f{age}"
        file.write_text("")
        os.utime(file, (1_000_000 - age, 1_000_000 - age))
    drop_unused(tmp_path, 2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["f0", "f1"]


def _twice(x: Any) -> Any:
    return x + x


def test_code_that_cannot_be_kept_is_made_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is full."""
    monkeypatch.setattr(jit, "CACHE", tmp_path / "gone")
    assert entry(_twice)(21) == 42
    assert jit.generated_module("kept_nowhere", "ANSWER = 42").ANSWER == 42


def test_kept_code_that_is_damaged_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "CACHE", tmp_path)
    assert entry(_twice)(4) == 8
    (kept,) = tmp_path.glob("*.nbc")
    kept.write_bytes(kept.read_bytes()[:-9] + b"x" * 9)
    assert entry(_twice)(5) == 10
    kept.write_bytes(b"cos\nnothing\n.")
    assert entry(_twice)(6) == 12
