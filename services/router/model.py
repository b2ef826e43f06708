"""What the router knows of one customer, as frozen values: the input and output of every decision.

Instants are UTC milliseconds, days are local calendar days since 1970-01-01. Nothing here reads a clock or a database.
"""

from dataclasses import dataclass, field

from services.router.reasons import Reason, RowState

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
HOME_OFFSET_MS = 8 * HOUR_MS  # Asia/Shanghai, without summer time since 1991: the home zone of every customer
HOME_ZONE = "Asia/Shanghai"

SUSPENSION_RULE = "NS2"
COMPLAINT_RULE = "AN1"


def home_day(at_ms: int) -> int:
    """Local calendar day of an instant in the home zone, as days since 1970-01-01."""
    return (at_ms + HOME_OFFSET_MS) // DAY_MS


def home_midnight_ms(day: int) -> int:
    """The instant at which a local calendar day begins."""
    return day * DAY_MS - HOME_OFFSET_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerView:
    """The newest customer record, as far as the router needs it. An unset list is empty, an unset text None."""

    customer_id: int
    city: str
    segment: str = ""
    tier: str = "UNKNOWN"
    brand: str = ""
    arpu_fen: int | None = None
    language: str = "UNKNOWN"
    owner_manager_id: str | None = None
    deputy_manager_id: str | None = None
    agreed_channels: tuple[str, ...] = ()
    quiet_windows: tuple[str, ...] = ()
    refused_groups: tuple[str, ...] = ()
    bereavement_until: int | None = None  # local day, inclusive
    phone_masked: str = ""
    visited_zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment's newest revision and its row."""

    moment_id: str
    revision: int
    customer_id: int
    rule_id: str
    group: str
    dimension: str
    state: str
    priority: int
    channel: str
    detected_at_ms: int
    expires_at_ms: int
    earliest_contact_at_ms: int | None = None
    history: bool = False
    risk_score: float = 0.0
    supersedes: tuple[str, ...] = ()
    row_state: RowState = RowState.PENDING
    reason: Reason = Reason.UNDECIDED
    waits_until_ms: int | None = None
    ready_at_ms: int | None = None  # since when it waits for a person only
    task_id: str | None = None
    declined_by: tuple[str, ...] = ()
    missed_by: tuple[str, ...] = ()
    due_at_ms: int = 0
    ready_since_ms: int | None = None  # what ready_at was before it was handed out

    @property
    def is_handed_out(self) -> bool:
        """True when a manager has it, or may have it."""
        return self.reason in (Reason.DISPATCHING, Reason.ON_CARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An NS2 or AN1 moment as a fact about the customer; `changed_at_ms` is when its newest revision came about."""

    rule_id: str
    is_open: bool
    changed_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One contact with the customer, by whomever. `dimension` and `outcome` are UNKNOWN when not told.

    task_id: the task it was made for, when a manager made it.
    """

    channel: str
    direction: str
    occurred_at_ms: int
    outcome: str = "UNKNOWN"
    dimension: str = "UNKNOWN"
    task_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCard:
    """The customer's one open card; `in_work` once a manager has accepted it."""

    task_id: str
    version: int
    lead_moment_id: str
    in_work: bool = False
    is_rescinding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFacts:
    """All that a decision about one customer may depend on. `moments`: those not settled yet."""

    customer_id: int
    view: CustomerView | None
    moments: tuple[Moment, ...]
    gates: tuple[Gate, ...] = ()
    contacts: tuple[Contact, ...] = ()
    card: OpenCard | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Where a moment's row belongs, why, and until when at least when that is known."""

    row_state: RowState
    reason: Reason
    waits_until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """What to write into a moment's row. `due_at_ms`: when to decide again without any news."""

    moment_id: str
    verdict: Verdict
    due_at_ms: int
    ready_at_ms: int | None = None
    waited_for: Reason | None = None  # for the ledger: what it was waiting for when it ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A moment that goes out by SMS or self-service."""

    moment_id: str
    customer_id: int
    channel: str
    dimension: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescind:
    """A task to be withdrawn from the workbench."""

    task_id: str
    version: int
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome for one customer: rows to change, messages to send, a task to withdraw."""

    customer_id: int
    changes: tuple[RowChange, ...] = ()
    messages: tuple[Message, ...] = ()
    rescind: Rescind | None = None
    ready: tuple[Moment, ...] = field(default=())  # moments that may be put on one card now
