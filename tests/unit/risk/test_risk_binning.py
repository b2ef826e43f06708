"""Bins by hand: what is merged, where bounds lie, what goes to the missing bin."""

from itertools import combinations, pairwise
from math import log

import numpy as np
import pytest

from services.risk.binning import Binned, BinningRules, _short_between, bin_column
from services.risk.table import Numbers, Texts

RULES = BinningRules(smallest_ratio=0.0, smallest_rows=10, smoothing=0.0)


def numbers(*parts: tuple[float, int, int]) -> tuple[Numbers, np.ndarray]:
    """Value, customers, of whom so many left."""
    values = np.array([value for value, rows, _ in parts for _ in range(rows)])
    label = np.array([i < left for _, rows, left in parts for i in range(rows)])
    return Numbers("x", values), label


def rates(binned: Binned) -> list[float]:
    return [bin_.group.rate for bin_ in binned.bins]


def test_rates_weights_of_evidence_and_information_value_are_as_defined() -> None:
    binned = bin_column(*numbers((1, 100, 20), (2, 100, 60)), RULES)
    low, high = log((20 / 80) / (80 / 120)), log((60 / 40) / (80 / 120))

    assert rates(binned) == [0.2, 0.6]
    assert [bin_.group.woe for bin_ in binned.bins] == pytest.approx([low, high])
    assert binned.iv == pytest.approx((20 / 80 - 80 / 120) * low + (60 / 80 - 40 / 120) * high)
    assert binned.bins[0].below == 2
    assert binned.trend == 1


def test_smoothing_adds_customers_of_the_average_rate() -> None:
    binned = bin_column(*numbers((1, 100, 20), (2, 100, 60)), BinningRules(smallest_ratio=0, smoothing=10))

    assert rates(binned) == pytest.approx([(20 + 4) / 110, (60 + 4) / 110])


def test_a_dent_is_merged_so_that_rates_rise_all_along() -> None:
    binned = bin_column(*numbers((1, 100, 10), (2, 100, 40), (3, 100, 30), (4, 100, 70)), RULES)

    assert rates(binned) == [0.1, 0.35, 0.7]


def test_a_falling_column_falls() -> None:
    assert bin_column(*numbers((1, 100, 70), (2, 100, 40), (3, 100, 10)), RULES).trend == -1


def test_bins_that_are_too_small_are_merged() -> None:
    binned = bin_column(*numbers((1, 100, 10), (2, 9, 9), (3, 100, 50)), RULES)

    assert min(bin_.group.rows for bin_ in binned.bins) >= 10
    assert len(binned.bins) == 2


def test_missing_values_are_a_bin_of_their_own() -> None:
    column, label = numbers((1, 100, 10), (2, 100, 50), (float("nan"), 20, 19))
    binned = bin_column(column, label, RULES)

    assert (binned.missing.rows, binned.missing.churned) == (20, 19)
    assert set(binned.places(column)[-20:]) == {len(binned.bins)}


def test_without_missing_values_the_missing_bin_is_the_average() -> None:
    binned = bin_column(*numbers((1, 100, 10), (2, 100, 50)), BinningRules())

    assert binned.missing.rate == pytest.approx(0.3)
    assert binned.missing.woe == pytest.approx(0.0)


def test_kinds_are_grouped_by_their_rates_and_rare_ones_pooled() -> None:
    codes = np.array([0] * 100 + [1] * 100 + [2] * 100 + [3] * 3, np.int32)
    label = np.array([i < n for rows, n in ((100, 50), (100, 10), (100, 50), (3, 1)) for i in range(rows)])
    column = Texts("x", codes, ("a", "b", "c", "rare"))
    binned = bin_column(column, label, RULES)
    found = {level: i for i, bin_ in enumerate(binned.bins) for level in bin_.levels}

    assert found["a"] == found["c"] != found["b"]
    assert [bin_.others for bin_ in binned.bins].count(True) == 1
    unseen = Texts("x", np.array([0], np.int32), ("never seen",))
    assert binned.bins[binned.places(unseen)[0]].others


def test_an_unseen_kind_is_missing_where_no_rare_ones_were_seen() -> None:
    column = Texts("x", np.array([0, 1] * 100, np.int32), ("a", "b"))
    binned = bin_column(column, np.array([True, False, False, False] * 50), RULES)

    assert binned.places(Texts("x", np.array([0], np.int32), ("c",)))[0] == len(binned.bins)


def test_a_column_that_tells_nothing_has_one_bin() -> None:
    binned = bin_column(*numbers((1, 100, 30), (2, 100, 30), (3, 100, 30)), RULES)

    assert len(binned.bins) == 1
    assert binned.iv == pytest.approx(0.0)


def test_no_other_monotone_partition_tells_more() -> None:
    """The search against every partition of nine pieces into at most four bins."""
    random = np.random.default_rng(5)
    rules = BinningRules(smallest_ratio=0, smallest_rows=10, smoothing=0, bins_max=4, gain_ratio=0, gain_least=0)
    for _ in range(10):
        parts = [(float(v), int(random.integers(12, 60)), 0) for v in range(9)]
        parts = [(v, n, int(random.integers(3, n - 3))) for v, n, _ in parts]
        column, label = numbers(*parts)
        assert bin_column(column, label, rules).iv == pytest.approx(best_by_trial(parts))


def best_by_trial(parts: list[tuple[float, int, int]]) -> float:
    total, churned = sum(n for _, n, _ in parts), sum(c for _, _, c in parts)
    best = 0.0
    for count in range(1, 4):
        for cuts in combinations(range(1, len(parts)), count):
            edges = [0, *cuts, len(parts)]
            groups = [(sum(n for _, n, _ in parts[a:b]), sum(c for _, _, c in parts[a:b])) for a, b in pairwise(edges)]
            shares = [c / n for n, c in groups]
            if all(a < b for a, b in pairwise(shares)) or all(a > b for a, b in pairwise(shares)):
                terms = [(c / churned - (n - c) / (total - churned), c / (n - c)) for n, c in groups]
                best = max(best, sum(d * log(odds / (churned / (total - churned))) for d, odds in terms))
    return best


@pytest.mark.parametrize(
    ("low", "high", "bound"),
    [(29.85, 31.2, 30), (0.0, 1.0, 1), (99.0, 101.0, 100), (-5.0, -4.0, -4), (0.123, 0.125, 0.125),
     (-0.5, 0.5, 0.0)],
)  # fmt: skip
def test_bounds_have_as_few_digits_as_they_can(low: float, high: float, bound: float) -> None:
    assert _short_between(low, high) == bound
