"""Whether a customer may be contacted about a moment now: gates, refusals, waits. Fails closed.

Owns the order of the questions; caps, hours and channel answer theirs. `lasting_objection` holds for a card already
handed out too; `passing_objection` only for what still waits.
"""

from collections.abc import Iterable

from services.router import caps, quiet_hours
from services.router.channel import Channel
from services.router.model import (
    COMPLAINT_RULE,
    HOME_ZONE,
    HOUR_MS,
    SUSPENSION_RULE,
    CustomerFacts,
    CustomerView,
    Gate,
    Moment,
    Verdict,
    home_midnight_ms,
)
from services.router.quiet_hours import ContactHours
from services.router.reasons import Reason, RowState

RESUMPTION_WAIT_MS = 24 * HOUR_MS
URGENT_SMS_RULES = frozenset({"AN5", "AN11"})


def settled(moment: Moment, others: Iterable[Moment], now_ms: int) -> Verdict | None:
    """The ledger's verdict when nothing is to be done about this moment any more, else None."""
    if moment.state == "RESOLVED":
        return _ledger(Reason.RESOLVED)
    if moment.rule_id == SUSPENSION_RULE:
        return _ledger(Reason.GATE)
    if moment.history:
        return _ledger(Reason.HISTORY)
    if moment.expires_at_ms <= now_ms:
        return _ledger(Reason.EXPIRED)
    if any(_supersedes(other, moment, now_ms) for other in others):
        return _ledger(Reason.SUPERSEDED)
    return None


def lasting_objection(moment: Moment, facts: CustomerFacts, now_ms: int) -> Verdict | None:
    """Why this customer is not to be contacted about this moment, by whatever channel, or None.

    An AN1 card that is handed out survives a suspension; one that waits is worked only by another agreed channel.
    """
    if facts.view is None:
        return _pending(Reason.CUSTOMER_UNKNOWN)
    suspension = suspended(facts.gates, now_ms)
    if suspension is not None and not (moment.rule_id == COMPLAINT_RULE and moment.is_handed_out):
        if moment.rule_id == COMPLAINT_RULE and suspension.reason is Reason.LINE_SUSPENDED:
            return _pending(Reason.OTHER_CHANNEL_ONLY)
        if moment.rule_id != COMPLAINT_RULE:
            return suspension
    if group_of(moment) in facts.view.refused_groups:
        return _ledger(Reason.REFUSED_GROUP)
    return _mourning_or_complaint(moment, facts, facts.view, now_ms)


def passing_objection(moment: Moment, facts: CustomerFacts, now_ms: int) -> Verdict | None:
    """Why this moment has to wait although it is wanted, before a channel is chosen, or None."""
    paused = caps.dimension_paused_until(facts.contacts, moment.dimension, now_ms)
    if paused is not None:
        return _pending(Reason.DIMENSION_PAUSED, paused)
    earliest = moment.earliest_contact_at_ms
    if earliest is not None and earliest > now_ms:
        return _pending(Reason.NOT_BEFORE, earliest)
    return None


def channel_objection(
    moment: Moment, facts: CustomerFacts, channel: Channel, now_ms: int, *, sent_now: int = 0
) -> Verdict | None:
    """Why this channel has to wait: recent contact, caps, quiet hours; None when it is open now.

    An urgent message about a service does not wait because somebody spoke with the customer. What an earlier try of the
    same task did counts for all moments but its own.
    """
    assert facts.view is not None, "an unknown customer has no channel"
    contacts = [c for c in facts.contacts if moment.task_id is None or c.task_id != moment.task_id]
    recent = caps.recent_contact_until(contacts, now_ms)
    if recent is not None and (channel is Channel.CALL or group_of(moment) != "service"):
        return _pending(Reason.RECENT_CONTACT, recent)
    if channel is Channel.CALL:
        frees = caps.call_cap_frees_at(contacts, now_ms)
        if frees is not None:
            return _pending(Reason.CALL_CAP, frees)
    else:
        frees = caps.sms_cap_frees_at(contacts, now_ms, sent_now=sent_now)
        if frees is not None:
            return _pending(Reason.SMS_CAP, frees)
    return _closed_hours(moment, contact_hours(facts.view, moment, channel), now_ms)


def contact_hours(view: CustomerView, moment: Moment, channel: Channel) -> ContactHours:
    """What decides about the windows of this customer for this channel."""
    urgent = channel is not Channel.CALL and moment.rule_id in URGENT_SMS_RULES
    zone = view.visited_zone or HOME_ZONE
    return ContactHours(zone=zone, quiet_windows=view.quiet_windows, urgent_sms=urgent)


def is_open_for_message(rule_id: str, quiet_windows: Iterable[str], visited_zone: str | None, now_ms: int) -> bool:
    """Whether a message of this rule may leave at this instant."""
    urgent = rule_id in URGENT_SMS_RULES
    hours = ContactHours(zone=visited_zone or HOME_ZONE, quiet_windows=tuple(quiet_windows), urgent_sms=urgent)
    return quiet_hours.current_span(now_ms, hours) is not None


def suspended(gates: Iterable[Gate], now_ms: int) -> Verdict | None:
    """The do-not-serve gate: while a line is suspended and 24 h after it was resumed."""
    resumed_ms = 0
    for gate in gates:
        if gate.rule_id != SUSPENSION_RULE:
            continue
        if gate.is_open:
            return _pending(Reason.LINE_SUSPENDED)
        resumed_ms = max(resumed_ms, gate.changed_at_ms)
    if resumed_ms and resumed_ms + RESUMPTION_WAIT_MS > now_ms:
        return _pending(Reason.RESUMPTION_WAIT, resumed_ms + RESUMPTION_WAIT_MS)
    return None


def group_of(moment: Moment) -> str:
    """service, care or commercial; what is neither is treated as commercial, the strictest."""
    return moment.group.lower() if moment.group in ("SERVICE", "CARE") else "commercial"


def _mourning_or_complaint(moment: Moment, facts: CustomerFacts, view: CustomerView, now_ms: int) -> Verdict | None:
    if group_of(moment) == "service":
        return None
    if view.bereavement_until is not None:
        over_ms = home_midnight_ms(view.bereavement_until + 1)
        if over_ms > now_ms:
            return _pending(Reason.BEREAVEMENT, over_ms)
    if any(gate.rule_id == COMPLAINT_RULE and gate.is_open for gate in facts.gates):
        return _pending(Reason.OPEN_COMPLAINT)
    return None


def _closed_hours(moment: Moment, hours: ContactHours, now_ms: int) -> Verdict | None:
    since = max(moment.detected_at_ms, moment.earliest_contact_at_ms or 0)
    release = quiet_hours.release_at_ms(now_ms, since, moment.moment_id, hours)
    if release is None:
        return _pending(Reason.QUIET_HOURS, now_ms + quiet_hours.HORIZON_MS)
    if release > now_ms:
        return _pending(Reason.QUIET_HOURS, release)
    return None


def _supersedes(other: Moment, moment: Moment, now_ms: int) -> bool:
    is_live = other.state != "RESOLVED" and not other.history and other.expires_at_ms > now_ms
    return is_live and other.moment_id != moment.moment_id and moment.rule_id in other.supersedes


def _pending(reason: Reason, waits_until_ms: int | None = None) -> Verdict:
    return Verdict(row_state=RowState.PENDING, reason=reason, waits_until_ms=waits_until_ms)


def _ledger(reason: Reason) -> Verdict:
    return Verdict(row_state=RowState.LEDGER, reason=reason)
