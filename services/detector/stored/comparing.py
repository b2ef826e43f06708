"""What a draft finds against what is live: the same, only here, only there, or the same moment otherwise. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ONLY_LIVE, ONLY_DRAFT, CHANGED = "only_live", "only_draft", "changed"
_IGNORED: Final = frozenset({"rule_version"})
Moment = Mapping[str, Any]
Key = tuple[str, int]
"""Moment id and revision."""


@dataclass(frozen=True)
class Difference:
    """One moment that differs, with the newest revision of each side; `fields` are those in which they differ."""

    customer_id: int
    rule_id: str
    moment_id: str
    what: str
    fields: tuple[str, ...]
    live: Moment | None
    draft: Moment | None


@dataclass
class Comparison:
    """Takes moments of both sides as they come. What both found alike is counted and forgotten."""

    same: Counter[str] = field(default_factory=Counter)
    _live: dict[Key, list[Moment]] = field(default_factory=dict)
    _draft: dict[Key, list[Moment]] = field(default_factory=dict)

    def take_live(self, moment: Moment) -> None:
        """A revision that the live rules found."""
        self._take(moment, self._live, self._draft)

    def take_draft(self, moment: Moment) -> None:
        """A revision that the draft found."""
        self._take(moment, self._draft, self._live)

    def _take(self, moment: Moment, mine: dict[Key, list[Moment]], theirs: dict[Key, list[Moment]]) -> None:
        """Look for the like of it; the same revision may come more than once, when what opened it was forgotten."""
        key = (moment["moment_id"], moment["revision"])
        others = theirs.get(key, [])
        alike = next((at for at, other in enumerate(others) if not differing(moment, other)), None)
        if alike is None:
            mine.setdefault(key, []).append(moment)
            return
        self.same[moment["rule_id"]] += 1
        del others[alike]
        if not others:
            del theirs[key]

    def differences(self) -> Iterator[Difference]:
        """Yield what differs, customer by customer."""
        live, draft = _newest(self._live), _newest(self._draft)
        for _, _, moment_id in sorted(
            {(each["customer_id"], each["rule_id"], each["moment_id"]) for each in (*live.values(), *draft.values())}
        ):
            mine, theirs = live.get(moment_id), draft.get(moment_id)
            either = mine or theirs
            assert either is not None
            fields = tuple(differing(mine, theirs)) if mine and theirs else ()
            what = CHANGED if mine and theirs else ONLY_LIVE if mine else ONLY_DRAFT
            yield Difference(either["customer_id"], either["rule_id"], moment_id, what, fields, mine, theirs)


def differing(one: Moment, other: Moment) -> list[str]:
    """Return the fields in which two moments differ; the version of the rules is none."""
    return [name for name in one if name not in _IGNORED and one[name] != other.get(name)]


def _newest(moments: Mapping[Key, list[Moment]]) -> dict[str, Moment]:
    found: dict[str, Moment] = {}
    for (moment_id, revision), revisions in moments.items():
        if moment_id not in found or found[moment_id]["revision"] < revision:
            found[moment_id] = revisions[-1]
    return found
