"""The router as a process, with real Kafka and PostgreSQL and a workbench behind real gRPC; also killed mid-way."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from services.router.decode import CONTACTS, CUSTOMERS, MOMENTS, MOMENTS_BULK
from tests.doubles.router_process import NAMES, RouterRig
from tests.doubles.router_records import DAY_MS, HOUR_MS, NOW_MS, contact, customer, moment

if TYPE_CHECKING:
    from services.stack.kafka_server import KafkaServer
    from tests.servers import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def rig(kafka: KafkaServer, postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterRig]:
    """A fresh rig on the module's servers; customers of different tests have different ids."""
    rig = RouterRig(tmp_path_factory.mktemp("router"), bootstrap=kafka.bootstrap, dsn=postgres.dsn)
    rig.forget()
    for number in range(1, 6):
        rig.workbench.add_manager(f"m-NJ-{number:02}")
    yield rig
    rig.close()


def open_cards(rig: RouterRig, customers: range) -> Counter[tuple[str, str]]:
    """(row state, reason) → moments of these customers."""
    rows = rig.rows(
        f"SELECT row_state, reason, count(*) FROM moments WHERE customer_id BETWEEN {customers[0]} AND {customers[-1]}"
        " GROUP BY 1, 2"
    )
    return Counter({(state, reason): count for state, reason, count in rows})


def test_a_moment_reaches_the_workbench_at_once_and_its_resolution_takes_it_back(rig: RouterRig) -> None:
    rig.start()
    rig.wait_until_ready()
    ids = range(1, 21)
    rig.publish(CUSTOMERS, [customer(i) for i in ids], wait=True)
    rig.wait(lambda: rig.rows("SELECT count(*) FROM customers WHERE customer_id <= 20") == [(20,)])
    delays = []
    for i in ids:
        began = time.monotonic()
        rig.publish(MOMENTS, [moment(i)], wait=True)
        rig.workbench.wait_for_task(i)
        delays.append(rig.workbench.received[i - 1][0] - began)
    assert statistics.median(delays) < 0.25, delays  # an idle machine: about 0.02
    print("moment to dispatch, ms:", [round(d * 1000, 1) for d in sorted(delays)])
    rig.publish(MOMENTS, [moment(i, revision=2, state="RESOLVED") for i in ids])
    rig.wait(lambda: set(rig.workbench.states.values()) == {"RESCINDED"})
    rig.wait(lambda: open_cards(rig, ids) == {("LEDGER", "resolved"): 20})
    assert rig.stop() == 0


@pytest.mark.parametrize("compression", ["lz4", "gzip"])
async def test_what_other_services_compress_is_read(rig: RouterRig, compression: str) -> None:
    """The producers of this product compress with lz4, which kafka-python reads by the package lz4 only."""
    import asyncio

    from schemas.codec import encode
    from services.transport.kafka_producer import KafkaProducer, OutRecord

    first = {"lz4": 7_000, "gzip": 7_100}[compression]
    rig.start()
    producer = KafkaProducer(rig.bootstrap, client_id="test", compression=compression)
    await producer.open()
    records = [OutRecord(str(i).encode(), encode(NAMES[MOMENTS], moment(i))) for i in range(first, first + 50)]
    await producer.publish(MOMENTS, records)
    await producer.close()
    waiting = {("PENDING", "customer_unknown"): 50}
    await asyncio.to_thread(rig.wait_until_ready)
    await asyncio.to_thread(rig.wait, lambda: open_cards(rig, range(first, first + 50)) == waiting)
    assert rig.stop() == 0


def test_a_poison_record_is_parked_and_its_neighbours_go_on(rig: RouterRig) -> None:
    from kafka import KafkaConsumer

    rig.start()
    rig.wait_until_ready()
    rig.publish(CUSTOMERS, [customer(101)], wait=True)
    for value in (b"", b"\x00\x00\x00\x00\xff rubbish", b"{}", None):
        rig.producer.send(MOMENTS, key=b"101", value=value, partition=0).get(timeout=10)
    rig.publish(MOMENTS, [moment(101)], wait=True)
    rig.workbench.wait_for_task()
    consumer = KafkaConsumer(
        "kairos.dead-letters.router.v1",
        bootstrap_servers=rig.bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=3_000,
    )
    letters = list(consumer)
    consumer.close()
    assert [letter.value for letter in letters] == [b"", b"\x00\x00\x00\x00\xff rubbish", b"{}", None]
    assert all(dict(letter.headers)["topic"] == MOMENTS.encode() for letter in letters)
    assert rig.metric('kairos_router_dead_letters_total{reason="no_value"}') == 1.0
    assert rig.stop() == 0


