"""Headings, paragraphs, tables and code as Markdown, and as an HTML page that needs nothing beside it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 3; anchor: what links point to."""

    level: int
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Text, in which `code` may be."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines as they are."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of texts, in which `code` may be; [AN7] links to a rule's heading."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Code | Table
_LINK = re.compile(r"^\[([A-Z0-9]+)\]$")
_CODE = re.compile(r"`([^`]*)`")
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --back: #fff; --panel: #f3f6f9;
  --link: #0b66c3 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #a2adba; --line: #38414d; --back: #12171d;
  --panel: #1a2129; --link: #6db3f8 } }
body { margin: 0 auto; max-width: 1080px; padding: 24px; color: var(--ink); background: var(--back);
  font: 15px/1.6 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif }
h2 { margin-top: 44px; border-bottom: 1px solid var(--line) } h3 { margin-top: 34px } p { color: var(--soft) }
a { color: var(--link) } table { border-collapse: collapse; width: 100%; font-size: 13.5px }
th, td { text-align: left; vertical-align: top; padding: 4px 8px; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere } th { color: var(--soft) } .scroll { overflow-x: auto }
code, pre { font: 12.5px/1.5 ui-monospace, monospace; background: var(--panel); border-radius: 4px; padding: 1px 4px }
pre { padding: 8px 12px; white-space: pre-wrap }
"""


def markdown(blocks: Iterable[Block]) -> str:
    """Return the page as Markdown."""
    return "\n\n".join(_as_markdown(block) for block in blocks) + "\n"


def html(blocks: Sequence[Block]) -> str:
    """Return the page as HTML."""
    title = next((escape(block.text) for block in blocks if isinstance(block, Heading)), "")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = "\n".join(_as_html(block) for block in blocks)
    page = f"<head>{head}<style>{_STYLE}</style></head>\n<body>\n{body}\n</body>"
    return f'<!doctype html>\n<html lang="zh">{page}</html>\n'


def _as_markdown(block: Block) -> str:
    if isinstance(block, Heading):
        anchor = f'<a id="{block.anchor}"></a>\n\n' if block.anchor else ""
        return f"{anchor}{'#' * block.level} {block.text}"
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Code):
        return f"```\n{block.text}\n```"
    lines = [_row(block.heads), _row(["---"] * len(block.heads))]
    return "\n".join([*lines, *(_row([_linked(cell) for cell in row]) for row in block.rows)])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _linked(cell: str) -> str:
    return _LINK.sub(lambda found: f"[{found[1]}](#{found[1].lower()})", cell)


def _as_html(block: Block) -> str:
    if isinstance(block, Heading):
        anchor = f' id="{escape(block.anchor)}"' if block.anchor else ""
        return f"<h{block.level}{anchor}>{_text(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{_text(block.text)}</p>"
    if isinstance(block, Code):
        return f"<pre>{escape(block.text)}</pre>"
    head = "".join(f"<th>{_text(each)}</th>" for each in block.heads)
    rows = "\n".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in block.rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


def _cell(cell: str) -> str:
    found = _LINK.match(cell)
    return f'<a href="#{found[1].lower()}">{found[1]}</a>' if found else _text(cell)


def _text(text: str) -> str:
    return _CODE.sub(lambda found: f"<code>{found[1]}</code>", escape(text, quote=False))
