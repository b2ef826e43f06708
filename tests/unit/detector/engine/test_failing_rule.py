"""A rule that comes to no number at run time is left out, alone, for that customer; it is counted by rule."""

from collections.abc import Mapping

import pytest

from services.detector import metrics
from services.detector.engine.moments import finite, formatted
from services.detector.engine.partition import Partition
from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from services.detector.records.decode import decode_chunk
from tests.reference.local_time import DAY
from tests.reference.logs import MONDAY, Log, local, raw_records, shipped_documents

AT = local(MONDAY, 10)
_HUGE = " * ".join(["1000000000000000"] * 21)


def documents() -> dict[str, str]:
    """AN4 that overflows for whoever owes more than nothing, and the rest as it ships."""
    found = shipped_documents()
    an4 = found["rules/an4.yaml"].replace("features:\n", f"features:\n  huge: balance_fen * {_HUGE}\n")
    found["rules/an4.yaml"] = an4.replace("fire: balance_fen", "fire: huge < 0 AND balance_fen")
    return found


@pytest.fixture(scope="module")
def rules() -> CompiledRuleSet:
    return compile_rule_set(documents(), "province@1")


def found(log: Log, rules: CompiledRuleSet) -> tuple[list[str], Mapping[str, int]]:
    applied = Partition(0).apply(decode_chunk(0, raw_records(log.entries)), {0: rules})
    return [moment["rule_id"] for moment in applied.moments], applied.counts


def test_it_alone_is_left_out_and_counted(rules: CompiledRuleSet) -> None:
    log = Log()
    log.profile(AT - DAY)
    log.tick(AT)
    log.event("balance", AT + 1, balance_fen=-5)
    moments, counts = found(log, rules)
    assert moments == ["AN11"]
    assert {name: n for name, n in counts.items() if name.startswith("rule_failed")} == {
        "rule_failed": 1,
        "rule_failed:AN4": 1,
    }


def test_where_it_comes_to_a_number_nothing_is_counted(rules: CompiledRuleSet) -> None:
    log = Log()
    log.profile(AT - DAY)
    log.tick(AT)
    log.event("balance", AT + 1, balance_fen=0)
    assert found(log, rules) == ([], {})


def test_it_is_shown_by_rule() -> None:
    before = metrics.RULE_FAILURES_TOTAL.labels(rule="XY9")._value.get()
    metrics.count_engine("rule_failed:XY9", 3)
    assert metrics.RULE_FAILURES_TOTAL.labels(rule="XY9")._value.get() == before + 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_never_told_as_one(value: float) -> None:
    assert finite(value) is None
    assert {formatted(value, each) for each in ("yuan", "count", "minutes", "date", "time")} == {"?"}


def test_what_is_no_date_is_never_told_as_one() -> None:
    assert formatted(1e17, "date") == "?"
    assert formatted(1e17, "count") == "1" + "0" * 17
