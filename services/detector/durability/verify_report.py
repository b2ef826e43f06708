"""What `kairos detector verify` found, as a value for programs and as lines for people."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from services.detector.durability.verify import Report


def as_value(reports: Sequence[Report]) -> dict[str, Any]:
    """One JSON object: the verdict, sums, and each partition."""
    customers = sum(report.customers for report in reports)
    size = sum(report.state_bytes for report in reports)
    return {
        "is_sound": not any(report.faults for report in reports),
        "customers": customers,
        "state_bytes": size,
        "state_bytes_per_customer": round(size / customers, 1) if customers else 0.0,
        "replay_records": sum(report.replay_records for report in reports),
        "partitions": [asdict(report) for report in reports],
    }


def as_table(reports: Sequence[Report]) -> str:
    """Lines for people: one per partition, then what is wrong, then the verdict."""
    lines = [_HEAD]
    for each in reports:
        versions = "-" if each.engine_version is None else f"{each.engine_version}/{each.state_version}"
        place = "-" if each.next_log_offset is None else str(each.next_log_offset)
        made_again = "-" if each.replayed_pages is None else f"{each.replayed_pages} pages"
        lines.append(
            f"{each.partition:>9}  {each.customers:>10}  {each.complete_turns:>5}  {versions:>8}  {place:>12}  "
            f"{each.log_end:>12}  {each.replay_records:>9}  {each.state_bytes_per_customer:>10}  {made_again:>10}"
        )
    faults = [
        f"partition {each.partition} / 分区 {each.partition}: {fault}" for each in reports for fault in each.faults
    ]
    lines += ["", *faults] if faults else []
    lines.append(
        f"{len(faults)} faults: a restart would not go on as it should / 发现 {len(faults)} 个问题"
        if faults
        else "sound: a restart goes on exactly from here / 正常：重启可准确继续"
    )
    return "\n".join(lines)


_HEAD = (
    f"{'partition':>9}  {'customers':>10}  {'turns':>5}  {'versions':>8}  {'state at':>12}  {'log end':>12}  "
    f"{'to replay':>9}  {'B/customer':>10}  {'made again':>10}"
)
