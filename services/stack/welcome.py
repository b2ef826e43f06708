"""What `kairos up` says when all is ready: what to do next, for a newcomer, in English and Chinese."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from services.clock import ClockFile
from services.stack.endpoints import Endpoints

CUSTOMER_ZONE = ZoneInfo("Asia/Shanghai")


def welcome_text(endpoints: Endpoints, *, is_demo: bool) -> str:
    """Lines of commands that work as they stand, from the present folder."""
    kairos = program()
    lines = ["", f"Kairos is up. Ctrl-C, or `{kairos} down`, stops everything.  已就绪，按 Ctrl-C 停止。", ""]
    if is_demo:
        lines += _entry("work as a phone manager", "电话经理终端", f"{kairos} manager --as m-NJ-01")
    lines += _entry("see how it runs", "运行状况", f"{kairos} status --watch")
    lines += _entry(
        "send the first event",
        "发送第一个事件",
        f"curl -sS {endpoints.ingest_http}/v1/events/balance -H 'Content-Type: application/json'"
        f" -d '{_first_event(endpoints)}'",
    )
    lines += _entry("check the installation", "检查", f"{kairos} doctor")
    lines += ["  metrics 指标"]
    lines += [f"    {name:<10} {url}" for name, url in endpoints.metrics.items()]
    lines += [f"  Kafka      {endpoints.kafka}"]
    lines += [f"  logs 日志  {_near(Path(endpoints.var_dir) / 'log')}/<process>.log"]
    lines += [f"  all addresses and demo tokens 全部地址  {_near(Path(endpoints.var_dir) / 'endpoints.json')}"]
    return "\n".join(lines)


def program() -> str:
    """How to call this very program from here."""
    beside = Path(sys.executable).parent / "kairos"
    return _near(beside) if beside.exists() else "kairos"


def _first_event(endpoints: Endpoints) -> str:
    now_ms = ClockFile(Path(endpoints.clock.removeprefix("@"))).now_ms()
    occurred_at = datetime.fromtimestamp(now_ms / 1000, CUSTOMER_ZONE).isoformat(timespec="seconds")
    return json.dumps(
        {
            "event_id": "first-1",
            "customer_id": 1000001,
            "source": "billing",
            "occurred_at": occurred_at,
            "balance_fen": 350,
        }
    )


def _entry(english: str, chinese: str, command: str) -> list[str]:
    return [f"  {english} {chinese}", f"    {command}"]


def _near(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
