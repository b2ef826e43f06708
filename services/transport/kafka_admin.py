"""Administration of Kafka over kafka-python: create and check topics, offsets, group lag, trimming.

Owns the client and the mapping of its errors. Which topics there are, and what they mean, is said by the caller.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import kafka.errors
from kafka import TopicPartition
from kafka.admin import ConfigFilterType, ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.net.compat import KafkaNetClient
from kafka.structs import OffsetAndMetadata

from services.transport.errors import TransportError, TransportUnavailable, UnknownTopic

REQUEST_SECONDS = 15.0
ASKED_SECONDS = 5.0
"""For a command that a person waits for: then a broker that was not reached is taken for away."""
_GROUPS_TOPIC = "__consumer_offsets"
COORDINATOR_PAUSE_SECONDS = 0.1
COORDINATOR_ON_ITS_WAY = (
    kafka.errors.CoordinatorNotAvailableError,
    kafka.errors.CoordinatorLoadInProgressError,
    kafka.errors.NotCoordinatorError,
)


class AdminRefused(TransportError):
    """The brokers refused an administrative request. Not retried: the reason says what a person must change."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class TopicPlan:
    """A topic as it should be.

    cleanup: delete or compact; retention_ms: -1 = kept for ever; replication: None = the brokers' default.
    """

    name: str
    partitions: int
    cleanup: str
    retention_ms: int
    replication: int | None = None

    @property
    def configs(self) -> dict[str, str]:
        """The settings that are checked, as the brokers spell them."""
        return {"cleanup.policy": self.cleanup, "retention.ms": str(self.retention_ms)}


@dataclass(frozen=True)
class TopicState:
    """A topic as it is: partition count and all its settings."""

    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """One way in which a topic is not as planned."""

    topic: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, expected {self.expected}"


