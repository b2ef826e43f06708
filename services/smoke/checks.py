"""The checks of the smoke run: pure, each returns the violations that it found. None found means that it holds.

Every check says what must be true in words of the outside: topics, tables, answers. They share nothing with services.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from services.smoke.evidence import Evidence
from services.smoke.local_days import local_date_of_days, local_minute_of_day, local_weekday

Check = Callable[[Evidence], Iterator[str]]

ENDED = frozenset({"DONE", "DECLINED", "RESCINDED", "EXPIRED"})
IN_HAND = frozenset({"HELD", "QUEUED", "OFFERED", "ACCEPTED", "WRAPPING", "ESCALATED"})
FOLLOW_UP_UNITS = 5
CLOCK_TOLERANCE_MS = 2_000
RELEASE_TOLERANCE_MS = 1_000
DAY_MS = 86_400_000


def accepted_in_log(evidence: Evidence) -> Iterator[str]:
    """Every accepted event is in its topic, and no refused one is in any."""
    logged = {event.identity for event in evidence.events}
    for identity in sorted(evidence.accepted - logged):
        yield f"accepted but not in the topics: {identity}"
    refused = {refused.identity for refused in evidence.refused} | evidence.must_be_refused
    for identity in sorted((refused - evidence.accepted) & logged):
        yield f"refused but in the topics: {identity}"


def planted_found(evidence: Evidence) -> Iterator[str]:
    """Every row of the truth file has a moment."""
    found = {moment_key(moment) for moment in first_revisions(evidence).values()}
    for row in evidence.truth:
        if row.key not in found:
            yield f"not found: {row.key} ({row.why})"


def nothing_else_found(evidence: Evidence) -> Iterator[str]:
    """Every moment of a covered rule has a row in the truth file, and every row no more than one moment."""
    truth = {row.key for row in evidence.truth}
    ids: dict[tuple[int, str, str], set[str]] = defaultdict(set)
    for moment in first_revisions(evidence).values():
        if moment["rule_id"] in evidence.covers:
            ids[moment_key(moment)].add(moment["moment_id"])
    for key, moment_ids in sorted(ids.items()):
        if key not in truth:
            yield f"found but not planted: {key}"
        elif len(moment_ids) > 1:
            yield f"found {len(moment_ids)} times: {key}"


def final_states_as_planned(evidence: Evidence) -> Iterator[str]:
    """Where the plan says how a moment stands at the end, its newest revision stands so."""
    newest = newest_revisions(evidence)
    by_key = {moment_key(first): newest[moment_id] for moment_id, first in first_revisions(evidence).items()}
    for row in evidence.truth:
        moment = by_key.get(row.key)
        if moment is None:
            continue
        if row.final_state is not None and moment["state"] != row.final_state:
            yield f"{row.key}: {moment['state']} instead of {row.final_state} ({row.why})"
        if row.final_priority is not None and moment["priority"] != row.final_priority:
            yield f"{row.key}: priority {moment['priority']} instead of {row.final_priority} ({row.why})"


def backtest_finds_the_same(evidence: Evidence) -> Iterator[str]:
    """The same rules over the same log find every revision of every moment again, in every field, and no other."""
    if evidence.backtest_fault:
        yield f"the backtest failed: {evidence.backtest_fault}"
        return
    live = {(m["moment_id"], m["revision"]): as_line(m) for m in evidence.moments if is_seen(m, evidence)}
    again = {(m["moment_id"], m["revision"]): dict(m) for m in evidence.backtested if is_seen(m, evidence)}
    for key in sorted(live.keys() ^ again.keys()):
        where, moment = ("live", live[key]) if key in live else ("in the backtest", again[key])
        yield f"only {where}: {moment['rule_id']} of {moment['customer_id']}, revision {key[1]} {moment['state']}"
    for key in sorted(live.keys() & again.keys()):
        differing = sorted(
            name for name in live[key].keys() | again[key].keys() if live[key].get(name) != again[key].get(name)
        )
        if differing:
            yield f"{again[key]['rule_id']} of {again[key]['customer_id']} differs in {', '.join(differing)}"


def every_moment_has_one_row(evidence: Evidence) -> Iterator[str]:
    """The moments of the topic and the rows of the router are the same, one each, and every row has a reason."""
    rows = Counter(row.moment_id for row in evidence.moment_rows)
    ids = {moment["moment_id"] for moment in evidence.moments}
    for moment_id in sorted(ids - rows.keys()):
        yield f"moment without a row: {moment_id}"
    for moment_id in sorted(rows.keys() - ids):
        yield f"row without a moment: {moment_id}"
    for moment_id, count in rows.items():
        if count > 1:
            yield f"moment with {count} rows: {moment_id}"
    for row in evidence.moment_rows:
        if row.row_state not in {"PENDING", "CARD", "LEDGER"} or not row.reason:
            yield f"row in state {row.row_state!r} with reason {row.reason!r}: {row.moment_id}"


def capacity_respected(evidence: Evidence) -> Iterator[str]:
    """At no time did a manager hold more units than allowed, and nobody unknown held any."""
    limits = {manager.manager_id: manager.capacity_units for manager in evidence.managers}
    held: dict[str, dict[str, int]] = defaultdict(dict)
    holder: dict[str, str] = {}
    for event in in_order_of_effect(evidence):
        task_id = event["task_id"]
        if task_id in holder:
            held[holder.pop(task_id)].pop(task_id, None)
        units = units_after(event)
        manager_id = event["manager_id"]
        if not units or not manager_id:
            continue
        if manager_id not in limits:
            yield f"{task_id} is held by {manager_id!r}, who is not on the roster"
            continue
        holder[task_id] = manager_id
        held[manager_id][task_id] = units
        load = sum(held[manager_id].values())
        if load > limits[manager_id]:
            yield f"{manager_id} held {load} of {limits[manager_id]} units at {event['recorded_at']}"


def one_open_card_per_customer(evidence: Evidence) -> Iterator[str]:
    """A customer is on one open card at most."""
    open_cards: dict[int, set[str]] = defaultdict(set)
    for event in in_order_of_effect(evidence):
        cards = open_cards[event["customer_id"]]
        if event["to_state"] in ENDED:
            cards.discard(event["task_id"])
            continue
        cards.add(event["task_id"])
        if len(cards) > 1:
            yield f"customer {event['customer_id']} has {len(cards)} open cards"


def suspended_untouched(evidence: Evidence) -> Iterator[str]:
    """Nobody is offered, accepted or sent anything about a suspended customer, nor for 24 h after; complaints apart."""
    closed = closed_spans(evidence)
    rule_of = {moment["moment_id"]: moment["rule_id"] for moment in evidence.moments}
    for event in evidence.task_events:
        if event["to_state"] not in {"OFFERED", "ACCEPTED"} or is_about_complaint(event, rule_of):
            continue
        for start, end in closed.get(event["customer_id"], ()):
            if start <= event["occurred_at"] < end:
                yield f"{event['task_id']} was {event['to_state']} while its customer was suspended"
    for message in evidence.messages:
        for start, end in closed.get(message.customer_id, ()):
            if start <= message.queued_at_ms < end:
                yield f"message about {message.moment_id} was sent while its customer was suspended"


def quiet_hours_respected(evidence: Evidence) -> Iterator[str]:
    """No offer, acceptance or message in quiet hours: general, of rest days, of the customer's own."""
    for event in evidence.task_events:
        if event["to_state"] in {"OFFERED", "ACCEPTED"} and is_quiet(
            event["occurred_at"], evidence.quiet_windows.get(event["customer_id"], ())
        ):
            yield f"{event['task_id']} was {event['to_state']} at {event['occurred_at']}, in quiet hours"
    for message in evidence.messages:
        if is_quiet(message.queued_at_ms, evidence.quiet_windows.get(message.customer_id, ())):
            yield f"message about {message.moment_id} at {message.queued_at_ms}, in quiet hours"


