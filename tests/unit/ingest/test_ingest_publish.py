"""A batch keeps order and results, publishes a repeated event once, and promises nothing when brokers are away."""

from typing import Any

import pytest

from schemas.codec import decode
from schemas.json_form.validation import DoorRules
from schemas.reasons import Reason
from services.clock import ManualClock
from services.ingest.admission import Admission
from services.ingest.errors import BrokersUnavailable, Draining, Overloaded
from services.ingest.publish import EventPublisher, RawEvent, prepare
from services.transport.errors import TransportUnavailable
from services.transport.kafka_producer import OutRecord
from services.transport.murmur2 import partition_of

NOW_MS = 1_788_746_400_000


def balance(number: int, **more: Any) -> RawEvent:
    event = {"event_id": f"e{number}", "customer_id": number, "occurred_at": NOW_MS, "source": "crm", "balance_fen": 5}
    return RawEvent("balance", event | more)


def contact(number: int) -> RawEvent:
    event = {"event_id": f"c{number}", "customer_id": number, "occurred_at": NOW_MS, "source": "crm", "channel": "CALL"}
    return RawEvent("contact", event)


class RecordingProducer:
    """Keeps what is appended; fails when told to."""

    def __init__(self, *, partitions: int = 4, is_away: bool = False) -> None:
        self.partitions = partitions
        self.is_away = is_away
        self.appended: dict[tuple[str, int], list[OutRecord]] = {}

    async def partition_count(self, topic: str, *, deadline_seconds: float | None = None) -> int:
        return self.partitions

    async def append_groups(
        self, topic: str, groups: dict[int, list[OutRecord]], *, deadline_seconds: float | None = None
    ) -> None:
        if self.is_away:
            raise TransportUnavailable("kafka", "away")
        for number, records in groups.items():
            self.appended.setdefault((topic, number), []).extend(records)


def test_results_are_in_the_order_of_the_events() -> None:
    batch = prepare([balance(1), balance(2, balance_fen="x"), balance(3)], now_ms=NOW_MS, rules=DoorRules())

    assert [result is None for result in batch.results] == [True, False, True]
    assert batch.counts == {"balance": [2, 1]}


def test_same_event_twice_is_accepted_and_published_once() -> None:
    batch = prepare([balance(1), balance(1)], now_ms=NOW_MS, rules=DoorRules())

    assert batch.results == [None, None]
    assert batch.duplicates == 1
    assert len(batch.records["kairos.events.v1"]) == 1


def test_same_id_with_other_contents_is_refused() -> None:
    batch = prepare([balance(1), balance(1, balance_fen=6)], now_ms=NOW_MS, rules=DoorRules())

    assert batch.results[0] is None
    assert batch.results[1] is not None
    assert batch.results[1].faults[0].reason == Reason.DUPLICATE_IN_BATCH


def test_same_id_of_another_source_is_another_event() -> None:
    batch = prepare([balance(1), balance(1, source="boss", balance_fen=6)], now_ms=NOW_MS, rules=DoorRules())

    assert batch.results == [None, None]


async def test_events_go_to_the_partition_of_their_customer_in_order() -> None:
    producer = RecordingProducer()
    publisher = EventPublisher(producer, clock=ManualClock(NOW_MS))
    events = [balance(number, customer_id=number % 7 + 1) for number in range(100)]

    await publisher.publish(publisher.prepare(events, rules=DoorRules()), door="http", deadline_seconds=1)

    for (topic, number), records in producer.appended.items():
        assert topic == "kairos.events.v1"
        keys = [record.key or b"" for record in records]
        assert {partition_of(key, 4) for key in keys} == {number}
        ids = [int(decode(record.value or b"").record["event_id"][1:]) for record in records]
        assert ids == sorted(ids)
    assert sum(map(len, producer.appended.values())) == 100


async def test_contacts_have_their_own_topic() -> None:
    producer = RecordingProducer(partitions=1)
    publisher = EventPublisher(producer, clock=ManualClock(NOW_MS))

    batch = publisher.prepare([balance(1), contact(2)], rules=DoorRules())
    await publisher.publish(batch, door="http", deadline_seconds=1)

    assert {topic for topic, _ in producer.appended} == {"kairos.events.v1", "kairos.contacts.v1"}


async def test_brokers_that_do_not_answer_are_told_as_such() -> None:
    publisher = EventPublisher(RecordingProducer(is_away=True), clock=ManualClock(NOW_MS))

    with pytest.raises(BrokersUnavailable):
        await publisher.publish(publisher.prepare([balance(1)], rules=DoorRules()), door="http", deadline_seconds=1)


def test_admission_refuses_what_is_over_its_bounds_and_recovers() -> None:
    admission = Admission(bytes_max=100, requests_max=2)

    with admission.admit(60) as first:
        with pytest.raises(Overloaded):
            admission.admit(60)
        with admission.admit(10), pytest.raises(Overloaded):
            admission.admit(1)
        first.grow(40)
        with pytest.raises(Overloaded):
            first.grow(1)
    assert admission.requests == 0
    with admission.admit(100):
        pass


def test_admission_that_drains_takes_nothing_new() -> None:
    admission = Admission(bytes_max=100, requests_max=2)
    admission.drain()

    with pytest.raises(Draining):
        admission.admit(1)
