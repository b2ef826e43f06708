"""Own errors → gRPC status with google.rpc.ErrorInfo: one table, nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from services.transport.tokens import TokenRefused
from services.workbench_api.errors import FieldInvalid, ManagerUnknown, StoreUnavailable, TooManyCalls, WorkbenchError
from services.workbench_api.leases import Refusal
from services.workbench_api.tasks import Refused

DOMAIN: Final = "kairos.workbench"
RETRY_SECONDS: Final = 1.0

_OF_REFUSAL: Final[dict[Refusal, tuple[grpc.StatusCode, str]]] = {
    Refusal.TASK_NOT_FOUND: (grpc.StatusCode.NOT_FOUND, "no such task of this manager"),
    Refusal.LEASE_EPOCH_OLD: (grpc.StatusCode.ABORTED, "the lease is not yours any more; poll again"),
    Refusal.LEASE_EXPIRED: (grpc.StatusCode.ABORTED, "the lease has expired; poll again"),
    Refusal.LEASE_TOO_LONG: (grpc.StatusCode.ABORTED, "the lease cannot be extended any more"),
    Refusal.WRONG_STATE: (grpc.StatusCode.FAILED_PRECONDITION, "the task's state does not allow it"),
    Refusal.OUTSIDE_CONTACT_WINDOW: (
        grpc.StatusCode.FAILED_PRECONDITION,
        "the customer may not be contacted now; the task waits until they may",
    ),
}


@dataclass(frozen=True)
class Answer:
    """A failed call: status code, one sentence, and what a program can read."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_seconds: float | None = None


class RpcRefused(Exception):
    """Ends the call with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


def refuse(refused: Refused) -> NoReturn:
    """Raise what a refused decision means to the caller."""
    code, message = _OF_REFUSAL[refused.refusal]
    metadata = {} if refused.state is None else {"state": refused.state.value}
    raise RpcRefused(Answer(code, message, refused.refusal.value, metadata))


def answer_of(error: WorkbenchError | TokenRefused | RpcRefused) -> Answer:
    """The answer to an own error."""
    match error:
        case RpcRefused():
            return error.answer
        case TokenRefused():
            return Answer(grpc.StatusCode.UNAUTHENTICATED, "a valid bearer token is required", error.reason)
        case FieldInvalid():
            metadata = {"field": error.field, "reason": error.reason}
            return Answer(grpc.StatusCode.INVALID_ARGUMENT, str(error), "FIELD_INVALID", metadata)
        case ManagerUnknown():
            message = "this manager is not on the roster, or not active; an administrator adds them"
            return Answer(grpc.StatusCode.NOT_FOUND, message, "MANAGER_UNKNOWN")
        case TooManyCalls():
            message = "too many calls at once"
            return Answer(
                grpc.StatusCode.RESOURCE_EXHAUSTED, message, "TOO_MANY_CALLS", retry_seconds=error.retry_seconds
            )
        case StoreUnavailable():
            message = "the database is away; retry"
            return Answer(grpc.StatusCode.UNAVAILABLE, message, "STORE_UNAVAILABLE", retry_seconds=RETRY_SECONDS)
    raise AssertionError(f"no answer for {type(error).__name__}")


def trailing_metadata(answer: Answer) -> tuple[tuple[str, bytes], ...]:
    """The rich status of an answer as gRPC carries it."""
    info = error_details_pb2.ErrorInfo(reason=answer.reason, domain=DOMAIN, metadata=dict(answer.metadata))
    details = [_packed(info)]
    if answer.retry_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(answer.retry_seconds * 1000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    status = status_pb2.Status(code=answer.code.value[0], message=answer.message, details=details)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
