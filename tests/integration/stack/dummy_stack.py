"""`kairos up` with real servers and dummy services: `python dummy_stack.py VAR [deaf|broken]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from services.stack.addresses import SERVICES, Addresses
from services.stack.console import Progress
from services.stack.endpoints import Endpoints, read_endpoints
from services.stack.local_stack import LocalStack, StackOptions
from services.stack.lock import AlreadyRunning
from services.stack.service import Service

DUMMY = Path(__file__).with_name("dummy_service.py")


def dummies(addresses: Addresses, env: Mapping[str, str], options: StackOptions) -> list[Service]:
    """One dummy per service, in the way that the command line asks for."""
    manner = sys.argv[2:3]
    return [
        Service(
            name=name,
            argv=[sys.executable, str(DUMMY), str(addresses.ports[f"{name}_metrics"]), *manner],
            log=options.var / "log" / f"{name}.log",
            env=env,
            cwd=Path("/"),
            metrics_port=addresses.ports[f"{name}_metrics"],
            stop_seconds=2.0,
        )
        for name in SERVICES
    ]


if __name__ == "__main__":
    options = StackOptions(var=Path(sys.argv[1]), environment="test", usual_ports=False)
    progress = Progress()

    def tell(_: Endpoints) -> None:
        """Whoever waits for the file copies what was told before it said ready."""
        written = read_endpoints(options.var)
        progress.text("told too late" if written is not None and written.ready else "all is ready")

    try:
        sys.exit(LocalStack(options, progress, plan_services=dummies).run(tell))
    except AlreadyRunning as exc:
        progress.bad("stack", str(exc))
        sys.exit(1)
