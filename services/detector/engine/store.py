"""The arrays of one partition: records by slot, the pool of cases, and the way from customer id to slot.

Slots are given in order of first appearance, the first free one in page order, and never reused: so placement follows
from the log. Memory is committed as it is touched; capacity costs nothing.
"""

from typing import Any

import numpy as np

from services.detector.engine.codegen.jit import entry, inlined, kernel
from services.detector.engine.codegen.prefetch import prefetch
from services.detector.engine.customer.kernel import get64, set64
from services.detector.engine.customer.layout import CASE_WORDS, CASES, DUE, ID, PAGE_ROWS, WORDS
from services.detector.engine.pages import (
    PageContent,
    copy_cases,
    count_cases,
    place_cases,
    text_keys,
)

_SLOTS_AT_FIRST = 2_048 * PAGE_ROWS
"""Room for a twelfth of nine million customers: to make more room copies all of them, while nobody is served."""
_POOL_AT_FIRST = 1 << 14
_TABLE_AT_FIRST = 1 << 14
_FILL_MAX = 0.6
_LINE_WORDS = 16
_AHEAD = 32
"""For how many events at once the table of customers is asked for: a wrong guess where to look waits for memory."""
_GOLDEN = -7_046_029_254_386_353_131


@inlined
def _home(key: Any, mask: Any) -> Any:
    """Where in the table a customer is looked for first."""
    return (key * np.int64(_GOLDEN)) >> 20 & mask


@kernel
def _place(table_keys: Any, table_slots: Any, key: Any, slot: Any) -> None:
    mask = table_keys.size - 1
    h = _home(key, mask)
    while table_keys[h] != 0:
        h = (h + 1) & mask
    table_keys[h] = key
    table_slots[h] = slot


@entry
def assign_slots(customers: Any, first: Any, last: Any, slots: Any, table_keys: Any, table_slots: Any, rows: Any,
                 totals: Any, st: Any, visits: Any, done: Any) -> None:  # fmt: skip
    """Fill the slots of events first..last-1; unknown customers get the first free slot and owe no visit yet.

    totals: customers, free page.
    """
    mask = table_keys.size - 1
    for block in range(first, last, _AHEAD):
        end = min(block + _AHEAD, last)
        for i in range(block, end):
            h = _home(customers[i], mask)
            prefetch(table_keys, h, 0)
            prefetch(table_slots, h, 0)
        for i in range(block, end):
            key = customers[i]
            h = _home(key, mask)
            while table_keys[h] != key:
                if table_keys[h] == 0:
                    while rows[totals[1]] == PAGE_ROWS:
                        totals[1] += 1
                    slot = totals[1] * PAGE_ROWS + rows[totals[1]]
                    rows[totals[1]] += 1
                    totals[0] += 1
                    table_keys[h] = key
                    table_slots[h] = slot
                    set64(st, slot, ID, key)
                    done[slot] = visits
                    break
                h = (h + 1) & mask
            slots[i] = table_slots[h]


@entry
def _fill_table(st: Any, rows: Any, table_keys: Any, table_slots: Any) -> None:
    for page in range(rows.size):
        for slot in range(page * PAGE_ROWS, page * PAGE_ROWS + rows[page]):
            _place(table_keys, table_slots, get64(st, slot, ID), slot)


@entry
def _fill_due(st: Any, rows: Any, page_due: Any) -> None:
    for page in range(rows.size):
        page_due[page] = 0
        for slot in range(page * PAGE_ROWS, page * PAGE_ROWS + rows[page]):
            due = st[slot, DUE]
            if due != 0 and (page_due[page] == 0 or due < page_due[page]):
                page_due[page] = due


