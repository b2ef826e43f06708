"""Leases: exclusive, bounded, fenced by their epoch."""

import pytest

from services.workbench_api.leases import LeasePolicy, Refusal, begin_work, extend, offer, refusal_of

POLICY = LeasePolicy()
NOW = 1_000_000


def test_each_offer_has_the_next_epoch_and_twenty_seconds() -> None:
    lease = offer(6, NOW, policy=POLICY)
    assert (lease.epoch, lease.expires_at_ms) == (7, NOW + 20_000)


def test_work_keeps_the_epoch_and_lasts_fifteen_minutes_from_acceptance() -> None:
    lease = begin_work(offer(0, NOW, policy=POLICY), NOW + 5_000, policy=POLICY)
    assert (lease.epoch, lease.started_at_ms, lease.expires_at_ms) == (1, NOW + 5_000, NOW + 905_000)


def test_a_heartbeat_extends_from_now_and_never_beyond_two_hours() -> None:
    lease = begin_work(offer(0, NOW, policy=POLICY), NOW, policy=POLICY)
    later = extend(lease, NOW + 600_000, policy=POLICY)
    assert not isinstance(later, Refusal)
    assert later.expires_at_ms == NOW + 1_500_000
    last = extend(later, NOW + 7_000_000, policy=POLICY)
    assert not isinstance(last, Refusal)
    assert last.expires_at_ms == NOW + 7_200_000
    assert extend(last, NOW + 7_100_000, policy=POLICY) is Refusal.LEASE_TOO_LONG


def test_a_heartbeat_never_shortens() -> None:
    lease = begin_work(offer(0, NOW, policy=POLICY), NOW, policy=POLICY)
    found = extend(lease, NOW - 60_000, policy=POLICY)
    assert not isinstance(found, Refusal)
    assert found.expires_at_ms == lease.expires_at_ms


def test_the_end_of_a_lease_is_exclusive_and_an_old_epoch_has_no_right() -> None:
    lease = offer(1, NOW, policy=POLICY)
    assert refusal_of(lease, 2, NOW + 19_999) is None
    assert refusal_of(lease, 2, NOW + 20_000) is Refusal.LEASE_EXPIRED
    assert refusal_of(lease, 1, NOW) is Refusal.LEASE_EPOCH_OLD
    assert refusal_of(lease, 3, NOW) is Refusal.LEASE_EPOCH_OLD
    assert refusal_of(None, 1, NOW) is Refusal.LEASE_EPOCH_OLD


@pytest.mark.parametrize("fields", [{"offer_ms": 0}, {"work_ms": 0}, {"work_ms": 8_000_000}])
def test_a_policy_without_sense_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="wants"):
        LeasePolicy(**fields)
