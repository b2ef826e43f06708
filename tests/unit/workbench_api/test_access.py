"""Nobody may call what the table does not list, and everything that is served is in it."""

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from kairos.workbench.v1 import admin_pb2, dispatch_pb2, manager_pb2

from services.transport.tokens import ROLES
from services.workbench_api.access import ACCESS, is_listed, may_call, needs_token

FILES = (manager_pb2, dispatch_pb2, admin_pb2, health_pb2, reflection_pb2)
SERVED = {
    f"/{service.full_name}/{method.name}"
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
ALSO_KNOWN = {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}


def test_every_served_method_is_in_the_table_and_nothing_else() -> None:
    assert set(ACCESS) == SERVED | ALSO_KNOWN


@pytest.mark.parametrize("role", ROLES)
def test_an_unlisted_method_is_open_to_nobody(role: str) -> None:
    assert not may_call("/kairos.workbench.v1.ManagerService/DropEverything", role)  # type: ignore[arg-type]
    assert needs_token("/kairos.workbench.v1.ManagerService/DropEverything")
    assert not is_listed("/kairos.workbench.v1.ManagerService/DropEverything")


@pytest.mark.parametrize(
    ("service", "role"), [("ManagerService", "manager"), ("DispatchService", "router"), ("AdminService", "admin")]
)
def test_each_service_is_open_to_one_role(service: str, role: str) -> None:
    methods = [method for method in SERVED if f".{service}/" in method]
    assert methods
    for method in methods:
        assert [each for each in ROLES if may_call(method, each)] == [role]
        assert needs_token(method)


def test_probes_and_the_schema_need_no_token() -> None:
    open_methods = {method for method in ACCESS if not needs_token(method)}
    assert {method.split("/")[1] for method in open_methods} == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.reflection.v1.ServerReflection",
    }
