"""What becomes of a published rule set that cannot be used here: its own fault, or this machine's."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.detector import rules_feed
from services.detector.rules_feed import RulesFeed

RECORD = SimpleNamespace(key=b"province@7", value=b"", offset=7)


def failing(fault: BaseException) -> Any:
    """An engine whose compiler fails so."""

    def compile_rule_set(*_: Any) -> None:
        raise fault

    return SimpleNamespace(compile_rule_set=compile_rule_set)


def feed_of(fault: BaseException, monkeypatch: pytest.MonkeyPatch) -> RulesFeed:
    monkeypatch.setattr(rules_feed, "_rule_set", lambda record: ({}, "province@7", 0))
    return RulesFeed("none:1", failing(fault), on_failure=lambda failure: None)


async def test_a_rule_set_with_a_fault_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = feed_of(ValueError("line 3"), monkeypatch)
    await feed._take(cast(Any, RECORD))
    await feed.close()
    assert feed.refused == {7: "province@7: line 3"}


@pytest.mark.parametrize("fault", [OSError("No space left on device"), MemoryError()])
async def test_a_fault_of_this_machine_refuses_no_rule_set(
    fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others judge by it: to pass it over would be a local decision. The failure ends the process."""
    feed = feed_of(fault, monkeypatch)
    with pytest.raises(type(fault)):
        await feed._take(cast(Any, RECORD))
    await feed.close()
    assert not feed.refused
