"""What a person sees while a job runs: a spinner and colours on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console as RichConsole
from rich.markup import escape

NAME_WIDTH = 10


class Progress:
    """Steps with a name and an outcome; writes to standard error, so that standard output stays for answers."""

    def __init__(self) -> None:
        self._rich = RichConsole(file=sys.stderr, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def step(self, name: str, doing: str) -> Iterator[None]:
        """Show that `name` is `doing` something, on a terminal only."""
        if not self._rich.is_terminal:
            yield
            return
        with self._rich.status(f"{escape(name):<{NAME_WIDTH}} {escape(doing)}"):
            yield

    def good(self, name: str, outcome: str) -> None:
        self._line("green", "✓", name, outcome)

    def note(self, name: str, outcome: str) -> None:
        self._line("yellow", "•", name, outcome)

    def bad(self, name: str, outcome: str) -> None:
        self._line("red", "✗", name, outcome)

    def text(self, text: str = "") -> None:
        """A line as it is."""
        self._rich.print(escape(text))

    def _line(self, colour: str, sign: str, name: str, outcome: str) -> None:
        self._rich.print(f"[{colour}]{sign}[/] {escape(name):<{NAME_WIDTH}} {escape(outcome)}")
