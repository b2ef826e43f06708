"""What a rule is made of: its words, and the checked forms that reading a rule file gives."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.detector.engine.customer.calendars import Slot
from services.detector.engine.customer.festivals import MOST
from services.detector.engine.language.expressions import Typed
from services.detector.engine.language.fact_forms import (
    CASE_COMPLAINT,
    CASE_COUNTRY,
    CASE_HANDSET,
    CASE_INQUIRY,
    CASE_ORDER,
    CONTRACT,
    CYCLE,
    FESTIVAL,
)
from services.detector.engine.language.parameters import Parameter
from services.detector.engine.log_format import wire

CLASSES = ("FIRST_TIME", "CHANGE", "SPECIAL", "DO_NOT_SERVE")
DIMENSIONS = ("TARIFF", "BUSINESS", "SERVICE", "CIRCLE", "NONE")
GROUPS = ("SERVICE", "CARE", "COMMERCIAL", "NONE")
CHANNELS = ("UNKNOWN", "CALL", "SMS", "SELF_SERVICE", "NONE")
LANGUAGES = ("zh", "en")
BY_EVENT, BY_LINE, BY_COMPLAINT, BY_HANDSET, BY_DAY = "event", "line", "complaint", "handset", "day"
BY_CYCLE, BY_CONTRACT, BY_FESTIVAL = "cycle", "contract", "festival"
EPISODES = (BY_EVENT, BY_LINE, BY_COMPLAINT, BY_HANDSET, BY_DAY, BY_CYCLE, BY_CONTRACT, BY_FESTIVAL)
CALENDAR_EPISODES = (BY_DAY, BY_HANDSET, BY_CONTRACT, BY_FESTIVAL)
STEP_BITS = 3
STEP_MASK = (1 << STEP_BITS) - 1
"""Low bits of the keys of episodes that have steps, and of festivals."""
CYCLE_KEPT_DAYS = 160
"""How long the row of a cycle is kept: until no bill of it can be judged any more."""
FORMATS = ("yuan", "count", "minutes", "hours", "percent", "date", "time", "word", "megabytes", "month")
NEVER_MS = 4_102_444_800_000 - 1
RULE_ID = re.compile(r"[A-Z][A-Z0-9]{1,5}")
CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")
COOL_DAYS_MAX = 400
OBSERVED_DAYS_MAX = 400
WAIT_HOURS_MAX = 720
PRIORITIES = frozenset(f"np.float64({float(each)!r})" for each in range(1, 6))
"""Priorities as literals are compiled."""
EXPIRES_MAX = {"days": 400, "hours": 9_600}
CASE_OF_EPISODE = {
    BY_COMPLAINT: CASE_COMPLAINT, BY_HANDSET: CASE_HANDSET, BY_CYCLE: CYCLE, BY_CONTRACT: CONTRACT,
    BY_FESTIVAL: FESTIVAL,
}  # fmt: skip
CASE_OF_KIND = {wire.ORDER: CASE_ORDER, wire.INQUIRY: CASE_INQUIRY, wire.ROAMING: CASE_COUNTRY}
TELLING_KINDS = (wire.USAGE, wire.COMPLAINT, *CASE_OF_KIND)
"""Kinds whose events hand something over to the rules that they are judged by."""

FIELDS = {
    "id": True, "description": True, "class": True, "dimension": True, "group": True, "cadence": True, "on": False,
    "profile": False, "episode": True, "history": False, "observed_days": False, "parameters": False,
    "features": False, "fire": True, "rearm": False, "resolve": False, "resolve_on": False, "cool_down_days": False,
    "keep": False, "expires": True, "priority": True, "channel": True, "call_from_risk": False,
    "earliest_contact": False, "recheck_at": False, "tell_again_when": False, "occurred": False, "supersedes": False,
    "also": False, "wait_hours": False, "count_when": False,
    "lateness": False, "observation_days": True, "evidence": True, "resolved_evidence": False, "tells": False,
    "messages": True, "steps": False, "bulk": False, "row": False, "remembers": False, "warm": False,
    "urgent_from_risk": False,
}  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """One condition as it is told: what was observed, against what. layer: the parameter whose layer is named.
    layer_by: or what says which of the rule's parameters it is."""

    name: str
    unit: str
    observed: Typed | None = None
    observed_text: Typed | None = None
    baseline: Typed | None = None
    threshold: Typed | None = None
    layer: str = ""
    layer_by: Typed | None = None

    @property
    def numbers(self) -> tuple[Typed, ...]:
        """The numbers that it tells, in their order."""
        found = (self.observed, self.baseline, self.threshold, self.layer_by)
        return tuple(each for each in found if each is not None)


@dataclass(frozen=True)
class Told:
    """A parameter of the sentence. labels: per word and language, for words of enums."""

    name: str
    value: Typed
    format: str
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Resolution:
    """A condition that ends the moment, and the code that says so."""

    when: Typed
    code: str


@dataclass(frozen=True)
class Message:
    """The sentences of a rule in one language, with {parameters}."""

    title: str
    why_now: str
    what_to_say: str


@dataclass(frozen=True)
class Also:
    """When an immediate rule is judged beside its events: nominal hours, its condition there, and days to observe."""

    slots: tuple[Slot, ...]
    fire: Typed
    observed_days: int
    is_hourly: bool


@dataclass(frozen=True)
class Rule:
    """A rule, checked. slot: None for immediate rules. wait_hours: 0, or raised so long after its event. code: the id
    as a number, as the state has it."""

    id: str
    code: int
    class_: str
    dimension: str
    group: str
    slot: Slot | None
    kinds: tuple[int, ...]
    also: Also | None
    wait_hours: int
    count_when: Typed | None
    needs_profile: bool
    episode: str
    tells_history: bool
    observed_days: int
    parameters: Mapping[str, Parameter]
    features: Mapping[str, Typed]
    fire: Typed
    rearm: Typed | None
    resolutions: tuple[Resolution, ...]
    resolve_on: tuple[int, ...]
    cool_down_days: int
    keep: Typed | None
    expires: str
    priority: Typed
    channel: Typed
    call_from_risk: float | None
    earliest: Typed | None
    recheck_at: Typed | None
    watched: tuple[Typed, ...]
    occurred: Typed | None
    supersedes: tuple[str, ...]
    observation_days: int
    evidence: tuple[Evidence, ...]
    resolved_evidence: tuple[Evidence, ...]
    tells: tuple[Told, ...]
    messages: Mapping[str, Message]
    expires_at: Typed | None = None
    steps: tuple[str, ...] = ()
    bulk: bool = False
    keeps_row: bool = True
    remembers: Typed | None = None
    ends_at_hour: bool = False
    warm: Typed | None = None
    urgent_from_risk: float | None = None

    @property
    def episodes_at_once(self) -> int:
        """How many episodes one event or nominal hour can be about, complaints apart."""
        return MOST if self.episode == BY_FESTIVAL else max(len(self.steps), 1)

    @property
    def may_be_over(self) -> bool:
        """True when what it opens at an event may be over before it is told: a row, and no finding."""
        return self.episode == BY_CYCLE and self.expires_at is not None and not self.steps

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The nominal hours at which it is judged."""
        if self.slot is not None:
            return (self.slot,)
        return () if self.also is None else self.also.slots

    def evidence_of(self, state: str) -> tuple[Evidence, ...]:
        """Return the evidence that a revision of this state tells."""
        return self.resolved_evidence if state == "RESOLVED" and self.resolved_evidence else self.evidence
