"""The gRPC server: services, health, reflection, guard, limits; opens a port and drains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from kairos.workbench.v1 import admin_pb2, dispatch_pb2, manager_pb2

from services.transport.grpc_channel import server_options
from services.workbench_api.rpc import admin, dispatch, manager
from services.workbench_api.rpc.guard import Guard
from services.workbench_api.waiters import CapacityFeed, Waiters

SERVICE_NAMES: Final = (
    manager_pb2.DESCRIPTOR.services_by_name["ManagerService"].full_name,
    dispatch_pb2.DESCRIPTOR.services_by_name["DispatchService"].full_name,
    admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name,
    health.SERVICE_NAME,
)
_CALLS_MAX: Final = 8_192  # under way at once, waiting polls included
_TELL_SECONDS: Final = 0.2  # between saying NOT_SERVING and ending waits


@dataclass(frozen=True)
class Servicers:
    """The three services as built by the composition root."""

    managers: manager.ManagerRpc
    dispatches: dispatch.DispatchRpc
    admins: admin.AdminRpc


class RpcServer:
    """Serves from `open()` until `close()`; port 0 takes a free one, told by `port`."""

    def __init__(
        self,
        servicers: Servicers,
        *,
        key: bytes,
        waiters: Waiters,
        feed: CapacityFeed,
        calls_per_caller_max: int,
        real_ms: Callable[[], int],
        with_reflection: bool,
    ) -> None:
        self._servicers = servicers
        self._waiters = waiters
        self._feed = feed
        self._health = health.aio.HealthServicer()
        guard = Guard(key, calls_max=calls_per_caller_max, now_ms=real_ms)
        self._server = grpc.aio.server(
            interceptors=[guard], options=server_options(), maximum_concurrent_rpcs=_CALLS_MAX
        )
        manager.add_to(self._server, servicers.managers)
        dispatch.add_to(self._server, servicers.dispatches)
        admin.add_to(self._server, servicers.admins)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if with_reflection:
            reflection.enable_server_reflection((*SERVICE_NAMES, reflection.SERVICE_NAME), self._server)
        self.port = 0

    async def open(self, address: str) -> None:
        """Listen and say SERVING. Raises RuntimeError when the port is taken."""
        self.port = self._server.add_insecure_port(address)
        await self._server.start()
        await self._say(health_pb2.HealthCheckResponse.SERVING)

    async def close(self, seconds: float) -> None:
        """Say NOT_SERVING, let waiting polls return empty, finish calls, stop."""
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(_TELL_SECONDS)
        self._waiters.drain()
        self._feed.drain()
        await self._server.stop(grace=seconds)
        await self._servicers.managers.settle(1.0)

    async def _say(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *SERVICE_NAMES):
            await self._health.set(name, status)
