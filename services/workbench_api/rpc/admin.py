"""AdminService: the roster. The rest comes with the web workbench and answers UNIMPLEMENTED."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import grpc
from kairos.workbench.v1 import admin_pb2, admin_pb2_grpc

from services.workbench_api import wire
from services.workbench_api.errors import FieldInvalid
from services.workbench_api.roster import Roster
from services.workbench_api.rpc.guard import Context

MANAGERS_MAX: Final = 2_000
PAGE_SIZE: Final = 200
PAGE_SIZE_MAX: Final = 2_000


class AdminRpc(admin_pb2_grpc.AdminServiceServicer):
    """Rosters now; statistics, mending and audit later."""

    def __init__(self, *, roster: Roster) -> None:
        self._roster = roster

    async def UpsertManagers(  # noqa: N802
        self, request: admin_pb2.UpsertManagersRequest, _: Context
    ) -> admin_pb2.UpsertManagersResponse:
        if not 1 <= len(request.managers) <= MANAGERS_MAX:
            raise FieldInvalid("managers", f"want 1..{MANAGERS_MAX}")
        managers = [wire.manager_from_wire(message, index) for index, message in enumerate(request.managers)]
        created, changed = await self._roster.upsert(managers)
        return admin_pb2.UpsertManagersResponse(created_count=created, changed_count=changed)

    async def ListManagers(  # noqa: N802
        self, request: admin_pb2.ListManagersRequest, _: Context
    ) -> admin_pb2.ListManagersResponse:
        if not 0 <= request.page_size <= PAGE_SIZE_MAX:
            raise FieldInvalid("page_size", f"want 0..{PAGE_SIZE_MAX}")
        size = request.page_size or PAGE_SIZE
        after = wire.checked_id(request.page_token, "page_token") if request.page_token else ""
        cities = [wire.checked_id(request.city, "city")] if request.city else []
        found = await self._roster.standings(cities=cities, after=after, limit=size + 1)
        page = found[:size]
        return admin_pb2.ListManagersResponse(
            managers=[wire.manager_to_wire(standing) for standing in page],
            next_page_token=page[-1].manager.manager_id if len(found) > size else "",
        )

    async def GetStatistics(  # noqa: N802
        self, request: admin_pb2.GetStatisticsRequest, _: Context
    ) -> admin_pb2.GetStatisticsResponse:
        raise NotImplementedError

    async def ReassignTasks(  # noqa: N802
        self, request: admin_pb2.ReassignTasksRequest, _: Context
    ) -> admin_pb2.ReassignTasksResponse:
        raise NotImplementedError

    def ExportTasks(  # noqa: N802
        self, request: admin_pb2.ExportTasksRequest, _: Context
    ) -> AsyncIterator[admin_pb2.ExportTasksResponse]:
        raise NotImplementedError

    async def ListAudit(  # noqa: N802
        self, request: admin_pb2.ListAuditRequest, _: Context
    ) -> admin_pb2.ListAuditResponse:
        raise NotImplementedError


def add_to(server: grpc.aio.Server, servicer: AdminRpc) -> None:
    """Register the service."""
    admin_pb2_grpc.add_AdminServiceServicer_to_server(servicer, server)