def rejects_explained(evidence: Evidence) -> Iterator[str]:
    """Every refusal was to be expected and carries the expected reason; everything that had to be refused was."""
    for refused in evidence.refused:
        if refused.expected is None:
            yield f"{refused.door} refused {refused.identity} for {refused.reasons}, which nobody expected"
        elif refused.expected not in refused.reasons:
            yield f"{refused.door} refused {refused.identity} for {refused.reasons}, not for {refused.expected}"
    answered = {refused.identity for refused in evidence.refused}
    for identity in sorted(evidence.must_be_refused - answered):
        yield f"not refused: {identity}"


def poison_dead_lettered(evidence: Evidence) -> Iterator[str]:
    """Poison on the log is on the detector's dead-letter topic, bytes unchanged, with a reason."""
    letters = {letter.value: letter for letter in evidence.dead_letters if letter.service == "detector"}
    for value in evidence.poison:
        letter = letters.get(value)
        if letter is None:
            yield f"poison of {len(value)} bytes is not among the detector's dead letters"
        elif not letter.reason:
            yield "a dead letter has no reason"
    for letter in evidence.dead_letters:
        if letter.service == "router" or (letter.service == "detector" and letter.value not in evidence.poison):
            yield f"unexpected dead letter of {letter.service}: {letter.reason}"


