"""The contracts themselves: registry, lock, compatibility, kinds, topics, cities, reasons, generated files."""

import copy
import json
import shutil
from pathlib import Path

import pytest

from schemas import generate, reference
from schemas.cities import CITIES
from schemas.compatibility import enum_faults, incompatibilities, registry_faults
from schemas.events import CONTACTS_TOPIC, EVENTS_TOPIC, HAND_OVER, KINDS, TICK, FieldType
from schemas.lock import append_only_faults, file_stem, lock_text, plan_lock
from schemas.reasons import EXPLANATIONS, DecodeReason, Reason
from schemas.registry import (
    LOCK_FILE,
    REGISTRY,
    ROOT,
    LockEntry,
    RegistryFault,
    Schema,
    UnknownSchema,
    canonical_text,
    load_registry,
    read_lock,
    sha256_of,
)
from schemas.topics import TOPICS, TopicsFault, load_topics

FIXED_IDS = {
    1: "BalanceEvent",
    2: "UsageEvent",
    11: "CustomerEvent",
    21: "Tick",
    31: "Moment",
    62: "StateManifest",
    63: "HandOver",
}


def usage_schema() -> Schema:
    return copy.deepcopy(REGISTRY.newest("kairos.events.v1.UsageEvent").schema)


# The lock.


def test_ids_are_those_that_were_released() -> None:
    assert {schema_id: REGISTRY.by_id(schema_id).name.rsplit(".", 1)[1] for schema_id in FIXED_IDS} == FIXED_IDS
    assert REGISTRY.ids[:17] == (*range(1, 12), 21, 31, 41, 51, 61, 62)


def test_lock_file_names_the_bytes_of_each_file() -> None:
    for entry in read_lock(LOCK_FILE).values():
        assert sha256_of((ROOT / entry.file).read_bytes()) == entry.sha256


def test_unknown_ids_and_names_are_told() -> None:
    with pytest.raises(UnknownSchema):
        REGISTRY.by_id(99)
    with pytest.raises(UnknownSchema):
        REGISTRY.id_of("kairos.events.v1.Nothing")


def test_changed_schema_file_stops_the_registry(tmp_path: Path) -> None:
    shutil.copy(LOCK_FILE, tmp_path)
    shutil.copytree(ROOT / "avro", tmp_path / "avro")
    load_registry(tmp_path / LOCK_FILE.name)
    file = tmp_path / "avro" / "tick.v1.avsc"
    file.write_text(file.read_text().replace("rules_offset", "rule_offset"))

    with pytest.raises(RegistryFault, match="tick"):
        load_registry(tmp_path / LOCK_FILE.name)


@pytest.mark.parametrize("text", ["", "[]", '{"one": {}}', '{"1": {"subject": "a"}}'])
def test_malformed_lock_file_is_refused(tmp_path: Path, text: str) -> None:
    lock_file = tmp_path / "registry.lock.json"
    lock_file.write_text(text)

    with pytest.raises(RegistryFault):
        load_registry(lock_file)


def test_lock_of_today_is_what_would_be_written() -> None:
    plan = plan_lock(read_lock(LOCK_FILE), generate.schema_files(ROOT))

    assert plan.faults == ()
    assert lock_text(plan.entries) == LOCK_FILE.read_text()


def test_new_version_gets_the_next_id() -> None:
    schema = usage_schema()
    schema["fields"].append({"name": "cell", "type": ["null", "string"], "default": None})
    files = generate.schema_files(ROOT) | {"avro/usage_event.v2.avsc": canonical_text(schema).encode()}

    plan = plan_lock(read_lock(LOCK_FILE), files)

    assert plan.faults == ()
    assert plan.entries[max(REGISTRY.ids) + 1].file == "avro/usage_event.v2.avsc"
    assert append_only_faults(read_lock(LOCK_FILE), plan.entries) == []


def test_released_file_cannot_change_or_go() -> None:
    files = generate.schema_files(ROOT)
    changed = files | {"avro/usage_event.v1.avsc": files["avro/usage_event.v1.avsc"] + b"\n"}
    gone = {path: content for path, content in files.items() if path != "avro/tick.v1.avsc"}

    assert "usage_event.v1" in plan_lock(read_lock(LOCK_FILE), changed).faults[0]
    assert "tick.v1" in plan_lock(read_lock(LOCK_FILE), gone).faults[0]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("avro/usage_event.v3.avsc", canonical_text(usage_schema()).encode()),
        ("avro/use_event.v2.avsc", canonical_text(usage_schema()).encode()),
        ("avro/UsageEvent.avsc", canonical_text(usage_schema()).encode()),
        ("avro/usage_event.v2.avsc", json.dumps(usage_schema()).encode()),
        ("avro/usage_event.v2.avsc", b'"long"'),
        ("avro/usage_event.v2.avsc", b"{"),
    ],
)
def test_new_file_with_wrong_name_layout_or_contents_is_refused(path: str, content: bytes) -> None:
    plan = plan_lock(read_lock(LOCK_FILE), generate.schema_files(ROOT) | {path: content})

    assert len(plan.faults) >= 1
    assert plan.entries == read_lock(LOCK_FILE)


