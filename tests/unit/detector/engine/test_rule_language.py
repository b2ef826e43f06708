"""Rule files: what is refused, where it points, layers, and a new rule without engine code."""

import pytest

from services.detector.engine.errors import RuleError, RulesNotLoaded
from services.detector.engine.language.dependencies import unknown_moments
from services.detector.engine.partition import Partition
from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set, read_contents
from tests.reference.local_time import DAY
from tests.reference.logs import (
    MONDAY,
    Log,
    apply_in_chunks,
    local,
    raw_records,
    run_engine,
    shipped,
    shipped_documents,
)

AT = local(MONDAY, 10)


def changed(file: str, before: str, after: str) -> dict[str, str]:
    documents = shipped_documents()
    name = f"rules/{file}"
    assert before in documents[name]
    return {**documents, name: documents[name].replace(before, after)}


@pytest.mark.parametrize(
    ("file", "before", "after", "line", "column", "says"),
    [
        ("an4.yaml", "balance_fen < limit AND", "balance_fn < limit AND", 21, 7, "balance_fen"),
        ("an4.yaml", "fire: balance_fen < limit", "fire: balance_fen < mean_daily_charge * observed_hours", 21, None,
         "unknown name observed_hours"),
        ("an4.yaml", "fire: balance_fen < limit", "fire: at < limit", 21, 7, "ms beside fen"),
        ("an4.yaml", "fire: balance_fen < limit", "fire: SUM(balance_fen) < limit", 21, None, "not allowed in a rule"),
        ("an4.yaml", "fire: balance_fen < limit AND NOT", "fire: balance_fen < limit AND (NOT", 21, None, "not a SQL"),
        ("an4.yaml", "'TOP_UP'", "'TOPUP'", None, None, "known: UNKNOWN, TOP_UP"),
        ("an4.yaml", "days: 28}", "days: 42}", None, None, "0 to 41"),
        ("an4.yaml", "mean: charge_fen", "mean: charges", None, None, "kept are voice_seconds"),
        ("an4.yaml", "unit: fen, about: no", "unit: yuan, about: no", None, None, "want one of fen"),
        ("an4.yaml", "priority: 2", "priority: 2\npriority: 3", None, 1, "given twice"),
        ("an4.yaml", "priority: 2", "priorty: 2", None, None, "unknown field priorty"),
        ("an4.yaml", "cool_down_days: 3", "cool_down_days: three", None, None, "integer"),
        ("an4.yaml", "{balance} 元，低于", "{blance} 元，低于", None, None, "{blance} is not told"),
        ("an4.yaml", "id: AN4", "id: AN1", None, None, "another document has the id AN1"),
        ("an4.yaml", "class: CHANGE", "class: CHANGES", None, None, "want one of FIRST_TIME"),
        ("an4.yaml", '"on": [balance]', '"on": [balances]', None, None, "kinds are usage"),
        ("an4.yaml", "fire: balance_fen", "fire: complaint_opened_at > 0 AND balance_fen", None, None, "unknown name"),
        ("an7.yaml", 'at: "06:00"', 'at: "6 am"', None, None, "local time"),
        ("ft1.yaml", "wait_hours: 24", "wait_hours: 721", None, None, "0 to 720"),
        ("ft1.yaml", "[service-order]", "[service-order, balance]", None, None, "on service-order alone"),
        ("ft1.yaml", "order_action = 'CANCEL'", "order_action = 'CANCELLED'", None, None, "known: UNKNOWN, SUBSCRIBE"),
        ("ft1.yaml", "order_action = 'SUBSCRIBE'", "inquiry_topic = 'FEE'", None, None, "unknown name inquiry_topic"),
        ("ft3.yaml", "{active: ROAMING}", "{active: ROMING}", None, None, "known: UNKNOWN, VOICE_PLAN"),
        ("ft4.yaml", "{first_asked: FEE, offset: 1}", "{first_asked: FEE, offset: 61}", None, None, "0 to 60"),
        ("an5.yaml", "{every: hour}", '{every: minute, at: "06:00"}', None, None, "want one of"),
        ("an5.yaml", "observed_days: 28", "observed_days: 401", None, None, "0 to 400"),
        ("an5.yaml", "resolve_on: [usage]", "", None, None, "unknown name usage_succeeded"),
        ("an5.yaml", "count_when: usage_succeeded", "count_when: at", None, None, "a boolean is wanted"),
        ("an5.yaml", "[inquiry]", "[inquiry, usage]", None, None, "unknown name inquiry_topic"),
        ("an14.yaml", "{open_on_topic: same, days: 7}", "{open_on_topic: FEE, days: 7}", None, None, "want same"),
        ("an14.yaml", "{open_on_topic: same, days: 7}", "{open_on_topic: same, days: 61}", None, None, "0 to 60"),
        ("an15.yaml", "{addons_cancelled: 30}", "{addons_cancelled: 61}", None, None, "0 to 60"),
        ("an17.yaml", "resolve_on: [line-status]", "resolve_on: [inquiry]", None, None, "may end its moments anyhow"),
        ("an1.yaml", '"on": [complaint]', '"on": [complaint, usage]', None, None, "nothing else"),
        ("risk.yaml", "below: 50, rate", "below: 0, rate", None, None, "must rise"),
        ("lateness.yaml", "  usage: 2", "  usages: 2", None, None, "no kind of event"),
        ("lateness.yaml", "hours:\n", "hours:\nx:\n", 3, 1, "unknown field x"),
        ("an9.yaml", "  WHEN is_bill THEN FALSE", "  WHEN is_bil THEN FALSE", 42, 8,
         "nearest known: is_bill"),
        ("an9.yaml", "  WHEN step = '100' THEN full", "  WHEN step = '100' THEN full full", 43, None, "not a SQL"),
        ("an7.yaml", "call_from_risk: 60", "call_from_risk: high", 33, 17, "a number from 0 to 100"),
        ("an7.yaml", "call_from_risk: 60", "call_from_risk: .nan", 33, 17, "a number from 0 to 100"),
        ("an7.yaml", "call_from_risk: 60", "urgent_from_risk: 101", 33, 19, "a number from 0 to 100"),
        ("an7.yaml", "call_from_risk: 60", "call_from_risk: 0o9", 33, 17, "a number from 0 to 100"),
        ("an7.yaml", "call_from_risk: 60", "call_from_risk: 0b_", 33, 17, "put it in quotes"),
        ("an7.yaml", "{sum: voice_seconds, days: 7}", "{sum: [voice_seconds], days: 7}", 19, 20, "sum wants one value"),
        ("an2.yaml", "{bills: total_fen,", "{bills: {a: 1},", None, None, "bills wants one value"),
        ("an7.yaml", "resolve_on: [usage]", "resolve_on: [[usage]]", None, None, "no kind of event"),
        ("an7.yaml", "resolve_on: [usage]", "resolve_on: [{usage: 1}]", None, None, "no kind of event"),
        ("sp1.yaml", "{open: AN1}", "{open: [AN1]}", None, None, "open wants one value"),
        ("an7.yaml", "title: 周通话时长下降", "title:", 56, None, "a text that is not empty"),
        ("an7.yaml", "title: 周通话时长下降", "title: Fewer minutes", 56, 12, "not one Chinese character"),
        ("an7.yaml", "title: Weekly minutes decline", "title: ' '", None, None, "a text that is not empty"),
        ("ns1.yaml", "title: 免打扰时段", "title: Quiet", None, None, "not one Chinese character"),
        ("an4.yaml", "priority: 2", "priority: 6", None, None, "from 1 (most urgent) to 5"),
        ("an4.yaml", "priority: 2", "priority: 1.5", None, None, "from 1 (most urgent) to 5"),
        ("an7.yaml", "expires: {days: 27}", "expires: {days: -1}", None, None, "0 to 400"),
        ("an7.yaml", "expires: {days: 27}", "expires: {hours: true}", None, None, "0 to 9600"),
        ("an7.yaml", "cool_down_days: 30", "cool_down_days: -30", None, None, "0 to 400"),
        ("an7.yaml", "decline_percent: {value: 60", "decline_percent: {value: -60", None, None, "0 to 100000"),
        ("an7.yaml", "    unit: seconds\n    observed: last_week", "    unit: fen\n    observed: last_week", None, None,
         "what is observed is in seconds"),
        ("an7.yaml", "parameters:\n", "parameters:\n  spare: {value: 1, unit: count}\n", 15, 3, "nothing uses spare"),
        ("an7.yaml", "fire: declines", "fire: 1 > 1e999 AND declines", None, None, "too great a number"),
        ("an7.yaml", "fire: declines", "fire: 1 > 0; declines", None, None, "want one SQL expression"),
        ("an1.yaml", "OPENED: {zh: 处理中, en: open}", "OPENED:", 55, 14, "want a mapping with zh, en"),
        ("an1.yaml", "channel: \"'CALL'\"", "channel: 'FAX'", None, None, "in quotes: 'UNKNOWN', 'CALL', 'SMS'"),
        ("an1.yaml", "channel: \"'CALL'\"", "channel: \"'FAX'\"", None, None, "none of UNKNOWN, CALL, SMS"),
        ("an4.yaml", "THEN 'CALL'", "THEN 'FAX'", None, None, "known: UNKNOWN, CALL, SMS"),
        ("risk.yaml", "features:\n", "features: [1]\nfeature:\n", None, None, "unknown field feature"),
        ("risk.yaml", "week: {\"sum\": \"voice_seconds\", \"days\": 7}", "week: [7]", None, None, "want a mapping"),
        ("risk.yaml", "rate: 0.0297", "rate: 2.97", None, None, "from 0 to 1"),
    ],
)  # fmt: skip
def test_refused_with_place_and_remedy(
    file: str, before: str, after: str, line: int | None, column: int | None, says: str
) -> None:
    with pytest.raises(RuleError) as refused:
        compile_rule_set(changed(file, before, after), "x@1")
    assert refused.value.file == f"rules/{file}" or "another document" in says
    assert says in refused.value.message
    assert line is None or refused.value.line == line
    assert column is None or refused.value.column == column


