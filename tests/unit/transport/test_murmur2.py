"""Murmur2 must give what Java's client gives, in both of its forms."""

import random

import pytest

from services.transport.murmur2 import murmur2, murmur2_batch, partition_of, partitions_of

# From Apache Kafka's own UtilsTest.testMurmur2, as signed 32-bit numbers.
JAVA_HASHES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "java"), JAVA_HASHES.items())
def test_hash_is_that_of_the_java_client(key: bytes, java: int) -> None:
    assert murmur2(key) == java & 0xFFFFFFFF


def test_batch_form_equals_the_scalar_form() -> None:
    rng = random.Random(7)
    keys = [bytes(rng.randrange(256) for _ in range(rng.randrange(0, 40))) for _ in range(2_000)]

    assert [int(h) for h in murmur2_batch(keys)] == [murmur2(key) for key in keys]


def test_long_keys_fall_back_to_the_scalar_form() -> None:
    keys = [b"k" * 200, b"short"]

    assert [int(h) for h in murmur2_batch(keys)] == [murmur2(key) for key in keys]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 500])
def test_partitions_of_many_keys_are_those_of_each(count: int) -> None:
    rng = random.Random(count)
    keys = [b"%d" % rng.randrange(1, 2**63) for _ in range(count)]

    assert partitions_of(keys, 12) == [partition_of(key, 12) for key in keys]
