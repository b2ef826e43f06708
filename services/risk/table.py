"""A labelled table as columns of numbers and of texts: which columns may speak, which may not, and why.

Owns every guess about a foreign file: separators, missing values, numbers written as text, ids, dates. Rows and columns
are put into an order of their own, so that a shuffled file gives the same card.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import numpy.typing as npt

from services.risk.errors import BadOptions, BadTable
from services.risk.labels import Label, read_label
from services.risk.notes import Note

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "nil", "?", "-", "--", "\\n", "#n/a", "<na>", "nat", "缺失"})
# Words that stand for a missing number, but may be a category of their own.
MISSING_NUMBER_WORDS = MISSING_WORDS | {"none", "unknown", "missing", "inf", "-inf", "+inf", "infinity", "-infinity"}
ROWS_LEAST = 50
# A column of numbers may have this share of other texts, which then count as missing.
STRAY_RATIO = 0.02
# Numbers with so few values are kinds: their churn rates need not rise with the number.
FEW_VALUES = 4
DATE_RATIO = 0.9
# A text column with more distinct values per row than this names rows rather than kinds.
NEAR_UNIQUE_RATIO = 0.5
NEAR_UNIQUE_LEAST = 20
_ID_NAME = re.compile(
    r"(^|[_\s])(id|ids|uuid|guid|msisdn|imsi|imei|phone|index|rownum|rownumber)($|[_\s])|id$|^unnamed|号码$|编号$|序号$",
    re.IGNORECASE,
)
_DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%b-%y", "%d-%b-%Y", "%b %d, %Y")
_SAMPLE = 400


@dataclass(frozen=True)
class Numbers:
    """A column of numbers; NaN = missing."""

    name: str
    values: Floats

    def take(self, rows: npt.NDArray[np.intp]) -> "Numbers":
        """The same column of some rows."""
        return replace(self, values=self.values[rows])

    @property
    def missing_count(self) -> int:
        """How many rows have no value."""
        return int(np.isnan(self.values).sum())


@dataclass(frozen=True)
class Texts:
    """A column of kinds: `codes` are places in `levels`; -1 = missing."""

    name: str
    codes: Codes
    levels: tuple[str, ...]

    def take(self, rows: npt.NDArray[np.intp]) -> "Texts":
        """The same column of some rows."""
        return replace(self, codes=self.codes[rows])

    @property
    def missing_count(self) -> int:
        """How many rows have no value."""
        return int((self.codes < 0).sum())


Column = Numbers | Texts


@dataclass(frozen=True)
class LeftOut:
    """A column that takes no part, and why."""

    name: str
    why: Note


@dataclass(frozen=True)
class Table:
    """What a fit works on. label: True = left (churned), which the file tells by left_value in the label's column."""

    columns: tuple[Column, ...]
    label: npt.NDArray[np.bool_]
    label_name: str
    left_value: str
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def rows(self) -> int:
        """How many customers."""
        return int(self.label.size)

    @property
    def base_rate(self) -> float:
        """Share of customers who left."""
        return float(self.label.mean())

    def take(self, rows: npt.NDArray[np.intp]) -> "Table":
        """The same table of some rows."""
        return replace(self, columns=tuple(column.take(rows) for column in self.columns), label=self.label[rows])

    def without(self, names: Iterable[str], why: Note) -> "Table":
        """The table less some columns."""
        gone = set(names)
        left_out = tuple(LeftOut(column.name, why) for column in self.columns if column.name in gone)
        return replace(
            self,
            columns=tuple(column for column in self.columns if column.name not in gone),
            left_out=(*self.left_out, *left_out),
        )


def make_table(
    cells: dict[str, list[str]],
    label_name: str,
    *,
    positive: str | None = None,
    exclude: Sequence[str] = (),
    keep: Sequence[str] = (),
    decimal_comma: bool = False,
) -> Table:
    """Return the table of a file's cells (column → texts, "" = missing); raises RiskFitError.

    exclude: columns that shall not speak. keep: columns that are taken although they look like an id.
    """
    label: Label = read_label(cells, label_name, positive=positive)
    for name in (*exclude, *keep):
        if name not in cells:
            raise BadOptions(f"there is no column {name!r}; the columns are {', '.join(list(cells)[:40])}")
    if label.rows.size < ROWS_LEAST:
        raise BadTable(f"only {label.rows.size} rows have a label; at least {ROWS_LEAST} are wanted")
    names = sorted(name for name in cells if name != label_name)
    order = _order_of_rows([[cells[name][i] for i in label.rows] for name in names], label.churned)
    rows, churned = label.rows[order], label.churned[order]
    columns: list[Column] = []
    left_out: list[LeftOut] = []
    notes = list(label.notes)
    for name in names:
        if name in exclude:
            left_out.append(LeftOut(name, Note("excluded by option", "按选项排除")))
            continue
        texts = [cells[name][i] for i in rows]
        found, note = read_column(name, texts, keep=name in keep, decimal_comma=decimal_comma)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            columns.append(found)
        notes += [note] if note else []
    return Table(tuple(columns), churned, label_name, label.left, tuple(left_out), tuple(notes))


