"""What the manager sees: the card, the live line, the lists to choose from. Values in, renderables out."""

from collections.abc import Sequence

from kairos.workbench.v1 import manager_pb2, task_pb2
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.manager.readings import bin_name, reading_name
from services.manager.texts import Language, amount, fact_name, fact_value, local_time, text

_PRIORITY_STYLE = {1: "bold white on red", 2: "bold red", 3: "yellow", 4: "cyan", 5: "dim"}
_TERMS_MAX = 4
_HISTORY_MAX = 5


def card_view(
    task: task_pb2.Task, card: manager_pb2.GetCustomerCardResponse | None, footer: Text, language: Language
) -> Panel:
    """The whole card: why now with numbers, what to say, what happened before, and what can be done."""
    parts: list[RenderableType] = [_headline(task, language), Text("")]
    parts.append(Text(text("why_now", language), style="bold"))
    parts += [Padding(Text(f"• {line}"), (0, 0, 0, 1)) for line in task.why_now]
    evidence = _evidence_table(task, language)
    if evidence.row_count:
        parts.append(Padding(evidence, (0, 0, 0, 1)))
    if task.what_to_say:
        parts += [Text(""), Text(text("what_to_say", language), style="bold")]
        parts.append(Padding(Text(task.what_to_say, style="green"), (0, 0, 0, 1)))
    if card is not None:
        parts += [Text(""), *_about_customer(card, language)]
    title = Text(f" {task.title} ", style=_PRIORITY_STYLE.get(task.priority, ""))
    return Panel(
        Group(*parts), title=title, title_align="left", subtitle=footer, subtitle_align="left", box=box.ROUNDED
    )


def live_line(state: str, seconds: int, tally: str, language: Language, *, spin: str) -> Text:
    """The one line while nothing is on the screen."""
    line = Text(f"{spin} ", style="cyan")
    line.append(text(state, language), style="bold" if state == "waiting" else "bold yellow")
    if seconds >= 1:
        line.append(f"  {text('waited', language)} {seconds // 60}:{seconds % 60:02d}", style="dim")
    line.append(f"   {tally}", style="dim")
    line.append(f"   {text('keys_waiting', language)}", style="dim")
    return line


def footer(left: str, keys: str, *, is_urgent: bool) -> Text:
    """The countdown and the keys under a card."""
    line = Text(f" {left} ", style="bold red" if is_urgent else "bold")
    line.append(f"  {keys} ", style="cyan")
    return line


def choices(title: str, names: Sequence[str], language: Language) -> Text:
    """A numbered list to choose from with one key."""
    lines = Text(title + "\n", style="bold")
    for number, name in enumerate(names, start=1):
        lines.append(f"  {number}  {text(name, language)}\n", style="")
    return lines


def _headline(task: task_pb2.Task, language: Language) -> Text:
    customer = task.customer
    line = Text(f"P{task.priority}", style=_PRIORITY_STYLE.get(task.priority, ""))
    for part in (customer.phone_masked, customer.city, customer.segment, customer.tier, customer.brand):
        if part:
            line.append(f"  {part}")
    if task.moments and task.moments[0].risk_score:
        line.append(f"  {text('risk', language)} {task.moments[0].risk_score:.0f}", style="magenta")
    if task.attempts:
        line.append(f"  {text('attempt', language, number=task.attempts + 1)}", style="yellow")
    line.append(f"  {text('useful_until', language)} {local_time(task.expires_at_ms)}", style="dim")
    return line


def _evidence_table(task: task_pb2.Task, language: Language) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for key in ("evidence", "observed", "baseline", "threshold", "layer"):
        table.add_column(text(key, language), justify="left" if key in ("evidence", "layer") else "right")
    for moment in task.moments:
        for each in moment.evidence:
            table.add_row(
                f"{moment.rule_id} {reading_name(each.name, language)}",
                _observed(each, language),
                amount(each.baseline, each.unit, language) if each.HasField("baseline") else "",
                amount(each.threshold, each.unit, language) if each.HasField("threshold") else "",
                text(each.layer or "NONE", language),
            )
        for term in sorted(moment.risk_terms, key=lambda found: -found.points)[:_TERMS_MAX]:
            name = f"{text('risk', language)} {reading_name(term.name, language)}"
            table.add_row(name, bin_name(term.bin, language), "", f"{term.points:+.1f}", "", style="dim")
    return table


def _observed(evidence: task_pb2.Evidence, language: Language) -> str:
    if evidence.HasField("observed"):
        return amount(evidence.observed, evidence.unit, language)
    return evidence.observed_text


def _about_customer(card: manager_pb2.GetCustomerCardResponse, language: Language) -> list[RenderableType]:
    parts: list[RenderableType] = []
    shown = [
        f"{label} {fact_value(name, value, language)}"
        for name, value in sorted(card.facts.items())
        if (label := fact_name(name, language)) is not None
    ]
    if shown:
        parts.append(Text(text("facts", language), style="bold"))
        parts.append(Padding(Text(" · ".join(shown), style="dim"), (0, 0, 0, 1)))
    parts.append(Text(text("history", language), style="bold"))
    for past in card.past_contacts[:_HISTORY_MAX]:
        line = f"{local_time(past.at_ms)}  {past.rule_id}  {text(past.disposition, language)}  {past.manager_id}"
        parts.append(Padding(Text(line, style="dim"), (0, 0, 0, 1)))
    if not card.past_contacts:
        parts.append(Padding(Text(text("no_history", language), style="dim"), (0, 0, 0, 1)))
    return parts
