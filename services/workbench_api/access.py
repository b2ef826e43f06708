"""Who may call what: one table, and what is not in it is refused. Pure.

`tests/unit/workbench_api/test_access.py` holds it against the services that the server registers.
"""

from typing import Final, Literal

Caller = Literal["manager", "router", "admin", "sre", "ingest"]

_MANAGER: Final[frozenset[Caller]] = frozenset({"manager"})
_ROUTER: Final[frozenset[Caller]] = frozenset({"router"})
_ADMIN: Final[frozenset[Caller]] = frozenset({"admin"})
_ANYONE: Final[frozenset[Caller] | None] = None  # also without a token: probes, and the schema, which is public

_W: Final = "/kairos.workbench.v1."
ACCESS: Final[dict[str, frozenset[Caller] | None]] = {
    f"{_W}ManagerService/PollTasks": _MANAGER,
    f"{_W}ManagerService/AcceptTask": _MANAGER,
    f"{_W}ManagerService/Heartbeat": _MANAGER,
    f"{_W}ManagerService/CompleteTask": _MANAGER,
    f"{_W}ManagerService/DeclineTask": _MANAGER,
    f"{_W}ManagerService/DeferTask": _MANAGER,
    f"{_W}ManagerService/TransferTask": _MANAGER,
    f"{_W}ManagerService/GetCustomerCard": _MANAGER,
    f"{_W}ManagerService/ListTasks": _MANAGER,
    f"{_W}ManagerService/SetPresence": _MANAGER,
    f"{_W}DispatchService/DispatchTasks": _ROUTER,
    f"{_W}DispatchService/RescindTasks": _ROUTER,
    f"{_W}DispatchService/WatchCapacity": _ROUTER,
    f"{_W}AdminService/UpsertManagers": _ADMIN,
    f"{_W}AdminService/ListManagers": _ADMIN,
    f"{_W}AdminService/GetStatistics": _ADMIN,
    f"{_W}AdminService/ReassignTasks": _ADMIN,
    f"{_W}AdminService/ExportTasks": _ADMIN,
    f"{_W}AdminService/ListAudit": _ADMIN,
    "/grpc.health.v1.Health/Check": _ANYONE,
    "/grpc.health.v1.Health/List": _ANYONE,
    "/grpc.health.v1.Health/Watch": _ANYONE,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _ANYONE,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": _ANYONE,
}


def is_listed(method: str) -> bool:
    """True when the table knows the method (full name with leading slash)."""
    return method in ACCESS


def needs_token(method: str) -> bool:
    """True unless the method is listed as open to anyone."""
    return ACCESS.get(method, frozenset()) is not None


def may_call(method: str, role: Caller) -> bool:
    """True when this role is listed for the method; False for what is not listed."""
    roles = ACCESS.get(method, frozenset())
    return roles is None or role in roles