class KafkaAdmin:
    """A connection for administration; open as a context. Calls block, each with a deadline; use from one thread."""

    def __init__(
        self, bootstrap: str, *, seconds: float = REQUEST_SECONDS, connect_seconds: float = REQUEST_SECONDS
    ) -> None:
        self._bootstrap = bootstrap
        self._seconds = seconds
        self._connect_seconds = min(seconds, connect_seconds)
        self._client: Any = None

    def __enter__(self) -> Self:
        self._client = _connect(self._bootstrap, self._seconds, connect_seconds=self._connect_seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def create_topics(self, plans: Iterable[TopicPlan]) -> list[str]:
        """Create the topics that are missing, wait until each partition has a leader, and return their names."""
        existing = set(self.topic_names())
        missing = {
            plan.name: {
                "num_partitions": plan.partitions,
                "replication_factor": -1 if plan.replication is None else plan.replication,
                "configs": plan.configs,
            }
            for plan in plans
            if plan.name not in existing
        }
        if missing:
            with self._mapped():
                self._client.create_topics(missing, timeout_ms=self._timeout_ms, wait_for_metadata=True)
        return sorted(missing)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete topics; for tests and `--fresh` only."""
        with self._mapped():
            self._client.delete_topics(list(names), timeout_ms=self._timeout_ms)

    def topic_names(self) -> list[str]:
        """All topics but the brokers' own, sorted."""
        with self._mapped():
            names = self._client.list_topics()
        return sorted(name for name in names if not name.startswith("__"))

    def describe_topics(self, names: Sequence[str]) -> dict[str, TopicState]:
        """The topics among `names` that exist, by name."""
        existing = set(self.topic_names()) & set(names)
        if not existing:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(existing)]
        with self._mapped():
            topics = self._client.describe_topics(sorted(existing))
            configs = self._client.describe_configs(resources, config_filter=ConfigFilterType.ALL)["topic"]
        return {
            topic["name"]: TopicState(
                topic["name"],
                len(topic["partitions"]),
                {key: str(entry["value"]) for key, entry in configs[topic["name"]].items()},
            )
            for topic in topics
        }

    def partition_count(self, topic: str) -> int:
        """How many partitions the topic has; raises UnknownTopic."""
        with self._mapped():
            topics = self._client.describe_topics([topic])
        if not topics or topics[0]["error_code"] != 0:
            raise UnknownTopic(topic)
        return len(topics[0]["partitions"])

    def end_offsets(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """The next offset to be written, by topic and partition."""
        return self._offsets(topics, OffsetSpec.LATEST)

    def first_offsets(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """The smallest offset still kept, by topic and partition."""
        return self._offsets(topics, OffsetSpec.EARLIEST)

    def committed_offsets(self, group: str) -> dict[tuple[str, int], int]:
        """What a consumer group has committed: the offset to read next, by topic and partition."""
        found = self._group_offsets(group)
        return {(at.topic, at.partition): committed.offset for at, committed in found.items() if committed.offset >= 0}

    def commit_offsets(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set what a consumer group without members has committed."""
        wanted = {TopicPartition(*at): OffsetAndMetadata(offset, "", -1) for at, offset in offsets.items()}
        with self._mapped():
            for fault in self._client.alter_group_offsets(group, wanted).values():
                if fault is not kafka.errors.NoError:
                    raise fault()

    def broker_ms(self, group: str, at: tuple[str, int]) -> int:
        """The brokers' clock, UTC milliseconds: they date a commit of this group, which is made for that alone."""
        self.commit_offsets(group, {at: 0})
        with self._mapped():
            count = len(self._client.describe_topics([_GROUPS_TOPIC])[0]["partitions"])
            wanted = {TopicPartition(_GROUPS_TOPIC, number): OffsetSpec.MAX_TIMESTAMP for number in range(count)}
            found = self._client.list_partition_offsets(wanted, timeout_ms=self._timeout_ms)
        return max(int(result.timestamp) for result in found.values())

    def groups(self) -> list[str]:
        """Names of all consumer groups, sorted."""
        with self._mapped():
            return sorted(group["group_id"] for group in self._client.list_groups())

    def group_members(self, group: str) -> int:
        """How many members a consumer group has now; those that were killed count until their session ends."""
        with self._mapped():
            return len(self._client.describe_groups([group])[group]["members"])

    def trim(self, before: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Delete the records before the given offsets, and return the first offset kept, by topic and partition."""
        wanted = {TopicPartition(topic, partition): offset for (topic, partition), offset in before.items()}
        if not wanted:
            return {}
        with self._mapped():
            done = self._client.delete_records(wanted, timeout_ms=self._timeout_ms)
        return {(at.topic, at.partition): int(result["low_watermark"]) for at, result in done.items()}

    def _group_offsets(self, group: str) -> Mapping[Any, Any]:
        """Ask again while the coordinator is coming up: a new cluster makes its offsets topic at the first question."""
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                found: Mapping[Any, Any] = self._client.list_group_offsets({group: None})[group]
                return found
            except COORDINATOR_ON_ITS_WAY as exc:
                if time.monotonic() >= deadline:
                    raise TransportUnavailable(self._bootstrap, type(exc).__name__) from exc
                time.sleep(COORDINATOR_PAUSE_SECONDS)
            except kafka.errors.KafkaError:
                with self._mapped():
                    raise

    @property
    def _timeout_ms(self) -> int:
        return int(self._seconds * 1000)

    def _offsets(self, topics: Sequence[str], spec: Any) -> dict[tuple[str, int], int]:
        if not topics:
            return {}
        with self._mapped():
            described = self._client.describe_topics(list(topics))
            for topic in described:
                if topic["error_code"] != 0:
                    raise UnknownTopic(topic["name"])
            wanted = {
                TopicPartition(topic["name"], partition["partition_index"]): spec
                for topic in described
                for partition in topic["partitions"]
            }
            found = self._client.list_partition_offsets(wanted, timeout_ms=self._timeout_ms)
        return {(at.topic, at.partition): int(result.offset) for at, result in found.items()}

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        """Foreign errors to our own: what may pass by itself is unavailable, the rest is refused."""
        assert self._client is not None, "open it as a context first"
        try:
            yield
        except kafka.errors.UnknownTopicOrPartitionError as exc:
            raise UnknownTopic(str(exc)) from exc
        except (kafka.errors.RetriableError, kafka.errors.KafkaTimeoutError) as exc:
            raise TransportUnavailable(self._bootstrap, type(exc).__name__) from exc
        except kafka.errors.KafkaError as exc:
            raise AdminRefused(f"{type(exc).__name__}: {exc}") from exc


def differences(plans: Iterable[TopicPlan], found: Mapping[str, TopicState]) -> list[Difference]:
    """How the topics differ from the plans; pure. A missing topic is one difference."""
    result = []
    for plan in plans:
        state = found.get(plan.name)
        if state is None:
            result.append(Difference(plan.name, "topic", "present", "missing"))
            continue
        if state.partitions != plan.partitions:
            result.append(Difference(plan.name, "partitions", str(plan.partitions), str(state.partitions)))
        for key, expected in plan.configs.items():
            value = state.configs.get(key, "unset")
            if value != expected:
                result.append(Difference(plan.name, key, expected, value))
    return result


def answers(bootstrap: str, *, seconds: float) -> bool:
    """True when a broker answers a metadata request within the time."""
    host, _, port = bootstrap.split(",")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=seconds).close()
        with KafkaAdmin(bootstrap, seconds=seconds) as admin:
            admin.topic_names()
    except (OSError, TransportError):
        return False
    return True


def _connect(bootstrap: str, seconds: float, *, connect_seconds: float) -> Any:
    """A client that has reached a broker. One that has not is closed here: its constructor leaves a thread behind."""
    made: list[Any] = []

    def remember(**configs: Any) -> Any:
        made.append(KafkaNetClient(**configs))
        return made[0]

    try:
        return KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id="kairos-admin",
            bootstrap_timeout_ms=int(connect_seconds * 1000),
            request_timeout_ms=int(seconds * 1000),
            kafka_client=remember,
        )
    except kafka.errors.KafkaError as exc:
        for client in made:
            client.close()
            client._manager._net.stop()
        raise TransportUnavailable(bootstrap, type(exc).__name__) from exc
