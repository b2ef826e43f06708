"""Cuts a column into bins: the partition with the greatest information value whose churn rates rise or fall all along,
and none of whose bins is too small. Missing values are a bin of their own.

The search is exact over up to 32 finest pieces: equal shares of the customers for numbers, the single values for kinds,
in the order of their churn rates.
"""

from dataclasses import dataclass, field
from math import inf, log

import numpy as np
import numpy.typing as npt

from services.risk.table import Column, Floats, Numbers, Texts

PIECES_MAX = 32
_RATE_LEAST = 1e-6
_CHANCE = 8.0


@dataclass(frozen=True)
class BinningRules:
    """What a bin must be. smoothing: customers of the average rate that are added to every bin, with at least one of
    either class among them."""

    bins_max: int = 8
    smallest_ratio: float = 0.04
    smallest_rows: int = 15
    smoothing: float = 10.0
    # What one more bin must add to the information value, as a share of it and at least.
    gain_ratio: float = 0.01
    gain_least: float = 0.001


@dataclass(frozen=True)
class Group:
    """How many customers, how many of them left, the smoothed rate of those, and its weight of evidence."""

    rows: int
    churned: int
    rate: float
    woe: float


@dataclass(frozen=True)
class Bin:
    """Numbers: values below `below` that no earlier bin took. Kinds: the `levels`, and with `others` all not listed."""

    group: Group
    below: float = inf
    levels: tuple[str, ...] = ()
    others: bool = False


@dataclass(frozen=True)
class Binned:
    """A column's bins. iv: information value, the missing bin included. trend: 1 rates rise, -1 fall, 0 one bin."""

    name: str
    is_number: bool
    bins: tuple[Bin, ...]
    missing: Group
    iv: float
    trend: int
    # What every customer's weight of evidence is, by place: the bins, then missing.
    woes: Floats = field(repr=False, compare=False, default_factory=lambda: np.zeros(0))
    rates: Floats = field(repr=False, compare=False, default_factory=lambda: np.zeros(0))

    def places(self, column: Column) -> npt.NDArray[np.intp]:
        """The place of each row's bin; `len(bins)` = missing."""
        if isinstance(column, Numbers):
            found = np.searchsorted(np.array([bin_.below for bin_ in self.bins[:-1]]), column.values, side="right")
            return np.where(np.isnan(column.values), len(self.bins), found).astype(np.intp)
        others = next((i for i, bin_ in enumerate(self.bins) if bin_.others), len(self.bins))
        of_level = {level: i for i, bin_ in enumerate(self.bins) for level in bin_.levels}
        table = np.array([*(of_level.get(level, others) for level in column.levels), len(self.bins)], np.intp)
        return table[column.codes]


def bin_column(column: Column, label: npt.NDArray[np.bool_], rules: BinningRules) -> Binned:
    """Return the bins of a column; a column that tells nothing has one."""
    counter = _Counter(label, rules)
    if isinstance(column, Numbers):
        is_missing = np.isnan(column.values)
        bins, trend = _bins_of_numbers(column.values[~is_missing], label[~is_missing], counter)
    else:
        is_missing = column.codes < 0
        bins, trend = _bins_of_texts(column, label, counter)
    missing = counter.group(int(is_missing.sum()), int(label[is_missing].sum()))
    groups = [*(bin_.group for bin_ in bins), missing]
    return Binned(
        name=column.name,
        is_number=isinstance(column, Numbers),
        bins=tuple(bins),
        missing=missing,
        iv=sum(counter.information(group.rows, group.churned, group.woe) for group in groups),
        trend=trend,
        woes=np.array([group.woe for group in groups]),
        rates=np.array([group.rate for group in groups]),
    )


def is_beyond_chance(binned: Binned, label: npt.NDArray[np.bool_]) -> bool:
    """True when a column of noise would hardly reach this information value, the search for bins allowed for.

    Information value by (1/churned + 1/stayed) is about a chi-squared number of as many degrees as there are cuts.
    """
    churned = int(label.sum())
    unit = 1 / churned + 1 / (label.size - churned)
    cuts = len(binned.bins) - 1 + (binned.missing.rows > 0)
    return cuts > 0 and binned.iv >= unit * (_CHANCE + 2 * cuts)