def completions_recorded_once(evidence: Evidence) -> Iterator[str]:
    """What a manager was told is complete is done in the topic, by one transition, however often that is told."""
    transitions = {(event["task_id"], event["sequence"]): event["to_state"] for event in evidence.task_events}
    done = Counter(task_id for (task_id, _), state in transitions.items() if state == "DONE")
    for task_id in sorted(evidence.completed - done.keys()):
        yield f"completed but not done on the topic: {task_id}"
    for task_id, count in done.items():
        if count > 1:
            yield f"done {count} times: {task_id}"


def call_records_replayed(evidence: Evidence) -> Iterator[str]:
    """What the mapping files made of the two files of call records is in the log, row for row."""
    logged = Counter(event.record["source"] for event in evidence.events)
    for source, accepted in evidence.replayed.items():
        if logged[source] < accepted or not accepted:
            yield f"{source}: {accepted} accepted, {logged[source]} in the log"


def logs_hold_no_personal_data(evidence: Evidence) -> Iterator[str]:
    """No log has a phone number, a token or a customer's number in it."""
    for path in evidence.logs:
        text = path.read_text(encoding="utf-8", errors="replace")
        hits = sum(private in text for private in evidence.private_texts)
        if hits:
            yield f"{path.name} holds {hits} private texts"


CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        accepted_in_log,
        planted_found,
        nothing_else_found,
        backtest_finds_the_same,
        every_moment_has_one_row,
        capacity_respected,
        suspended_untouched,
        quiet_hours_respected,
        rejects_explained,
        final_states_as_planned,
        one_open_card_per_customer,
        poison_dead_lettered,
        completions_recorded_once,
        call_records_replayed,
        logs_hold_no_personal_data,
    )
}


def moment_key(moment: Mapping[str, Any]) -> tuple[int, str, str]:
    """Customer, rule and nominal date of a moment, as the truth file has them."""
    return moment["customer_id"], moment["rule_id"], local_date_of_days(moment["nominal_date"])


def as_line(moment: Mapping[str, Any]) -> dict[str, Any]:
    """A moment of the topic as a line of NDJSON has it."""
    return {**moment, "nominal_date": local_date_of_days(moment["nominal_date"])}


def is_seen(moment: Mapping[str, Any], evidence: Evidence) -> bool:
    """True for what was found before the last clock reading that everything has been seen of."""
    return bool(moment["detected_at"] <= evidence.seen_until_ms)


def first_revisions(evidence: Evidence) -> dict[str, Mapping[str, Any]]:
    """The first revision of every moment, by its id: it tells the date for which the moment was raised."""
    first: dict[str, Mapping[str, Any]] = {}
    for moment in evidence.moments:
        before = first.get(moment["moment_id"])
        if before is None or moment["revision"] < before["revision"]:
            first[moment["moment_id"]] = moment
    return first


