"""RPC messages ⇄ tasks: checks what comes in field by field, renders what goes out in the language of the request."""

import math
import re
import uuid
from collections.abc import Sequence
from typing import Final

from kairos.workbench.v1 import admin_pb2, dispatch_pb2, task_pb2

from services.workbench_api.dispatching import Invalid
from services.workbench_api.errors import FieldInvalid
from services.workbench_api.roster import Manager, Standing
from services.workbench_api.sentences import Language, Reading, Sentences, fallback, fill
from services.workbench_api.states import State
from services.workbench_api.tasks import Task
from services.workbench_api.windows import Window

UNITS_MAX: Final = 100
MOMENTS_MAX: Final = 20
WINDOWS_MAX: Final = 200
BODY_BYTES_MAX: Final = 65_536
REASON_LENGTH_MAX: Final = 64
INT32_MAX: Final = 2**31 - 1
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TEAM_LENGTH_MAX: Final = 64
_SKILLS_MAX: Final = 50
CAPACITY_UNITS_DEFAULT: Final = 100
DAILY_BUDGET_DEFAULT: Final = 60


def task_from_wire(message: task_pb2.Task, now_ms: int) -> Task | Invalid:
    """A dispatched task in state CREATED, or what is wrong with it."""
    try:
        return _checked_task(message, now_ms)
    except FieldInvalid as exc:
        return Invalid(message.task_id[:64], message.version, str(exc))


def task_to_wire(task: Task, sentences: Sentences, language: Language) -> task_pb2.Task:
    """The task as a client sees it, with its sentences rendered."""
    message = task_pb2.Task.FromString(task.body)
    message.state = state_to_wire(task.state)
    message.version = task.version
    message.manager_id = task.manager_id
    message.attempts = task.attempts
    message.created_at_ms = task.created_at_ms
    if task.lease is not None:
        message.lease.epoch = task.lease.epoch
        message.lease.expires_at_ms = task.lease.expires_at_ms
    for index, moment in enumerate(message.moments):
        sentence = sentences.find(moment.rule_version, moment.message_key, language)
        if sentence is None:
            sentence = fallback(moment.rule_id, [_reading(each) for each in moment.evidence], language)
        message.why_now.append(fill(sentence.why_now, moment.parameters))
        if index == 0:
            message.title = fill(sentence.title, moment.parameters)
            message.what_to_say = fill(sentence.what_to_say, moment.parameters)
    return message


def state_to_wire(state: State) -> "task_pb2.TaskState.ValueType":
    """The enum of the contract."""
    return task_pb2.TaskState.Value(f"TASK_STATE_{state.value}")


def state_from_wire(number: int) -> State:
    """The state of an enum value; raises FieldInvalid for what is no state."""
    try:
        return State(task_pb2.TaskState.Name(number).removeprefix("TASK_STATE_"))  # type: ignore[arg-type]
    except ValueError:
        raise FieldInvalid("states", "unknown") from None


def manager_from_wire(message: admin_pb2.Manager, index: int) -> Manager:
    """A checked manager; zeros become the defaults. Raises FieldInvalid."""
    where = f"managers[{index}]"
    manager_id = checked_id(message.manager_id, f"{where}.manager_id")
    city = checked_id(message.city, f"{where}.city")
    if len(message.team) > _TEAM_LENGTH_MAX:
        raise FieldInvalid(f"{where}.team", f"at most {_TEAM_LENGTH_MAX} characters")
    if len(message.skills) > _SKILLS_MAX or any(not 0 < len(skill) <= _TEAM_LENGTH_MAX for skill in message.skills):
        raise FieldInvalid(f"{where}.skills", f"at most {_SKILLS_MAX} of 1..{_TEAM_LENGTH_MAX} characters")
    if not 0 <= message.capacity_units <= 10_000 or not 0 <= message.daily_budget <= 10_000:
        raise FieldInvalid(f"{where}.capacity_units or daily_budget", "want 0..10000")
    return Manager(
        manager_id=manager_id,
        city=city,
        team=message.team,
        capacity_units=message.capacity_units or CAPACITY_UNITS_DEFAULT,
        daily_budget=message.daily_budget or DAILY_BUDGET_DEFAULT,
        skills=tuple(message.skills),
        active=message.active,
    )


def manager_to_wire(standing: Standing) -> admin_pb2.Manager:
    """A roster row with presence and load."""
    manager = standing.manager
    return admin_pb2.Manager(
        manager_id=manager.manager_id,
        city=manager.city,
        team=manager.team,
        capacity_units=manager.capacity_units,
        daily_budget=manager.daily_budget,
        skills=manager.skills,
        presence=task_pb2.Presence.Value(f"PRESENCE_{manager.presence.value}"),
        load_units=standing.room.load_units,
        active=manager.active,
    )