@pytest.mark.parametrize("text", ["", "- a", "a: [", "a: !!python/object:os.system {}", "a: " + "[" * 40 + "]" * 40])
def test_documents_that_are_no_mapping(text: str) -> None:
    with pytest.raises(RuleError):
        compile_rule_set({"rules/x.yaml": text}, "x@1")


def layered() -> CompiledRuleSet:
    before = "floor: {value: 1000, unit: fen,"
    after = "floor: {value: 1000, unit: fen, city: {SZ: 2000}, segment: {GO: 3000}, city_and_segment: {SZ/GO: 4000},"
    return compile_rule_set(changed("an4.yaml", before, after), "x@2")


@pytest.mark.parametrize(
    ("city", "segment", "floor", "layer"),
    [
        ("NJ", None, 1000, "PROVINCE"),
        ("SZ", None, 2000, "CITY"),
        ("SZ", "EASY", 2000, "CITY"),
        ("NJ", "GO", 3000, "SEGMENT"),
        ("SZ", "GO", 4000, "CITY_AND_SEGMENT"),
    ],
)
def test_the_most_specific_layer_wins_and_is_named(city: str, segment: str | None, floor: int, layer: str) -> None:
    for fen, count in ((floor - 1, 1), (floor, 0)):
        log = Log()
        log.profile(AT, city=city, segment=segment)
        log.tick(AT)
        log.event("balance", AT + 1, balance_fen=fen)
        moments, _ = run_engine(log.entries, rules=layered())
        assert [(m["evidence"][0]["threshold"], m["evidence"][0]["layer"]) for m in moments] == [(floor, layer)] * count


