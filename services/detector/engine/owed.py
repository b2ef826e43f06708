"""What passed ticks still ask of customers: a queue of visits, and how far each customer has come in it.

A tick is quick: it only adds visits. A customer is visited before their next event, and the others in slices; since
customers are independent of each other this finds what visits at the tick would have found. Every visit carries the
time, the rule set and the place in the log of its tick.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from services.detector.engine.codegen.calls import CALENDAR_WORDS
from services.detector.engine.codegen.jit import entry
from services.detector.engine.customer import calendars, loops
from services.detector.engine.customer.kernel import MINUTE_MS
from services.detector.engine.customer.layout import DUE, PAGE_ROWS
from services.detector.engine.rule_set import CompiledRuleSet
from services.detector.engine.store import Store

VISITS_MAX = 50_000
"""More than two months of hourly visits that were missed; progress is kept in 16 bits."""
_AT_FIRST = 16
Int64s = npt.NDArray[np.int64]


@entry
def _owing(slots: Any, first: Any, last: Any, visits: Any, done: Any, page_done: Any, found: Any, since: Any) -> Any:
    """Find the customers of events first..last-1 that owe visits, each once, and note them as visited."""
    n = 0
    for i in range(first, last):
        s = slots[i]
        before = max(np.int64(done[s]), np.int64(page_done[s >> 9]))
        if before < visits:
            done[s] = visits
            found[n], since[n] = s, before
            n += 1
    return n


@entry
def _owing_in_pages(
    first: Any, last: Any, rows: Any, visits: Any, at_most: Any, done: Any, page_done: Any, found: Any, since: Any
) -> Any:
    """Find at most so many customers of pages first..last-1 that owe visits, and note them as visited.

    Returns the page to go on with, and how many were found.
    """
    n = 0
    for page in range(first, last):
        if page_done[page] >= visits:
            continue
        for s in range(page << 9, (page << 9) + rows[page]):
            before = max(np.int64(done[s]), np.int64(page_done[page]))
            if before < visits:
                if n == at_most:
                    return page, n
                done[s] = visits
                found[n], since[n] = s, before
                n += 1
        page_done[page] = visits
    return last, n


@entry
def _refresh_pages(first: Any, last: Any, rows: Any, minute: Any, st: Any, page_due: Any) -> None:
    """Set the due minute of pages anew where the noted one has passed."""
    for page in range(first, last):
        if page_due[page] == 0 or page_due[page] > minute:
            continue
        page_due[page] = 0
        for s in range(page << 9, (page << 9) + rows[page]):
            due = st[s, DUE]
            if due != 0 and (page_due[page] == 0 or due < page_due[page]):
                page_due[page] = due


class Visits:
    """The queue of one partition. `rows` and `calendars` are for kernels, see `loops.visit_customers`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.rows = np.zeros((_AT_FIRST, 6), np.int64)
        self.calendars = np.zeros((_AT_FIRST, CALENDAR_WORDS), np.int64)
        self._stretches: list[tuple[int, int, CompiledRuleSet]] = []
        self._next_page = 0
        self._taken = (0, 0)  # pages whose customers were handed out last

    def __len__(self) -> int:
        return self._stretches[-1][1] if self._stretches else 0

    @property
    def pending(self) -> int:
        """How many customers have not made every visit, at most: whole pages are counted."""
        if not len(self):
            return 0
        pages = self._store.pages
        return int(self._store.rows[:pages][self._store.page_done[:pages] < len(self)].sum())

    def add_sweep(self, rule_set: CompiledRuleSet, offset: int, log_ms: int, day: int, at: int, mask: int) -> None:
        """Every customer is to be judged by the calendar rules of `mask`, as of a nominal instant."""
        self._add(rule_set, (offset, day, at, log_ms, mask, 0), calendars.calendar_of(day))

    def add_due(self, rule_set: CompiledRuleSet, offset: int, log_ms: int, *, is_quiet: bool) -> None:
        """Every customer whose due minute has come is to be looked at; pages without one have done so already."""
        self._add(rule_set, (offset, 0, 0, log_ms, 0, int(is_quiet)), (0,) * CALENDAR_WORDS)
        store, pages = self._store, self._store.pages
        due, done = store.page_due[:pages], store.page_done[:pages]
        done[((due == 0) | (due > log_ms // MINUTE_MS)) & (done == len(self) - 1)] = len(self)

    def _add(self, rule_set: CompiledRuleSet, row: tuple[int, ...], calendar: tuple[int, ...]) -> None:
        n = len(self)
        assert n < VISITS_MAX, "visits were not made in time"
        if n == len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
            self.calendars = np.concatenate([self.calendars, np.zeros_like(self.calendars)])
        self.rows[n], self.calendars[n] = row, calendar
        first, _, newest = self._stretches[-1] if self._stretches else (0, 0, None)
        if newest is rule_set:
            self._stretches[-1] = first, n + 1, rule_set
        else:
            self._stretches.append((n, n + 1, rule_set))
        self._next_page = 0

    def stretches(self) -> Sequence[tuple[int, int, CompiledRuleSet]]:
        """Runs of visits for which one rule set holds: first, the one after the last, the rule set."""
        return self._stretches

    def of_events(self, slots: Any, first: int, last: int) -> tuple[Int64s, Int64s]:
        """Customers of these events who owe visits, and how many each has made; they count as visited from now on."""
        found, since = np.empty(last - first, np.int64), np.empty(last - first, np.int64)
        store = self._store
        n = _owing(slots, first, last, len(self), store.done, store.page_done, found, since)
        return found[:n], since[:n]

    def of_page(self, page: int, at_most: int) -> tuple[Int64s, Int64s]:
        """The same for customers of one page."""
        return self._of_pages(page, page + 1, at_most)

    def of_next(self, at_most: int) -> tuple[Int64s, Int64s]:
        """The same for the next customers in page order."""
        found, since = self._of_pages(self._next_page, self._store.pages, at_most)
        self._next_page = self._taken[1]
        return found, since

    def _of_pages(self, first: int, last: int, at_most: int) -> tuple[Int64s, Int64s]:
        at_most = min(at_most, (last - first) * PAGE_ROWS) if len(self) else 0
        found, since = np.empty(at_most, np.int64), np.empty(at_most, np.int64)
        store = self._store
        stop, n = _owing_in_pages(
            first, last, store.rows, len(self), at_most, store.done, store.page_done, found, since
        )  # fmt: skip
        self._taken = first, int(stop)
        return found[:n], since[:n]

    def owes(self, page: int) -> bool:
        """True while some customer of the page may owe a visit."""
        return bool(self._store.page_done[page] < len(self))

    def settle(self) -> None:
        """After visits: due minutes of the pages that were taken, and an empty queue when all visits are made."""
        store, pages = self._store, self._store.pages
        if not len(self):
            return
        minute = int(self.rows[: len(self), loops.LOG].max()) // MINUTE_MS
        _refresh_pages(*self._taken, store.rows, minute, store.records, store.page_due)
        self._taken = 0, 0
        if not bool((store.page_done[:pages] < len(self)).any()):
            store.page_done[:pages] = 0
            store.done[: store.slots_end] = 0  # not of all that has room: this is done at every tick
            self._stretches = []
            self._next_page = 0
