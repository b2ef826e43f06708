"""What the supervisor decides: how long to wait before a restart, and in which order to stop."""

from __future__ import annotations

import pytest

from services.stack.supervisor import BackoffPolicy


def test_wait_doubles_and_is_bounded() -> None:
    policy = BackoffPolicy(first_seconds=0.5, most_seconds=20.0, jitter=0.0)
    assert [policy.seconds(failures, 0.5) for failures in (1, 2, 3, 6, 7, 1000)] == [0.5, 1.0, 2.0, 16.0, 20.0, 20.0]


def test_jitter_spreads_around_the_wait() -> None:
    policy = BackoffPolicy(first_seconds=1.0, most_seconds=20.0, jitter=0.3)
    assert policy.seconds(1, 0.0) == pytest.approx(0.7)
    assert policy.seconds(1, 0.5) == pytest.approx(1.0)
    assert policy.seconds(1, 0.999999) == pytest.approx(1.3, abs=1e-4)


@pytest.mark.parametrize(
    "fault", [{"first_seconds": 0.0}, {"first_seconds": 3.0, "most_seconds": 2.0}, {"jitter": 1.0}]
)
def test_senseless_policy_is_refused(fault: dict[str, float]) -> None:
    with pytest.raises(AssertionError):
        BackoffPolicy(**fault)
