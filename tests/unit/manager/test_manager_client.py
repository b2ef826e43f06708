"""The terminal client without a terminal: texts, numbers, the card, where it connects, how it backs off."""

import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from kairos.workbench.v1 import manager_pb2, task_pb2
from rich.console import Console

from services.manager import screen, texts
from services.manager.api import Backoff
from services.manager.connection import ConnectionRefused, find_connection
from services.manager.texts import DISPOSITIONS, REASONS, amount, language_of_locale, text
from services.transport.tokens import KEY_FILE, verify

KEY = bytes(range(32))


def _task() -> task_pb2.Task:
    task = task_pb2.Task(
        task_id="t",
        priority=2,
        title="余额不足",
        why_now=["余额 8.50 元"],
        what_to_say="您好",
        expires_at_ms=1_788_746_400_000,
    )
    task.customer.phone_masked = "138****0001"
    moment = task.moments.add(rule_id="AN4", risk_score=61.5)
    moment.evidence.add(name="balance_fen", observed=850, threshold=1000, unit="fen", layer="CITY")
    moment.risk_terms.add(name="tenure", bin="< 1 y", points=12.5)
    return task


def _shown(width: int, language: texts.Language) -> str:
    card = manager_pb2.GetCustomerCardResponse(facts={"plan_fee_fen": "8800", "auto_pay": "true", "secret": "x"})
    card.past_contacts.add(at_ms=1_788_746_400_000, rule_id="FT2", disposition="NO_ANSWER", manager_id="m-NJ-02")
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    footer = screen.footer("12 s", text("keys_offer", language), is_urgent=False)
    console.print(screen.card_view(_task(), card, footer, language))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        ("zh", ["余额不足", "8.50 元", "10.00 元", "市", "未接通", "88.00 元", "是", "您好"]),
        ("en", ["¥8.50", "¥10.00", "city", "nobody answered", "¥88.00", "yes", "138****0001"]),
    ],
)
def test_the_card_shows_numbers_thresholds_words_and_history(language: texts.Language, wanted: list[str]) -> None:
    shown = _shown(100, language)
    for part in wanted:
        assert part in shown, part
    assert "secret" not in shown


def test_a_narrow_terminal_gets_the_whole_card() -> None:
    assert all(len(line) <= 60 for line in _shown(60, "en").splitlines())


def test_every_text_is_in_both_languages() -> None:
    for key, (zh, en) in texts._TEXTS.items():
        assert bool(zh) == bool(en), key
    for code in (*DISPOSITIONS, *REASONS):
        assert text(code, "zh") != code
        assert text(code, "en") != code


def test_choices_are_those_of_the_contract() -> None:
    named = {name.removeprefix("DISPOSITION_") for name in manager_pb2.Disposition.keys()}  # noqa: SIM118
    assert set(DISPOSITIONS) == named - {"UNSPECIFIED"}
    named = {name.removeprefix("DECLINE_REASON_") for name in manager_pb2.DeclineReason.keys()}  # noqa: SIM118
    assert set(REASONS) == named - {"UNSPECIFIED"}


@pytest.mark.parametrize(
    ("value", "unit", "zh", "en"),
    [
        (850, "fen", "8.50 元", "¥8.50"),
        (5400, "seconds", "90 分钟", "90 min"),
        (512_000, "kib", "500 MB", "500 MB"),
        (0.4, "ratio", "40%", "40%"),
        (172_800_000, "ms", "48.0 小时", "48.0 h"),
        (7, "days", "7 天", "7 d"),
        (3, "count", "3", "3"),
    ],
)
def test_numbers_are_in_the_units_of_people(value: float, unit: str, zh: str, en: str) -> None:
    assert (amount(value, unit, "zh"), amount(value, unit, "en")) == (zh, en)


def test_the_language_is_chinese_unless_the_locale_is_english() -> None:
    assert language_of_locale({}) == "zh"
    assert language_of_locale({"LANG": "C.UTF-8"}) == "zh"
    assert language_of_locale({"LANG": "en_GB.UTF-8"}) == "en"
    assert language_of_locale({"LANG": "en_GB.UTF-8", "LC_ALL": "zh_CN.UTF-8"}) == "zh"


def test_pauses_grow_are_bounded_and_start_again() -> None:
    backoff = Backoff(random.Random(1))
    pauses = [backoff.next() for _ in range(10)]
    assert 0.1 <= pauses[0] <= 0.2
    assert max(pauses) <= 3.0
    assert pauses[-1] >= 1.5
    backoff.reset()
    assert backoff.next() <= 0.2


def test_it_finds_the_local_stack_and_mints_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAIROS_WORKBENCH_GRPC_TARGET", "KAIROS_SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConnectionRefused, match="kairos up"):
        find_connection("m", target=None, token=None, token_file=None, var_dir=tmp_path)
    (tmp_path / KEY_FILE).write_text(KEY.hex())
    endpoints = {"workbench_grpc": "127.0.0.1:9", "secrets_dir": str(tmp_path)}
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))
    found = find_connection("m-NJ-01", target=None, token=None, token_file=None, var_dir=tmp_path)
    assert found.target == "127.0.0.1:9"
    assert verify(KEY, found.token()).subject == "m-NJ-01"
    given = find_connection("", target="h:1", token="t", token_file=None, var_dir=tmp_path)
    assert (given.target, given.token()) == ("h:1", "t")
    with pytest.raises(ConnectionRefused, match="--as"):
        find_connection("", target=None, token=None, token_file=None, var_dir=tmp_path)


def test_a_wrong_option_is_told_without_a_traceback(tmp_path: Path) -> None:
    environment = os.environ | {"KAIROS_VAR_DIR": str(tmp_path)}
    environment.pop("KAIROS_SECRETS_DIR", None)
    for arguments in (["--json"], ["--as", "a,b"], ["--language", "fr"], ["--as", "m"]):
        done = subprocess.run(
            [sys.executable, "-m", "services.manager", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
            cwd=Path(__file__).parents[3],
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_waiting_for_work_needs_neither_kafka_nor_postgres() -> None:
    """A slow PC starts quickly: the client imports nothing of the servers' side."""
    code = (
        "import sys, services.manager.commands, services.manager.session, services.manager.auto;"
        "servers = ('psycopg', 'aiokafka', 'polars', 'numpy', 'fastavro', 'prometheus_client');"
        "print([name for name in servers if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.strip() == "[]"
