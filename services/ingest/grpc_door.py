"""The gRPC door: IngestService.PublishEvents with health, reflection and limits; status codes as in the contract.

Requests are admitted as bytes, before they are parsed, so that a flood costs no more memory than its bytes.
"""

import asyncio
import logging
import time
from collections.abc import Collection

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from kairos.ingest.v1 import ingest_pb2 as pb

from schemas.events import KINDS
from schemas.json_form.validation import DoorRules
from schemas.reasons import Reason
from services.ingest import metrics
from services.ingest.admission import Admission
from services.ingest.errors import BrokersUnavailable, Draining, Overloaded, RequestRefused
from services.ingest.grpc_events import parse_request, raw_event, response
from services.ingest.publish import EventPublisher
from services.transport.grpc_channel import server_options

log = logging.getLogger(__name__)

DOOR = "grpc"
SERVICE = "kairos.ingest.v1.IngestService"
_DOMAIN = "kairos.ingest"
_DEADLINE_SECONDS_MAX = 30.0
_CONCURRENT_CALLS_MAX = 64  # more are refused by the library before their bytes are read

_Context = grpc.aio.ServicerContext[bytes, pb.PublishEventsResponse]


class GrpcDoor:
    """The server of the door. `open()` binds and starts; `close()` finishes the calls that run."""

    def __init__(
        self,
        publisher: EventPublisher,
        admission: Admission,
        *,
        rules: DoorRules,
        kinds: Collection[str] = tuple(KINDS),
        acknowledge_seconds: float,
    ) -> None:
        self._publisher = publisher
        self._admission = admission
        self._rules = rules
        self._kinds = frozenset(kinds)
        self._acknowledge_seconds = acknowledge_seconds
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self.port = 0

    async def open(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, told by `port`. Raises OSError when the port is taken."""
        self._server = grpc.aio.server(options=server_options(), maximum_concurrent_rpcs=_CONCURRENT_CALLS_MAX)
        handler: grpc.RpcMethodHandler[bytes, pb.PublishEventsResponse] = grpc.unary_unary_rpc_method_handler(
            self._publish_events, None, pb.PublishEventsResponse.SerializeToString
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"PublishEvents": handler}),)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as exc:
            raise OSError(f"cannot listen on {host}:{port}") from exc
        await self._server.start()

    async def tell_health(self, *, is_serving: bool) -> None:
        """Set what the health service answers."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", SERVICE):
            await self._health.set(service, status)

    async def close(self, grace_seconds: float) -> None:
        """Take no new calls, wait for those that run, then cut them off."""
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(grace_seconds)

    async def _publish_events(self, data: bytes, context: "_Context") -> pb.PublishEventsResponse:
        started = time.monotonic()
        try:
            return await self._take(data, context)
        except RequestRefused as exc:
            await _abort(context, code_pb2.INVALID_ARGUMENT, exc.reason, exc.message)
        except Overloaded as exc:
            await _abort(context, code_pb2.RESOURCE_EXHAUSTED, Reason.OVERLOADED, str(exc), exc.retry_seconds)
        except Draining as exc:
            await _abort(context, code_pb2.UNAVAILABLE, Reason.OVERLOADED, str(exc), 1.0)
        except BrokersUnavailable:
            message = "the brokers did not acknowledge in time; nothing is promised, send the same again"
            await _abort(context, code_pb2.UNAVAILABLE, Reason.BROKERS_UNAVAILABLE, message, 1.0)
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception as exc:
            log.error("ingest.grpc.failed", extra={"error": type(exc).__name__}, exc_info=exc)
            await context.abort(grpc.StatusCode.INTERNAL, "a fault of the server; send the same again")
        finally:
            metrics.REQUEST_SECONDS.labels(DOOR).observe(time.monotonic() - started)
        raise AssertionError("abort raises")

    async def _take(self, data: bytes, context: "_Context") -> pb.PublishEventsResponse:
        with self._admission.admit(len(data)):
            request = parse_request(data)
            body_names = [event.WhichOneof("body") or "" for event in request.events]
            batch = self._publisher.prepare(
                (raw_event(event, self._kinds) for event in request.events), rules=self._rules
            )
            del request
            remaining = context.time_remaining()
            deadline = min(self._acknowledge_seconds, _DEADLINE_SECONDS_MAX, remaining or _DEADLINE_SECONDS_MAX)
            await self._publisher.publish(batch, door=DOOR, deadline_seconds=max(0.05, deadline - 0.05))
        return response(batch.results, body_names)


async def _abort(
    context: "_Context", code: int, reason: Reason, message: str, retry_seconds: float | None = None
) -> None:
    """End the call with a status that carries ErrorInfo, and RetryInfo where waiting helps."""
    metrics.REFUSED_REQUESTS.labels(DOOR, reason.value).inc()
    info, retry = any_pb2.Any(), any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason.name, domain=_DOMAIN))
    details = [info]
    if retry_seconds is not None:
        delay = duration_pb2.Duration(seconds=int(retry_seconds), nanos=int(retry_seconds % 1 * 1e9))
        retry.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        details.append(retry)
    status = rpc_status.to_status(status_pb2.Status(code=code, message=message, details=details))
    await context.abort(status.code, status.details, status.trailing_metadata)
