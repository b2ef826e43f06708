"""Events that nothing orders but the log: the same instant, source, and beginning of the id."""

from tests.reference.records import MONDAY, Log, local
from tests.unit.detector.engine.judged import moments_of

SAME = "an-id-whose-end-nobody-looks-at-"


def test_of_equal_orders_the_first_in_the_log_gives_way() -> None:
    log, at = Log(), local(MONDAY, 12)
    log.profile(at - 1)
    log.tick(at - at % 60_000)
    for number in range(13):
        log.event(
            "service-order", at, event_id=f"{SAME}{number}", order_id=f"o{number}", action="CANCEL", category="TV",
            addon=number == 0,
        )  # fmt: skip
    log.event("service-order", at + 1, event_id="last", order_id="last", action="CANCEL", category="TV", addon=True)
    assert [m["rule_id"] for m in moments_of(log)] == []


def test_of_equal_handset_changes_the_last_in_the_log_is_in_use() -> None:
    log, at = Log(), local(MONDAY, 12)
    log.profile(at - 1)
    log.tick(at - at % 60_000)
    for model in ("Aster 1", "Aster 2", "Aster 1"):
        log.event("handset-change", at, event_id=f"{SAME}{len(log.entries)}", device_model=model)
    log.tick(at + 2 * 86_400_000)
    assert [m["rule_id"] for m in moments_of(log)] == []


def test_of_equal_handset_changes_an_earlier_one_was_in_use_before() -> None:
    log, at = Log(), local(MONDAY, 12)
    log.profile(at - 1)
    log.tick(at - at % 60_000)
    for model in ("Aster 1", "Aster 2"):
        log.event("handset-change", at, event_id=f"{SAME}{len(log.entries)}", device_model=model)
    log.tick(at + 2 * 86_400_000)
    texts = [m["evidence"][0]["observed_text"] for m in moments_of(log)]
    assert texts == ["Aster 2"]
