"""The form in which compiled rules hand over what they found: columns of integers and of numbers, one row per revision.

Everything a moment tells about the customer is copied here at that event, because later events of the same chunk
may change it.
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.layout import (
    ARPU,
    BRAND,
    BY_PERIOD,
    CODES,
    DEPUTY,
    EPISODE_AT,
    EPISODE_BITS,
    EPISODE_DAY,
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
FIRST_RISK = 40
"""Columns of numbers: what the rule tells, then from FIRST_RISK on the inputs of the risk card."""
BUFFER_ROWS = 4096

(
    LATE, DUPLICATES, NO_PROFILE, NOT_WARM, CLAMPED, STALE, BEYOND_RINGS, CASES_EVICTED, RULE_FAILED, COUNTS,
) = range(10)  # fmt: skip
"""What the loops count. RULE_FAILED: a rule came to a number that is none, and was left out for this customer."""
RULES_MAX = 200
COUNTERS = COUNTS + RULES_MAX
"""Behind what is counted of all: RULE_FAILED of each rule, by its number."""
COUNT_NAMES = (
    "late", "duplicates", "no_profile", "not_warm", "clamped", "stale", "beyond_rings", "cases_evicted",
    "rule_failed",
)  # fmt: skip


@kernel
def _long(words: Any, at: Any) -> Any:
    """A number of two words in one row."""
    return np.int64(words[at + 1]) << 32 | np.int64(words[at]) & 0xFFFFFFFF


@kernel
def tell(
    st: Any, s: Any, pool: Any, row: Any, out: Any, n: Any, state: Any, resolution: Any, priority: Any,
    channel: Any, earliest: Any, occurred: Any, detected: Any, history: Any,
) -> None:  # fmt: skip
    """Write row n: the episode as it is now, and the customer's basics. Whose it is, the loops know."""
    found, record, case = out[n], st[s], pool[row]
    found[CUSTOMER] = _long(record, ID)
    found[STATE] = state
    found[RESOLUTION] = resolution
    found[KEY] = _long(case, EPISODE_KEY)
    found[KEY_AT] = _long(case, EPISODE_AT) if case[EPISODE_BITS] & BY_PERIOD == 0 else np.int64(0)
    found[REVISION] = case[EPISODE_BITS] >> REVISION_SHIFT
    found[PRIORITY] = np.int64(priority)
    found[CHANNEL] = np.int64(channel)
    found[EARLIEST] = np.int64(earliest)
    found[EXPIRES] = _long(case, EPISODE_EXPIRES)
    found[OCCURRED] = np.int64(occurred)
    found[DETECTED] = detected
    found[NOMINAL_DAY] = case[EPISODE_DAY]
    found[HISTORY] = history
    found[F_CODES] = record[CODES]
    found[F_ARPU] = record[ARPU]
    found[F_OWNER] = _long(record, OWNER)
    found[F_DEPUTY] = _long(record, DEPUTY)
    found[F_BRAND] = _long(record, BRAND)
    found[HAS_VIEW] = record[FLAGS] & HAS_PROFILE