class _Counter:
    """Rates, weights of evidence and information of counts, against the whole."""

    def __init__(self, label: npt.NDArray[np.bool_], rules: BinningRules) -> None:
        self.rules = rules
        self.rows = int(label.size)
        self.churned = int(label.sum())
        self.base = self.churned / self.rows
        rarer = min(self.base, 1 - self.base)
        self.smoothing = max(rules.smoothing, 1 / rarer) if rules.smoothing > 0 else 0.0
        self.smallest = max(rules.smallest_rows, round(rules.smallest_ratio * self.rows))

    def rate(self, rows: float, churned: float) -> float:
        """The smoothed churn rate, never quite 0 or 1; of nobody it is the average."""
        weight = rows + self.smoothing
        rate = (churned + self.smoothing * self.base) / weight if weight > 0 else self.base
        return min(max(rate, _RATE_LEAST), 1 - _RATE_LEAST)

    def group(self, rows: int, churned: int) -> Group:
        """Counts with their rate and weight of evidence."""
        rate = self.rate(rows, churned)
        return Group(rows, churned, rate, log(rate / (1 - rate)) - log(self.base / (1 - self.base)))

    def information(self, rows: int, churned: int, woe: float) -> float:
        """What a bin adds to the information value."""
        return (churned / self.churned - (rows - churned) / (self.rows - self.churned)) * woe


def _bins_of_numbers(values: Floats, label: npt.NDArray[np.bool_], counter: _Counter) -> tuple[list[Bin], int]:
    if values.size == 0:
        return [Bin(counter.group(0, 0))], 0
    lowest = _lowest_of_pieces(values)
    piece = np.searchsorted(lowest, values, side="right") - 1
    rows = np.bincount(piece, minlength=lowest.size)
    churned = np.bincount(piece[label], minlength=lowest.size)
    rising, falling = (_best_cuts(rows, churned, counter, sign) for sign in (1, -1))
    (value, cuts), trend = (rising, 1) if rising[0] >= falling[0] else (falling, -1)
    if len(cuts) == 1 or value <= 0:
        trend = 0
    sums = [(int(rows[a:b].sum()), int(churned[a:b].sum())) for a, b in cuts]
    bounds = [_short_between(float(values[values < lowest[b]].max()), float(lowest[b])) for _, b in cuts[:-1]]
    return [Bin(counter.group(*each), below=below) for each, below in zip(sums, [*bounds, inf], strict=True)], trend


def _lowest_of_pieces(values: Floats) -> Floats:
    """The lowest value of each of at most PIECES_MAX pieces of about equal size; every value, if there are few."""
    distinct, counts = np.unique(values, return_counts=True)
    if distinct.size <= PIECES_MAX:
        return distinct
    piece = (np.cumsum(counts) - counts) * PIECES_MAX // values.size
    _, first = np.unique(piece, return_index=True)
    return np.asarray(distinct[first])


def _bins_of_texts(column: Texts, label: npt.NDArray[np.bool_], counter: _Counter) -> tuple[list[Bin], int]:
    known = column.codes >= 0
    size = len(column.levels)
    rows = np.bincount(column.codes[known], minlength=size)
    churned = np.bincount(column.codes[known & label], minlength=size)
    pieces, rare = _pieces_of_levels(rows, counter)
    counts = [(int(rows[each].sum()), int(churned[each].sum())) for each in pieces]
    order = sorted(range(len(pieces)), key=lambda i: (counter.rate(*counts[i]), i))
    if not order:
        return [Bin(counter.group(0, 0), others=True)], 0
    ordered = np.array([counts[i] for i in order])
    _, cuts = _best_cuts(ordered[:, 0], ordered[:, 1], counter, 1)
    bins = []
    for start, end in cuts:
        inside = [pieces[i] for i in order[start:end]]
        group = counter.group(*(int(total) for total in ordered[start:end].sum(axis=0)))
        levels = sorted(column.levels[j] for each in inside for j in each)
        bins.append(Bin(group, levels=tuple(levels), others=any(each is rare for each in inside)))
    return bins, 1 if len(bins) > 1 else 0


