"""What an episode keeps stops at the bounds of its word, on both sides."""

from datetime import timedelta

from tests.reference.local_time import DAY
from tests.reference.records import MONDAY, Log, local
from tests.unit.detector.engine.judged import moments_of

TWO_TIB_IN_KIB = 2**31 - 1


def test_a_jump_from_a_baseline_beyond_the_word_ends_when_back_in_band() -> None:
    """Four terabytes in four weeks, then six a week: kept below zero, where a sum of more than the word would turn."""
    log, start = Log(), local(MONDAY)
    log.profile(start)
    for week in range(4):
        log.event("usage", start + week * 7 * DAY + 1, service="DATA", quantity=TWO_TIB_IN_KIB // 4 + week)
    for day in range(3):
        log.event("usage", start + (28 + day) * DAY + 1, service="DATA", quantity=TWO_TIB_IN_KIB)
    log.tick(local(MONDAY + timedelta(34)))
    log.tick(local(MONDAY + timedelta(35), 6))
    assert [m["state"] for m in moments_of(log) if m["rule_id"] == "AN13"] == ["RAISED"]
    log.event("usage", start + 36 * DAY, service="DATA", quantity=TWO_TIB_IN_KIB // 4)
    log.tick(local(MONDAY + timedelta(42), 6))
    assert [m["state"] for m in moments_of(log) if m["rule_id"] == "AN13"] == ["RAISED", "RESOLVED"]
