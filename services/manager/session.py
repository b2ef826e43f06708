"""A person at work: wait, see the card, accept, call, complete. One loop that reads keys and never blocks for long."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, TypeVar

from kairos.workbench.v1 import manager_pb2, task_pb2
from rich.console import Console
from rich.live import Live
from rich.text import Text

from services.manager import screen
from services.manager.api import GivenUp, Heartbeats, ManagerApi, Refused, Unreachable, until_reached
from services.manager.keys import END, ESCAPE, Keys
from services.manager.texts import DISPOSITIONS, REASONS, Language, text

T = TypeVar("T")

_KEY_SECONDS: Final = 0.1
_SPIN: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_STATES: Final = {
    task_pb2.PRESENCE_AVAILABLE: "waiting",
    task_pb2.PRESENCE_BREAK: "on_break",
    task_pb2.PRESENCE_NOT_RESPONDING: "not_responding",
    task_pb2.PRESENCE_OFFLINE: "offline",
}
_LOST: Final = frozenset({"LEASE_EXPIRED", "LEASE_EPOCH_OLD", "TASK_NOT_FOUND", "WRONG_STATE"})
_GOODBYE_SECONDS: Final = 2.0


class Choice(Enum):
    """What the person decided about an open card."""

    ACCEPT = auto()
    COMPLETE = auto()
    DECLINE = auto()
    REFRESH = auto()
    GONE = auto()
    QUIT = auto()


@dataclass
class Tally:
    """What was done since the start."""

    done: int = 0
    declined: int = 0


class Session:
    """One person's sitting; `run()` returns the exit code."""

    def __init__(self, api: ManagerApi, console: Console, keys: Keys, *, manager_id: str, language: Language) -> None:
        self._api = api
        self._console = console
        self._keys = keys
        self._manager_id = manager_id
        self._language = language
        self._tally = Tally()
        self._ahead_ms = 0  # server clock − own clock
        self._lapsed: tuple[str, int] | None = None  # task and epoch of the offer that ran out unanswered
        self._is_quitting = False

    def run(self) -> int:
        """Work until the person leaves."""
        try:
            self._be("AVAILABLE")
            for task in self._patiently(self._api.in_work):
                if not self._is_quitting:
                    self._say("resumed", "yellow")
                    self._work(task)
            while not self._is_quitting:
                task_offered = self._wait_for_offer()
                if task_offered is not None:
                    self._offer(task_offered)
        except Refused as exc:
            return self._explain(exc)
        except (GivenUp, KeyboardInterrupt):
            pass
        self._leave()
        return 0

    def _wait_for_offer(self) -> task_pb2.Task | None:
        """Poll again and again with a live line; None when the person leaves."""
        since = time.monotonic()
        state = "waiting"
        shown = -1
        poll: Any = self._api.start_poll(wait_seconds=-1.0)  # the first one only asks how things stand
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                key = self._keys.read(_KEY_SECONDS)
                if key in ("q", END):
                    self._is_quitting = True
                    poll.cancel()
                    return None
                if key in ("a", "b"):
                    self._be("BREAK" if key == "b" else "AVAILABLE")
                    state, since, shown = ("on_break" if key == "b" else "waiting"), time.monotonic(), -1
                if poll.done():
                    found, state_now = self._take(poll, state)
                    if found is not None:
                        return found
                    since = time.monotonic() if state_now != state else since
                    state, shown = state_now, -1
                    poll = self._api.start_poll()
                seconds = int(time.monotonic() - since)
                if seconds != shown:
                    shown = seconds
                    spin = _SPIN[seconds % len(_SPIN)]
                    tally = text("today", self._language, done=self._tally.done, declined=self._tally.declined)
                    live.update(screen.live_line(state, seconds, tally, self._language, spin=spin), refresh=True)

    def _be(self, presence: str) -> None:
        self._patiently(lambda: self._api.set_presence(presence))

    def _take(self, poll: Any, state: str) -> tuple[task_pb2.Task | None, str]:
        """An offer, or none and the state to show; after trouble it waits a little before the next poll."""
        try:
            response: manager_pb2.PollTasksResponse = self._api.end_poll(poll)
        except Unreachable as exc:
            time.sleep(min(exc.pause_seconds, 1.0))
            return None, "reconnecting"
        if state == "reconnecting":
            self._say("reconnected", "green")
        self._ahead_ms = response.server_now_ms - _now_ms()
        offers = [task for task in response.tasks if (task.task_id, task.lease.epoch) != self._lapsed]
        return (offers[0] if offers else None), _STATES.get(response.presence, "waiting")

    def _offer(self, task: task_pb2.Task) -> None:
        """Show an offer until it is accepted, declined or gone."""
        self._console.bell()
        card = self._card(task)
        while True:
            choice = self._ask(task, card, Choice.ACCEPT, lambda: task.lease.expires_at_ms, lambda: "")
            if choice is Choice.ACCEPT:
                accepted = self._settled(lambda: self._api.accept(task))
                if accepted is not None:
                    self._work(accepted)
                return
            if choice is Choice.DECLINE and self._decline(task):
                return
            if choice is Choice.GONE:
                self._lapsed = (task.task_id, task.lease.epoch)
                self._say("offer_gone", "yellow")
                return
            if choice is Choice.QUIT:
                self._is_quitting = True
                return

    def _work(self, task: task_pb2.Task) -> None:
        """Keep the lease alive while the person calls; ends when the card is closed."""
        card = self._card(task)
        with Heartbeats(self._api, task) as beats:
            while True:
                choice = self._ask(task, card, Choice.COMPLETE, lambda: beats.expires_at_ms, lambda: beats.lost)
                if choice is Choice.COMPLETE and self._complete(task):
                    return
                if choice is Choice.DECLINE and self._decline(task):
                    return
                if choice is Choice.REFRESH:
                    card = self._card(task)
                if choice is Choice.GONE:
                    self._say("lease_gone", "red", reason=beats.lost or "LEASE_EXPIRED")
                    return
                if choice is Choice.QUIT:
                    self._is_quitting = True
                    return

    def _ask(
        self,
        task: task_pb2.Task,
        card: manager_pb2.GetCustomerCardResponse | None,
        forward: Choice,
        ends_at_ms: Callable[[], int],
        lost: Callable[[], str],
    ) -> Choice:
        """Show the card with its countdown until a key decides or the lease is gone."""
        is_offer = forward is Choice.ACCEPT
        decisions = {("a" if is_offer else "c"): forward, "d": Choice.DECLINE, "q": Choice.QUIT, END: Choice.QUIT}
        decisions |= {} if is_offer else {"r": Choice.REFRESH}
        shown = -1
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                left_ms = ends_at_ms() - _now_ms() - self._ahead_ms
                if left_ms <= 0 or lost():
                    return Choice.GONE
                left = -(-left_ms // 1000)  # the last second shows as 1: it is still there to be used
                unit = left if is_offer else left // 60
                if unit != shown:
                    shown = unit
                    live.update(
                        screen.card_view(task, card, self._footer(left, is_offer), self._language), refresh=True
                    )
                choice = decisions.get(self._keys.read(_KEY_SECONDS) or "-")
                if choice is not None:
                    return choice

    def _footer(self, left: int, is_offer: bool) -> Text:
        if is_offer:
            words = text("offer_left", self._language, seconds=left)
            return screen.footer(words, text("keys_offer", self._language), is_urgent=left <= 5)
        words = text("work_left", self._language, minutes=left // 60)
        return screen.footer(words, text("keys_work", self._language), is_urgent=left <= 60)

    def _complete(self, task: task_pb2.Task) -> bool:
        """True when the card is closed: completed, or taken back meanwhile."""
        chosen = self._choose(text("disposition", self._language), DISPOSITIONS)
        if chosen is None:
            return False
        note = self._keys.line(text("note", self._language))
        request_id = uuid.uuid4().hex
        ended = self._settled(
            lambda: self._api.complete(task, request_id=request_id, disposition=chosen, note=note[:2000])
        )
        if ended is not None:
            self._tally.done += 1
            is_deferred = ended.state == task_pb2.TASK_STATE_DEFERRED
            self._say("deferred" if is_deferred else "completed", "green", detail=ended.title)
        return True

    def _decline(self, task: task_pb2.Task) -> bool:
        """True when the card is closed."""
        chosen = self._choose(text("reason", self._language), REASONS)
        if chosen is None:
            return False
        if self._settled(lambda: self._api.decline(task, reason=chosen)) is not None:
            self._tally.declined += 1
            self._say("declined", "green", detail=task.title)
        return True

    def _choose(self, title: str, names: tuple[str, ...]) -> str | None:
        """One of the names by its number; None to go back."""
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            live.update(screen.choices(title, names, self._language), refresh=True)
            while True:
                key = self._keys.read(_KEY_SECONDS)
                if key in (ESCAPE, "q", END):
                    return None
                if key is not None and key.isdigit() and 1 <= int(key) <= len(names):
                    return names[int(key) - 1]

    def _settled(self, call: Callable[[], task_pb2.Task]) -> task_pb2.Task | None:
        """The task after a call, or None when it is not this person's any more; says why."""
        try:
            return self._patiently(call)
        except Refused as exc:
            if exc.fault.reason == "OUTSIDE_CONTACT_WINDOW":
                self._say("outside_window", "yellow")
            elif exc.fault.reason in _LOST:
                self._say("lease_gone", "yellow", reason=exc.fault.metadata.get("state", exc.fault.reason))
            else:
                raise
            return None

    def _card(self, task: task_pb2.Task) -> manager_pb2.GetCustomerCardResponse | None:
        """All about the customer; the task can be worked on without it."""
        try:
            return self._api.card(task.task_id)
        except (Refused, Unreachable):
            return None

    def _patiently(self, call: Callable[[], T]) -> T:
        """Repeat a call until the server answers; says once that it is away and once that it is back."""
        told = False

        def tell(_: Unreachable) -> None:
            nonlocal told
            if not told:
                self._say("reconnecting", "yellow")
            told = True

        result = until_reached(call, told=tell)
        if told:
            self._say("reconnected", "green")
        return result

    def _explain(self, refused: Refused) -> int:
        """Say what stopped the work; returns the exit code."""
        reason = refused.fault.reason
        if reason == "MANAGER_UNKNOWN":
            self._say("unknown_manager", "red", manager=self._manager_id)
        elif reason.startswith("TOKEN_"):
            self._say("token_bad", "red")
        else:
            self._say("refused", "red", reason=reason or refused.fault.message)
        return 3

    def _leave(self) -> None:
        """Go off shift if the server can be told within a moment."""
        ends = time.monotonic() + _GOODBYE_SECONDS
        try:
            until_reached(
                lambda: self._api.set_presence("OFFLINE"),
                told=lambda _: None,
                stopping=lambda: time.monotonic() > ends,
            )
        except (Refused, GivenUp):
            return
        self._say("bye", "dim")

    def _say(self, key: str, style: str, *, detail: str = "", **values: object) -> None:
        words = text(key, self._language, **values)
        self._console.print(Text(f"{words}  {detail}".rstrip(), style=style))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
