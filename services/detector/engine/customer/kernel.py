"""What happens to a customer's record: compiled functions over `st` (slots × words) and `pool` (rows of cases).

Everything is integer arithmetic on event time; nothing here knows a rule. `s` is a slot, `at` UTC milliseconds, `day`
a local day since 1970, `meta` the pool's counters (first free row, rows ever used).
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import inlined, kernel
from services.detector.engine.customer.contacts import note_call, shrink
from services.detector.engine.customer.layout import (
    ATTRIBUTE_BITS,
    ATTRIBUTES,
    AUTO_PAY,
    BALANCE,
    BALANCE_AT,
    BALANCE_RANK,
    BIRTHDAY,
    CODES,
    DAILY_DAYS,
    DAILY_KINDS,
    DAYS,
    EXPLAINED_DAY,
    FIRST_DAY,
    FLAGS,
    HAS_PROFILE,
    HOURLY_HOURS,
    HOURS,
    INT32_MAX,
    JOINED,
    LAST_OK,
    LINE_AT,
    LINE_EVENT,
    LINE_EXPECTED,
    LINE_RANK,
    LINE_SHIFT,
    MEMORY_AT,
    MONTH_CHARGE,
    MONTHLY_KINDS,
    MONTHLY_MONTHS,
    MONTHS,
    NEWEST_HOUR,
    NEWEST_MONTH,
    OTHER_IDS,
    OTHER_MEMORY,
    OWNER,
    PROFILE_AT,
    PROFILE_RANK,
    STATUSES,
    SUCCESS_MAX,
    TOPPED_UP_AT,
    USAGE_IDS,
    USAGE_MEMORY,
    USED_DATA,
    USED_SMS,
    USED_VOICE,
    VOICE_MAX,
)

TZ_MS = 8 * 3_600_000
"""Asia/Shanghai, without summer time since 1992; no event is older than 2000."""
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
DAY0 = 10_957
"""2000-01-01 as local day: where the table of months begins."""
_MASK = 0xFFFFFFFF
VOICE, _SMS, _DATA = 1, 2, 3
"""Of usage, the low two bits of its code."""
_ON_NET, _OFF_NET = 1, 2
_OUT = 1
_ACTIVE = 1
_TOP_UP = 1
_REASON_BITS = 255


@inlined
def get64(table: Any, row: Any, word: Any) -> Any:
    """Read a number of two words."""
    return np.int64(table[row, word + 1]) << 32 | np.int64(table[row, word]) & _MASK


@inlined
def set64(table: Any, row: Any, word: Any, value: Any) -> None:
    """Write a number of two words."""
    table[row, word] = np.int32(value & _MASK)
    table[row, word + 1] = np.int32(value >> 32)


@inlined
def local_day(at: Any) -> Any:
    """Return the local day of an instant."""
    return (at + TZ_MS) // (24 * HOUR_MS)


@kernel
def month_of(day: Any) -> Any:
    """Return the month of a local day, months since 2000: days since 1970 to the civil calendar."""
    z = np.int64(day) + 719_468
    era = z // 146_097
    of_era = z - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    march = (5 * of_year + 2) // 153
    return (year + era * 400 - 2000) * 12 + march + 2


@kernel
def first_day_of(month: Any) -> Any:
    """Return the first local day of a month: the way back of `month_of`."""
    march = month + 24_000 - 2
    year = march // 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (march % 12) + 2) // 5 - 719_468


@inlined
def is_older(table: Any, row: Any, at_word: Any, rank_word: Any, at: Any, high: Any, low: Any) -> Any:
    """True when (at, rank) comes before what the record has: such a value never replaces it."""
    known = get64(table, row, at_word)
    if at != known:
        return at < known
    known_high = get64(table, row, rank_word)
    if high != known_high:
        return high < known_high
    return low < get64(table, row, rank_word + 2)


@kernel
def set_order(table: Any, row: Any, at_word: Any, rank_word: Any, at: Any, high: Any, low: Any) -> None:
    """Write an instant and its order among events of one instant."""
    set64(table, row, at_word, at)
    set64(table, row, rank_word, high)
    set64(table, row, rank_word + 2, low)


# --- memory of event ids -------------------------------------------------------------------------------------------


@inlined
def is_duplicate(st: Any, s: Any, ident: Any, is_usage: bool) -> Any:
    """True when this event id is remembered; otherwise remember it, in place of the oldest."""
    first = USAGE_IDS if is_usage else OTHER_IDS
    size = USAGE_MEMORY if is_usage else OTHER_MEMORY
    for j in range(size):
        if get64(st, s, first + 2 * j) == ident:
            return True
    positions = st[s, MEMORY_AT]
    if is_usage:
        at = positions & 0xFFFF
        st[s, MEMORY_AT] = positions - at + (at + 1) % USAGE_MEMORY
    else:
        at = positions >> 16
        st[s, MEMORY_AT] = (positions & 0xFFFF) + (((at + 1) % OTHER_MEMORY) << 16)
    set64(st, s, first + 2 * at, ident)
    return False


# --- rings ---------------------------------------------------------------------------------------------------------


@inlined
def observe(st: Any, s: Any, day: Any) -> None:
    """Note that usage was seen of the customer on this day: how far back sums of usage are whole."""
    if st[s, FIRST_DAY] == 0 or day < st[s, FIRST_DAY]:
        st[s, FIRST_DAY] = day


@inlined
def _plus(st: Any, s: Any, word: Any, value: Any) -> None:
    st[s, word] = np.int32(min(np.int64(st[s, word]) + value, np.int64(INT32_MAX)))


@inlined
def _clear(st: Any, s: Any, before: Any, now: Any, size: Any, first: Any, kinds: Any) -> None:
    """Clear what a ring passes when it moves forward from `before` to `now`."""
    for j in range(max(before + 1, now - size + 1), now + 1):
        for k in range(kinds):
            st[s, first + j % size * kinds + k] = 0


@kernel
def _advance(st: Any, s: Any, hour: Any, month: Any) -> None:
    """Move all rings forward to a new hour."""
    before = np.int64(st[s, NEWEST_HOUR])
    _clear(st, s, before, hour, HOURLY_HOURS, HOURS, 1)
    st[s, NEWEST_HOUR] = hour
    if hour // 24 == before // 24:
        return
    _clear(st, s, before // 24, hour // 24, DAILY_DAYS, DAYS, DAILY_KINDS)
    newest = np.int64(st[s, NEWEST_MONTH])
    if month > newest:
        _clear(st, s, newest, month, MONTHLY_MONTHS, MONTHS, MONTHLY_KINDS)
        st[s, USED_VOICE] = 0
        st[s, USED_DATA] = 0
        st[s, USED_SMS] = 0
        st[s, MONTH_CHARGE] = 0
        shrink(st, s, month - newest)
        st[s, NEWEST_MONTH] = month


@inlined
def _add_to_month(st: Any, s: Any, month: Any, code: Any, quantity: Any, charge: Any, out_of_bundle: Any) -> None:
    """Add to the month, and for the newest one to what counts against allowances."""
    service, network = code & 3, (code >> 4) & 7
    word = MONTHS + month % MONTHLY_MONTHS * MONTHLY_KINDS
    if service == VOICE and (network == _ON_NET or network == _OFF_NET):  # noqa: SIM109  # no tuples in kernels
        _plus(st, s, word + network - _ON_NET, quantity)
    _plus(st, s, word + 2, out_of_bundle)
    if month != st[s, NEWEST_MONTH]:
        return
    _plus(st, s, MONTH_CHARGE, charge)
    if (code >> 8) & 1:
        return
    is_out = (code >> 2) & 3 == _OUT
    if service == _DATA:
        _plus(st, s, USED_DATA, quantity)
    elif service == VOICE and is_out:
        _plus(st, s, USED_VOICE, quantity)
    elif service == _SMS and is_out:
        _plus(st, s, USED_SMS, quantity)


@inlined
def add_usage(
    st: Any, s: Any, months: Any, at: Any, code: Any, quantity: Any, charge: Any, out_of_bundle: Any, counterpart: Any
) -> Any:  # fmt: skip
    """Add a usage record to the rings; False when its day is no longer kept. An amount counts within 0..2^31-1."""
    quantity = min(max(quantity, np.int64(0)), np.int64(INT32_MAX))
    charge = min(max(charge, np.int64(0)), np.int64(INT32_MAX))
    out_of_bundle = min(max(out_of_bundle, np.int64(0)), np.int64(INT32_MAX))
    hour = (at + TZ_MS) // HOUR_MS
    day = hour // 24
    month = np.int64(months[day - DAY0])
    if hour > st[s, NEWEST_HOUR]:
        _advance(st, s, hour, month)
    newest = np.int64(st[s, NEWEST_HOUR])
    if hour > newest - HOURLY_HOURS:
        _plus(st, s, HOURS + hour % HOURLY_HOURS, charge)
    if month > st[s, NEWEST_MONTH] - MONTHLY_MONTHS:
        _add_to_month(st, s, month, code, quantity, charge, out_of_bundle)
    service, network, succeeded = code & 3, (code >> 4) & 7, (code >> 7) & 1
    if counterpart != 0 and service == VOICE and quantity > 0:
        note_call(st, s, day, network, quantity, counterpart)
    if (code >> 8) & 1 and day > st[s, EXPLAINED_DAY]:
        st[s, EXPLAINED_DAY] = day
    if succeeded:
        minute = np.int64(-(-at // MINUTE_MS))
        if minute > st[s, LAST_OK]:
            st[s, LAST_OK] = minute
    if day <= newest // 24 - DAILY_DAYS:
        return False
    _add_to_day(st, s, day, service, succeeded, quantity, charge)
    return True


@inlined
def _add_to_day(st: Any, s: Any, day: Any, service: Any, succeeded: Any, quantity: Any, charge: Any) -> None:
    word = DAYS + day % DAILY_DAYS * DAILY_KINDS
    packed = np.int64(st[s, word])
    voice = packed & VOICE_MAX
    if service == VOICE:
        voice = min(voice + quantity, np.int64(VOICE_MAX))
    successes = min((packed >> 18) + succeeded, np.int64(SUCCESS_MAX))
    st[s, word] = np.int32(successes << 18 | voice)
    if service == _DATA:
        _plus(st, s, word + 1, quantity)
    _plus(st, s, word + 2, charge)


VOICE_SECONDS, SUCCESSES, DATA_KIB, CHARGE_FEN = range(4)
"""What `day_sum` can add up."""


@kernel
def day_sum(st: Any, s: Any, what: Any, first: Any, last: Any) -> Any:
    """Return the sum over the local days first..last, both included, as far as they are kept."""
    newest = np.int64(st[s, NEWEST_HOUR]) // 24
    total = np.int64(0)
    for day in range(max(first, newest - DAILY_DAYS + 1), min(last, newest) + 1):
        word = DAYS + day % DAILY_DAYS * DAILY_KINDS
        if what == VOICE_SECONDS:
            total += st[s, word] & VOICE_MAX
        elif what == SUCCESSES:
            total += st[s, word] >> 18
        elif what == DATA_KIB:
            total += st[s, word + 1]
        else:
            total += st[s, word + 2]
    return total


ON_NET_SECONDS, OFF_NET_SECONDS, OUT_OF_BUNDLE_FEN = range(3)


@kernel
def month_sum(st: Any, s: Any, what: Any, first: Any, last: Any) -> Any:
    """Return the sum over the local months first..last, both included, as far as they are kept."""
    newest = np.int64(st[s, NEWEST_MONTH])
    total = np.int64(0)
    for month in range(max(first, newest - MONTHLY_MONTHS + 1), min(last, newest) + 1):
        total += st[s, MONTHS + month % MONTHLY_MONTHS * MONTHLY_KINDS + what]
    return total


@kernel
def hour_sum(st: Any, s: Any, first: Any, last: Any) -> Any:
    """Return the charge of the local hours first..last, both included, as far as they are kept."""
    newest = np.int64(st[s, NEWEST_HOUR])
    total = np.int64(0)
    if first <= newest - HOURLY_HOURS + 1 and last >= newest:  # all that is kept: most questions at an event
        for word in range(HOURS, HOURS + HOURLY_HOURS):
            total += st[s, word]
        return total
    for hour in range(max(first, newest - HOURLY_HOURS + 1), min(last, newest) + 1):
        total += st[s, HOURS + hour % HOURLY_HOURS]
    return total


# --- last values ---------------------------------------------------------------------------------------------------


@kernel
def line_status(st: Any, s: Any) -> Any:
    """Return the newest status of the line."""
    return np.int64(st[s, STATUSES]) >> LINE_SHIFT


@kernel
def take_balance(st: Any, s: Any, at: Any, high: Any, low: Any, fen: Any, reason: Any) -> Any:
    """Keep a balance; False when a newer one is known. When a top-up left no arrears is kept either way."""
    if reason == _TOP_UP and fen >= 0:
        set64(st, s, TOPPED_UP_AT, max(get64(st, s, TOPPED_UP_AT), at))
    if is_older(st, s, BALANCE_AT, BALANCE_RANK, at, high, low):
        return False
    set_order(st, s, BALANCE_AT, BALANCE_RANK, at, high, low)
    set64(st, s, BALANCE, fen)
    st[s, STATUSES] = st[s, STATUSES] & ~_REASON_BITS | reason
    return True


@kernel
def take_line(st: Any, s: Any, at: Any, high: Any, low: Any, status: Any, expected: Any, ident: Any) -> Any:
    """Keep a line status; False when a newer one is known. The day of a suspension or resumption counts either way.

    A resumption is an ACTIVE that comes after a suspension, as the newest status before or after it became known; a
    status that is told again is none.
    """
    known, is_late = line_status(st, s), is_older(st, s, LINE_AT, LINE_RANK, at, high, low)
    changed_at = np.int64(0)
    if status > _ACTIVE:
        changed_at = get64(st, s, LINE_AT) if is_late and known == _ACTIVE else at
    elif status == _ACTIVE and known > _ACTIVE and not is_late:
        changed_at = at
    if changed_at != 0:
        st[s, EXPLAINED_DAY] = max(np.int64(st[s, EXPLAINED_DAY]), local_day(changed_at))
    if is_late:
        return False
    set_order(st, s, LINE_AT, LINE_RANK, at, high, low)
    st[s, STATUSES] = st[s, STATUSES] & _REASON_BITS | status << LINE_SHIFT
    set64(st, s, LINE_EXPECTED, expected)
    set64(st, s, LINE_EVENT, ident)
    return True


@kernel
def take_roaming(st: Any, s: Any, at: Any) -> None:
    """Note a day abroad."""
    st[s, EXPLAINED_DAY] = max(np.int64(st[s, EXPLAINED_DAY]), local_day(at))


@kernel
def attribute_place(st: Any, s: Any, tag: Any, factor: Any, radix: Any) -> Any:
    """Return the place of an attribute's bin (0 = missing), if the record's places are those of this card."""
    packed = get64(st, s, ATTRIBUTES)
    if packed >> ATTRIBUTE_BITS != tag:
        return np.int64(0)
    return (packed & ((np.int64(1) << ATTRIBUTE_BITS) - 1)) // factor % radix


@kernel
def take_profile(st: Any, s: Any, at: Any, high: Any, low: Any, profiles: Any, i: Any) -> Any:
    """Keep a customer record (row i of DecodedChunk.profiles); False when a newer one is known."""
    if st[s, FLAGS] & HAS_PROFILE and is_older(st, s, PROFILE_AT, PROFILE_RANK, at, high, low):
        return False
    set_order(st, s, PROFILE_AT, PROFILE_RANK, at, high, low)
    st[s, CODES] = profiles[i, 0]
    st[s, BIRTHDAY] = profiles[i, 1]
    for j in range(8):  # JOINED to PLAN_CAPABILITIES lie in the order of the columns
        st[s, JOINED + j] = profiles[i, 2 + j]
    for j in range(3):
        set64(st, s, OWNER + 2 * j, profiles[i, 10 + j])
    set64(st, s, ATTRIBUTES, profiles[i, 14])
    flags = st[s, FLAGS] & ~AUTO_PAY | HAS_PROFILE
    st[s, FLAGS] = flags | (AUTO_PAY if profiles[i, 13] != 0 else 0)
    return True
