"""A table of customer records → the rows that the state keeps of them; the same as `profile_row` makes one by one."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from services.detector.engine.customer.layout import INT32_MAX, NAMED_SHIFT
from services.detector.engine.log_format import wire
from services.detector.records.decode import (
    CALENDARS,
    CITY_CODES,
    PROFILE_COLUMNS,
    SEGMENT_CODES,
    TIER_CODES,
    birthday_number,
)
from services.detector.stored.text_kernels import text_keys

Int64s = npt.NDArray[np.int64]
_CATEGORIES: Final = wire.SYMBOLS[wire.ORDER]["category"][1:]


def profiles_of(frame: pl.DataFrame, texts: dict[int, str]) -> Int64s:
    """Return a row of `PROFILE_COLUMNS` per record; texts hears what the text keys stand for."""
    codes = (
        _looked_up(frame["city"], lambda city: CITY_CODES.get(city, 0))
        | _looked_up(frame["segment"], lambda segment: SEGMENT_CODES.get(segment, 0)) << 8
        | _looked_up(frame["tier"], lambda tier: TIER_CODES.get(tier, 0)) << 16
        | _looked_up(frame["birthday_calendar"], lambda calendar: CALENDARS.get(calendar, 0)) << 20
        | word_bits(frame["active_categories"], _CATEGORIES) << NAMED_SHIFT
    )
    columns: dict[str, Any] = {
        "codes": codes.astype(np.int32),  # as a word of the state has it
        "birthday": _looked_up(frame["birthday"], birthday_number),
        "joined": _days(frame["joined_on"]),
        "contract_ends": _days(frame["contract_ends_on"]),
        "arpu": _bounded(frame["arpu_fen"]),
        "plan_fee": _bounded(frame["plan_fee_fen"]),
        "plan_voice": _bounded(frame["plan_voice_seconds"]),
        "plan_data": _bounded(frame["plan_data_kib"]),
        "plan_sms": _bounded(frame["plan_sms"]),
        "plan_capabilities": word_bits(frame["plan_capabilities"], wire.CAPABILITIES),
        "owner": _told(frame["owner_manager_id"], texts),
        "deputy": _told(frame["deputy_manager_id"], texts),
        "brand": _told(frame["brand"], texts),
        "auto_pay": frame["auto_pay"].to_numpy(),
        "attributes": 0,
    }
    found = np.zeros((frame.height, len(PROFILE_COLUMNS)), np.int64)
    for place, name in enumerate(PROFILE_COLUMNS):
        found[:, place] = columns[name]
    return found


def word_bits(lists: pl.Series, words: Sequence[str]) -> Int64s:
    """Return a bit for each of the words that a list has."""
    bits = np.zeros(lists.len(), np.int64)
    for bit, word in enumerate(words):
        bits |= lists.list.contains(word).cast(pl.Int64).to_numpy() << bit
    return bits


def _looked_up(texts: pl.Series, number_of: Callable[[Any], int]) -> Int64s:
    """Return a number per text, asked for once for each of the texts there are."""
    words = texts.cast(pl.String).unique()
    numbers = pl.Series([number_of(word) for word in words], dtype=pl.Int64)
    found: Int64s = texts.cast(pl.String).replace_strict(words, numbers).to_numpy()
    return found


def _told(column: pl.Series, texts: dict[int, str]) -> Int64s:
    keys = text_keys(column)
    texts.update(zip(keys.tolist(), column.to_list(), strict=True))
    return keys


def _days(dates: pl.Series) -> Int64s:
    found: Int64s = dates.to_physical().cast(pl.Int64).fill_null(0).to_numpy()
    return found


def _bounded(numbers: pl.Series) -> Int64s:
    found: Int64s = numbers.clip(-1, INT32_MAX).fill_null(-1).to_numpy()
    return found
