"""What the engine refuses, one class per treatment."""


class RulesNotLoaded(Exception):
    """A tick announces a rule set that the caller has not given; nothing was changed. Load it and apply again.

    `args[0]` is the offset in kairos.rules.v1.
    """

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class RuleError(Exception):
    """A rule document is wrong. The whole set is refused; what is in force stays."""

    def __init__(self, file: str, line: int, column: int, message: str) -> None:
        super().__init__(f"{file}:{line}:{column}: {message}")
        self.file = file
        self.line = line
        self.column = column
        self.message = message


class StateUnreadable(Exception):
    """A state page is damaged or of another layout; it is refused, never guessed at."""
