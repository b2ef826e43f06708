"""Carries decisions out: plans a city's round, sends the cards, withdraws tasks, writes messages out.

One thread runs it. Everything it does can be done again: plans are stored before they are sent, answers afterwards.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from services.clock import Clock
from services.router import metrics
from services.router.capacity import ManagerCapacity, has_room, slots
from services.router.reasons import Reason
from services.router.rounds import draft, plan_round
from services.router.store import dispatch as store
from services.router.store.database import Db, mapped_errors
from services.router.store.decisions import decide_customers
from services.router.store.dispatch import Answer, AskedRescind, SentCard
from services.router.store.facts import lock_customers
from services.router.workbench_client import BATCH_TASKS, DispatchAnswer, batches

log = logging.getLogger(__name__)

CANDIDATES = 400  # customers looked at in one round of a city, at most
CANDIDATES_LEAST = 20  # and when nobody has room, to say so
ROUNDS_PER_TURN = 10
DUE_PER_TURN = 2_000
REFUSED_WAIT_MS = 2_000  # before a manager who had no room is tried for the same task again
CARD_AT_WORKBENCH_WAIT_MS = 60_000


class Workbench(Protocol):
    """What this module needs of the workbench; see workbench_client."""

    def dispatch(self, messages: Sequence[bytes]) -> list[DispatchAnswer]: ...

    def rescind(self, items: Sequence[tuple[str, int, str]]) -> dict[str, tuple[str, bool]]: ...


class Capacity(Protocol):
    """The shared view of the managers; see capacity_watch."""

    def of_city(self, city: str) -> tuple[ManagerCapacity, ...]: ...

    def is_known(self) -> bool: ...

    def heard(self) -> int: ...

    def add_load(self, manager_id: str, units: int, *, since: int) -> None: ...

    def distrust(self, manager_id: str) -> None: ...


class Dispatcher:
    """Turns of one instance over one connection. crash_point: called between phases, for tests that kill it there."""

    def __init__(
        self,
        db: Db,
        workbench: Workbench,
        capacity: Capacity,
        clock: Clock,
        *,
        crash_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._db = db
        self._workbench = workbench
        self._capacity = capacity
        self._clock = clock
        self._crash_point = crash_point

    def turn(self, cities: Collection[str]) -> bool:
        """Withdraw what must be, then plan and send for these cities; True when there is more to do at once.

        Raises WorkbenchUnavailable and TransportUnavailable; what was begun goes on in the next turn.
        """
        more = self.rescind_asked()
        for city in sorted({*cities, *store.unsent_cities(self._db)}):
            if store.lock_city(self._db, city):
                try:
                    more |= self._city_turn(city)
                finally:
                    store.unlock_city(self._db, city)
        return more

    def decide_due(self) -> tuple[set[str], bool]:
        """Decide what has fallen due; the cities with new work, and whether more is due."""
        outcome, count = store.decide_due(self._db, self._clock.now_ms(), limit=DUE_PER_TURN)
        metrics.count_outcome(outcome)
        return outcome.ready_cities, count > 0 and (count >= DUE_PER_TURN // 2 or outcome.rescinds > 0)

    def rescind_asked(self) -> bool:
        """Send withdrawals until the workbench has answered them; True when there are more."""
        asked = store.asked_rescinds(self._db, BATCH_TASKS)
        if not asked:
            return False
        outcomes = self._workbench.rescind([(item.task_id, item.version, item.reason) for item in asked])
        self._crash_point("rescinded")
        answered: dict[str, tuple[AskedRescind, bool]] = {}
        for item in asked:
            if item.task_id in outcomes:
                name, is_gone = outcomes[item.task_id]
                metrics.RESCIND_RESULTS.labels(name).inc()
                answered[item.task_id] = (item, is_gone)
        outcome = store.store_rescinds(self._db, answered, self._clock.now_ms())
        metrics.count_outcome(outcome)
        return len(asked) == BATCH_TASKS

    def _city_turn(self, city: str) -> bool:
        """Send what an earlier turn left, then plan rounds until nothing more can be assigned."""
        while leftovers := store.unsent_cards(self._db, city, BATCH_TASKS):
            if not self._send(leftovers):
                return False  # the next turn sends them again
        for _ in range(ROUNDS_PER_TURN):
            with metrics.ROUND_SECONDS.time():
                cards, is_more = self.plan(city)
            if cards:
                self._crash_point("planned")
                if not self._send(cards):
                    return False
            if not is_more:
                return False
        return True

    def plan(self, city: str) -> tuple[list[SentCard], bool]:
        """First phase: ask policy again for the head of the backlog, assign, and store the cards as DISPATCHING.

        Returns the cards to send, and whether the backlog has more for managers who still have room.
        """
        now_ms = self._clock.now_ms()
        is_known, managers = self._capacity.is_known(), self._capacity.of_city(city)
        free = [m.manager_id for m in managers if has_room(m)]
        limit = min(CANDIDATES, CANDIDATES_LEAST + 2 * slots(managers))
        customers = store.backlog_customers(self._db, city, now_ms, free=free, limit=limit)
        if not customers:
            return [], False
        if not is_known:
            store.mark_waiting(self._db, city, customers, Reason.CAPACITY_UNKNOWN, now_ms)
            return [], False
        with mapped_errors(), self._db.transaction():
            locked = lock_customers(self._db, customers)
            decided, outcome = decide_customers(self._db, locked, now_ms)
            drafts = [draft(facts, decision, now_ms) for facts, decision in decided]
            planned = plan_round(
                [item for item in drafts if item is not None and item.view.city == city],
                managers,
                now_ms,
                most=BATCH_TASKS,
                versions=lambda ids: store.card_versions(self._db, ids),
                contents=lambda ids: store.moment_contents(self._db, ids),
            )
            store.write_plan(self._db, planned.cards, planned.left, now_ms)
        metrics.count_outcome(outcome)
        return [_sent(card) for card in planned.cards], bool(free) and len(customers) >= limit

    def _send(self, cards: Sequence[SentCard]) -> bool:
        """Second phase: send stored cards and store what the workbench answers; False when some went unanswered."""
        for first, end in batches([card.message for card in cards]):
            part = {card.task_id: card for card in cards[first:end]}
            heard = self._capacity.heard()
            answers = self._workbench.dispatch([card.message for card in part.values()])
            self._crash_point("dispatched")
            now_ms = self._clock.now_ms()
            known = [_answer(part[a.task_id], a, now_ms) for a in answers if a.task_id in part]
            self._learn(answers, part, heard)
            outcome = store.store_results(self._db, known, now_ms)
            metrics.count_outcome(outcome)
            for answer in answers:
                metrics.DISPATCH_RESULTS.labels(answer.outcome).inc()
            if len(known) < len(part):
                log.warning("router.dispatch.unanswered", extra={"sent": len(part), "answered": len(known)})
                return False
        return True

    def _learn(self, answers: Iterable[DispatchAnswer], cards: dict[str, SentCard], heard: int) -> None:
        """What the answers say about capacity, until the watch tells the same."""
        for answer in answers:
            card = cards.get(answer.task_id)
            if card is None:
                continue
            if answer.outcome == "stored":
                self._capacity.add_load(card.manager_id, card.units, since=heard)
            elif answer.reason in (Reason.NO_CAPACITY, Reason.MANAGER_AWAY):
                self._capacity.distrust(card.manager_id)


def _sent(card: dict[str, object]) -> SentCard:
    return SentCard(
        task_id=str(card["task_id"]),
        version=int(str(card["version"])),
        customer_id=int(str(card["customer_id"])),
        manager_id=str(card["manager_id"]),
        units=int(str(card["units"])),
        message=bytes.fromhex(str(card["message"])),
    )


def _answer(card: SentCard, answer: DispatchAnswer, now_ms: int) -> Answer:
    waits = None
    if answer.reason in (Reason.NO_CAPACITY, Reason.MANAGER_AWAY):
        waits = now_ms + REFUSED_WAIT_MS
    elif answer.reason is Reason.CARD_AT_WORKBENCH:
        waits = now_ms + CARD_AT_WORKBENCH_WAIT_MS
    return Answer(
        card=card,
        version=answer.version if answer.reason is None else card.version,
        reason=answer.reason,
        detail=answer.message[:200],
        waits_until_ms=waits,
    )
