"""Windows, presence, sentences, wire checks, waiters, notifications: the small parts, with values alone."""

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest
from kairos.workbench.v1 import admin_pb2

from services.settings import Secret, SettingsRefused, read_settings
from services.workbench_api import wire
from services.workbench_api.database import ALL, News, payloads, read_payload
from services.workbench_api.dependency import Dependency
from services.workbench_api.dispatching import Invalid
from services.workbench_api.errors import FieldInvalid, TooManyCalls
from services.workbench_api.followers import newest_of
from services.workbench_api.presence import Attendance, Presence, PresencePolicy, after_act, after_missed, is_silent
from services.workbench_api.sentences import Reading, Sentence, Sentences, fallback, fill, language_of
from services.workbench_api.settings import WorkbenchSettings
from services.workbench_api.states import State
from services.workbench_api.tasks import Task
from services.workbench_api.waiters import CapacityFeed, SeenBook, Waiters
from services.workbench_api.windows import NEVER_MS, Window, is_open, local_date, next_half_day_ms, next_open_ms
from tests.workbench_rig import MONDAY_10_MS, wire_task

HOUR = 3_600_000


def test_windows_are_half_open_and_none_means_never() -> None:
    windows = (Window(10, 20), Window(30, 40))
    assert [is_open(windows, at) for at in (9, 10, 19, 20, 30)] == [False, True, True, False, True]
    assert [next_open_ms(windows, at) for at in (0, 15, 20, 39, 40)] == [10, 15, 30, 39, NEVER_MS]
    assert not is_open((), 10)
    assert next_open_ms((), 10) == NEVER_MS


def test_half_days_are_local() -> None:
    assert next_half_day_ms(MONDAY_10_MS) == MONDAY_10_MS + 2 * HOUR
    assert next_half_day_ms(MONDAY_10_MS + 2 * HOUR) == MONDAY_10_MS + 14 * HOUR
    assert local_date(MONDAY_10_MS + 14 * HOUR - 1).isoformat() == "2026-09-07"
    assert local_date(MONDAY_10_MS + 14 * HOUR).isoformat() == "2026-09-08"


def test_two_missed_offers_stop_the_offers_until_the_person_acts() -> None:
    policy = PresencePolicy()
    once = after_missed(Attendance(Presence.AVAILABLE), 1, policy=policy)
    assert once == Attendance(Presence.AVAILABLE, 1)
    twice = after_missed(once, 1, policy=policy)
    assert twice == Attendance(Presence.NOT_RESPONDING, 2)
    assert after_act(twice) == Attendance(Presence.AVAILABLE, 0)
    assert after_act(once) == Attendance(Presence.AVAILABLE, 0)
    on_break = after_missed(Attendance(Presence.BREAK), 5, policy=policy)
    assert on_break.presence is Presence.BREAK
    assert after_act(on_break).presence is Presence.BREAK


def test_silence_concerns_only_those_who_said_they_are_there() -> None:
    policy = PresencePolicy(silence_ms=60_000)
    assert is_silent(Presence.AVAILABLE, 0, 60_000, policy=policy)
    assert not is_silent(Presence.AVAILABLE, 1, 60_000, policy=policy)
    assert not is_silent(Presence.BREAK, 0, 10**9, policy=policy)


def test_a_sentence_comes_from_its_version_else_the_newest_else_the_other_language() -> None:
    sentences = Sentences()
    sentences.add("p@1", {("an4", "zh"): Sentence("旧", "", "")})
    sentences.add("p@2", {("an4", "zh"): Sentence("新", "", ""), ("an7", "zh"): Sentence("周", "", "")})
    sentences.add("p@2", {("an4", "zh"): Sentence("改", "", "")})
    assert _title(sentences.find("p@1", "an4", "zh")) == "旧"
    assert _title(sentences.find("p@9", "an4", "zh")) == "新"
    assert _title(sentences.find("p@1", "an7", "en")) == "周"
    assert sentences.find("p@1", "nope", "zh") is None


def _title(sentence: Sentence | None) -> str:
    assert sentence is not None
    return sentence.title


