"""Replays the two sample files of real call records through their mapping files, as an old system would be read."""

from dataclasses import dataclass
from pathlib import Path

from services.simulator.doors import DoorStuck, load_file

SAMPLES = Path(__file__).resolve().parents[1] / "ingest" / "samples"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A file and its mapping; `source` is what the mapping writes into the events."""

    data: str
    mapping: str
    source: str


CALL_RECORDS = (
    Sample(data="call_records_bandicoot_ego.csv", mapping="bandicoot_ego.yaml", source="bandicoot-ego"),
    Sample(data="call_records_bandicoot_u_test.csv", mapping="bandicoot_u_test.yaml", source="bandicoot-switch"),
)


async def replay_call_records(env: dict[str, str]) -> dict[str, int]:
    """Load both files as history; returns source → events accepted. Raises DoorStuck when a file is refused."""
    accepted = {}
    for sample in CALL_RECORDS:
        path, mapping = SAMPLES / sample.data, SAMPLES / sample.mapping
        load = await load_file(path, kind="usage", env=env, history=True, mapping=mapping)
        if load.exit_code != 0 or load.summary.get("rejected"):
            raise DoorStuck(f"{sample.data}: exit code {load.exit_code}, {load.summary.get('reasons')}: {load.output}")
        accepted[sample.source] = int(load.summary["accepted"])
    return accepted
