"""A backtest over the files of a simulated city finds its truth file, which was written without knowing a rule."""

import json
from collections import Counter
from pathlib import Path

from typer.testing import CliRunner

from services.detector.authoring.rules_commands import app
from services.simulator.files import write_plan
from services.simulator.plan import build_plan
from services.simulator.span import Span


def test_the_truth_of_a_city_is_found_in_its_files(tmp_path: Path) -> None:
    plan = build_plan(seed=12, customers=300, span=Span())
    write_plan(tmp_path, plan)
    out = tmp_path / "moments.ndjson"
    files = ["--history", str(tmp_path / "history"), "--events", str(tmp_path / "live.ndjson")]
    done = CliRunner().invoke(app, ["backtest", *files, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["refused"] == 0
    moments = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    found = Counter(
        (moment["customer_id"], moment["rule_id"], moment["nominal_date"])
        for moment in moments
        if moment["revision"] == 1 and moment["rule_id"] in plan.covers
    )
    assert found == Counter(row.key for row in plan.truth)
