"""Dropping rows of an event table: what is no event leaves its columns, compiled, in one pass and in place."""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import entry


@entry
def drop_rows(
    keep: Any, kind: Any, offset: Any, customer: Any, occurred: Any, ingested: Any, history: Any, ident: Any, rank: Any,
    payload: Any, code: Any,
) -> Any:  # fmt: skip
    """Move the rows to keep to the front, in order; returns how many they are."""
    n = np.int64(0)
    for i in range(keep.size):
        if not keep[i]:
            continue
        if n != i:
            kind[n], offset[n], customer[n], occurred[n] = kind[i], offset[i], customer[i], occurred[i]
            ingested[n], history[n], ident[n], code[n] = ingested[i], history[i], ident[i], code[i]
            for j in range(rank.shape[1]):
                rank[n, j] = rank[i, j]
            for j in range(payload.shape[1]):
                payload[n, j] = payload[i, j]
        n += 1
    return n
