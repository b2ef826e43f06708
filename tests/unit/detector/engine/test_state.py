"""State: placement, growth, pages and their damage, texts, floods, clocks that jump."""

from datetime import date

import pytest

from schemas.codec import encode
from services.detector.engine.customer.layout import PAGE_ROWS, RECORD, WORDS, offsets
from services.detector.engine.errors import RulesNotLoaded, StateUnreadable
from services.detector.engine.pages import Page
from services.detector.engine.partition import Partition
from services.detector.engine.rule_set import compile_rule_set
from services.detector.engine.store import Store
from services.detector.records.decode import decode_chunk
from tests.reference.local_time import DAY
from tests.reference.logs import (
    MONDAY,
    TICK,
    Log,
    Raw,
    apply_in_chunks,
    local,
    raw_records,
    run_engine,
    shipped,
    shipped_documents,
)

AT = local(MONDAY, 10)


def usage_records(customers: range, first_offset: int = 0) -> list[Raw]:
    common = {"occurred_at": AT, "ingested_at": AT, "source": "cdr", "service": "DATA", "quantity": 1}
    return [
        Raw(first_offset + i, b"%d" % customer,
            encode("kairos.events.v1.UsageEvent", {**common, "customer_id": customer, "event_id": f"u{customer}"}))
        for i, customer in enumerate(customers)
    ]  # fmt: skip


def reloaded(partition: Partition) -> Partition:
    loaded = Partition(0)
    for number in range(partition.pages()):
        loaded.load_page(number, partition.dump_page(number))
    loaded.finish_loading(partition.tick_now_ms, partition.rules_offset, partition.next_offset)
    return loaded


def test_a_record_fits_the_budget_and_its_hot_parts_begin_with_cache_lines() -> None:
    assert WORDS * 4 == 1216
    at = offsets(RECORD)
    assert [at[name] % 16 for name in ("ID", "USAGE_IDS", "MONTHS", "DAYS", "BALANCE", "OTHER_IDS", "CONTACTS")] == [
        0
    ] * 7
    assert at["HOURS"] // 16 == at["PLAN_FEE"] // 16  # asked for as one line
    assert at["MONTHS"] // 16 == at["BILL_CYCLE"] // 16


