"""ManagerService: checks what comes in, asks the stores, renders what goes out. The manager is the token's subject."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
import time
from typing import Any, Final

import grpc
from kairos.workbench.v1 import manager_pb2, manager_pb2_grpc, task_pb2

from services.clock import Clock
from services.workbench_api import metrics, wire
from services.workbench_api.card_store import CardStore, Place
from services.workbench_api.customers import facts_of
from services.workbench_api.errors import FieldInvalid
from services.workbench_api.leases import Lease, Refusal
from services.workbench_api.presence import Presence
from services.workbench_api.roster import Roster
from services.workbench_api.rpc.errors import refuse
from services.workbench_api.rpc.guard import Context, language, principal
from services.workbench_api.sentences import Sentences
from services.workbench_api.tasks import Decision, Refused, Task
from services.workbench_api.waiters import SeenBook, Waiters
from services.workbench_api.work_store import Completion, Offers, Replayed, WorkStore

log = logging.getLogger(__name__)

WAIT_SECONDS_MAX: Final = 25.0
OFFERS_MAX: Final = 10
HELD_MAX: Final = 20
ANSWERS_MAX: Final = 50
PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 200
_ANSWER_MARGIN_SECONDS: Final = 0.5  # a poll answers this much before the client's deadline
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_SETTABLE: Final = {
    task_pb2.PRESENCE_AVAILABLE: Presence.AVAILABLE,
    task_pb2.PRESENCE_BREAK: Presence.BREAK,
    task_pb2.PRESENCE_OFFLINE: Presence.OFFLINE,
}


class ManagerRpc(manager_pb2_grpc.ManagerServiceServicer):
    """The phone managers' side."""

    def __init__(
        self,
        *,
        clock: Clock,
        store: WorkStore,
        roster: Roster,
        cards: CardStore,
        waiters: Waiters,
        seen: SeenBook,
        sentences: Sentences,
        looks_max: int,
    ) -> None:
        self._clock = clock
        self._store = store
        self._roster = roster
        self._cards = cards
        self._waiters = waiters
        self._seen = seen
        self._sentences = sentences
        self._looks = asyncio.Semaphore(looks_max)  # many polls at once queue here and leave room for other calls
        self._withdrawing: set[asyncio.Task[None]] = set()

    async def PollTasks(self, request: manager_pb2.PollTasksRequest, context: Context) -> manager_pb2.PollTasksResponse:  # noqa: N802
        manager_id = principal().subject
        request_id = wire.checked_text(request.request_id, "request_id", 64, length_min=1)
        if not 0 <= request.max_tasks <= OFFERS_MAX:
            raise FieldInvalid("max_tasks", f"want 0..{OFFERS_MAX}")
        ends = time.monotonic() + _wait_seconds(request.wait_seconds, context.time_remaining())
        self._seen.note(manager_id)
        presence: Presence | None = None
        with self._waiters.register(manager_id) as waiter:
            while True:
                waiter.look()
                async with self._looks:
                    offers = await self._look(manager_id, request_id, request.max_tasks or 1)
                left = ends - time.monotonic()
                has_changed = presence not in (None, offers.presence)  # who stopped responding is to know it now
                if offers.tasks or has_changed or left <= 0 or self._waiters.is_draining:
                    return self._poll_response(offers)
                presence = offers.presence
                await waiter.wait(left)

    async def AcceptTask(self, request: manager_pb2.AcceptTaskRequest, _: Context) -> manager_pb2.AcceptTaskResponse:  # noqa: N802
        manager_id = self._heard()
        task_id = wire.checked_task_id(request.task_id)
        task = _allowed(await self._store.accept(manager_id, task_id, request.lease_epoch))
        return manager_pb2.AcceptTaskResponse(task=self._render(task))

    async def Heartbeat(self, request: manager_pb2.HeartbeatRequest, _: Context) -> manager_pb2.HeartbeatResponse:  # noqa: N802
        manager_id = self._heard()
        if not 1 <= len(request.tasks) <= HELD_MAX:
            raise FieldInvalid("tasks", f"want 1..{HELD_MAX}")
        held = [(wire.checked_task_id(each.task_id), each.lease_epoch) for each in request.tasks]
        results = await self._store.heartbeat(manager_id, held)
        return manager_pb2.HeartbeatResponse(
            results=[_beat(task_id, result) for (task_id, _), result in zip(held, results, strict=True)]
        )

    async def CompleteTask(  # noqa: N802
        self, request: manager_pb2.CompleteTaskRequest, _: Context
    ) -> manager_pb2.CompleteTaskResponse:
        manager_id = self._heard()
        task_id = wire.checked_task_id(request.task_id)
        decision = await self._store.complete(
            manager_id, task_id, request.lease_epoch, _completion(request), answer=self._completed
        )
        if isinstance(decision, Replayed):
            return manager_pb2.CompleteTaskResponse.FromString(decision.response)
        return manager_pb2.CompleteTaskResponse(task=self._render(_allowed(decision)))

    async def DeclineTask(self, request: manager_pb2.DeclineTaskRequest, _: Context) -> manager_pb2.DeclineTaskResponse:  # noqa: N802
        manager_id = self._heard()
        task_id = wire.checked_task_id(request.task_id)
        wire.checked_text(request.note, "note", 500)
        name = _name(manager_pb2.DeclineReason, request.reason, "reason", "DECLINE_REASON_")
        task = _allowed(await self._store.decline(manager_id, task_id, request.lease_epoch, name))
        return manager_pb2.DeclineTaskResponse(task=self._render(task))

    async def DeferTask(self, request: manager_pb2.DeferTaskRequest, _: Context) -> manager_pb2.DeferTaskResponse:  # noqa: N802
        raise NotImplementedError

    async def TransferTask(  # noqa: N802
        self, request: manager_pb2.TransferTaskRequest, _: Context
    ) -> manager_pb2.TransferTaskResponse:
        raise NotImplementedError

    async def GetCustomerCard(  # noqa: N802
        self, request: manager_pb2.GetCustomerCardRequest, _: Context
    ) -> manager_pb2.GetCustomerCardResponse:
        card = await self._cards.card(self._heard(), wire.checked_task_id(request.task_id))
        if card is None:
            refuse(Refused(Refusal.TASK_NOT_FOUND))
        contacts = [
            manager_pb2.GetCustomerCardResponse.PastContact(
                at_ms=past.at_ms,
                channel="CALL",
                rule_id=past.rule_id,
                disposition=past.disposition,
                manager_id=past.manager_id,
            )
            for past in card.past_contacts
        ]
        return manager_pb2.GetCustomerCardResponse(
            task=self._render(card.task), past_contacts=contacts, facts=facts_of(card.customer_body)
        )

    async def ListTasks(self, request: manager_pb2.ListTasksRequest, _: Context) -> manager_pb2.ListTasksResponse:  # noqa: N802
        if not 0 <= request.page_size <= PAGE_SIZE_MAX:
            raise FieldInvalid("page_size", f"want 0..{PAGE_SIZE_MAX}")
        states = sorted({wire.state_from_wire(number) for number in request.states})
        size = request.page_size or PAGE_SIZE
        tasks, place = await self._cards.page(self._heard(), states, size, _place(request.page_token))
        return manager_pb2.ListTasksResponse(
            tasks=[self._render(task) for task in tasks], next_page_token="" if place is None else _page_token(place)
        )

    async def SetPresence(self, request: manager_pb2.SetPresenceRequest, _: Context) -> manager_pb2.SetPresenceResponse:  # noqa: N802
        wanted = _SETTABLE.get(request.presence)
        if wanted is None:
            raise FieldInvalid("presence", "want AVAILABLE, BREAK or OFFLINE")
        await self._roster.set_presence(self._heard(), wanted)
        return manager_pb2.SetPresenceResponse(presence=request.presence)

    async def settle(self, seconds: float) -> None:
        """Wait until offers of cancelled calls are taken back."""
        if self._withdrawing:
            await asyncio.wait(self._withdrawing, timeout=seconds)

    async def _look(self, manager_id: str, request_id: str, tasks_max: int) -> Offers:
        """Offers for this call; when the call is cancelled meanwhile, what it was about to get goes back."""
        presence, may_find = await self._store.glance(manager_id)
        if not may_find:
            return Offers(presence)
        looking = asyncio.ensure_future(self._store.poll(manager_id, request_id, tasks_max))
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            withdrawing = asyncio.ensure_future(self._take_back(looking))
            self._withdrawing.add(withdrawing)
            withdrawing.add_done_callback(self._withdrawing.discard)
            raise

    async def _take_back(self, looking: asyncio.Future[Offers]) -> None:
        try:
            offers = await looking
            if offers.fresh:
                await self._store.withdraw(offers.fresh)
        except Exception:  # outermost loop of a task nobody waits for; the offer then ends by itself
            log.exception("workbench.withdraw.failed")

    def _poll_response(self, offers: Offers) -> manager_pb2.PollTasksResponse:
        now_ms = self._clock.now_ms()
        messages = [self._render(task) for task in offers.tasks]
        fresh = dict(offers.fresh)
        for message in messages:
            if fresh.get(message.task_id) == 1 and message.moments:
                waited_ms = max(0, now_ms - message.moments[0].occurred_at_ms)
                metrics.EVENT_TO_POLL_SECONDS.observe(waited_ms / 1000)
        return manager_pb2.PollTasksResponse(
            tasks=messages,
            presence=task_pb2.Presence.Value(f"PRESENCE_{offers.presence.value}"),
            server_now_ms=self._clock.real_ms(),
        )

    def _completed(self, task: Task) -> bytes:
        return manager_pb2.CompleteTaskResponse(task=self._render(task)).SerializeToString()

    def _heard(self) -> str:
        manager_id = principal().subject
        self._seen.note(manager_id)
        return manager_id

    def _render(self, task: Task) -> task_pb2.Task:
        return wire.task_to_wire(task, self._sentences, language())


