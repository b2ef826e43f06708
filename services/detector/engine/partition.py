"""The keyed state of one partition of the event log, and everything that may change it: chunks of the log, nothing
else.

Owns the order of things: events between ticks, what a tick asks for, and which rule set holds for what. Decisions are
in the compiled rules; how a finding becomes a moment is the matter of `moments`, who still owes what to a tick that of
`owed`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.detector.engine.customer import calendars
from services.detector.engine.customer.findings import (
    BUFFER_ROWS,
    COUNT_NAMES,
    COUNTERS,
    COUNTS,
    INTEGERS,
    NUMBERS_MAX,
)
from services.detector.engine.customer.layout import CATEGORIES_KEPT
from services.detector.engine.errors import RulesNotLoaded
from services.detector.engine.log_format import wire
from services.detector.engine.owed import VISITS_MAX, Visits
from services.detector.engine.pages import Page, decode_page, encode_page
from services.detector.engine.rule_set import NO_RULES, CompiledRuleSet
from services.detector.engine.store import Store
from services.detector.records.decode import ATTRIBUTES_COLUMN, DecodedChunk, Tick

ENGINE_VERSION = 3
"""Changes whenever the same log could give other moments."""
_MONTHS = calendars.months_of_days()
_CASES_SPARE = 2 * BUFFER_ROWS
"""Rows of the pool that one call of a loop can need beside those of its events: an opened episode is a finding."""
_TEXTS_AT_LEAST = 10_000
_VISITS_OF_TICK_MAX = 8_192
_STEP, _MOMENTS_OF_SLICE = 256, 64
"""Customers of a sweep that are visited at once, and after how many moments it ends: telling them takes most time."""


RULE_FAILED_OF = "rule_failed:"
"""Before the id of a rule among the counts: how often it alone failed."""


@dataclass
class Applied:
    """What a part of the log brought forth. moments: fields of moment.v1.avsc; those of a customer in log order.

    bulk: ids of the rules whose moments reach everybody at once.
    """

    moments: list[dict[str, Any]] = field(default_factory=list)
    bulk: frozenset[str] = frozenset()
    counts: dict[str, int] = field(default_factory=dict)


def _rows_at_most(kinds: Any, untold: int) -> int:
    """Return how many rows of the pool events can need: one each, a customer record one per category that it names, and
    those of rules that open something untold."""
    return (1 + untold) * len(kinds) + (CATEGORIES_KEPT - 1) * int(np.count_nonzero(kinds == wire.CUSTOMER))


class Partition:
    """See the module. tick_now_ms: 0 = no tick yet; rules_offset: -1 = no rules announced yet."""

    def __init__(self, number: int, first_offset: int = 0) -> None:
        self.number = number
        self.next_offset = first_offset
        self.tick_now_ms = 0
        self.rules_offset = -1
        self._store = Store()
        self._visits = Visits(self._store)
        self._texts: dict[int, str] = {}
        self._texts_limit = _TEXTS_AT_LEAST
        self._history_since_tick = False
        self._earliest_page: int | None = None
        self._out = np.zeros((BUFFER_ROWS, INTEGERS), np.int64)
        self._outf = np.zeros((BUFFER_ROWS, NUMBERS_MAX), np.float64)
        self._counts = np.zeros(COUNTERS, np.int64)

    @property
    def customers(self) -> int:
        """How many customers the partition has."""
        return self._store.customers

    @property
    def sweep_pending(self) -> int:
        """How many customers may still owe something to a passed tick."""
        return self._visits.pending

    def sweep(self, customers_at_most: int) -> Applied:
        """Let the next customers make the visits that they owe to passed ticks; fewer when many moments come of it."""
        applied, left = Applied(), customers_at_most
        self._counts[:] = 0
        while left > 0 and len(self._visits) and len(applied.moments) < _MOMENTS_OF_SLICE:
            step = max(8, _STEP // max(1, len(self._visits) // 16))  # after an outage each has many visits to make
            slots, since = self._visits.of_next(min(left, step))
            self._visit(slots, since, applied)
            self._visits.settle()
            left -= max(1, len(slots))
        applied.counts.update(self._counted())
        return applied

    def owes(self, page: int) -> bool:
        """True while some customer of a page may owe something to a passed tick: it cannot be dumped yet."""
        return self._visits.owes(page)

    def sweep_page(self, page: int, customers_at_most: int) -> Applied:
        """The same as `sweep` for the customers of one page."""
        applied = Applied()
        self._counts[:] = 0
        self._visit(*self._visits.of_page(page, customers_at_most), applied)
        self._visits.settle()
        applied.counts.update(self._counted())
        return applied

    def apply(self, chunk: DecodedChunk, rules: Mapping[int, CompiledRuleSet]) -> Applied:
        """Apply a chunk as a whole; what its ticks ask of customers without events is left to `sweep`.

        rules: every compiled rule set by its offset in kairos.rules.v1.
        Raises RulesNotLoaded, before anything is changed, when a set is in force or announced that is not in `rules`.
        """
        self._refuse_unknown_rules(chunk, rules)
        applied = Applied()
        self._counts[:] = 0
        self._texts.update(chunk.texts)
        slots = np.zeros(chunk.events, np.int64)
        done = 0
        for tick in chunk.ticks:
            self._apply_events(chunk, slots, done, tick.row, rules, applied)
            done = tick.row
            self._apply_tick(tick, rules, applied)
        self._apply_events(chunk, slots, done, chunk.events, rules, applied)
        if chunk.ticks:  # not before the last event: texts of later ones would be forgotten before they are referred to
            self._forget_texts()
        self.next_offset = max(self.next_offset, chunk.next_offset)
        applied.counts.update(self._counted())
        return applied

    def pages(self) -> int:
        """How many pages a turn has now."""
        return self._store.pages

    def dump_page(self, n: int) -> Page:
        """Return page n as bytes, when it owes nothing; it contains the log up to `next_offset`."""
        assert not self.owes(n), "a page never passes a tick that a customer of it has not been swept for"
        content = self._store.dump(n, self._texts, self._history_since_tick)
        return Page(max(self.next_offset, int(self._store.page_next[n])), len(content.records), encode_page(content))

    def expect_pages(self, pages: int) -> None:
        """Make room for so many pages before they are loaded: growing later would move what is there."""
        self._store.reserve_pages(pages)

    def load_page(self, n: int, page: Page) -> None:
        """Take page n; all pages first, then `finish_loading`. Raises StateUnreadable."""
        content = decode_page(page.payload)
        self._store.load(n, content)
        self._store.page_next[n] = page.next_offset
        self._texts.update(content.texts)
        earliest = self._earliest_page
        if earliest is None or page.next_offset < earliest:
            self._earliest_page = page.next_offset
            self._history_since_tick = content.history_since_tick

    def finish_loading(self, tick_now_ms: int, rules_offset: int, next_offset: int) -> None:
        """Continue from here: the log is to be applied from next_offset; pages skip what they contain."""
        self.tick_now_ms, self.rules_offset, self.next_offset = tick_now_ms, rules_offset, next_offset
        self._store.finish_loading()

    def _refuse_unknown_rules(self, chunk: DecodedChunk, rules: Mapping[int, CompiledRuleSet]) -> None:
        announced = self.rules_offset
        for offset in [announced, *(tick.rules_offset for tick in chunk.ticks)]:
            announced = max(announced, offset)
            if announced >= 0 and announced not in rules:
                raise RulesNotLoaded(announced)

    def _apply_events(
        self, chunk: DecodedChunk, slots: Any, first: int, last: int, rules: Mapping[int, CompiledRuleSet],
        applied: Applied,
    ) -> None:  # fmt: skip
        if first == last:
            return
        store = self._store
        store.slots_of(chunk.customer, first, last, slots, len(self._visits))
        if len(self._visits):
            self._visit(*self._visits.of_events(slots, first, last), applied)
        self._place_attributes(chunk, first, last, rules)
        if bool(chunk.history[first:last].any()):
            self._history_since_tick = True
        for start, end, rule_set in self._stretches(chunk.occurred, first, last, rules):
            done = start
            while done < end:
                store.reserve_cases(_rows_at_most(chunk.kind[done:end], rule_set.untold) + _CASES_SPARE)
                done, found = rule_set.apply_events(
                    done, end, slots, chunk.kind, chunk.offset, chunk.occurred, chunk.ingested, chunk.history,
                    chunk.ident, chunk.rank, chunk.payload, chunk.code, chunk.profiles, store.records, store.pool,
                    store.meta, _MONTHS, rule_set.hooks, rule_set.has_rules, rule_set.lateness_ms,
                    store.page_next, store.page_due, self._out, self._outf, self._counts,
                )  # fmt: skip
                self._tell(rule_set, found, applied)

    def _place_attributes(
        self, chunk: DecodedChunk, first: int, last: int, rules: Mapping[int, CompiledRuleSet]
    ) -> None:  # fmt: skip
        """Write the places of customer records' attributes, under the card of the newest announced set."""
        card = self._in_force(None, rules).card
        if not chunk.attributes or not card.of_attributes:
            return
        for i in np.flatnonzero(chunk.kind[first:last] == wire.CUSTOMER).tolist():
            row = int(chunk.payload[first + i, wire.A])
            if chunk.attributes[row]:
                chunk.profiles[row, ATTRIBUTES_COLUMN] = card.places(chunk.attributes[row])

    def _stretches(
        self, occurred: Any, first: int, last: int, rules: Mapping[int, CompiledRuleSet]
    ) -> list[tuple[int, int, CompiledRuleSet]]:
        """Split events into runs for which one rule set holds."""
        newest = self._in_force(None, rules)
        if newest.effective_from_ms <= int(occurred[first:last].min()):
            return [(first, last, newest)]
        sets = [NO_RULES, *(rules[offset] for offset in sorted(o for o in rules if o <= self.rules_offset))]
        which = np.zeros(last - first, np.int64)
        for number, rule_set in enumerate(sets[1:], 1):
            which[occurred[first:last] >= rule_set.effective_from_ms] = number
        cuts = np.flatnonzero(which[1:] != which[:-1]) + 1
        starts = [0, *cuts.tolist()]
        ends = [*cuts.tolist(), last - first]
        return [(first + i, first + j, sets[which[i]]) for i, j in zip(starts, ends, strict=True)]

    def _in_force(self, at_ms: int | None, rules: Mapping[int, CompiledRuleSet]) -> CompiledRuleSet:
        """Return the newest announced set that holds at an instant; at None: the newest announced."""
        for offset in sorted((o for o in rules if o <= self.rules_offset), reverse=True):
            if at_ms is None or rules[offset].effective_from_ms <= at_ms:
                return rules[offset]
        return NO_RULES

    def _apply_tick(self, tick: Tick, rules: Mapping[int, CompiledRuleSet], applied: Applied) -> None:
        """Time and rule set are maxima, each by itself; then the nominal hours that were passed, then what is due."""
        before, had_rules = self.tick_now_ms, self.rules_offset >= 0
        self.tick_now_ms = max(before, tick.now_ms)
        self.rules_offset = max(self.rules_offset, tick.rules_offset)
        is_quiet = not self._history_since_tick
        self._history_since_tick = False
        newest = self._in_force(None, rules)
        if not newest.has_rules or self._store.customers == 0:
            return
        if len(self._visits) + _VISITS_OF_TICK_MAX > VISITS_MAX:
            self._visit(*self._visits.of_next(self._store.slots_end), applied)
            self._visits.settle()
        if before and self.tick_now_ms > before:
            self._owe_nominal_hours(before if had_rules else max(before, self.tick_now_ms - 1), tick.offset, rules)
        due = self._in_force(self.tick_now_ms, rules)
        if due.has_rules:
            self._visits.add_due(due, tick.offset, self.tick_now_ms, is_quiet=is_quiet)
        self._visits.settle()

    def _owe_nominal_hours(self, after_ms: int, offset: int, rules: Mapping[int, CompiledRuleSet]) -> None:
        """The calendar rules are to be judged for every nominal hour in (after, now], in order of time."""
        announced = [rules[o] for o in rules if o <= self.rules_offset]  # an older one holds until the newest does
        minutes = tuple({minute for each in announced for minute in each.nominal_minutes})
        for at, day, _minute in calendars.nominal_instants(after_ms, self.tick_now_ms, minutes):
            rule_set = self._in_force(at, rules)
            mask = rule_set.mask_at(at, day, self.tick_now_ms)
            if mask:
                self._visits.add_sweep(rule_set, offset, self.tick_now_ms, day, at, mask)

    def _visit(self, slots: Any, since: Any, applied: Applied) -> None:
        """Let these customers make all visits of the queue from `since` on."""
        store, visits = self._store, self._visits
        for first, last, rule_set in visits.stretches() if len(slots) else ():
            done = 0
            while done < len(slots):
                store.reserve_cases(_CASES_SPARE + (len(slots) - done) * rule_set.remembering)
                done, found = rule_set.visit_customers(
                    done, len(slots), slots, since, first, last, visits.rows, visits.calendars, store.records,
                    store.pool, store.meta, rule_set.hooks, store.page_next, store.page_due, self._out,
                    self._outf, self._counts,
                )  # fmt: skip
                self._tell(rule_set, found, applied)

    def _counted(self) -> dict[str, int]:
        return {name: int(n) for name, n in zip(COUNT_NAMES, self._counts[:COUNTS], strict=True) if n}

    def _tell(self, rule_set: CompiledRuleSet, found: int, applied: Applied) -> None:
        for number in np.flatnonzero(self._counts[COUNTS:]).tolist():
            name = f"{RULE_FAILED_OF}{rule_set.rules[number].id}"
            applied.counts[name] = applied.counts.get(name, 0) + int(self._counts[COUNTS + number])
            self._counts[COUNTS + number] = 0
        applied.bulk |= rule_set.bulk
        for row in range(found):
            applied.moments.append(rule_set.moment(self._out[row], self._outf[row], self._texts))

    def _forget_texts(self) -> None:
        """Drop texts that no customer refers to any more, once many have come."""
        if len(self._texts) > self._texts_limit:
            used = self._store.text_keys()
            self._texts = {key: text for key, text in self._texts.items() if key in used}
            self._texts_limit = max(_TEXTS_AT_LEAST, 2 * len(self._texts))
