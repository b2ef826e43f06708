"""Murmur2 as the Java client computes it: the partition of a key, one at a time or for a whole batch.

All producers of the product and Kafka's own tools must agree on the partition of a customer, else their events lose
their order. The batch form needs numpy, which is imported only there: services without it use the scalar form.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
# Below this many keys, or with longer keys, the scalar form is as fast as building the arrays.
_VECTOR_KEYS_MIN = 8
_VECTOR_KEY_BYTES_MAX = 64


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many, as the Java client's default partitioner."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def partitions_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """Return the partition of every key, in order; the same numbers as `partition_of`."""
    if len(keys) < _VECTOR_KEYS_MIN:
        return [partition_of(key, partitions) for key in keys]
    hashes = murmur2_batch(keys)
    positive = hashes & 0x7FFFFFFF
    partition: list[int] = (positive % partitions).tolist()
    return partition


def murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit murmur2 hash of the bytes, seeded as in the Java client."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = (int.from_bytes(data[i : i + 4], "little") * _M) & _MASK
        k ^= k >> 24
        h = ((h * _M) & _MASK) ^ ((k * _M) & _MASK)
    if length > whole:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


def murmur2_batch(keys: Sequence[bytes]) -> "NDArray[np.uint32]":
    """Return murmur2 of every key as (N,) uint32. Keys longer than 64 bytes are hashed one by one."""
    import numpy as np

    lengths = np.fromiter(map(len, keys), dtype=np.uint32, count=len(keys))
    longest = int(lengths.max(initial=0))
    if longest > _VECTOR_KEY_BYTES_MAX:
        return np.fromiter(map(murmur2, keys), dtype=np.uint32, count=len(keys))
    width = max(4, (longest + 3) & ~3)
    padded = b"".join([key.ljust(width, b"\0") for key in keys])
    words = np.frombuffer(padded, dtype="<u4").reshape(len(keys), width // 4)
    return _murmur2_words(words, lengths)


def _murmur2_words(words: "NDArray[np.uint32]", lengths: "NDArray[np.uint32]") -> "NDArray[np.uint32]":
    """Hash zero-padded keys given as little-endian words (N, W) with their lengths in bytes (N,)."""
    import numpy as np

    m = np.uint32(_M)
    h = np.uint32(_SEED) ^ lengths
    whole_words = lengths >> np.uint32(2)
    for column in range(words.shape[1]):
        k = words[:, column] * m
        k ^= k >> np.uint32(24)
        mixed = (h * m) ^ (k * m)
        h = np.where(whole_words > column, mixed, h)
    has_tail = (lengths & np.uint32(3)) != 0
    # The tail is the word after the last whole one; its missing bytes are zero from the padding.
    tail_column = np.minimum(whole_words, np.uint32(words.shape[1] - 1)).astype(np.intp)
    tail = words[np.arange(len(words)), tail_column]
    h = np.where(has_tail, (h ^ tail) * m, h)
    h ^= h >> np.uint32(13)
    h = h * m
    result: NDArray[np.uint32] = h ^ (h >> np.uint32(15))
    return result