def test_parameter_values_are_no_part_of_the_compiled_code() -> None:
    assert layered().compiled.modules == shipped().compiled.modules


NEW_RULE = """
id: X30
description: a rule that nobody thought of when the engine was written
class: CHANGE
dimension: SERVICE
group: SERVICE
cadence: immediate
"on": [usage]
episode: event
parameters:
  jump: {value: 5, unit: ratio}
features:
  day_charge: {charge_of_hours: 24}
  usual: {mean: charge_fen, days: 30}
fire: day_charge >= 3000 AND day_charge >= jump * usual
rearm: day_charge < jump * usual
cool_down_days: 30
expires: {hours: 12}
priority: 2
channel: "'CALL'"
observation_days: 7
evidence:
  - {name: charge_24h_fen, unit: fen, observed: day_charge, baseline: usual, threshold: jump * usual, layer: jump}
tells:
  charge: {value: day_charge, as: yuan}
messages:
  zh: {title: 话费突增, why_now: "24 小时内消费 {charge} 元。", what_to_say: 您好。}
  en: {title: Sudden rise, why_now: "{charge} yuan in 24 hours.", what_to_say: Hello.}
"""


def test_a_new_rule_is_data_and_starts_warm() -> None:
    documents = {**shipped_documents(), "rules/x30.yaml": NEW_RULE}
    log = Log()
    log.profile(AT)
    for back in range(30, 0, -1):
        log.event("usage", AT - back * DAY, history=True, service="DATA", quantity=1, charge_fen=600)
    log.tick(AT)
    for minute in range(4):
        log.event("usage", AT + minute * 60_000, service="DATA", quantity=1, charge_fen=1000)
    moments, _ = run_engine(log.entries, rules=compile_rule_set(documents, "province@2"))
    (moment,) = [m for m in moments if m["rule_id"] == "X30"]
    assert moment["parameters"] == {"charge": "30.00"}
    assert moment["evidence"][0]["baseline"] == 600.0
    assert moment["rule_version"] == "province@2"


@pytest.mark.parametrize(
    ("entry", "times", "says"),
    [
        ("{name: a%d, unit: text, text: line_status}", 5, "texts"),
        ("{name: a%d, unit: seconds, observed: running_week}", 40, "numbers"),
    ],
)
def test_what_an_end_tells_is_bounded_too(entry: str, times: int, says: str) -> None:
    """More than there are columns would be written past the row of the finding, in compiled code without bounds."""
    listed = "resolved_evidence: [" + ", ".join(entry % n for n in range(times)) + "]\nrest:"
    documents = changed("an7.yaml", "resolved_evidence:", listed)
    text = documents["rules/an7.yaml"]
    cut = text[: text.index("rest:")] + text[text.index("tells:") :]
    with pytest.raises(RuleError, match=says):
        compile_rule_set({**documents, "rules/an7.yaml": cut}, "x@1")


