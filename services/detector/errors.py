"""What can end or delay a detector, one class per treatment."""


class DetectorError(Exception):
    """Base; never raised itself."""


class StateUnusable(DetectorError):
    """No complete state can be loaded for what is left of the log. The process refuses to start; a person decides."""

    def __init__(self, partition: int, reason: str) -> None:
        super().__init__(
            f"partition {partition}: {reason}. The detector does not start, because moments would be wrong. "
            f"Rebuild the state from the archive and the log (kairos detector rebuild), "
            f"or bring back the missing records of the state topic or of the event log"
        )
        self.partition = partition
        self.reason = reason


class StateTrimmed(DetectorError):
    """The state topic was trimmed while it was read. The load starts over."""


class LogTorn(DetectorError):
    """Records of the event log are missing between two that were read. The process ends: nothing may be skipped."""

    def __init__(self, partition: int, expected: int, got: int) -> None:
        super().__init__(f"event log partition {partition}: expected offset {expected}, got {got}")
        self.partition = partition
        self.expected = expected
        self.got = got