def read_column(
    name: str, texts: list[str], *, keep: bool = False, decimal_comma: bool = False
) -> tuple[Column | LeftOut, Note | None]:
    """Return a column by what is in it, or why it takes no part; and a note where something was guessed."""
    texts = [text.strip() for text in texts]
    known = [text for text in texts if text.lower() not in MISSING_WORDS]
    distinct = set(known)
    if len(distinct) == 0:
        return LeftOut(name, Note("empty", "全部为空")), None
    if len(distinct) == 1 and len(known) == len(texts):
        return LeftOut(name, Note("the same value everywhere", "取值恒定")), None
    numbers, strays = _as_numbers(texts, decimal_comma=decimal_comma)
    if numbers is not None:
        if not keep and _is_running_number(name, numbers):
            return LeftOut(name, Note("an id: another number for every row", "标识列：每行一个编号")), None
        note = None
        if strays:
            shown = ", ".join(repr(stray) for stray in strays[:3])
            note = Note(f"{name}: texts such as {shown} count as missing numbers", f"{name}：{shown} 等文本按缺失处理")
        return _numbers(name, numbers), note
    if not keep and _are_dates(distinct):
        why = Note("dates; make a number of them (such as days since) to use them", "日期列；请先换算成天数等数值")
        return LeftOut(name, why), None
    if not keep and not decimal_comma and _has_decimal_commas(texts):
        why = Note(
            "numbers with a decimal comma are not read; write a decimal point, or separate the columns by semicolons",
            "不支持小数逗号；请改用小数点，或以分号分隔各列",
        )
        shown = next(text for text in known if "," in text)
        return LeftOut(name, why), Note(
            f"{name} was left out ({shown!r}): {why.english}", f"已略去 {name}（{shown!r}）：{why.chinese}"
        )
    if not keep and len(distinct) > max(NEAR_UNIQUE_LEAST, NEAR_UNIQUE_RATIO * len(known)):
        return LeftOut(name, Note("an id: nearly another text for every row", "标识列：几乎每行不同")), None
    if not keep and _ID_NAME.search(name) and len(distinct) > max(NEAR_UNIQUE_LEAST, 0.2 * len(known)):
        return LeftOut(name, Note("an id by its name and its many values", "标识列：名称与取值数所示")), None
    return _texts(name, texts), None


def parse_number(text: str, *, decimal_comma: bool = False) -> float | None:
    """A number as people write it (1,234.5, 12 %, $3), or None. The engine reads attributes of text in the same way."""
    cleaned = text.strip().lstrip("$¥€£").rstrip("%元").strip().replace("\u00a0", "").replace("−", "-")
    if decimal_comma and cleaned.count(",") == 1:
        cleaned = cleaned.replace(".", "").replace(",", ".")
    elif "," in cleaned:
        if not re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", cleaned):
            return None
        cleaned = cleaned.replace(",", "")
    if "_" in cleaned:
        return None
    try:
        value = float(cleaned)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _as_numbers(texts: list[str], *, decimal_comma: bool) -> tuple[Floats | None, list[str]]:
    """The texts as numbers with NaN for missing, and the stray texts among them; None when they are no numbers."""
    cache: dict[str, float] = {}
    strays: dict[str, int] = {}
    values = np.empty(len(texts), np.float64)
    known = 0
    for i, text in enumerate(texts):
        if text not in cache:
            number = parse_number(text, decimal_comma=decimal_comma)
            cache[text] = float("nan") if number is None else number
        value = values[i] = cache[text]
        if value == value:
            known += 1
        elif text.lower() not in MISSING_NUMBER_WORDS:
            strays[text] = strays.get(text, 0) + 1
            if len(strays) > 5 + 0.05 * len(texts):
                return None, []
    if known == 0 or sum(strays.values()) > STRAY_RATIO * (known + sum(strays.values())):
        return None, []
    return values, sorted(strays)


def _has_decimal_commas(texts: list[str]) -> bool:
    """True for texts that are no numbers as they stand, and all but strays are with a decimal comma."""
    return _as_numbers(texts, decimal_comma=True)[0] is not None


def _numbers(name: str, values: Floats) -> Column | LeftOut:
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if known.size == values.size and distinct.size == 1:
        return LeftOut(name, Note("the same value everywhere", "取值恒定"))
    if distinct.size <= FEW_VALUES:
        return _texts(name, ["" if np.isnan(value) else f"{value:.12g}" for value in values])
    return Numbers(name, values + 0.0)


def _texts(name: str, texts: list[str]) -> Texts:
    levels = tuple(sorted({text for text in texts if text.lower() not in MISSING_WORDS}))
    place = {level: i for i, level in enumerate(levels)}
    return Texts(name, np.array([place.get(text, -1) for text in texts], np.int32), levels)


def _is_running_number(name: str, values: Floats) -> bool:
    """True for whole numbers that hardly repeat and are named like an id, or count rows."""
    known = values[~np.isnan(values)]
    if known.size < ROWS_LEAST or not np.array_equal(known, np.floor(known)):
        return False
    distinct = np.unique(known).size
    if _ID_NAME.search(name) and distinct > 0.2 * known.size:
        return True
    return distinct == known.size and float(known.max() - known.min()) < 1.5 * known.size


def _are_dates(distinct: set[str]) -> bool:
    sample = sorted(distinct)[:: max(1, len(distinct) // _SAMPLE)]
    return sum(_is_date(text) for text in sample) >= DATE_RATIO * len(sample)


def _is_date(text: str) -> bool:
    if len(text) < 6 or not any(c.isdigit() for c in text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return True
    head = text.split(" ")[0] if ":" in text else text
    return any(_fits(head, form) for form in _DATE_FORMATS)


def _fits(text: str, form: str) -> bool:
    try:
        found = datetime.strptime(text, form)  # noqa: DTZ007  # only whether it is one is asked
    except ValueError:
        return False
    return found.date() >= date(1900, 1, 1)


def _order_of_rows(columns: list[list[str]], churned: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The order of rows by their contents: a shuffled file is the same table."""
    keys: list[npt.NDArray[np.int32]] = [churned.astype(np.int32)]
    for texts in columns:
        place = {text: i for i, text in enumerate(sorted(set(texts)))}
        keys.append(np.fromiter((place[text] for text in texts), np.int32, len(texts)))
    return np.lexsort(keys[::-1])
