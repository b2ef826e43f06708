"""What can end or delay a detector, one class per treatment."""


class DetectorError(Exception):
    """Base; never raised itself."""


class StateUnusable(DetectorError):
    """No complete state can be loaded for what is left of the log. The process refuses to start; a person decides."""

    def __init__(self, partition: int, reason: str, way_out: str = "") -> None:
        way_out = way_out or (
            "Rebuild the state from the archive and the log (kairos detector rebuild), "
            "or bring back the missing records of the state topic or of the event log"
        )
        super().__init__(
            f"partition {partition}: {reason}. The detector does not start, because moments would be wrong. {way_out}"
        )
        self.partition = partition
        self.reason = reason


class EngineTooOld(StateUnusable):
    """The state was written by a newer engine: the same log gives other moments there."""

    def __init__(self, partition: int, written_by: int, own: int) -> None:
        super().__init__(
            partition,
            f"the state was written by engine {written_by}, and this release has engine {own}",
            f"Start the release with engine {written_by} again; going back takes kairos detector rebuild with this one",
        )


class EngineNotHandedOver(StateUnusable):
    """The state was written by an older engine that did not finish: it has judged records that a replay would judge
    again, and otherwise."""

    def __init__(self, partition: int, written_by: int, own: int) -> None:
        super().__init__(
            partition,
            f"the state was written by engine {written_by}, this release has engine {own}, and the older one did not "
            "hand over",
            f"Start the release with engine {written_by} again and run kairos detector hand-over with it, then start "
            "this one; or make the state anew with kairos detector rebuild",
        )


class StateTrimmed(DetectorError):
    """The state topic was trimmed while it was read. The load starts over."""


class LogTorn(DetectorError):
    """Records of the event log are missing between two that were read. The process ends: nothing may be skipped."""

    def __init__(self, partition: int, expected: int, got: int) -> None:
        super().__init__(f"event log partition {partition}: expected offset {expected}, got {got}")
        self.partition = partition
        self.expected = expected
        self.got = got
