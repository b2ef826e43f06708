"""What can go wrong in the workbench, one class per treatment."""


class WorkbenchError(Exception):
    """Base; never raised itself."""


class StoreUnavailable(WorkbenchError):
    """The database did not answer in time; answer UNAVAILABLE, the client retries. The call promised nothing."""


class ManagerUnknown(WorkbenchError):
    """The token names somebody who is not on the roster, or not active any more; answer NOT_FOUND."""

    def __init__(self, manager_id: str) -> None:
        super().__init__("not on the roster")
        self.manager_id = manager_id


class FieldInvalid(WorkbenchError):
    """A field of the request is wrong; answer INVALID_ARGUMENT with its name and the reason."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class TooManyCalls(WorkbenchError):
    """More calls at once than the limit; answer RESOURCE_EXHAUSTED with a delay."""

    def __init__(self, retry_seconds: float) -> None:
        super().__init__("too many calls at once")
        self.retry_seconds = retry_seconds
