"""The JSON form of events as gRPC messages and as files loses nothing."""

import json
from pathlib import Path

import polars as pl
import pytest

from services.simulator.doors import BATCH_EVENTS, DoorStuck, answers_of_http, runs_of_one_kind
from services.simulator.events import Event
from services.simulator.files import write_kind
from services.simulator.grpc_events import to_message
from services.simulator.plan import build_plan
from services.simulator.span import Span

PLAN = build_plan(seed=5, customers=400, span=Span(), calls_per_session=4)


def all_live() -> list[Event]:
    sessions = [PLAN.session(session) for session in PLAN.span.sessions()]
    return [event for parts in sessions for event in (*parts.background, *parts.planted)]


def test_every_field_of_every_live_event_reaches_its_message() -> None:
    for event in all_live():
        message = to_message(event)
        body = getattr(message, event.kind.replace("-", "_"))
        assert message.WhichOneof("body") == event.kind.replace("-", "_")
        assert (message.source, message.event_id) == event.identity
        for name, value in event.body.items():
            if name not in {"event_id", "customer_id", "occurred_at", "source"}:
                field = "suspension_expected_at_ms" if name == "suspension_expected_at" else name
                sent = getattr(body, field)
                assert (list(sent) if isinstance(value, list) else sent) == value, (event.kind, name)


def test_runs_keep_the_order_and_never_mix_kinds() -> None:
    events = all_live()
    runs = runs_of_one_kind(events)

    assert [event for run in runs for event in run] == events
    assert all(len({event.kind for event in run}) == 1 and len(run) <= BATCH_EVENTS for run in runs)


def test_files_hold_every_event(tmp_path: Path) -> None:
    history = list(PLAN.history())
    for kind in ("usage", "balance", "complaint"):
        events = [event for event in history if event.kind == kind]
        path = write_kind(tmp_path, kind, events)
        if path.suffix == ".parquet":
            ids = pl.read_parquet(path)["event_id"].to_list()
        elif path.suffix == ".csv":
            ids = pl.read_csv(path)["event_id"].to_list()
        else:
            ids = [json.loads(line)["event_id"] for line in path.read_text(encoding="utf-8").splitlines()]
        assert sorted(ids) == sorted(event.identity[1] for event in events)


def test_an_answer_without_results_is_never_taken_for_accepted() -> None:
    event = all_live()[0]
    with pytest.raises(DoorStuck):
        answers_of_http([event], 400, {"reason": "malformed_body"})
    answers = answers_of_http([event], 207, {"results": [{"outcome": "rejected", "faults": [{"reason": "missing"}]}]})
    assert [answer.reasons for answer in answers] == [("missing",)]