class Store:
    """See the module. All arrays are public: kernels take them as they are."""

    def __init__(self) -> None:
        self.records = _zeros(_SLOTS_AT_FIRST, WORDS)
        self.pool = _zeros(_POOL_AT_FIRST, CASE_WORDS)
        self.meta = np.array([0, 1], np.int64)  # first free row; rows ever used (row 0 stands for none)
        self.totals = np.zeros(2, np.int64)  # customers; first page that may have room
        self._new_page_arrays(_SLOTS_AT_FIRST // PAGE_ROWS)
        self._new_table(_TABLE_AT_FIRST)

    @property
    def customers(self) -> int:
        """How many customers have a slot."""
        return int(self.totals[0])

    @property
    def pages(self) -> int:
        """How many pages have customers (with those between them)."""
        used = np.flatnonzero(self.rows)
        return int(used[-1]) + 1 if used.size else 0

    @property
    def slots_end(self) -> int:
        """The slot after the last page."""
        return self.pages * PAGE_ROWS

    def slots_of(self, customers: Any, first: int, last: int, slots: Any, visits: int) -> None:
        """Fill the slots of events first..last-1; new customers have made all the visits so far."""
        self._reserve(last - first)
        assign_slots(
            customers, first, last, slots, self.table_keys, self.table_slots, self.rows, self.totals, self.records,
            visits, self.done,
        )  # fmt: skip

    def reserve_cases(self, count: int) -> None:
        """Make sure that so many cases can be added."""
        need = int(self.meta[1]) + count
        if need > len(self.pool):
            self.pool = _grown(self.pool, max(need, 2 * len(self.pool)), int(self.meta[1]))

    def dump(self, page: int, texts: dict[int, str], history_since_tick: bool) -> PageContent:
        """Return the content of a page."""
        first = page * PAGE_ROWS
        block = self.records[first : first + int(self.rows[page])]
        counts = np.zeros(len(block), np.int32)
        cases = np.zeros((count_cases(block, self.pool, counts), CASE_WORDS), np.int32)
        copy_cases(block, self.pool, cases)
        records = block.copy()
        records[:, CASES] = counts
        wanted = {int(key): texts[int(key)] for key in text_keys(records, cases) if int(key) in texts}
        return PageContent(records, cases, wanted, history_since_tick)

    def load(self, page: int, content: PageContent) -> None:
        """Put a page's content in its place; the page must be empty so far."""
        self.reserve_pages(page + 1)
        assert self.rows[page] == 0, "a page is loaded once"
        first = page * PAGE_ROWS
        self.reserve_cases(len(content.cases))
        block = self.records[first : first + len(content.records)]
        block[:] = content.records
        place_cases(block, content.cases, self.pool, self.meta)
        self.rows[page] = len(block)

    def reserve_pages(self, pages: int) -> None:
        """Make sure that so many pages have room."""
        while pages * PAGE_ROWS > len(self.records):
            self._grow_records()

    def finish_loading(self) -> None:
        """Build what follows from the pages: the table of customers and the due minutes."""
        self.totals[0] = int(self.rows.sum())
        self.totals[1] = 0
        size = _TABLE_AT_FIRST
        while size * _FILL_MAX < self.customers:
            size *= 2
        self._new_table(size)
        _fill_table(self.records, self.rows, self.table_keys, self.table_slots)
        _fill_due(self.records, self.rows, self.page_due)

    def text_keys(self) -> set[int]:
        """Return every text key in use."""
        records = self.records[: self.slots_end]
        return set(text_keys(records, self.pool[: int(self.meta[1])]).tolist())

    def _reserve(self, customers: int) -> None:
        while (self.pages + 1) * PAGE_ROWS + customers > len(self.records):
            self._grow_records()
        if (self.customers + customers) > len(self.table_keys) * _FILL_MAX:
            size = len(self.table_keys)
            while (self.customers + customers) > size * _FILL_MAX:
                size *= 2
            self._new_table(size)
            _fill_table(self.records, self.rows, self.table_keys, self.table_slots)

    def _grow_records(self) -> None:
        used = self.slots_end
        self.records = _grown(self.records, 2 * len(self.records), used)
        before = self._page_arrays()
        self._new_page_arrays(len(self.records) // PAGE_ROWS)
        for old, new in zip(before, self._page_arrays(), strict=True):
            new[: len(old)] = old

    def _new_page_arrays(self, pages: int) -> None:
        self.rows = np.zeros(pages, np.int32)
        self.page_next = np.zeros(pages, np.int64)
        self.page_due = np.zeros(pages, np.int64)
        self.page_done = np.zeros(pages, np.int32)  # how many visits every customer of the page has made at least
        self.done = np.zeros(pages * PAGE_ROWS, np.uint16)  # how many visits a customer has made at least

    def _page_arrays(self) -> list[Any]:
        return [self.rows, self.page_next, self.page_due, self.page_done, self.done]

    def _new_table(self, size: int) -> None:
        self.table_keys = np.zeros(size, np.int64)  # 0 = free: customer ids are positive
        self.table_slots = np.zeros(size, np.int32)


def _zeros(rows: int, words: int) -> Any:
    """A table that begins with a cache line, as its rows then do: an array's own memory begins 16 bytes behind one."""
    memory = np.zeros(rows * words + _LINE_WORDS, np.int32)
    first = -(memory.ctypes.data // memory.itemsize) % _LINE_WORDS
    return memory[first : first + rows * words].reshape(rows, words)


def _grown(table: Any, rows: int, used: int) -> Any:
    bigger = _zeros(rows, table.shape[1])
    bigger[:used] = table[:used]
    return bigger
