"""Which time may be announced: a tick cannot be taken back, so a clock that jumps is not believed. Pure.

Believed is what the clock says while it goes at the pace of a second clock: at the start the brokers' clock, later one
that only counts. A clock that is minutes away from it is left alone until an operator confirms it; time goes on
meanwhile, at the pace of the second clock.
"""

from typing import Final

JUMP_MS: Final = 300_000
FORGIVEN_SHARE: Final = 100
"""By a hundredth of the time clocks may go apart for good. Steps, each smaller than a jump, add up to one faster."""
CONFIRMED_FOR_MS: Final = 900_000
"""How long after `kairos detector confirm-time` a clock that agrees with it is believed."""


class TimeGuard:
    """Starts with a time that is believed, and what the counting clock reads then; all in milliseconds."""

    def __init__(self, believed_ms: int, counted_ms: int) -> None:
        self._believed_ms = believed_ms
        self._counted_ms = counted_ms
        self._moved_ms = 0  # how far the clock went apart lately
        self.doubt_ms = 0  # what the clock says beyond what is believed; 0 while it is believed

    def reading(self, clock_ms: int, counted_ms: int) -> int:
        """The time that may be announced."""
        expected = self._believed_ms + counted_ms - self._counted_ms
        off = clock_ms - expected
        forgiven = max(0, counted_ms - self._counted_ms) // FORGIVEN_SHARE
        lately = max(0, abs(self._moved_ms) - forgiven) * (1 if self._moved_ms > 0 else -1)
        is_jump = abs(off) > JUMP_MS or abs(lately + off) > JUMP_MS
        self._moved_ms = lately if is_jump else lately + off
        self.doubt_ms = off if is_jump else 0
        self._believed_ms = expected if is_jump else clock_ms
        self._counted_ms = counted_ms
        return self._believed_ms

    def confirm(self, confirmed_ms: int, clock_ms: int, counted_ms: int) -> bool:
        """An operator said that it was so late, some time ago; False when the clock does not agree with that."""
        if not confirmed_ms - JUMP_MS <= clock_ms <= confirmed_ms + CONFIRMED_FOR_MS:
            return False
        self._believed_ms, self._counted_ms = clock_ms, counted_ms
        self.doubt_ms = self._moved_ms = 0
        return True