def _allowed(decision: Decision) -> Task:
    if isinstance(decision, Refused):
        refuse(decision)
    return decision.task


def _wait_seconds(asked: float, remaining: float | None) -> float:
    """How long a poll waits: 0 asks for the longest, negative for none, and never beyond the client's deadline."""
    if asked != asked or asked < 0:  # not a number waits for nothing
        return 0.0
    wait = min(asked or WAIT_SECONDS_MAX, WAIT_SECONDS_MAX)
    return wait if remaining is None else max(0.0, min(wait, remaining - _ANSWER_MARGIN_SECONDS))


def _completion(request: manager_pb2.CompleteTaskRequest) -> Completion:
    if len(request.answers) > ANSWERS_MAX:
        raise FieldInvalid("answers", f"at most {ANSWERS_MAX}")
    for question, given in request.answers.items():
        wire.checked_text(question, "answers", 64, length_min=1)
        wire.checked_text(given, "answers", 500)
    if request.next_contact_on and not _is_date(request.next_contact_on):
        raise FieldInvalid("next_contact_on", "want YYYY-MM-DD")
    return Completion(
        request_id=wire.checked_text(request.request_id, "request_id", 64, length_min=1),
        disposition=_name(manager_pb2.Disposition, request.disposition, "disposition", "DISPOSITION_"),
        note=wire.checked_text(request.note, "note", 2000),
        answers=dict(request.answers),
        promise=wire.checked_text(request.promise, "promise", 500),
        next_contact_on=request.next_contact_on,
    )


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        time.strptime(text, "%Y-%m-%d")
    except ValueError:
        return False
    return True


