"""What the state topic holds of one partition, and what is wrong with that: the eyes of `kairos detector verify`.

`survey` reads, `faults_of` judges and is pure.
"""

from dataclasses import dataclass, field
from typing import Final

from services.detector.durability.state_log import StateLog, decoded_state
from services.detector.durability.state_records import (
    MANIFEST,
    PAGE,
    STATE_TOPIC,
    Manifest,
    PageCopy,
    PageParts,
    checksum_of,
)
from services.detector.shard import EVENTS_TOPIC

BUDGET_SECONDS: Final = 2.0
"""Two turns must replay within this."""


@dataclass(frozen=True)
class PageSeen:
    """One page of a turn, without its payload."""

    next_offset: int
    rows: int
    size: int
    checksum: int
    versions: tuple[int, int]  # engine, state


@dataclass
class Turn:
    """What is in the topic of one turn."""

    turn_id: str
    pages: dict[int, PageSeen] = field(default_factory=dict)
    manifest: Manifest | None = None

    @property
    def is_complete(self) -> bool:
        """True when the manifest and every page are there, as the manifest says."""
        if self.manifest is None or sorted(self.pages) != list(range(self.manifest.pages)):
            return False
        return checksum_of([self.pages[n].checksum for n in sorted(self.pages)]) == self.manifest.checksum

    @property
    def size(self) -> int:
        """Bytes of its pages."""
        return sum(page.size for page in self.pages.values())


@dataclass
class Survey:
    """One partition: what the state topic holds, where the log begins and ends, what the group has committed."""

    partition: int
    log_begin: int
    log_end: int
    committed: int | None
    turns: list[Turn] = field(default_factory=list)  # those that are not begun before what is kept, in their order
    broken_records: int = 0

    @property
    def newest(self) -> Turn | None:
        """The complete turn that was written last."""
        complete = [turn for turn in self.turns if turn.is_complete]
        return max(complete, key=lambda turn: turn.manifest.offset if turn.manifest else -1, default=None)

    @property
    def replay_records(self) -> int:
        """What a restart would replay now."""
        newest = self.newest
        return self.log_end - (0 if newest is None or newest.manifest is None else newest.manifest.next_log_offset)


async def survey(log: StateLog, number: int, committed: int | None) -> Survey:
    """Read the whole state of a partition. Raises StateTrimmed when it is trimmed meanwhile."""
    begin, end = await log.bounds(STATE_TOPIC, number)
    log_begin, log_end = await log.bounds(EVENTS_TOPIC, number)
    found = Survey(number, log_begin, log_end, committed)
    turns: dict[str, Turn] = {}
    parts = PageParts()
    async for batch in log.read(STATE_TOPIC, number, begin, end):
        for record in batch:
            name, fields = decoded_state(record)
            if name == MANIFEST:
                manifest = Manifest.of(record.offset, fields)
                if manifest.first_state_offset >= begin or not manifest.pages:
                    turns.setdefault(manifest.turn_id, Turn(manifest.turn_id)).manifest = manifest
                else:  # its beginning was trimmed, as it should be
                    turns.pop(manifest.turn_id, None)
            elif name == PAGE:
                try:
                    copy = parts.add(record.offset, fields)
                except ValueError:
                    found.broken_records += 1
                    continue
                if copy is not None:
                    turns.setdefault(copy.turn_id, Turn(copy.turn_id)).pages[copy.number] = _seen(copy)
            else:
                found.broken_records += 1
    found.turns = list(turns.values())
    return found


def faults_of(found: Survey, *, engine_version: int, state_version: int, records_per_second: float) -> list[str]:
    """What is wrong with the state of a partition, in sentences; none when a restart goes on exactly and in time."""
    newest = found.newest
    faults = []
    if found.broken_records:
        faults.append(f"{found.broken_records} state records cannot be read or have another checksum")
    faults += [
        f"the turn closed at {turn.manifest.offset} is not what its manifest says"
        for turn in found.turns
        if turn.manifest is not None and not turn.is_complete
    ]
    if newest is None or newest.manifest is None:
        if found.log_begin > 0:
            faults.append(f"no complete turn, and the event log begins at {found.log_begin}: {_REBUILD}")
        return faults
    manifest = newest.manifest
    versions = {(manifest.engine_version, manifest.state_version), *(page.versions for page in newest.pages.values())}
    if manifest.state_version != state_version:
        faults.append(f"state version {manifest.state_version}, this release reads {state_version}: {_REBUILD}")
    if manifest.engine_version != engine_version and not (
        manifest.is_final and manifest.engine_version < engine_version
    ):
        faults.append(
            f"written by engine {manifest.engine_version}, this release has {engine_version}: "
            f"kairos detector hand-over with the other release, or {_REBUILD}"
        )
    if len(versions) > 1:
        faults.append(f"pages of several versions in one turn: {sorted(versions)}")
    if not found.log_begin <= manifest.next_log_offset <= found.log_end:
        faults.append(
            f"continues at log offset {manifest.next_log_offset}, and the event log holds {found.log_begin} to "
            f"{found.log_end}: {_REBUILD}"
        )
    behind = [n for n, page in newest.pages.items() if page.next_offset < manifest.next_log_offset]
    if behind:
        faults.append(f"pages {behind[:5]} contain less of the log than the manifest says")
    if found.committed is not None and found.committed > manifest.next_log_offset:
        faults.append(
            f"the group has committed {found.committed}, beyond the newest turn at {manifest.next_log_offset}"
        )
    seconds = found.replay_records / records_per_second
    if seconds > BUDGET_SECONDS:
        faults.append(
            f"a restart replays {found.replay_records} records, about {seconds:.1f} s of at most {BUDGET_SECONDS:g}: "
            "shorten KAIROS_DETECTOR_TURN_SECONDS, or find out why turns do not close"
        )
    return faults


def _seen(copy: PageCopy) -> PageSeen:
    versions = copy.engine_version, copy.state_version
    return PageSeen(copy.next_offset, copy.rows, len(copy.payload), copy.checksum, versions)


_REBUILD: Final = "kairos detector rebuild"