CRASHES = ("decoded", "stored:2", "planned", "dispatched", "rescinded")


@pytest.mark.parametrize("crash_at", CRASHES)
def test_killed_between_any_two_phases_it_neither_loses_nor_repeats(rig: RouterRig, crash_at: str) -> None:
    base = 1_000 + 100 * CRASHES.index(crash_at)
    ids = range(base, base + 24)
    rig.start("crashing", KAIROS_ROUTER_CRASH_AT=crash_at)
    rig.wait(lambda: rig.get("/readyz", "crashing") is not None or rig.processes["crashing"].poll() is not None)
    rig.publish(CUSTOMERS, [customer(i) for i in ids], wait=True)
    rig.publish(MOMENTS, [moment(i) for i in ids], wait=True)
    if crash_at == "rescinded":
        rig.workbench.wait_for_task(24)
    else:
        rig.publish(MOMENTS, [moment(i, "AN14", priority=1) for i in ids], wait=True)
    rig.publish(MOMENTS, [moment(i, revision=2, state="RESOLVED") for i in ids[:4]], wait=True)
    if "planned" in crash_at or crash_at == "dispatched":
        rig.workbench.add_manager("m-NJ-09")
    rig.wait(lambda: rig.processes["crashing"].poll() is not None, what=f"the crash at {crash_at}")
    assert rig.processes.pop("crashing").returncode == -9
    rig.start("after")
    rig.wait_until_ready("after")
    expected = 24 if crash_at != "rescinded" else 20
    rig.wait(lambda: rig.committed_lag() == 0, what="no lag")
    rig.wait(lambda: len(rig.workbench.wait_for_task(expected)) == expected, what="a card per customer")
    rig.wait(lambda: open_cards(rig, ids)["PENDING", "dispatching"] == 0)
    total = open_cards(rig, ids)
    assert sum(total.values()) == (24 if crash_at == "rescinded" else 48)
    assert total["LEDGER", "resolved"] == 4
    assert rig.workbench.double_cards == 0
    assert max(rig.workbench.most_load.values()) <= 100
    assert rig.rows(f"SELECT count(*) FROM cards WHERE is_open AND customer_id BETWEEN {ids[0]} AND {ids[-1]}") == [
        (expected,)
    ]
    assert rig.stop("after") == 0


def test_two_instances_share_the_work_and_survive_each_other(rig: RouterRig) -> None:
    ids = range(2_000, 2_300)
    for number in range(10, 80):
        rig.workbench.add_manager(f"m-NJ-{number}")
    rig.start("one")
    rig.start("two")
    rig.wait_until_ready("one")
    rig.wait_until_ready("two")
    rig.publish(CUSTOMERS, [customer(i) for i in ids], wait=True)
    rig.publish(MOMENTS, [moment(i) for i in ids[:150]], wait=True)
    rig.workbench.wait_for_task(100)
    rig.kill("one")
    rig.publish(MOMENTS, [moment(i) for i in ids[150:]], wait=True)
    rig.wait(lambda: len(rig.workbench.wait_for_task(1)) == 300, seconds=30, what="all cards")
    rig.wait(lambda: open_cards(rig, ids) == {("CARD", "on_card"): 300})
    assert rig.workbench.double_cards == 0
    assert max(rig.workbench.most_load.values()) <= 100
    assert rig.stop("two") == 0


def test_an_instance_without_partitions_stands_by_and_takes_over(rig: RouterRig) -> None:
    """Four partitions, five instances: one has nothing to read, is ready all the same, and sends nothing."""
    names = ["one", "two", "three", "four", "five"]
    for name in names:
        rig.start(name)
    for name in names:
        rig.wait_until_ready(name, seconds=60)
    rig.wait(lambda: len(owners(rig)) == 4, what="four owners")
    assert all(rig.get("/readyz", name) is not None for name in names)
    rig.publish(CUSTOMERS, [customer(2_900)], wait=True)
    rig.publish(MOMENTS, [moment(2_900)], wait=True)
    rig.workbench.wait_for_task()
    for name in names[:4]:
        rig.kill(name)
    rig.publish(CUSTOMERS, [customer(2_901)], wait=True)
    rig.publish(MOMENTS, [moment(2_901)], wait=True)
    rig.wait(lambda: open_cards(rig, range(2_901, 2_902)) == {("CARD", "on_card"): 1}, seconds=40, what="the card")
    assert rig.stop("five") == 0


def owners(rig: RouterRig) -> set[str]:
    """Who reads moments."""
    return {row[0] for row in rig.rows("SELECT DISTINCT owner FROM intake_positions WHERE topic = 'kairos.moments.v1'")}