def _name(enum: Any, number: int, field: str, prefix: str) -> str:
    """The name of a specified enum value without its prefix; raises FieldInvalid for 0 and unknown numbers."""
    if number == 0 or number not in enum.values():
        raise FieldInvalid(field, "want one of the listed values")
    return str(enum.Name(number)).removeprefix(prefix)


def _beat(task_id: str, result: Lease | Refusal) -> manager_pb2.HeartbeatResponse.Result:
    if isinstance(result, Refusal):
        return manager_pb2.HeartbeatResponse.Result(task_id=task_id, refusal=result.value)
    lease = task_pb2.Lease(epoch=result.epoch, expires_at_ms=result.expires_at_ms)
    return manager_pb2.HeartbeatResponse.Result(task_id=task_id, lease=lease)


def _page_token(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps([place.created_at_ms, place.task_id]).encode()).decode()


def _place(token: str) -> Place | None:
    if not token:
        return None
    try:
        created_at_ms, task_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        return Place(int(created_at_ms), wire.checked_task_id(str(task_id)))
    except (ValueError, TypeError, binascii.Error, FieldInvalid):
        raise FieldInvalid("page_token", "is not from an earlier response") from None


def add_to(server: grpc.aio.Server, servicer: ManagerRpc) -> None:
    """Register the service."""
    manager_pb2_grpc.add_ManagerServiceServicer_to_server(servicer, server)