def test_tables_begin_with_a_cache_line_also_after_growth() -> None:
    store = Store()
    store.reserve_pages(2 * len(store.records) // PAGE_ROWS)
    store.reserve_cases(3 * len(store.pool))
    assert store.records.ctypes.data % 64 == 0
    assert store.pool.ctypes.data % 64 == 0
    assert store.records.flags.c_contiguous


def test_a_twelfth_of_all_customers_has_room_from_the_first() -> None:
    """Making room copies every record: half a second at 250,000 customers, in which no moment is found."""
    store = Store()
    records = store.records
    store.reserve_pages(-(-9_000_000 // 12 // PAGE_ROWS))
    assert store.records is records


def test_state_grows_and_every_customer_keeps_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.detector.engine.store._SLOTS_AT_FIRST", 64 * PAGE_ROWS)
    partition = Partition(0)
    customers = range(10**12, 10**12 + 40_000)
    apply_in_chunks(partition, usage_records(customers), splits=range(0, 40_000, 7_000))
    assert partition.customers == 40_000
    assert partition.pages() == -(-40_000 // PAGE_ROWS)
    apply_in_chunks(partition, usage_records(customers, 40_000))
    assert partition.customers == 40_000
    again = reloaded(partition)
    assert again.customers == 40_000
    assert [again.dump_page(n) for n in range(3)] == [partition.dump_page(n) for n in range(3)]


def test_customer_records_find_room_for_every_category_that_they_newly_name() -> None:
    """Each takes a row of the pool, so that a record takes more than one."""
    log, joined = Log(), (MONDAY - date(1970, 1, 1)).days
    categories = ["VOICE_PLAN", "DATA_PACK", "BROADBAND", "ROAMING", "TV", "MUSIC", "SECURITY", "OTHER"]
    for customer in range(1, 2_101):
        log.profile(AT, customer_id=customer, joined_on=joined, active_categories=categories)
    _, partition = run_engine(log.entries)
    assert int(partition._store.meta[1]) == 1 + 2_100 * 8
    assert len(partition._store.pool) >= int(partition._store.meta[1])


def test_moments_that_are_over_before_they_are_told_find_room() -> None:
    """They take a row and are no finding: by three rules, three of every customer."""
    text, documents = shipped_documents()["rules/ft7.yaml"], {}
    for was, becomes in (
        ("profile: required", "profile: none"),
        ("value: 500", "value: 0"),
        ("THEN at - 24 * hour ELSE month_ends", "THEN month_ends ELSE at - hour"),
    ):
        assert was in text
        text = text.replace(was, becomes)
    for number in range(3):
        documents[f"rules/xc{number}.yaml"] = text.replace("id: FT7", f"id: XC{number}")
    tick = Raw(0, None, encode(TICK, {"now": AT, "rules_offset": 0}))
    partition = Partition(0)
    moments = apply_in_chunks(
        partition, [tick, *usage_records(range(1, 8_001), 1)], rules=compile_rule_set(documents, "province@1")
    )
    assert moments == []
    assert int(partition._store.meta[1]) == 1 + 3 * 8_000
    assert len(partition._store.pool) >= int(partition._store.meta[1])


def test_new_customers_fill_pages_in_order_after_loading() -> None:
    """Page 0 was saved before it was full, page 1 later: the gap is filled first, as it was in the log."""
    records = usage_records(range(1, 1001))
    whole, writer = Partition(0), Partition(0)
    apply_in_chunks(whole, records)
    apply_in_chunks(writer, records[:300])
    first = writer.dump_page(0)
    apply_in_chunks(writer, records[300:900])
    second = writer.dump_page(1)
    loaded = Partition(0)
    loaded.load_page(0, first)
    loaded.load_page(1, second)
    loaded.finish_loading(0, -1, 300)
    assert loaded.customers == 300 + second.rows
    apply_in_chunks(loaded, records[300:])
    assert [loaded.dump_page(n) for n in range(2)] == [whole.dump_page(n) for n in range(2)]


@pytest.mark.parametrize("damage", [b"", b"KSPG", b"\0" * 100])
def test_damaged_pages_are_refused(damage: bytes) -> None:
    with pytest.raises(StateUnreadable):
        Partition(0).load_page(0, Page(1, 1, damage))


def test_a_page_cut_short_is_refused() -> None:
    partition = Partition(0)
    apply_in_chunks(partition, usage_records(range(1, 50)))
    page = partition.dump_page(0)
    with pytest.raises(StateUnreadable):
        Partition(0).load_page(0, Page(page.next_offset, page.rows, page.payload[:-9]))


def test_texts_nobody_refers_to_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.detector.engine.partition._TEXTS_AT_LEAST", 4)
    log = Log()
    log.tick(AT)
    for number in range(30):
        log.profile(AT + number, owner_manager_id=f"m-{number}")
        log.event("complaint", AT + number, complaint_id=f"k{number}", state="OPENED", topic="SPAM")
    log.tick(AT + 60_000)
    partition = Partition(0)
    partition._texts_limit = 4
    apply_in_chunks(partition, raw_records(log.entries))
    assert sorted(partition._texts.values()) == sorted(["m-29", *(f"k{n}" for n in range(22, 30))])


def test_texts_of_events_behind_a_tick_of_the_same_chunk_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.detector.engine.partition._TEXTS_AT_LEAST", 4)
    log = Log()
    log.tick(AT)
    for number in range(12):
        log.profile(AT + number, owner_manager_id=f"m-{number}")
    log.tick(AT + 60_000)
    log.event("complaint", AT + 61_000, complaint_id="behind", state="OPENED", topic="SPAM")
    partition = Partition(0)
    partition._texts_limit = 4
    (moment,) = apply_in_chunks(partition, raw_records(log.entries))
    assert (moment["owner_manager_id"], moment["parameters"]["complaint_id"]) == ("m-11", "behind")


@pytest.mark.parametrize("amount", [-1, -(2**62), 2**62, 2**63 - 1])
def test_amounts_that_no_door_lets_in_neither_wrap_nor_spill(amount: int) -> None:
    log = Log()
    log.profile(AT)
    log.event("usage", AT, service="VOICE", quantity=60, charge_fen=7)
    for service in ("VOICE", "DATA"):
        log.event("usage", AT + 1, service=service, quantity=amount, charge_fen=amount, out_of_bundle_fen=amount)
    _, partition = run_engine(log.entries)
    at = offsets(RECORD)
    rings = partition._store.records[0, at["HOURS"] : at["ATTRIBUTES"]]
    assert int(rings.min()) >= 0
    assert 7 in rings or amount > 0


def test_one_customer_with_very_many_events_is_bounded() -> None:
    log = Log()
    log.profile(AT)
    log.tick(AT)
    for number in range(3_000):
        log.event("usage", AT + number, service="VOICE", quantity=10**12, charge_fen=10**12)
        if number % 100 == 0:
            log.event("handset-change", AT + number, device_model=f"m{number}")
            log.event("complaint", AT + number, complaint_id=f"k{number}", state="OPENED", topic="SPAM")
    _, partition = run_engine(log.entries)
    assert int(partition._store.meta[1]) < 64
    assert partition.dump_page(0).rows == 1


def test_a_tick_never_takes_time_back_and_a_jump_catches_up_a_bounded_past() -> None:
    log = Log()
    log.profile(AT, birthday="09-10")
    for at in (AT, AT + 10 * DAY, AT, AT + 400 * DAY):
        log.tick(at)
    moments, partition = run_engine(log.entries)
    assert partition.tick_now_ms == AT + 400 * DAY
    assert [m["nominal_date"] for m in moments if m["rule_id"] == "SP1"] == [20_706, 20_706 + 365]


def test_an_event_from_the_future_is_moved_to_its_ingestion_and_counted() -> None:
    log = Log()
    log.profile(AT)
    log.tick(AT)
    log.event("balance", AT + 10 * DAY, arrives=AT + 5, balance_fen=1)
    applied = Partition(0).apply(decode_chunk(0, raw_records(log.entries)), {0: shipped()})
    assert [m["occurred_at"] for m in applied.moments] == [AT + 5]
    assert applied.counts["clamped"] == 1


def test_what_is_counted() -> None:
    log = Log()
    log.tick(AT)
    first = log.event("balance", AT, arrives=AT + DAY, balance_fen=1)
    log.again("balance", first)
    log.event("balance", AT - 1, arrives=AT, balance_fen=1)
    log.event("usage", AT, service="SMS", quantity=1)
    log.event("usage", AT - 50 * DAY, arrives=AT, service="SMS", quantity=1)
    applied = Partition(0).apply(decode_chunk(0, raw_records(log.entries)), {0: shipped()})
    assert applied.counts == {"late": 2, "duplicates": 1, "no_profile": 1, "stale": 1, "beyond_rings": 1}


def test_an_unloaded_rule_set_in_force_is_asked_for() -> None:
    partition = Partition(0)
    partition.apply(decode_chunk(0, [Raw(0, None, encode(TICK, {"now": AT, "rules_offset": 0}))]), {0: shipped()})
    with pytest.raises(RulesNotLoaded, match="0"):
        partition.apply(decode_chunk(0, []), {})