def test_parameters_are_filled_in_and_nothing_else_is_evaluated() -> None:
    assert fill("余额 {balance} 元，低于 {limit}", {"balance": "8.50"}) == "余额 8.50 元，低于 —"
    assert fill("{0.__class__} {a!r} {}", {"a": "x"}) == "{0.__class__} {a!r} {}"
    assert fill("{a}", {"a": "{b}", "b": "no"}) == "{b}"


def test_an_unknown_key_still_says_rule_and_numbers() -> None:
    readings = [Reading("balance_fen", "850 fen", "", "1000 fen")]
    assert fallback("AN4", readings, "en").why_now == "balance_fen 850 fen, threshold 1000 fen"
    assert "阈值 1000 fen" in fallback("AN4", readings, "zh").why_now
    assert "AN4" in fallback("AN4", [], "zh").title


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, "zh"), ("", "zh"), ("en", "en"), ("en-US,en;q=0.9", "en"), ("fr, en;q=0.5", "en"), ("zh-CN", "zh")],
)
def test_the_language_is_the_first_known_one(asked: str | None, expected: str) -> None:
    assert language_of(asked) == expected


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"task_id": "x"}, "task_id"),
        ({"version": 0}, "version"),
        ({"customer_id": 0}, "customer.customer_id"),
        ({"manager_id": "a b"}, "manager_id"),
        ({"units": 0}, "units"),
        ({"units": 101}, "units"),
        ({"priority": 6}, "priority"),
        ({"score": math.nan}, "score"),
        ({"expires_at_ms": 0}, "expires_at_ms"),
        ({"windows": ()}, "contact_windows"),
        ({"windows": ((5, 5),)}, "contact_windows"),
        ({"moments": []}, "moments"),
        ({"moment": {"moment_id": "x"}}, "moments[0].moment_id"),
        ({"moment": {"rule_id": ""}}, "moments[0].rule_id"),
        ({"moment": {"parameters": {"x": "y" * 70_000}}}, "task"),
    ],
)
def test_a_dispatched_task_is_checked_field_by_field(changes: dict[str, Any], fault: str) -> None:
    found = wire.task_from_wire(wire_task(**changes), MONDAY_10_MS)
    assert isinstance(found, Invalid)
    assert found.fault.startswith(f"{fault}:"), found.fault


def test_what_the_workbench_decides_is_not_read_from_a_dispatch() -> None:
    message = wire_task(attempts=7, title="forged", what_to_say="forged", why_now=["forged"], state=7)
    found = wire.task_from_wire(message, MONDAY_10_MS)
    assert isinstance(found, Task)
    assert (found.state, found.attempts) == (State.CREATED, 0)
    shown = wire.task_to_wire(found, Sentences(), "zh")
    assert "forged" not in str(shown)


def test_a_card_is_rendered_in_the_language_asked_for() -> None:
    sentences = Sentences()
    texts = {
        ("an4", "zh"): Sentence("余额不足", "余额 {balance_yuan} 元，低于 {threshold_yuan} 元", "提醒充值"),
        ("an4", "en"): Sentence("Low balance", "Balance {balance_yuan} below {threshold_yuan}", "Remind"),
    }
    sentences.add("province@1", texts)
    task = wire.task_from_wire(wire_task(), MONDAY_10_MS)
    assert isinstance(task, Task)
    zh, en = wire.task_to_wire(task, sentences, "zh"), wire.task_to_wire(task, sentences, "en")
    assert (zh.title, list(zh.why_now), zh.what_to_say) == ("余额不足", ["余额 8.50 元，低于 10.00 元"], "提醒充值")
    assert (en.title, list(en.why_now)) == ("Low balance", ["Balance 8.50 below 10.00"])


@pytest.mark.parametrize(
    "fields", [{"manager_id": ""}, {"city": ""}, {"team": "x" * 65}, {"skills": [""]}, {"capacity_units": -1}]
)
def test_a_manager_is_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(FieldInvalid):
        wire.manager_from_wire(admin_pb2.Manager(**({"manager_id": "m", "city": "NJ"} | fields)), 0)


def test_zeros_of_a_manager_are_the_defaults() -> None:
    manager = wire.manager_from_wire(admin_pb2.Manager(manager_id="m", city="NJ", active=True), 0)
    assert (manager.capacity_units, manager.daily_budget) == (100, 60)


