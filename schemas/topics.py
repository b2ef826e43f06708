"""A typed view of topics.toml, the one source for creating, checking and documenting topics."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.registry import ROOT

TOPICS_FILE = ROOT / "topics.toml"
PARTITIONS_OF_THE_LOG = "P"
_HOUR_MS = 3_600_000


class TopicsFault(Exception):
    """topics.toml is malformed: the installation is broken, the process stops."""


@dataclass(frozen=True)
class Topic:
    """One topic.

    partitions: None = as many as the event log has (P). retention_hours: -1 = kept. schemas: full names of the Avro
    records that may be on it. producers, consumers: services.
    """

    name: str
    key: str
    partitions: int | None
    cleanup: str
    retention_hours: int
    schemas: tuple[str, ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    dead_letters: str | None
    about: str

    def partition_count(self, log_partitions: int) -> int:
        """Return how many partitions the topic has when the event log has so many."""
        return log_partitions if self.partitions is None else self.partitions

    @property
    def retention_ms(self) -> int:
        """Return the value of Kafka's retention.ms."""
        return -1 if self.retention_hours < 0 else self.retention_hours * _HOUR_MS


def load_topics(path: Path = TOPICS_FILE) -> dict[str, Topic]:
    """Return the topics of a file by name, in its order; raises TopicsFault."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        topics = [_topic(entry) for entry in document["topic"]]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise TopicsFault(f"{path}: {fault!r}") from fault
    by_name = {topic.name: topic for topic in topics}
    if len(by_name) != len(topics):
        raise TopicsFault(f"{path}: a topic is there twice")
    return by_name


def _topic(entry: dict[str, Any]) -> Topic:
    partitions = entry["partitions"]
    if partitions != PARTITIONS_OF_THE_LOG and not (isinstance(partitions, int) and partitions > 0):
        raise ValueError(f"{entry['name']}: partitions must be a number or P")
    if entry["cleanup"] not in ("delete", "compact"):
        raise ValueError(f"{entry['name']}: cleanup must be delete or compact")
    return Topic(
        name=entry["name"],
        key=entry["key"],
        partitions=None if partitions == PARTITIONS_OF_THE_LOG else partitions,
        cleanup=entry["cleanup"],
        retention_hours=int(entry["retention_hours"]),
        schemas=tuple(entry["schemas"]),
        producers=tuple(entry["producers"]),
        consumers=tuple(entry["consumers"]),
        dead_letters=entry.get("dead_letters"),
        about=entry["about"],
    )


TOPICS: Mapping[str, Topic] = load_topics()
"""All topics by name."""
