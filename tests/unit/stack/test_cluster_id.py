"""The id of a new Kafka cluster."""

from __future__ import annotations

import base64

from services.stack.kafka_server import cluster_id


def test_id_is_sixteen_bytes_and_never_an_option() -> None:
    """One random id in 64 would begin with a dash."""
    for first in range(256):
        made = cluster_id(bytes([first, *range(15)]))
        assert not made.startswith("-")
        assert len(base64.urlsafe_b64decode(made + "==")) == 16