def test_lock_is_append_only() -> None:
    before = {1: LockEntry(1, "a.A", "avro/a.v1.avsc", "aa"), 2: LockEntry(2, "a.B", "avro/b.v1.avsc", "bb")}

    assert append_only_faults(before, before | {3: LockEntry(3, "a.A", "avro/a.v2.avsc", "cc")}) == []
    assert append_only_faults(before, {1: before[1]}) == ["id 2 of a.B was removed"]
    changed = {**before, 1: LockEntry(1, "a.A", "avro/a.v1.avsc", "ff")}
    assert append_only_faults(before, changed) == ["id 1 of a.A was changed"]


# Compatibility.


def test_every_version_reads_every_other() -> None:
    assert registry_faults(REGISTRY) == []


def test_added_field_with_default_and_added_word_are_compatible() -> None:
    newer = usage_schema()
    newer["fields"].append({"name": "cell", "type": ["null", "string"], "default": None})
    newer["fields"][6]["type"]["symbols"].append("MMS")

    assert incompatibilities([usage_schema(), newer]) == []


def breaking_changes() -> dict[str, Schema]:
    added, removed, retyped, renamed, closed = (usage_schema() for _ in range(5))
    added["fields"].append({"name": "cell", "type": "string"})
    del removed["fields"][8]  # quantity
    retyped["fields"][8]["type"] = "string"
    renamed["fields"][8]["name"] = "amount"
    del closed["fields"][6]["type"]["default"]
    closed["fields"][6]["type"]["symbols"] = ["UNKNOWN", "VOICE"]
    return {"added": added, "removed": removed, "retyped": retyped, "renamed": renamed, "closed": closed}


@pytest.mark.parametrize("change", breaking_changes())
@pytest.mark.parametrize("is_newest", [True, False])
def test_breaking_change_is_refused_in_either_direction_and_across_versions(change: str, is_newest: bool) -> None:
    broken = breaking_changes()[change]
    versions = [usage_schema(), usage_schema(), broken]

    assert incompatibilities(versions if is_newest else versions[::-1]) != []


def test_closed_enums_are_found_wherever_they_nest() -> None:
    schema = copy.deepcopy(REGISTRY.newest("kairos.moments.v1.Moment").schema)
    assert enum_faults(schema) == []
    evidence = next(field for field in schema["fields"] if field["name"] == "evidence")
    layer = next(field for field in evidence["type"]["items"]["fields"] if field["name"] == "layer")
    layer["type"]["symbols"].reverse()

    assert enum_faults(schema) == ["enum Layer: first symbol and default have to be UNKNOWN"]


# Kinds.


def test_kinds_have_the_ids_one_to_eleven_in_their_order() -> None:
    assert [REGISTRY.id_of(kind.record) for kind in KINDS.values()] == list(range(1, 12))


def test_contacts_have_their_own_topic_and_all_others_are_in_the_log() -> None:
    assert {kind.name for kind in KINDS.values() if kind.topic == CONTACTS_TOPIC} == {"contact"}
    in_the_log = {kind.record for kind in KINDS.values() if kind.topic == EVENTS_TOPIC}
    assert set(TOPICS[EVENTS_TOPIC].schemas) == in_the_log | {TICK, HAND_OVER}


def test_kinds_are_bodies_of_the_grpc_event() -> None:
    from kairos.ingest.v1 import ingest_pb2

    bodies = {field.name: field for field in ingest_pb2.Event.DESCRIPTOR.oneofs_by_name["body"].fields}
    assert set(bodies) == {kind.proto_body for kind in KINDS.values()}
    for kind in KINDS.values():
        message = bodies[kind.proto_body].message_type
        assert message is not None
        names = {field.name.removesuffix("_ms") for field in message.fields}
        common = {"event_id", "customer_id", "occurred_at", "source"}
        assert names | common == {field.name for field in kind.fields}


def test_unknown_is_no_word_for_sending() -> None:
    fields = [field for kind in KINDS.values() for field in kind.fields]

    assert all("UNKNOWN" not in field.words and "unknown" not in field.words for field in fields)
    assert all(field.words for field in fields if field.type is FieldType.WORD)


