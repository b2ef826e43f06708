"""The two rules of the workload "rings" for the Faust table: the same text as Rings.java, over a list of numbers.

FALL: voice seconds of the last 7 closed days are at most 60 % of a quarter of the 28 days before, which were at least
BASE_MIN. RICH: charges of the last 35 closed days are above RICH_FEN.
"""

FALL, RICH = 1, 2
BASE_MIN, RICH_FEN = 9_000, 300
_DAYS, _CLOSED, _FIRST = 36, 35, 2
WORDS = _FIRST + 2 * _DAYS
_NEWEST, _HOLDS = 0, 1
_TZ_MS, _DAY_MS = 28_800_000, 86_400_000


def add(state: list[int], occurred_at: int, is_voice: bool, quantity: int, charge_fen: int) -> int:
    """Add an event; returns the rules that changed, in the high half, and those that hold."""
    day = (occurred_at + _TZ_MS) // _DAY_MS
    for each in range(max(state[_NEWEST] + 1, day - _DAYS + 1), day + 1):
        at = _FIRST + each % _DAYS * 2
        state[at] = state[at + 1] = 0
    state[_NEWEST] = max(state[_NEWEST], day)
    if day > state[_NEWEST] - _DAYS:
        at = _FIRST + day % _DAYS * 2
        state[at] += quantity if is_voice else 0
        state[at + 1] += charge_fen
    holds = _judge(state, day)
    changed = holds ^ state[_HOLDS]
    state[_HOLDS] = holds
    return changed << 16 | holds


def _judge(state: list[int], day: int) -> int:
    words = [_FIRST + (day - back) % _DAYS * 2 for back in range(1, _CLOSED + 1)]
    recent = sum(state[at] for at in words[:7])
    base = sum(state[at] for at in words[7:])
    charges = sum(state[at + 1] for at in words)
    falls = base >= BASE_MIN and recent * 400 <= 60 * base
    return (FALL if falls else 0) | (RICH if charges > RICH_FEN else 0)