def test_declined_and_missed_offers_come_back_to_others(rig: RouterRig) -> None:
    rig.start()
    rig.wait_until_ready()
    rig.publish(CUSTOMERS, [customer(3_000, owner_manager_id="m-NJ-01")], wait=True)
    rig.publish(MOMENTS, [moment(3_000)], wait=True)
    (task,) = rig.workbench.wait_for_task()
    assert task.manager_id == "m-NJ-01", "owner first"
    seen = [task.manager_id]
    for state, cause in (("DECLINED", "declined"), ("EXPIRED", "offer_missed"), ("EXPIRED", "manager_away")):
        rig.workbench.move(task.task_id, state, cause, actor=f"manager:{task.manager_id}")
        task = rig.workbench.wait_for_version(task.task_id, task.version + 1)
        seen.append(task.manager_id)
    assert len(set(seen)) == 4, "never the same manager while there is another"
    rig.workbench.move(task.task_id, "ACCEPTED", "accepted")
    rig.workbench.move(task.task_id, "DONE", "completed", disposition="REACHED_RESOLVED")
    rig.wait(lambda: open_cards(rig, range(3_000, 3_001)) == {("CARD", "worked"): 1})
    rig.publish(MOMENTS, [moment(3_000, episode="e2")], wait=True)
    rig.wait(lambda: open_cards(rig, range(3_000, 3_001))["PENDING", "recent_contact"] == 1)
    assert rig.stop() == 0


def test_a_workbench_that_restarts_is_met_again(rig: RouterRig) -> None:
    rig.start()
    rig.wait_until_ready()
    rig.workbench.stop()
    rig.publish(CUSTOMERS, [customer(4_000)], wait=True)
    rig.publish(MOMENTS, [moment(4_000)], wait=True)
    rig.wait(lambda: open_cards(rig, range(4_000, 4_001)).total() == 1)
    rig.wait(lambda: rig.get("/readyz") is None, what="not ready without capacity")
    rig.workbench.start(int(rig.target.rsplit(":", 1)[1]))
    rig.workbench.wait_for_task()
    rig.wait_until_ready()
    assert rig.stop() == 0


def test_quiet_hours_hold_and_release_by_the_business_clock(rig: RouterRig) -> None:
    evening = NOW_MS + 11 * HOUR_MS  # 20:50
    rig.set_clock(evening)
    rig.start()
    rig.wait_until_ready()
    ids = range(5_000, 5_040)
    for number in range(10, 20):
        rig.workbench.add_manager(f"m-NJ-{number}")
    rig.publish(CUSTOMERS, [customer(i) for i in ids], wait=True)
    rig.publish(MOMENTS, [moment(i, detected_at=evening) for i in ids], wait=True)
    rig.wait(lambda: open_cards(rig, ids) == {("PENDING", "quiet_hours"): 40})
    assert rig.workbench.received == []
    rig.set_clock(NOW_MS + DAY_MS - 20 * 60_000)  # Tuesday 09:30
    rig.wait(lambda: len(rig.workbench.received) > 5, what="half of them")
    assert open_cards(rig, ids)["PENDING", "quiet_hours"] > 0, "spread over the hour"
    rig.set_clock(NOW_MS + DAY_MS + 11 * 60_000)  # 10:01
    rig.wait(lambda: open_cards(rig, ids) == {("CARD", "on_card"): 40})
    assert rig.stop() == 0


def test_messages_contacts_and_the_bulk_topic_are_served(rig: RouterRig) -> None:
    rig.start()
    rig.wait_until_ready()
    ids = range(6_000, 6_200)
    rig.publish(CUSTOMERS, [customer(i) for i in ids], wait=True)
    rig.publish(CONTACTS, [contact(i, event_id=f"k{i}", channel="SMS", outcome="DELIVERED") for i in ids[:100]])
    rig.publish(CONTACTS, [contact(i, event_id=f"l{i}", channel="SMS", outcome="DELIVERED") for i in ids[:100]])
    rig.wait(lambda: rig.rows("SELECT count(*) FROM contacts WHERE customer_id BETWEEN 6000 AND 6199") == [(200,)])
    rig.publish(MOMENTS_BULK, [moment(i, "SP2", group="CARE", channel="SMS", priority=5) for i in ids], wait=True)
    rig.wait(lambda: open_cards(rig, ids) == {("LEDGER", "sent_by_sms"): 100, ("PENDING", "sms_cap"): 100})
    rig.wait(lambda: len(rig.messages()) == 100)
    assert {message["customer_id"] for message in rig.messages()} == set(ids[100:])
    assert rig.stop() == 0


