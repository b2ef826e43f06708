"""Puts the roster of the simulated province into the workbench."""

import asyncio
import time

import grpc
from kairos.workbench.v1 import admin_pb2, admin_pb2_grpc

from services.simulator.endpoints import Endpoints
from services.simulator.province import Manager
from services.transport.grpc_channel import aio_channel, bearer
from services.transport.tokens import mint, read_key

CALL_SECONDS = 10.0
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.3


async def upsert_managers(endpoints: Endpoints, managers: tuple[Manager, ...]) -> tuple[int, int]:
    """Create or change all managers, waiting for a server that still starts; returns how many were created, changed."""
    request = admin_pb2.UpsertManagersRequest(
        managers=[
            admin_pb2.Manager(
                manager_id=manager.manager_id,
                city=manager.city,
                team=manager.team,
                capacity_units=manager.capacity_units,
                daily_budget=manager.daily_budget,
                active=True,
            )
            for manager in managers
        ]
    )
    token = mint(read_key(endpoints.secrets_dir), subject="simulator", role="admin", hours=0.2)
    deadline = time.monotonic() + PATIENCE_SECONDS
    async with aio_channel(endpoints.workbench_grpc) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        while True:
            try:
                response = await stub.UpsertManagers(request, timeout=CALL_SECONDS, metadata=(bearer(token),))
            except grpc.aio.AioRpcError as exc:
                if exc.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            return response.created_count, response.changed_count
