"""Which column tells who left, and which of its words means it."""

import difflib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.risk.errors import BadLabel
from services.risk.notes import Note

_LEFT = {"1", "yes", "y", "true", "t", "churn", "churned", "left", "lost", "leave", "positive", "exited", "gone",
         "cancelled", "canceled", "attrited customer", "是", "离网", "流失", "已流失", "已离网"}  # fmt: skip
_STAYED = {"0", "-1", "no", "n", "false", "f", "not churned", "no churn", "stayed", "stay", "retained", "active",
           "negative", "existing customer", "否", "在网", "未流失", "未离网", "正常"}  # fmt: skip
_MISSING = {"", "na", "n/a", "nan", "null", "?", "none", "<na>"}
SMALLER_CLASS_LEAST = 10
SMALLER_CLASS_FINE = 100


@dataclass(frozen=True)
class Label:
    """rows: those with a label; churned: what it says of them; left: the value of who left, as the file has it."""

    rows: npt.NDArray[np.intp]
    churned: npt.NDArray[np.bool_]
    left: str
    notes: tuple[Note, ...]


def read_label(cells: dict[str, list[str]], name: str, *, positive: str | None = None) -> Label:
    """Return who left; raises BadLabel with what would be right."""
    if name not in cells:
        raise BadLabel(_no_such_column(name, list(cells)))
    words = [_word(text) for text in cells[name]]
    counts = Counter(word for word in words if word not in _MISSING)
    if positive is not None:
        left = _word(positive)
        if left not in counts:
            raise BadLabel(f"no row has {name} = {positive!r}; its values are {_shown(counts)}")
    else:
        left = _guessed(name, counts)
    rows = np.array([i for i, word in enumerate(words) if word not in _MISSING], np.intp)
    churned = np.array([words[i] == left for i in rows], np.bool_)
    spellings = Counter(cells[name][i].strip() for i in rows[churned])
    return Label(rows, churned, spellings.most_common(1)[0][0], _checked(name, churned, len(words) - rows.size))


def _word(text: Any) -> str:
    """A label's word without case, dots at the end ("True.") and ".0" of numbers."""
    word = str(text).strip().lower().rstrip(".")
    try:
        number = float(word)
    except ValueError:
        return word
    return str(int(number)) if number == number and number == int(number) else word


def _guessed(name: str, counts: Counter[str]) -> str:
    if len(counts) == 0:
        raise BadLabel(f"{name} has no value in any row")
    if len(counts) == 1:
        raise BadLabel(f"{name} is {_shown(counts)} in every row: nobody to tell apart from the rest")
    if len(counts) > 2:
        raise BadLabel(
            f"{name} has {len(counts)} values ({_shown(counts)}); a label has two. "
            "With --positive VALUE one value stands for those who left and all others for those who stayed"
        )
    left = [word for word in counts if word in _LEFT]
    stayed = [word for word in counts if word in _STAYED]
    is_plain = len(stayed) == 1 or not all(word.lstrip("-").replace(".", "").isdigit() for word in counts)
    if len(left) == 1 and is_plain:
        return left[0]
    if len(stayed) == 1 and len(left) == 0:
        return next(word for word in counts if word != stayed[0])
    raise BadLabel(f"which value of {name} means that a customer left: {_shown(counts)}? Say so with --positive VALUE")


def _checked(name: str, churned: npt.NDArray[np.bool_], unlabelled: int) -> tuple[Note, ...]:
    smaller = int(min(churned.sum(), (~churned).sum()))
    if smaller < SMALLER_CLASS_LEAST:
        raise BadLabel(
            f"only {smaller} of {churned.size} rows are in the smaller class of {name}; "
            f"at least {SMALLER_CLASS_LEAST} are wanted, {SMALLER_CLASS_FINE} are better"
        )
    notes = []
    if unlabelled:
        notes.append(Note(f"{unlabelled} rows without a label were left out", f"{unlabelled} 行没有标签，已略去"))
    if smaller < SMALLER_CLASS_FINE:
        english = f"only {smaller} rows are in the smaller class: the figures are uncertain"
        notes.append(Note(english, f"少数类只有 {smaller} 行，各项数字不够稳定"))
    return tuple(notes)


def _shown(counts: Counter[str]) -> str:
    shown = [f"{word!r} × {count}" for word, count in counts.most_common(6)]
    return ", ".join(shown) + (", …" if len(counts) > 6 else "")


def _no_such_column(name: str, columns: list[str]) -> str:
    lower = {column.lower(): column for column in columns}
    near = [lower[each] for each in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"The columns are {', '.join(columns[:40])}."
    return f"there is no column {name!r}. {hint}"