def test_after_an_outage_nothing_is_decided_before_the_facts_are_read(rig: RouterRig) -> None:
    """The caps are at the end of a long log of contacts, the suspension at the end of one of moments."""
    capped, suspended, served = 7_500, 7_501, 7_502
    rig.start()
    rig.wait_until_ready()
    rig.publish(CUSTOMERS, [customer(i) for i in (capped, suspended, served)], wait=True)
    rig.wait(lambda: rig.rows("SELECT count(*) FROM customers WHERE customer_id BETWEEN 7500 AND 7502") == [(3,)])
    assert rig.stop() == 0
    offers = {i: moment(i, "FT3", channel="SMS") for i in (capped, suspended, served)}
    rig.publish(MOMENTS, offers.values())
    rig.publish(MOMENTS, [moment(suspended, "AN17", episode=f"r{i}", state="RESOLVED") for i in range(2_500)])
    gate = {"group": "NONE", "moment_class": "DO_NOT_SERVE", "channel": "NONE", "dimension": "NONE"}
    rig.publish(MOMENTS, [moment(suspended, "NS2", **gate)])
    sms = {"channel": "SMS", "outcome": "DELIVERED"}
    rig.publish(CONTACTS, [contact(capped, event_id=f"old{i}", occurred_at=NOW_MS - 90 * DAY_MS) for i in range(6_000)])
    rig.publish(CONTACTS, [contact(capped, event_id=f"new{i}", **sms) for i in range(2)], wait=True)
    rig.start()
    rig.wait(lambda: len(rig.messages()) == 1, what="the one message that may go")
    rig.wait(lambda: open_cards(rig, range(capped, suspended + 1))["PENDING", "undecided"] == 0)
    reasons = dict(rig.rows("SELECT customer_id, reason FROM moments WHERE rule_id = 'FT3' AND customer_id >= 7500"))
    assert reasons == {capped: "sms_cap", suspended: "line_suspended", served: "sent_by_sms"}
    assert [message["customer_id"] for message in rig.messages()] == [served]
    assert rig.stop() == 0


def test_people_can_ask_why(rig: RouterRig) -> None:
    rig.start()
    rig.wait_until_ready()
    rig.publish(CUSTOMERS, [customer(8_000, refused_groups=["service"])], wait=True)
    refused, waiting = moment(8_000), moment(8_001)
    rig.publish(MOMENTS, [refused, waiting], wait=True)
    rig.wait(lambda: open_cards(rig, range(8_000, 8_002)).total() == 2)
    assert rig.stop() == 0
    found = json.loads(rig.command("why", "8000", "--json"))
    assert (found["row_state"], found["reason"], found["rule_id"]) == ("LEDGER", "refused_group", "AN17")
    assert found["reason_en"] == "the customer refuses this group"
    assert "客户资料尚未到达" in rig.command("why", waiting["moment_id"])
    assert "refuses this group" in rig.command("why", refused["moment_id"], "--language", "en")
    lines = [json.loads(line) for line in rig.command("backlog", "--json").splitlines()]
    assert [(line["reason"], line["moments"]) for line in lines] == [("customer_unknown", 1)]


@pytest.mark.parametrize("server", ["kafka", "postgres"])
def test_a_killed_server_is_outlasted(rig: RouterRig, kafka: KafkaServer, postgres: Database, server: str) -> None:
    ids = {"kafka": range(9_000, 9_020), "postgres": range(9_100, 9_120)}[server]
    rig.start()
    rig.wait_until_ready()
    rig.publish(CUSTOMERS, [customer(i) for i in ids], wait=True)
    rig.publish(MOMENTS, [moment(i) for i in ids[:10]], wait=True)
    rig.wait(lambda: open_cards(rig, ids) == {("CARD", "on_card"): 10})
    rig.producer.close()
    killed = kafka if server == "kafka" else postgres.server
    assert killed.process is not None
    os.kill(killed.process.pid, signal.SIGKILL)
    assert killed.process.wait(10) == -signal.SIGKILL
    rig.wait(lambda: rig.get("/readyz") is None or rig.processes["one"].poll() is not None, what="not ready")
    killed.start()
    killed.wait_until_ready()
    if rig.processes["one"].poll() is not None:
        rig.start()
    rig.open_producer()
    rig.publish(MOMENTS, [moment(i) for i in ids[10:]], wait=True)
    rig.wait(lambda: open_cards(rig, ids) == {("CARD", "on_card"): 20}, seconds=60, what="all cards")
    assert rig.workbench.double_cards == 0
    rig.wait_until_ready()
    assert rig.stop() == 0
