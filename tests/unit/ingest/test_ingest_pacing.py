"""A load that waits for a detector that does not come forward."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from schemas.json_form.validation import DoorRules
from services.ingest.files import pacing
from services.ingest.files.checkpoint import Progress
from services.ingest.files.load import FileLoad, LoadPlan
from services.ingest.files.pacing import Pacer
from services.ingest.files.sources import Item, Position
from services.ingest.settings import FileSettings


async def test_a_load_that_waits_says_so_and_can_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that stands still may do so for hours: Ctrl-C and SIGTERM must not wait for it."""
    monkeypatch.setattr(pacing, "_page", lambda _: b"kairos_detector_lag_records 9e9\n")
    settings = FileSettings(kafka_bootstrap="nowhere:1", lag_metrics_url="http://nowhere:1")
    plan = LoadPlan(
        kind="usage",
        file_name="f",
        map_row=lambda row: row,
        rules=DoorRules(),
        withholds_raw=False,
        checkpoint_path=tmp_path / "checkpoint",
        rejects_path=tmp_path / "rejects",
    )
    load = FileLoad(plan, cast(Any, None), cast(Any, None), Pacer(settings))
    said: list[str] = []

    def tell(_: Progress, waiting: str) -> None:
        said.append(waiting)
        load.stop()

    batches = iter([([Item(1, {}, b"{}")], Position())])
    async with asyncio.timeout(5.0):
        progress = await load.run(batches, Progress(), tell=tell)

    assert said == ["waits for the detector"]
    assert not progress.is_done
    assert progress.accepted == 0
