"""Sweeps in slices: a tick itself tells nothing, a slice is bounded, a page is not written before its time."""

from datetime import date

import pytest

from services.detector.engine.partition import Partition
from services.detector.records.decode import decode_chunk
from services.detector.worker import next_slice
from tests.reference.logs import Log, local, raw_records, shipped

SUNDAY = local(date(2026, 9, 6), 12)
DAY = 86_400_000
CUSTOMERS = 1_500


@pytest.fixture
def partition() -> Partition:
    """It is everybody's birthday, and the tick that passes the hour for it has come."""
    found, log = Partition(0), Log()
    for customer in range(1, CUSTOMERS + 1):
        log.profile(SUNDAY - DAY, customer_id=customer, birthday="09-09")
    log.tick(SUNDAY)
    log.tick(SUNDAY + 2 * DAY)
    records = raw_records(log.entries)
    found.apply(decode_chunk(0, records), {0: shipped()})
    while found.sweep_pending:
        found.sweep(CUSTOMERS)
    late = Log()
    late.tick(SUNDAY + 3 * DAY)
    chunk = decode_chunk(0, raw_records(late.entries, first_offset=len(records)))
    assert found.apply(chunk, {0: shipped()}).moments == []
    return found


def test_a_slice_ends_after_some_moments_and_the_next_goes_on(partition: Partition) -> None:
    slices = []
    assert partition.sweep_pending == CUSTOMERS
    while partition.sweep_pending:
        slices.append([m["customer_id"] for m in partition.sweep(100_000).moments if m["rule_id"] == "SP1"])
    told = [customer for each in slices for customer in each]
    assert sorted(told) == list(range(1, CUSTOMERS + 1))
    assert max(map(len, slices)) < 400


def test_a_page_that_owes_visits_is_not_written(partition: Partition) -> None:
    assert partition.owes(1)
    with pytest.raises(AssertionError, match="swept"):
        partition.dump_page(1)
    told = partition.sweep_page(1, 100).moments
    assert partition.owes(1)
    told += partition.sweep_page(1, 512).moments
    assert not partition.owes(1)
    assert partition.dump_page(1).rows == 512
    assert partition.owes(0)
    assert sorted(m["customer_id"] for m in told if m["rule_id"] == "SP1") == list(range(513, 1_025))


def test_new_customers_owe_nothing(partition: Partition) -> None:
    log = Log(9_999)
    log.profile(SUNDAY + 3 * DAY, birthday="09-09")
    chunk = decode_chunk(0, raw_records(log.entries, first_offset=partition.next_offset))
    told = partition.apply(chunk, {0: shipped()}).moments
    while partition.sweep_pending:
        told += partition.sweep(CUSTOMERS).moments
    assert 9_999 not in {m["customer_id"] for m in told}


def test_slices_follow_the_time_that_they_take() -> None:
    assert next_slice(1_000, 0.006) == 500
    assert next_slice(1_000, 0.0001) == 2_000
    assert next_slice(4_096, 0.0) == 4_096
    assert next_slice(16, 1.0) == 16