async def test_news_during_a_look_is_not_lost() -> None:
    waiters = Waiters(waiters_max=10, per_manager_max=2)
    with waiters.register("m") as waiter:
        waiter.look()
        waiters.hear(News(work={"m"}))  # while the poll looks
        async with asyncio.timeout(1.0):
            await waiter.wait(60)
        waiter.look()
        waiters.hear(News(work={"other"}))
        await waiter.wait(0.01)
        waiters.hear(News(work={ALL}))
        async with asyncio.timeout(1.0):
            await waiter.wait(60)
    assert (len(waiters), waiters.managers()) == (0, [])


def test_waiting_is_bounded_in_all_and_by_manager() -> None:
    waiters = Waiters(waiters_max=3, per_manager_max=2)
    with waiters.register("m"), waiters.register("m"):
        with pytest.raises(TooManyCalls), waiters.register("m"):
            pass
        with waiters.register("n"), pytest.raises(TooManyCalls), waiters.register("o"):
            pass
    assert len(waiters) == 0


def test_who_waits_counts_as_heard_of() -> None:
    waiters = Waiters(waiters_max=3, per_manager_max=2)
    book = SeenBook(waiters)
    book.note("a")
    with waiters.register("b"):
        assert book.take() == ["a", "b"]
        assert book.take() == ["b"]
    assert book.take() == []


async def test_a_slow_watcher_gets_merged_news() -> None:
    feed = CapacityFeed()
    with feed.watch() as watcher:
        for number in range(1000):
            feed.hear(News(capacity={f"m{number % 3}"}))
        await watcher.wait(60)
        assert watcher.take() == {"m0", "m1", "m2"}
        assert watcher.take() == set()


def test_notifications_stay_below_the_servers_limit_and_come_back_whole() -> None:
    managers = {f"m-{'x' * 50}-{number}" for number in range(500)}
    lines = payloads("me", News(work=managers, capacity={"c"}))
    assert all(len(line) < 8000 for line in lines)
    found = [read_payload(line, but="other") for line in lines]
    assert set().union(*(news.work for news in found if news)) == managers
    assert set().union(*(news.capacity for news in found if news)) == {"c"}
    assert read_payload(lines[0], but="me") is None
    assert read_payload("nonsense", but="me") is None
    assert read_payload("[]", but="me") is None


def test_of_two_customer_records_the_higher_log_offset_holds() -> None:
    def record(key: bytes | None, offset: int, value: bytes | None) -> Any:
        return SimpleNamespace(key=key, value=value, offset=9, headers=[("log_offset", str(offset).encode())])

    newest, forgotten = newest_of(
        [
            record(b"1", 5, b"new"),
            record(b"1", 4, b"old"),
            record(b"2", 1, b"x"),
            record(b"2", 2, None),
            record(b"bad", 1, b"x"),
            record(None, 1, b"x"),
        ]
    )
    assert newest == {1: (5, b"new")}
    assert forgotten == {2}


def test_a_lost_server_is_told_with_how_long() -> None:
    now = [100.0]
    dependency = Dependency("Kafka", monotonic=lambda: now[0])
    assert dependency.fault() is None
    dependency.lost()
    now[0] = 112.0
    dependency.lost()
    assert dependency.lost_seconds() == 12.0
    assert dependency.fault() == "Kafka does not answer since 12 s"
    dependency.answered()
    assert dependency.lost_seconds() == 0.0


def test_all_wrong_settings_are_told_together_and_the_password_is_not() -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings(WorkbenchSettings, "WORKBENCH", {"KAIROS_WORKBENCH_OFFER_SECONDS": "soon"})
    assert len(refused.value.faults) == 3
    environment = {"KAIROS_POSTGRES_DSN": "postgresql://u:hidden@h/d", "KAIROS_SECRETS_DIR": "/x"}
    settings = read_settings(WorkbenchSettings, "WORKBENCH", environment)
    assert "hidden" not in repr(settings)
    assert isinstance(settings.postgres_dsn, Secret)
    with pytest.raises(SettingsRefused):
        read_settings(WorkbenchSettings, "WORKBENCH", environment | {"KAIROS_WORKBENCH_WORK_SECONDS": "9999"})
