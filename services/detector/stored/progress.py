"""How far a long job is: a bar on a terminal, a line every few seconds elsewhere."""

import time
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_PLAIN_SECONDS: Final = 5.0


class Teller:
    """A bar on a terminal, a line every few seconds elsewhere; always on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"), TimeRemainingColumn(),
            console=console, disable=quiet or not console.is_terminal,
        )  # fmt: skip
        self._is_plain = not quiet and not console.is_terminal
        self._tasks: dict[str, Any] = {}
        self._said_at = time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        """Show how much of something is done; a total of 0 is not known."""
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total or None, counts="")
        counts = f"{done:,} of {total:,}" if total else f"{done:,}"
        self._bar.update(self._tasks[what], completed=done, total=total or None, counts=counts)
        if self._is_plain and time.monotonic() - self._said_at > _PLAIN_SECONDS:
            self._said_at = time.monotonic()
            typer.echo(f"{what}: {counts}", err=True)

    def __enter__(self) -> "Teller":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
