"""The topics of schemas/topics.toml as plans for the brokers, with the partition count of this installation."""

from __future__ import annotations

from schemas.topics import load_topics
from services.transport.kafka_admin import TopicPlan


def topic_plans(partitions: int, *, replication: int | None = None) -> list[TopicPlan]:
    """One plan per topic of the file; partitions: of the event log."""
    return [
        TopicPlan(
            name=topic.name,
            partitions=topic.partition_count(partitions),
            cleanup=topic.cleanup,
            retention_ms=topic.retention_ms,
            replication=replication,
        )
        for topic in load_topics().values()
    ]