def test_hours_of_the_set_that_still_holds_are_judged_when_a_later_one_has_others() -> None:
    later = compile_rule_set(changed("sp1.yaml", '"00:05"', '"00:07"'), "province@2", AT + 40 * DAY)
    log = Log()
    log.profile(AT, birthday="09-10")
    log.tick(AT)
    partition = Partition(0)
    sets = {0: shipped(), 5: later}
    from schemas.codec import encode
    from services.detector.records.decode import decode_chunk
    from tests.reference.logs import Raw

    partition.apply(decode_chunk(0, raw_records(log.entries)), sets)
    ticks = [
        Raw(2 + n, None, encode("kairos.control.v1.Tick", {"now": AT + n * DAY, "rules_offset": 5})) for n in range(6)
    ]
    partition.apply(decode_chunk(0, ticks), sets)
    found = partition.sweep(1).moments
    assert [(m["rule_id"], m["rule_version"]) for m in found] == [("SP1", "province@1")]


def test_a_set_holds_from_its_own_time_and_from_the_tick_that_announces_it() -> None:
    later = compile_rule_set(shipped_documents(), "province@2", AT + DAY)
    partition, log = Partition(0), Log()
    log.profile(AT)
    log.tick(AT)
    log.event("balance", AT + 1, balance_fen=1)
    records = raw_records(log.entries)
    applied = apply_in_chunks(partition, records)
    assert [m["rule_version"] for m in applied] == ["province@1"]
    follow = Log(8)
    follow.profile(AT)
    follow.event("balance", AT + 5, balance_fen=1)
    follow.event("balance", AT + DAY, balance_fen=1, customer_id=9)
    follow.profile(AT, customer_id=9)
    follow.event("balance", AT + DAY + 1, balance_fen=1, customer_id=9)
    from schemas.codec import encode
    from services.detector.records.decode import decode_chunk
    from tests.reference.logs import Raw

    announce = encode("kairos.control.v1.Tick", {"now": AT + 60_000, "rules_offset": 5})
    more = [Raw(3, None, announce), *raw_records(follow.entries, 4)]
    with pytest.raises(RulesNotLoaded) as missing:
        partition.apply(decode_chunk(0, more), {0: shipped()})
    assert missing.value.args == (5,)
    assert (partition.next_offset, partition.rules_offset) == (3, 0)
    found = partition.apply(decode_chunk(0, more), {0: shipped(), 5: later}).moments
    assert [(m["customer_id"], m["rule_version"]) for m in found] == [(8, "province@1"), (9, "province@2")]


def test_full_hours_of_more_than_a_day_ago_are_asked_of_no_one() -> None:
    rules, hour = shipped(), 3_600_000
    midnight = local(MONDAY)
    ten = midnight + 10 * hour
    day = ten // DAY
    assert rules.mask_at(ten, day, ten + DAY) != 0
    assert rules.mask_at(ten, day, ten + DAY + 60_000) == 0
    six = midnight + 6 * hour
    late, soon = rules.mask_at(six, day, six + 3 * DAY), rules.mask_at(six, day, six)
    assert late == soon != 0


@pytest.mark.parametrize(
    ("file", "before", "after", "column", "says"),
    [
        (
            "an8.yaml",
            "supersedes: [AN6, AN7]",
            "supersedes: [AN6, AN77]",
            19,
            "no rule has the id AN77; nearest known: AN7",
        ),
        ("sp1.yaml", "{open: AN1}", "{open: ZZ1}", 26, "no rule has the id ZZ1"),
        ("an8.yaml", "{held: AN7, weeks: 4}", "{held: XX, weeks: 4}", 17, "no rule has the id XX"),
        ("an8.yaml", "{held: AN7, weeks: 4}", "{held: AN3, weeks: 4}", 17, "AN3 does not remember"),
        ("ns1.yaml", "[AN5, AN11]", "[AN5, AN99]", 27, "no rule has the id AN99"),
    ],
)
def test_a_moment_that_is_not_there_is_refused(file: str, before: str, after: str, column: int, says: str) -> None:
    (fault,) = unknown_moments(read_contents(changed(file, before, after)).documents)
    assert (fault.file, fault.column) == (f"rules/{file}", column)
    assert says in fault.message


def test_aliases_of_aliases_do_not_multiply_without_end() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(RuleError, match="more than 20000 values"):
        compile_rule_set({"rules/x.yaml": "\n".join(lines)}, "x@1")
