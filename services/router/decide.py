"""The pipeline of one customer, from facts to rows: resolve → gates → policy → caps → merge → channel → hours.

Pure: the same facts at the same instant give the same decision. Ranking and assignment take what comes out as ready.
"""

from services.router import policy, quiet_hours
from services.router.channel import Channel, choose_channel
from services.router.model import (
    CustomerFacts,
    Decision,
    Message,
    Moment,
    Rescind,
    RowChange,
    Verdict,
)
from services.router.ranking import order_key
from services.router.reasons import CONTACTED, READY, Reason, RowState

RETRY_MS = 1_000  # a decision that names no later instant is never repeated sooner than this
IN_WORK_RETRY_MS = 60_000
NEVER_MS = 2**62

_SENT = {Channel.SMS: Reason.SENT_BY_SMS, Channel.SELF_SERVICE: Reason.SENT_BY_SELF_SERVICE}


def decide(facts: CustomerFacts, now_ms: int) -> Decision:
    """Where each of the customer's moments belongs now, what to send and what to withdraw.

    Moments whose customer was contacted are left alone. The result lists only rows that change, in the order of rank.
    """
    open_moments = sorted((m for m in facts.moments if m.reason not in CONTACTED), key=order_key)
    changes: list[RowChange] = []
    messages: list[Message] = []
    ready: list[Moment] = []
    objection: Reason | None = None
    for moment in open_moments:
        verdict = _handed_out(moment, facts, now_ms) if moment.is_handed_out else None
        if moment.is_handed_out:
            if verdict is None:
                changes += _hold(moment, facts, now_ms)
                continue
            objection = objection or verdict.reason
        else:
            verdict = _waiting(moment, facts, now_ms, sent_now=len(messages))
            if verdict.reason in _SENT.values():
                messages.append(_message(moment, verdict))
            if verdict.reason in READY:
                ready.append(moment)
        changes += _change(moment, verdict, facts, now_ms)
    return Decision(
        customer_id=facts.customer_id,
        changes=tuple(changes),
        messages=tuple(messages),
        rescind=_rescind(facts, objection),
        ready=tuple(ready),
    )


def _handed_out(moment: Moment, facts: CustomerFacts, now_ms: int) -> Verdict | None:
    """Why a moment has to come off its card, or None.

    A card ends with its leading moment; work that a manager has begun outlives that.
    """
    verdict = policy.settled(moment, facts.moments, now_ms)
    card = facts.card
    if verdict is not None and verdict.reason is Reason.EXPIRED and card is not None:
        return None if card.in_work or card.lead_moment_id != moment.moment_id else verdict
    return verdict or policy.lasting_objection(moment, facts, now_ms)


def _waiting(moment: Moment, facts: CustomerFacts, now_ms: int, *, sent_now: int) -> Verdict:
    verdict = (
        policy.settled(moment, facts.moments, now_ms)
        or policy.lasting_objection(moment, facts, now_ms)
        or policy.passing_objection(moment, facts, now_ms)
    )
    if verdict is not None:
        return verdict
    assert facts.view is not None, "an unknown customer was objected to"
    channel = choose_channel(moment, facts.view)
    if channel is None:
        return Verdict(row_state=RowState.LEDGER, reason=Reason.CHANNEL_NOT_AGREED)
    if channel is Channel.NONE:
        return Verdict(row_state=RowState.LEDGER, reason=Reason.NO_CHANNEL)
    if channel is Channel.CALL and facts.card is not None:
        return Verdict(row_state=RowState.PENDING, reason=Reason.CUSTOMER_HAS_CARD)
    objection = policy.channel_objection(moment, facts, channel, now_ms, sent_now=sent_now)
    if objection is not None:
        return objection
    if channel is not Channel.CALL:
        return Verdict(row_state=RowState.LEDGER, reason=_SENT[channel])
    if moment.reason in READY:  # keep what it waits for: only a round knows better
        return Verdict(row_state=RowState.PENDING, reason=moment.reason, waits_until_ms=moment.waits_until_ms)
    return Verdict(row_state=RowState.PENDING, reason=Reason.AWAITING_ASSIGNMENT)


def _change(moment: Moment, verdict: Verdict, facts: CustomerFacts, now_ms: int) -> list[RowChange]:
    """The row as it should be, or nothing when it is so already."""
    is_ready = verdict.reason in READY
    ready_at_ms = (moment.ready_at_ms or moment.ready_since_ms or now_ms) if is_ready else None
    due_at_ms = _due_at_ms(moment, verdict, facts, now_ms)
    after = (verdict.row_state, verdict.reason, verdict.waits_until_ms, due_at_ms, ready_at_ms)
    if after == (moment.row_state, moment.reason, moment.waits_until_ms, moment.due_at_ms, moment.ready_at_ms):
        return []
    had_reason = verdict.row_state is RowState.LEDGER and moment.reason is not Reason.UNDECIDED
    return [
        RowChange(
            moment_id=moment.moment_id,
            verdict=verdict,
            due_at_ms=due_at_ms,
            ready_at_ms=ready_at_ms,
            waited_for=moment.reason if had_reason else None,
        )
    ]


def _hold(moment: Moment, facts: CustomerFacts, now_ms: int) -> list[RowChange]:
    """Keep a handed-out row; look again when it expires, or a little later while somebody works on it."""
    due_at_ms = moment.expires_at_ms if moment.expires_at_ms > now_ms else now_ms + IN_WORK_RETRY_MS
    if due_at_ms == moment.due_at_ms:
        return []
    verdict = Verdict(row_state=moment.row_state, reason=moment.reason, waits_until_ms=moment.waits_until_ms)
    return [RowChange(moment_id=moment.moment_id, verdict=verdict, due_at_ms=due_at_ms)]


def _due_at_ms(moment: Moment, verdict: Verdict, facts: CustomerFacts, now_ms: int) -> int:
    """When this verdict may change without any news: the wait ends, the window closes, the moment expires."""
    if verdict.row_state is RowState.LEDGER:
        return NEVER_MS
    due_at_ms = moment.expires_at_ms
    if verdict.reason in READY:
        assert facts.view is not None, "an unknown customer is never ready"
        hours = policy.contact_hours(facts.view, moment, Channel.CALL)
        span = quiet_hours.current_span(now_ms, hours)
        due_at_ms = min(due_at_ms, span[1] if span is not None else now_ms)
    elif verdict.waits_until_ms is not None:
        due_at_ms = min(due_at_ms, verdict.waits_until_ms)
    return max(due_at_ms, now_ms + RETRY_MS)


def _message(moment: Moment, verdict: Verdict) -> Message:
    channel = next(channel for channel, reason in _SENT.items() if reason is verdict.reason)
    return Message(
        moment_id=moment.moment_id,
        customer_id=moment.customer_id,
        channel=channel.value,
        dimension=moment.dimension,
    )


def _rescind(facts: CustomerFacts, objection: Reason | None) -> Rescind | None:
    """Withdraw the whole card when one of its moments has to come off; the others go on a new version of it."""
    if objection is None or facts.card is None or facts.card.is_rescinding:
        return None
    return Rescind(task_id=facts.card.task_id, version=facts.card.version, reason=objection)
