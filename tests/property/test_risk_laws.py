"""Laws of binning: monotone, no bin too small, nobody lost, the order of rows without effect."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.risk.binning import Binned, BinningRules, bin_column
from services.risk.table import Numbers, Texts

RULES = BinningRules(smallest_ratio=0.05, smallest_rows=5)
ROW = st.tuples(st.one_of(st.integers(-50, 50), st.floats(-1e6, 1e6), st.just(float("nan"))), st.booleans())
ROWS = st.lists(ROW, min_size=10, max_size=300).filter(lambda rows: 0 < sum(left for _, left in rows) < len(rows))


def split(rows: list[tuple[float, bool]]) -> tuple[Numbers, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    return Numbers("x", np.array([value for value, _ in rows], np.float64)), np.array([left for _, left in rows])


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_rates_of_numbers_rise_or_fall_all_along_and_no_bin_is_too_small(rows: list[tuple[float, bool]]) -> None:
    column, label = split(rows)
    binned = bin_column(column, label, RULES)
    rates = [bin_.group.rate for bin_ in binned.bins]
    steps = [b - a for a, b in pairwise(rates)]

    assert all(step > 0 for step in steps) or all(step < 0 for step in steps)
    if len(binned.bins) > 1:
        assert min(bin_.group.rows for bin_ in binned.bins) >= max(5, round(0.05 * len(rows)))
    assert [bin_.below for bin_ in binned.bins] == sorted({bin_.below for bin_ in binned.bins})


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_everybody_is_counted_once_where_the_places_say(rows: list[tuple[float, bool]]) -> None:
    column, label = split(rows)
    binned = bin_column(column, label, RULES)
    groups = [*(bin_.group for bin_ in binned.bins), binned.missing]
    places = binned.places(column)

    assert [group.rows for group in groups] == np.bincount(places, minlength=len(groups)).tolist()
    assert [group.churned for group in groups] == np.bincount(places[label], minlength=len(groups)).tolist()
    assert binned.missing.rows == int(np.isnan(column.values).sum())
    assert all(0 < group.rate < 1 for group in groups)
    assert binned.iv >= -1e-9


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_makes_no_difference(rows: list[tuple[float, bool]], random: object) -> None:
    turned = list(rows)
    random.shuffle(turned)  # type: ignore[attr-defined]  # hypothesis types it as object
    assert shape(bin_column(*split(turned), RULES)) == shape(bin_column(*split(rows), RULES))


def shape(binned: Binned) -> object:
    return binned.bins, binned.missing, binned.trend, pytest.approx(binned.iv)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 12), st.booleans()), min_size=10, max_size=300))
def test_every_kind_is_in_one_bin_in_the_order_of_rates(rows: list[tuple[int, bool]]) -> None:
    label = np.array([left for _, left in rows])
    if label.all() or not label.any():
        return
    levels = tuple(f"k{i:02d}" for i in range(13))
    column = Texts("x", np.array([code for code, _ in rows], np.int32), levels)
    binned = bin_column(column, label, RULES)
    listed = [level for bin_ in binned.bins for level in bin_.levels]
    rates = [bin_.group.rate for bin_ in binned.bins]

    assert sorted(listed) == sorted({levels[code] for code, _ in rows if code >= 0})
    assert all(a < b for a, b in pairwise(rates))
    assert sum(bin_.others for bin_ in binned.bins) <= 1
