"""Single keys from the terminal without Enter, and lines when wanted. A pipe works too: one line is one key."""

import contextlib
import select
import sys
from collections.abc import Iterator
from typing import Final

ESCAPE: Final = "\x1b"
END: Final = ""  # the input is closed


class Keys:
    """The keyboard for the time of `with Keys() as keys`; the terminal is put back as it was, whatever happens."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdin.isatty()
        self._stack = contextlib.ExitStack()
        self._is_ended = False

    def __enter__(self) -> "Keys":
        if self._is_terminal:
            self._stack.enter_context(_single_keys())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, seconds: float) -> str | None:
        """The next key in lower case, None when there was none in time, END when there will be none any more."""
        if self._is_ended:
            return END
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return None
        if not self._is_terminal:
            line = sys.stdin.readline()
            self._is_ended = not line
            return line.strip()[:1].lower() if line.strip() else (END if self._is_ended else None)
        return self._read_key()

    def line(self, prompt: str) -> str:
        """A line typed with echo and editing; what cannot be decoded is left out."""
        self._stack.close()
        try:
            return input(prompt).strip()
        except (EOFError, UnicodeDecodeError):
            return ""
        finally:
            if self._is_terminal:
                self._stack.enter_context(_single_keys())

    def _read_key(self) -> str:
        import os

        data = os.read(sys.stdin.fileno(), 32)
        if not data:
            self._is_ended = True
            return END
        text = data.decode("utf-8", errors="ignore")
        return text[:1].lower() if text else ESCAPE  # of an arrow key only its escape counts


@contextlib.contextmanager
def _single_keys() -> Iterator[None]:
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
