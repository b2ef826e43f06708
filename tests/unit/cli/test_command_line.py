"""The command line as a whole: help, languages, words that are no command, lazy imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.commands import COMMANDS
from services.cli.main import help_text, main, unknown_text

ROOT = Path(__file__).parents[3]


def test_help_has_a_line_for_every_command() -> None:
    for environ in ({"LANG": "en_US.UTF-8"}, {"LANG": "zh_CN.UTF-8"}, {}):
        text = help_text(environ)
        for name, command in COMMANDS.items():
            assert f"\n  {name:<10} {command.chinese if 'zh' in str(environ) else command.english}" in text


def test_own_language_setting_goes_before_the_locale() -> None:
    assert help_text({"LANG": "en_US.UTF-8", "KAIROS_LANGUAGE": "zh"}).startswith("用法")


def test_near_miss_is_suggested() -> None:
    assert "Did you mean `kairos status`?" in unknown_text("stauts")
    assert "Did you mean" not in unknown_text("qqqq")


def test_unknown_command_ends_with_usage_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dance"])
    assert ended.value.code == 2
    assert "no such command: dance" in capsys.readouterr().err


def test_help_imports_no_command() -> None:
    program = (
        "import sys\nfrom services.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'faust', 'polars', 'numba', 'grpc', 'psycopg', 'typer'} & {m.split('.')[0] for m in sys.modules}\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", name, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"kairos {name}" in done.stdout
    assert len(done.stdout.splitlines()) >= 4