def newest_revisions(evidence: Evidence) -> dict[str, Mapping[str, Any]]:
    """The newest revision of every moment, by its id."""
    newest: dict[str, Mapping[str, Any]] = {}
    for moment in evidence.moments:
        before = newest.get(moment["moment_id"])
        if before is None or moment["revision"] > before["revision"]:
            newest[moment["moment_id"]] = moment
    return newest


def in_order_of_effect(evidence: Evidence) -> list[Mapping[str, Any]]:
    """Task events in the order in which they took effect, those of one task in their own order.

    A release is noted before its transaction ends, a dispatch before it got its lock; so releases come a little early.
    """
    unique = {(event["task_id"], event["sequence"]): event for event in evidence.task_events}
    timed: list[tuple[int, str, int]] = []
    before = ("", 0)
    for task_id, sequence in sorted(unique):
        event = unique[task_id, sequence]
        early = RELEASE_TOLERANCE_MS if event["to_state"] in ENDED else 0
        at_ms = event["recorded_at"] - early
        if before[0] == task_id:
            at_ms = max(at_ms, before[1])
        before = (task_id, at_ms)
        timed.append((at_ms, task_id, sequence))
    return [unique[task_id, sequence] for _, task_id, sequence in sorted(timed)]


def units_after(event: Mapping[str, Any]) -> int:
    """Capacity units that a task takes of its manager after a transition."""
    if event["to_state"] in IN_HAND:
        return int(event["units"])
    return FOLLOW_UP_UNITS if event["to_state"] == "DEFERRED" else 0


def is_about_complaint(event: Mapping[str, Any], rule_of: Mapping[str, str]) -> bool:
    """True for a card about a complaint, which survives a suspension."""
    return any(rule_of.get(moment_id) == "AN1" for moment_id in event["moment_ids"])


def closed_spans(evidence: Evidence) -> dict[int, list[tuple[int, int]]]:
    """Spans in which a customer's line was suspended, with the 24 h after, from the line states in the log.

    A span begins when the suspension can be known everywhere. States are taken in order of event time.
    """
    states: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for event in evidence.events:
        if event.subject.endswith(".LineStatusEvent"):
            record = event.record
            states[record["customer_id"]].append((record["occurred_at"], record["ingested_at"], record["status"]))
    grace_ms = round(evidence.grace_seconds * 1000)
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for customer_id, told in states.items():
        since: int | None = None
        for occurred_at, ingested_at, status in sorted(told):
            if status != "ACTIVE" and since is None:
                since = max(occurred_at, ingested_at) + grace_ms
            elif status == "ACTIVE" and since is not None:
                spans[customer_id].append((since, occurred_at + DAY_MS))
                since = None
        if since is not None:
            spans[customer_id].append((since, 2**62))
    return spans


def is_quiet(at_ms: int, own_windows: tuple[str, ...] | Any) -> bool:
    """True when nobody may be contacted: 20:30-09:00, 12:00-14:00, weekends until 10:00, and own windows.

    Public holidays are left out: none falls into the span of the run. Both edges get a little tolerance.
    """
    early, late = at_ms - CLOCK_TOLERANCE_MS, at_ms + CLOCK_TOLERANCE_MS
    return all(is_quiet_minute(instant, own_windows) for instant in (early, at_ms, late))


def is_quiet_minute(at_ms: int, own_windows: Any) -> bool:
    """The rule itself, to the minute."""
    minute = local_minute_of_day(at_ms)
    opens = 10 * 60 if local_weekday(at_ms) >= 5 else 9 * 60
    if minute < opens or 12 * 60 <= minute < 14 * 60 or minute >= 20 * 60 + 30:
        return True
    return any(is_within(minute, window) for window in own_windows)


def is_within(minute: int, window: str) -> bool:
    """True when a minute of the day lies in `HH:MM-HH:MM`, which may pass midnight."""
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in window.split("-"))
    return start <= minute < end if start < end else minute >= start or minute < end
