"""The summary of a customer's top contacts: ten counters of Space-Saving that shrink with the months. Compiled.

The algorithm is part of the definition of rules that ask for contacts: docs/decisions/0043. A counter is two words:
30 bits of the key and the network last seen in two more; seconds in 20 bits, the day of the move modulo 4095, plus 1,
in twelve more (0 = none).
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import kernel
from services.detector.engine.customer.layout import CONTACTS, CONTACTS_KEPT

ON_NET, OFF_NET = 1, 2
SECONDS_MAX = (1 << 20) - 1
_KEY_MASK = (1 << 30) - 1
_DAYS = 4095


@kernel
def note_call(st: Any, s: Any, day: Any, network: Any, seconds: Any, counterpart: Any) -> None:
    """Add a call to the counter of its contact, which takes the place of the smallest one if it has none."""
    if network != ON_NET and network != OFF_NET:  # no tuples in kernels
        return
    key = counterpart & _KEY_MASK
    place, fewest = CONTACTS, np.int64(SECONDS_MAX + 1)
    for j in range(CONTACTS_KEPT):
        word = CONTACTS + 2 * j
        who = np.int64(st[s, word])
        had = np.int64(st[s, word + 1]) & SECONDS_MAX
        if who != 0 and (who >> 2) & _KEY_MASK == key:
            move = (np.int64(st[s, word + 1]) >> 20) & 0xFFF
            if network == ON_NET:
                move = np.int64(0)
            elif who & 3 == ON_NET:
                move = day % _DAYS + 1
            _set(st, s, word, key, network, had + seconds, move)
            return
        if who == 0:
            had = np.int64(-1)
        if had < fewest:
            place, fewest = word, had
    _set(st, s, place, key, network, max(fewest, np.int64(0)) + seconds, np.int64(0))


@kernel
def _set(st: Any, s: Any, word: Any, key: Any, network: Any, seconds: Any, move: Any) -> None:
    st[s, word] = np.int32(_signed(key << 2 | network))
    st[s, word + 1] = np.int32(_signed(move << 20 | min(seconds, np.int64(SECONDS_MAX))))


@kernel
def _signed(bits: Any) -> Any:
    """32 bits as a signed number."""
    return bits - (np.int64(1) << 32) if bits >> 31 else bits


@kernel
def shrink(st: Any, s: Any, months: Any) -> None:
    """Let every counter lose a third for each month passed; one without seconds is empty."""
    for j in range(CONTACTS_KEPT):
        word = CONTACTS + 2 * j
        seconds = np.int64(st[s, word + 1]) & SECONDS_MAX
        passed = np.int64(0)
        while passed < months and seconds > 0:
            seconds = seconds * 2 // 3
            passed += 1
        if seconds == 0:
            st[s, word] = 0
            st[s, word + 1] = 0
        else:
            move = (np.int64(st[s, word + 1]) >> 20) & 0xFFF
            st[s, word + 1] = np.int32(_signed(move << 20 | seconds))


@kernel
def moved_contacts(st: Any, s: Any, day: Any, days: Any) -> Any:
    """Return how many top contacts were last seen off net after they moved there on or after local day `day - days`."""
    count = 0
    for j in range(CONTACTS_KEPT):
        word = CONTACTS + 2 * j
        move = (np.int64(st[s, word + 1]) >> 20) & 0xFFF
        if move != 0 and st[s, word] & 3 == OFF_NET and (day - (move - 1)) % _DAYS <= days:
            count += 1
    return count
