"""The table of subcommands: where each lives, and one line about it in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A subcommand: `attribute` of `module` is a typer.Typer. group orders the help."""

    name: str
    module: str
    attribute: str
    group: str
    english: str
    chinese: str


LOCAL, SERVICES, WORK, JOBS = "local stack", "services", "people", "jobs"
GROUPS = {
    LOCAL: "本机整套环境",
    SERVICES: "服务进程",
    WORK: "人员",
    JOBS: "作业",
}

_STACK = "services.stack.commands"
_STORED = "services.detector.stored"
_RULES = "services.detector.authoring.rules_commands"
COMMANDS = {
    command.name: command
    for command in (
        Command("up", _STACK, "up_app", LOCAL, "start Kafka, PostgreSQL and every service here", "启动本机整套环境"),
        Command("down", _STACK, "down_app", LOCAL, "stop what `kairos up` started", "停止本机整套环境"),
        Command("status", _STACK, "status_app", LOCAL, "lag, backlog, offers and delay at a glance", "一览运行状况"),
        Command("topics", _STACK, "topics_app", LOCAL, "list, create and check the topics", "查看、创建、检查主题"),
        Command("doctor", _STACK, "doctor_app", LOCAL, "check an installation; say what to do", "检查安装并给出建议"),
        Command("ingest", "services.ingest.commands", "app", SERVICES, "accept events: HTTP, gRPC, files", "事件接入"),
        Command(
            "detector", "services.detector.commands", "app", SERVICES, "find the moments in the log", "发现关键时刻"
        ),
        Command("router", "services.router.commands", "app", SERVICES, "decide who is worth a contact", "排序与派送"),
        Command(
            "workbench", "services.workbench_api.commands", "app", SERVICES, "offer tasks to managers", "坐席任务服务"
        ),
        Command("manager", "services.manager.commands", "app", WORK, "work as a phone manager", "电话经理终端"),
        Command("archive", f"{_STORED}.archive_commands", "app", SERVICES, "keep the log as Parquet", "事件归档"),
        Command("rules", _RULES, "app", JOBS, "check and publish rules", "检查与发布规则"),
        Command("risk", "services.risk.commands", "app", JOBS, "fit the risk scorecard", "离网风险评分卡"),
        Command(
            "simulate", "services.simulator.commands", "app", JOBS, "a simulated city with a truth file", "模拟城市"
        ),
        Command("smoke", "services.smoke.commands", "app", JOBS, "prove the whole path, from nothing", "全链路验证"),
        Command("bench", "services.smoke.bench_commands", "app", JOBS, "measure the figures", "性能测量"),
    )
}
