"""`kairos manager`: work as a phone manager, or let one work alone."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Work as a phone manager in a terminal: wait, see the card, accept, complete. 电话经理终端。",
    add_completion=False,
)


@app.command()
def manager(
    as_: Annotated[
        str, typer.Option("--as", help="Your id, such as m-NJ-01; with --auto several, separated by commas.")
    ] = "",
    token: Annotated[
        str | None, typer.Option(help="A token; better --token-file or the local stack's own key.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with a token.")] = None,
    target: Annotated[str | None, typer.Option(help="host:port; default as var/endpoints.json says.")] = None,
    language: Annotated[str | None, typer.Option(help="zh or en; default by locale.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="With --auto: one NDJSON line per step (always so).")] = False,
    auto: Annotated[bool, typer.Option(help="Work alone, for demonstrations and tests.")] = False,
    decline_ratio: Annotated[float, typer.Option(min=0, max=1, help="With --auto: share of offers declined.")] = 0.0,
    handle_seconds: Annotated[float, typer.Option(min=0, help="With --auto: time for each task.")] = 0.0,
    disposition: Annotated[str, typer.Option(help="With --auto: always this one; default seeded.")] = "",
    once: Annotated[bool, typer.Option(help="With --auto: leave after one task.")] = False,
    idle_seconds: Annotated[float, typer.Option(min=0, help="With --auto: leave after so long without work.")] = 0.0,
    seed: Annotated[int, typer.Option(help="With --auto: of its decisions.")] = 0,
) -> None:
    """Work as a phone manager. Without options it connects to the stack that `kairos up` started."""
    from services.manager.connection import ConnectionRefused, find_connection

    chosen = _language(language)
    if json_ and not auto:
        raise typer.BadParameter("--json needs --auto", param_hint="--json")
    ids = [name.strip() for name in as_.split(",") if name.strip()] or [""]
    if len(ids) > 1 and not auto:
        raise typer.BadParameter("one id, unless --auto", param_hint="--as")
    var_dir = Path(os.environ.get("KAIROS_VAR_DIR") or "var")
    try:
        connections = [
            find_connection(name, target=target, token=token, token_file=token_file, var_dir=var_dir) for name in ids
        ]
    except ConnectionRefused as exc:
        print(f"kairos manager: {exc}", file=sys.stderr)
        raise typer.Exit(2) from None

    from services.manager.api import ManagerApi

    apis = [
        (name, ManagerApi(each.target, each.token, language=chosen, seed=f"{seed}:{name}"))
        for name, each in zip(ids, connections, strict=True)
    ]
    if not auto:
        raise typer.Exit(_sit_down(apis[0][1], ids[0], chosen))

    from services.manager.auto import AutoManager, AutoPlan, Lines, work_together
    from services.manager.texts import DISPOSITIONS

    if disposition and disposition not in DISPOSITIONS:
        raise typer.BadParameter(f"one of {', '.join(DISPOSITIONS)}", param_hint="--disposition")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    plan = AutoPlan(
        decline_ratio=decline_ratio,
        handle_seconds=handle_seconds,
        once=once,
        seed=seed,
        idle_seconds=idle_seconds,
        disposition=disposition,
    )
    lines = Lines()
    raise typer.Exit(work_together([AutoManager(api, name, plan, lines, stopping) for name, api in apis]))


def _sit_down(api: object, manager_id: str, language: str) -> int:
    """The session of a person at a terminal."""
    from rich.console import Console

    from services.manager.api import ManagerApi
    from services.manager.keys import Keys
    from services.manager.session import Session

    assert isinstance(api, ManagerApi)
    console = Console(highlight=False)
    with Keys() as keys:
        return Session(api, console, keys, manager_id=manager_id, language="en" if language == "en" else "zh").run()


def _language(asked: str | None) -> str:
    from services.manager.texts import language_of_locale

    if asked not in (None, "zh", "en"):
        raise typer.BadParameter("zh or en", param_hint="--language")
    return asked or language_of_locale(dict(os.environ))
