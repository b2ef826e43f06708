"""Entry point of `kairos`: finds the subcommand, imports its module and nothing else, and hands over.

Owns the help of the whole and the words for what any command may run into. What a command does is its module's.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from services.cli.commands import COMMANDS, GROUPS, Command
from services.clock import ClockRefused
from services.settings import SettingsRefused

EXIT_USAGE = 2
EXIT_SETTINGS = 78  # EX_CONFIG of sysexits.h: starting again will not help


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; ends with SystemExit."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("--help", "-h", "help"):
        print(help_text())
        raise SystemExit(0 if words else EXIT_USAGE)
    if words[0] in ("--version", "-V", "version"):
        print(f"kairos {importlib.metadata.version('kairos')}")
        raise SystemExit(0)
    command = COMMANDS.get(words[0])
    if command is None:
        _fail(unknown_text(words[0]))
    run = _load(command)
    try:
        run(args=words[1:], prog_name=f"kairos {command.name}")
    except SettingsRefused as exc:
        _fail("settings are refused:", *(f"  {fault}" for fault in exc.faults), code=EXIT_SETTINGS)
    except ClockRefused as exc:
        _fail(str(exc), code=EXIT_SETTINGS)


def help_text(environ: dict[str, str] | None = None) -> str:
    """The list of all commands, in Chinese where the language of the environment is Chinese."""
    chinese = speaks_chinese(dict(os.environ) if environ is None else environ)
    lines = ["用法：kairos 命令 [选项]" if chinese else "Usage: kairos COMMAND [OPTIONS]"]
    for group, group_chinese in GROUPS.items():
        lines += ["", f"{group_chinese if chinese else group.capitalize()}:"]
        lines += [
            f"  {command.name:<10} {command.chinese if chinese else command.english}"
            for command in COMMANDS.values()
            if command.group == group
        ]
    lines += [
        "",
        "kairos 命令 --help 显示该命令的说明" if chinese else "kairos COMMAND --help tells all about a command.",
    ]
    return "\n".join(lines)


def speaks_chinese(environ: dict[str, str]) -> bool:
    """True when KAIROS_LANGUAGE, or else the locale, asks for Chinese."""
    wanted = next(
        (environ[name] for name in ("KAIROS_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), ""
    )
    return wanted.lower().startswith("zh")


def unknown_text(word: str) -> str:
    """What to say about a word that is no command."""
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f" Did you mean `kairos {near[0]}`?" if near else ""
    return f"no such command: {word}.{hint} `kairos --help` lists them."


def _load(command: Command) -> Callable[..., Any]:
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.split(".")[0] in ("services", "schemas", "benchmarks"):
            raise
        _fail(f"`kairos {command.name}` needs the package {exc.name}: run `make setup`, or install the command's extra")
    run: Callable[..., Any] = getattr(module, command.attribute)
    return run


def _fail(*lines: str, code: int = EXIT_USAGE) -> NoReturn:
    print("kairos:", *lines[:1], file=sys.stderr)
    for line in lines[1:]:
        print(line, file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
