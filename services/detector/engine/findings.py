"""The form in which compiled rules hand over what they found: columns of integers and of numbers, one row per revision.

Everything a moment tells about the customer is copied here at that event, because later events of the same chunk may change it.
"""

from typing import Any

import numpy as np

from services.detector.engine.jit import kernel
from services.detector.engine.kernel import get64
from services.detector.engine.layout import (
    ARPU,
    BRAND,
    CODES,
    DEPUTY,
    EPISODE_AT,
    EPISODE_BITS,
    EPISODE_EXPIRES,
    EPISODE_KEY,
    FLAGS,
    HAS_PROFILE,
    ID,
    OWNER,
    REVISION_SHIFT,
)

(
    CUSTOMER, RULE, STATE, RESOLUTION, KEY, KEY_AT, REVISION, PRIORITY, CHANNEL, EARLIEST, EXPIRES, OCCURRED, DETECTED,
    NOMINAL_DAY, HISTORY, F_CODES, F_ARPU, F_OWNER, F_DEPUTY, F_BRAND, HAS_VIEW, FIRST_TEXT,
) = range(22)  # fmt: skip
"""Integer columns; from FIRST_TEXT on, the text keys that the rule tells."""
TEXTS_MAX = 4
INTEGERS = FIRST_TEXT + TEXTS_MAX
NUMBERS_MAX = 64
"""Columns of numbers: the risk inputs first, then what the rule tells."""
BUFFER_ROWS = 4096
MARGIN_ROWS = 256
"""The loops return when fewer rows than this are left: no single event or customer finds more."""

LATE, DUPLICATES, NO_PROFILE, NOT_WARM, CLAMPED, STALE, BEYOND_RINGS, CASES_EVICTED, COUNTS = range(9)
"""What the loops count."""
COUNT_NAMES = (
    "late", "duplicates", "no_profile", "not_warm", "clamped", "stale", "beyond_rings", "cases_evicted",
)  # fmt: skip


@kernel
def tell(st: Any, s: int, pool: Any, row: Any, out: Any, n: Any, rule: int, state: int, resolution: int, priority: Any,
         channel: Any, earliest: Any, occurred: Any, detected: Any, nominal_day: Any, history: bool) -> None:  # fmt: skip
    """Write row n: the episode as it is now, and the customer's basics."""
    out[n, CUSTOMER] = get64(st, s, ID)
    out[n, RULE] = rule
    out[n, STATE] = state
    out[n, RESOLUTION] = resolution
    out[n, KEY] = get64(pool, row, EPISODE_KEY)
    out[n, KEY_AT] = get64(pool, row, EPISODE_AT)
    out[n, REVISION] = pool[row, EPISODE_BITS] >> REVISION_SHIFT
    out[n, PRIORITY] = np.int64(priority)
    out[n, CHANNEL] = np.int64(channel)
    out[n, EARLIEST] = np.int64(earliest)
    out[n, EXPIRES] = get64(pool, row, EPISODE_EXPIRES)
    out[n, OCCURRED] = np.int64(occurred)
    out[n, DETECTED] = detected
    out[n, NOMINAL_DAY] = nominal_day
    out[n, HISTORY] = history
    out[n, F_CODES] = st[s, CODES]
    out[n, F_ARPU] = st[s, ARPU]
    out[n, F_OWNER] = get64(st, s, OWNER)
    out[n, F_DEPUTY] = get64(st, s, DEPUTY)
    out[n, F_BRAND] = get64(st, s, BRAND)
    out[n, HAS_VIEW] = st[s, FLAGS] & HAS_PROFILE
