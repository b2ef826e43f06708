"""The interceptor before every method: who calls, may they, how often, how long; and what every error becomes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final

import grpc

from services.transport import grpc_channel, tokens
from services.workbench_api import access, metrics
from services.workbench_api.errors import TooManyCalls, WorkbenchError
from services.workbench_api.rpc.errors import Answer, RpcRefused, answer_of, trailing_metadata
from services.workbench_api.sentences import Language, language_of

log = logging.getLogger(__name__)

CALL_SECONDS: Final = 5.0
POLL_SECONDS: Final = 30.0
_LONG_CALLS: Final = frozenset({"PollTasks"})
_PRINCIPAL: ContextVar[tokens.Principal] = ContextVar("principal")
_LANGUAGE: ContextVar[Language] = ContextVar("language")

Context = grpc.aio.ServicerContext[Any, Any]
_Unary = Callable[[Any, Context], Awaitable[Any]]
_Streaming = Callable[[Any, Context], AsyncIterator[Any]]


def principal() -> tokens.Principal:
    """Who makes the call that is being answered."""
    return _PRINCIPAL.get()


def language() -> Language:
    """The language that the call asks for."""
    return _LANGUAGE.get()


class CallLimit:
    """How many calls each subject has under way."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._calls: Counter[str] = Counter()

    @contextlib.contextmanager
    def enter(self, subject: str) -> Iterator[None]:
        """Count a call for the time of the block. Raises TooManyCalls."""
        if self._calls[subject] >= self._calls_max:
            raise TooManyCalls(1.0)
        self._calls[subject] += 1
        try:
            yield
        finally:
            self._calls[subject] -= 1
            if not self._calls[subject]:
                del self._calls[subject]


class Guard(grpc.aio.ServerInterceptor):
    """Refuses what the access table does not allow; wraps what it allows."""

    def __init__(self, key: bytes, *, calls_max: int, now_ms: Callable[[], int]) -> None:
        self._key = key
        self._limit = CallLimit(calls_max)
        self._now_ms = now_ms

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler  # nobody registered it: the server answers UNIMPLEMENTED
        if access.is_listed(method) and not access.needs_token(method):
            return handler
        metadata: Any = handler_call_details.invocation_metadata
        try:
            caller = self._admit(method, grpc_channel.token_of(metadata))
        except (tokens.TokenRefused, RpcRefused) as exc:
            metrics.RPC_REFUSED.labels(reason=answer_of(exc).reason).inc()
            return _denying(handler, answer_of(exc))
        asked = next((value for name, value in metadata or () if name == "accept-language"), None)
        return self._guarded(handler, method.rpartition("/")[2], caller, language_of(asked))

    def _admit(self, method: str, token: str | None) -> tokens.Principal:
        """Who calls, if they may call it; what the table does not list nobody may call."""
        caller = tokens.verify(self._key, token, now_ms=self._now_ms())
        if not access.may_call(method, caller.role):
            message = "the role of this token may not call this method"
            answer = Answer(
                grpc.StatusCode.PERMISSION_DENIED, message, "ROLE_NOT_ALLOWED", {"role": caller.role, "method": method}
            )
            raise RpcRefused(answer)
        return caller

    def _guarded(
        self, handler: Any, name: str, caller: tokens.Principal, asked: Language
    ) -> grpc.RpcMethodHandler[Any, Any]:
        serving = {"request_deserializer": handler.request_deserializer}
        serving |= {"response_serializer": handler.response_serializer}
        if handler.unary_unary is not None:
            unary = self._unary(handler.unary_unary, name, caller, asked)
            return grpc.unary_unary_rpc_method_handler(unary, **serving)
        assert handler.unary_stream is not None, "the workbench has no other kind of method"
        stream = self._stream(handler.unary_stream, name, caller, asked)
        return grpc.unary_stream_rpc_method_handler(stream, **serving)

    def _unary(self, inner: _Unary, name: str, caller: tokens.Principal, asked: Language) -> Any:
        seconds = POLL_SECONDS if name in _LONG_CALLS else CALL_SECONDS

        async def call(request: Any, context: Context) -> Any:
            _PRINCIPAL.set(caller)
            _LANGUAGE.set(asked)
            async with _answering(name, context):
                with self._limit.enter(caller.subject):
                    async with asyncio.timeout(seconds):
                        return await inner(request, context)

        return call

    def _stream(self, inner: _Streaming, name: str, caller: tokens.Principal, asked: Language) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            _PRINCIPAL.set(caller)
            _LANGUAGE.set(asked)
            async with _answering(name, context):
                with self._limit.enter(caller.subject):
                    async for response in inner(request, context):
                        yield response

        return call


@contextlib.asynccontextmanager
async def _answering(name: str, context: Context) -> AsyncIterator[None]:
    """Measure the call and turn every error into a status; no traceback reaches a client."""
    started = time.perf_counter()
    outcome = "OK"
    try:
        yield
    except (WorkbenchError, tokens.TokenRefused, RpcRefused) as exc:
        answer = answer_of(exc)
        outcome = answer.reason
        await _abort(context, answer)
    except TimeoutError:
        outcome = "DEADLINE"
        await _abort(context, Answer(grpc.StatusCode.DEADLINE_EXCEEDED, "took too long", "DEADLINE"))
    except grpc.aio.AbortError:
        outcome = "ABORTED_BY_METHOD"
        raise
    except asyncio.CancelledError:
        outcome = "CANCELLED"
        raise
    except NotImplementedError:
        outcome = "UNIMPLEMENTED"
        await _abort(context, Answer(grpc.StatusCode.UNIMPLEMENTED, "comes with a later version", "UNIMPLEMENTED"))
    except Exception:  # the outermost loop of a call: log, count, tell nothing
        outcome = "INTERNAL"
        log.exception("workbench.call.failed", extra={"method": name})
        await _abort(context, Answer(grpc.StatusCode.INTERNAL, "internal error", "INTERNAL"))
    finally:
        metrics.RPC_SECONDS.labels(method=name).observe(time.perf_counter() - started)
        metrics.RPC_TOTAL.labels(method=name, outcome=outcome).inc()


async def _abort(context: Context, answer: Answer) -> None:
    await context.abort(answer.code, answer.message, trailing_metadata(answer))


def _denying(handler: Any, answer: Answer) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of the same kind that only refuses."""

    async def deny(_: Any, context: Context) -> Any:
        await _abort(context, answer)

    async def deny_stream(_: Any, context: Context) -> AsyncIterator[Any]:
        await _abort(context, answer)
        yield None  # never reached; makes this a stream

    serving = {"request_deserializer": handler.request_deserializer}
    serving |= {"response_serializer": handler.response_serializer}
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(deny, **serving)
    if handler.unary_stream is not None:
        return grpc.unary_stream_rpc_method_handler(deny_stream, **serving)
    return grpc.stream_stream_rpc_method_handler(deny_stream, **serving)
