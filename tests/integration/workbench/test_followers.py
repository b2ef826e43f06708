"""What the workbench follows arrives: sentences of rule sets, and the customer view, from the topics' beginning."""

import asyncio
import hashlib
from typing import Any

import pytest

from schemas.codec import encode
from services.transport.kafka_producer import KafkaProducer, OutRecord
from services.workbench_api.followers import follow_rules
from services.workbench_api.sentences import Sentence, Sentences

pytestmark = pytest.mark.integration


def _rule_set() -> bytes:
    message = {
        "key": "AN4",
        "language": "zh",
        "title": "手机余额不足",
        "why_now": "余额 {balance} 元",
        "what_to_say": "您好",
    }
    document = {"path": "an4.yaml", "sha256": hashlib.sha256(b"id: AN4").hexdigest(), "text": "id: AN4"}
    record: dict[str, Any] = {
        "rule_set": "province",
        "version": 1,
        "effective_from": 0,
        "published_at": 0,
        "author": "a",
        "publisher": "b",
        "documents": [document],
        "messages": [message],
    }
    return encode("kairos.rules.v1.RuleSet", record)


async def _until_known(sentences: Sentences) -> None:
    while sentences.count == 0:  # noqa: ASYNC110  # the product has nobody to notify
        await asyncio.sleep(0.02)


async def test_a_rule_set_in_the_topic_gives_its_sentences(kafka: Any) -> None:
    producer = KafkaProducer(kafka.bootstrap, client_id="test")
    await producer.open(deadline_seconds=20.0)
    await producer.append("kairos.rules.v1", 0, [OutRecord(b"province@1", _rule_set())])
    await producer.close(deadline_seconds=5.0)
    sentences = Sentences()
    following = asyncio.create_task(follow_rules(kafka.bootstrap, sentences))
    try:
        await asyncio.wait_for(_until_known(sentences), timeout=20.0)
    finally:
        following.cancel()
        await asyncio.wait([following], timeout=5.0)
    assert sentences.find("province@1", "AN4", "zh") == Sentence("手机余额不足", "余额 {balance} 元", "您好")