def test_behavioural_kinds_are_flat_and_their_enums_not_nullable() -> None:
    flat = {"long", "int", "double", "boolean", "string"}
    for kind in KINDS.values():
        if kind.name == "customer":
            continue
        for field in REGISTRY.newest(kind.record).schema["fields"]:
            avro_type = field["type"]
            branches = avro_type if isinstance(avro_type, list) else [avro_type]
            for branch in branches:
                is_plain = isinstance(branch, str) or branch["type"] in flat
                is_enum = not isinstance(branch, str) and branch["type"] == "enum" and len(branches) == 1
                is_text_list = branch == {"type": "array", "items": "string"} and len(branches) == 1
                assert is_plain or is_enum or is_text_list, f"{kind.name}.{field['name']}"


# Topics, cities, reasons.


def test_topics_refer_to_what_exists() -> None:
    for topic in TOPICS.values():
        assert set(topic.schemas) <= set(REGISTRY.names), topic.name
        assert topic.dead_letters is None or topic.dead_letters in TOPICS, topic.name
        assert topic.producers, topic.name
    on_topics = {name for topic in TOPICS.values() for name in topic.schemas}
    assert on_topics == set(REGISTRY.names)


def test_partitions_and_retention_are_resolved() -> None:
    assert TOPICS["kairos.events.v1"].partition_count(4) == 4
    assert TOPICS["kairos.rules.v1"].partition_count(4) == 1
    assert TOPICS["kairos.events.v1"].retention_ms == 8 * 24 * 3_600_000
    assert TOPICS["kairos.rules.v1"].retention_ms == -1


TOPIC = """[[topic]]
name = "t"
key = "none"
partitions = 1
cleanup = "delete"
retention_hours = 1
schemas = []
producers = ["ingest"]
consumers = []
about = "."
"""


@pytest.mark.parametrize(
    "text",
    [
        TOPIC.replace("partitions = 1", "partitions = 0"),
        TOPIC.replace("partitions = 1", 'partitions = "many"'),
        TOPIC.replace('"delete"', '"burn"'),
        TOPIC.replace('about = "."', ""),
        TOPIC + TOPIC,
        "nothing = 1",
        "[[",
    ],
)
def test_malformed_topics_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "topics.toml"
    file.write_text(TOPIC)
    assert load_topics(file)["t"].partitions == 1
    file.write_text(text)

    with pytest.raises(TopicsFault):
        load_topics(file)


def test_there_are_thirteen_cities_with_names_in_both_languages() -> None:
    assert len(CITIES) == 13
    assert CITIES["NJ"].name("zh") == "南京"
    assert CITIES["NJ"].name("en") == "Nanjing"


def test_every_reason_is_explained_in_both_languages() -> None:
    assert set(EXPLANATIONS) == set(Reason) | set(DecodeReason)
    for explanation in EXPLANATIONS.values():
        assert explanation.en.endswith(".")
        assert explanation.zh.endswith("。")


# What is generated.


def test_reference_pages_are_fresh() -> None:
    assert generate.page_faults() == []


def test_reference_page_names_every_field_and_reason() -> None:
    page = reference.events_page((ROOT / "pages" / "events.md").read_text())

    for kind in KINDS.values():
        assert f"### {kind.name}\n" in page
        assert all(f"`{field.name}`" in page for field in kind.fields)
    assert all(f"| `{reason}` |" in page for reason in (*Reason, *DecodeReason))


def test_stubs_are_fresh() -> None:
    assert generate.stub_faults() == []


def test_proto_files_are_clean_and_break_no_released_client() -> None:
    assert generate.lint_faults() == []
    assert generate.breaking_faults() == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("string event_id = 1;", "string event_id = 31;"),
        ("int64 customer_id = 2;", "string customer_id = 2;"),
        ("rpc PublishEvents(", "rpc SendEvents("),
    ],
)
def test_breaking_change_of_a_proto_file_is_refused(tmp_path: Path, before: str, after: str) -> None:
    copied = tmp_path / "proto"
    shutil.copytree(generate.PROTO_ROOT, copied)
    file = copied / "kairos" / "ingest" / "v1" / "ingest.proto"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))

    assert generate.breaking_faults(source=copied) != []


def test_file_names_follow_record_names() -> None:
    assert file_stem("kairos.events.v1.HandsetChangeEvent") == "handset_change_event"
    assert {REGISTRY.newest(name).entry.file for name in REGISTRY.names} == {
        f"avro/{file_stem(name)}.v{len(REGISTRY.versions(name))}.avsc" for name in REGISTRY.names
    }


@pytest.mark.parametrize("file", sorted(generate.PROTO_ROOT.rglob("*.proto")), ids=lambda path: path.stem)
def test_every_method_tells_its_deadline(file: Path) -> None:
    comment: list[str] = []
    service_says = ""
    for line in map(str.strip, file.read_text().splitlines()):
        if line.startswith("//"):
            comment.append(line)
            continue
        if line.startswith("service "):
            service_says = " ".join(comment)
        if line.startswith("rpc "):
            assert "eadline" in " ".join(comment) or "Deadline:" in service_says, line
        comment = []