def _pieces_of_levels(rows: npt.NDArray[np.intp], counter: _Counter) -> tuple[list[list[int]], list[int] | None]:
    """The levels that stand alone, and the rare ones together as one piece; the second value is that piece."""
    common = [i for i in np.argsort(-rows, kind="stable").tolist() if rows[i] >= max(1, counter.smallest // 2)]
    alone = sorted(common[: PIECES_MAX - 1])
    rare = [i for i in range(rows.size) if i not in set(alone) and rows[i] > 0]
    return [*([i] for i in alone), *([rare] if rare else [])], rare or None


def _best_cuts(
    rows: npt.NDArray[np.intp], churned: npt.NDArray[np.intp], counter: _Counter, sign: int
) -> tuple[float, list[tuple[int, int]]]:
    """The partition of consecutive pieces with the greatest information value, as half-open ranges, and that value.

    Rates rise strictly (sign 1) or fall strictly (-1). Another bin is taken only where it adds enough.
    """
    search = _Search(rows, churned, counter, sign)
    whole = [(0, len(rows))]
    best, best_cuts = 0.0, whole
    for count in range(2, min(counter.rules.bins_max, len(rows)) + 1):
        value, cuts = search.with_bins(count)
        if cuts is None:
            break
        if value - best >= max(counter.rules.gain_least, counter.rules.gain_ratio * value):
            best, best_cuts = value, cuts
    return best, best_cuts


class _Search:
    """Dynamic programming over segments. best[k][i, j]: k bins up to piece j, the last of which is i..j."""

    def __init__(self, rows: npt.NDArray[np.intp], churned: npt.NDArray[np.intp], counter: _Counter, sign: int) -> None:
        size = len(rows)
        n = np.concatenate([[0], np.cumsum(rows)])
        c = np.concatenate([[0], np.cumsum(churned)])
        upper = np.arange(size)[:, None] <= np.arange(size)[None, :]
        many = np.where(upper, n[None, 1:] - n[:-1, None], 0).astype(np.float64)
        left = np.where(upper, c[None, 1:] - c[:-1, None], 0).astype(np.float64)
        smoothing = counter.smoothing
        weight = np.maximum(many + smoothing, 1e-9)
        rate = np.clip((left + smoothing * counter.base) / weight, _RATE_LEAST, 1 - _RATE_LEAST)
        woe = np.log(rate / (1 - rate)) - log(counter.base / (1 - counter.base))
        value = (left / counter.churned - (many - left) / (counter.rows - counter.churned)) * woe
        fits = upper & (many >= counter.smallest)
        self._size = size
        self._rate = sign * rate
        self._value = np.where(fits, value, -inf)
        first = np.full((size, size), -inf)
        first[0] = self._value[0]
        self._best = [first]
        self._from: list[npt.NDArray[np.intp]] = [np.zeros((size, size), np.intp)]

    def with_bins(self, count: int) -> tuple[float, list[tuple[int, int]] | None]:
        """The best partition into so many bins, if there is one."""
        while len(self._best) < count:
            self._add_bin()
        last = self._best[count - 1][:, -1]
        start = int(np.argmax(last))
        if last[start] == -inf:
            return 0.0, None
        cuts, end = [(start, self._size)], self._size - 1
        for k in range(count - 1, 0, -1):
            before = int(self._from[k][start, end])
            cuts.append((before, start))
            start, end = before, start - 1
        return float(last.max()), cuts[::-1]

    def _add_bin(self) -> None:
        before, size = self._best[-1], self._size
        best, source = np.full((size, size), -inf), np.zeros((size, size), np.intp)
        for i in range(1, size):
            follows = self._rate[:i, i - 1][:, None] < self._rate[i, i:][None, :]
            candidates = np.where(follows, before[:i, i - 1][:, None], -inf)
            source[i, i:] = candidates.argmax(axis=0)
            best[i, i:] = candidates.max(axis=0) + self._value[i, i:]
        self._best.append(best)
        self._from.append(source)


def _short_between(low: float, high: float) -> float:
    """The number with the fewest digits that is greater than low and at most high."""
    for digits in range(12, -13, -1):
        step = 10.0**digits
        candidate = float(f"{np.floor(high / step) * step:.12g}")
        if low < candidate <= high:
            return candidate
    return high