def capacity_to_wire(standing: Standing) -> dispatch_pb2.ManagerCapacity:
    """What the router needs to know of a manager; units reserved for due second attempts count as load."""
    manager, room = standing.manager, standing.room
    return dispatch_pb2.ManagerCapacity(
        manager_id=manager.manager_id,
        city=manager.city,
        team=manager.team,
        presence=task_pb2.Presence.Value(f"PRESENCE_{room.presence.value}"),
        load_units=max(room.load_units, min(room.capacity_units, room.load_units + room.reserved_units)),
        capacity_units=room.capacity_units,
        daily_budget_left=max(0, room.budget_left),
        skills=manager.skills,
    )


def checked_id(text: str, field: str) -> str:
    """1..64 of [A-Za-z0-9._-]; raises FieldInvalid."""
    if not _ID.fullmatch(text):
        raise FieldInvalid(field, "want 1..64 of [A-Za-z0-9._-]")
    return text


def checked_task_id(text: str, field: str = "task_id") -> str:
    """A UUID in its canonical form; raises FieldInvalid."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise FieldInvalid(field, "want a UUID") from None


def checked_text(text: str, field: str, length_max: int, *, length_min: int = 0) -> str:
    """A text of bounded length without NUL; raises FieldInvalid."""
    if not length_min <= len(text) <= length_max:
        raise FieldInvalid(field, f"want {length_min}..{length_max} characters")
    if "\0" in text:
        raise FieldInvalid(field, "must not contain NUL")
    return text


def _checked_task(message: task_pb2.Task, now_ms: int) -> Task:
    _check_numbers(message)
    windows = _checked_windows(message.contact_windows)
    if not 1 <= len(message.moments) <= MOMENTS_MAX:
        raise FieldInvalid("moments", f"want 1..{MOMENTS_MAX}")
    for index, moment in enumerate(message.moments):
        checked_id(moment.rule_id, f"moments[{index}].rule_id")
        checked_task_id(moment.moment_id, f"moments[{index}].moment_id")
    leading = message.moments[0]
    body = _body_of(message)
    return Task(
        task_id=checked_task_id(message.task_id),
        version=message.version,
        state=State.CREATED,
        customer_id=message.customer.customer_id,
        manager_id=checked_id(message.manager_id, "manager_id"),
        city=checked_id(message.customer.city, "customer.city") if message.customer.city else "",
        units=message.units,
        priority=message.priority,
        score=message.score,
        expires_at_ms=message.expires_at_ms,
        windows=windows,
        moment_ids=tuple(moment.moment_id for moment in message.moments),
        rule_id=leading.rule_id,
        dimension=checked_text(leading.dimension, "moments[0].dimension", 32),
        body=body,
        created_at_ms=message.created_at_ms or now_ms,
        ready_at_ms=0,
    )


def _check_numbers(message: task_pb2.Task) -> None:
    if message.version < 1:
        raise FieldInvalid("version", "want 1 or more")
    if message.customer.customer_id < 1:
        raise FieldInvalid("customer.customer_id", "want a positive integer")
    if not 1 <= message.units <= UNITS_MAX:
        raise FieldInvalid("units", f"want 1..{UNITS_MAX}")
    if not 1 <= message.priority <= 5:
        raise FieldInvalid("priority", "want 1..5")
    if not math.isfinite(message.score):
        raise FieldInvalid("score", "want a finite number")
    if message.expires_at_ms <= 0:
        raise FieldInvalid("expires_at_ms", "is required")
    if message.created_at_ms < 0:
        raise FieldInvalid("created_at_ms", "want 0 or more")


def _checked_windows(messages: Sequence[task_pb2.ContactWindow]) -> tuple[Window, ...]:
    if not 1 <= len(messages) <= WINDOWS_MAX:
        raise FieldInvalid("contact_windows", f"want 1..{WINDOWS_MAX}; without any the customer may not be contacted")
    windows = tuple(Window(each.opens_at_ms, each.closes_at_ms) for each in messages)
    if any(not 0 <= window.opens_at_ms < window.closes_at_ms for window in windows):
        raise FieldInvalid("contact_windows", "want opens_at_ms before closes_at_ms")
    return windows


def _body_of(message: task_pb2.Task) -> bytes:
    """What is kept of the message: everything but what the workbench itself decides."""
    kept = task_pb2.Task()
    kept.CopyFrom(message)
    for field in ("state", "lease", "attempts", "title", "why_now", "what_to_say"):
        kept.ClearField(field)
    body = kept.SerializeToString(deterministic=True)
    if len(body) > BODY_BYTES_MAX:
        raise FieldInvalid("task", f"is over {BODY_BYTES_MAX} bytes")
    return body


def _reading(evidence: task_pb2.Evidence) -> Reading:
    observed = evidence.observed_text if evidence.HasField("observed_text") else ""
    if evidence.HasField("observed"):
        observed = _number(evidence.observed, evidence.unit)
    return Reading(
        evidence.name,
        observed,
        _number(evidence.baseline, evidence.unit) if evidence.HasField("baseline") else "",
        _number(evidence.threshold, evidence.unit) if evidence.HasField("threshold") else "",
    )


def _number(value: float, unit: str) -> str:
    return f"{value:g} {unit}".strip() if unit not in ("", "text") else f"{value:g}"
