"""The names that the expressions of a rule refer to: which are needed, what they cost, and expressions that compute
features only where they are used."""

import re

from services.detector.engine.language.expressions import Typed
from services.detector.engine.language.parameters import SEGMENTS
from services.detector.engine.language.rule_forms import Rule

_CHEAP = frozenset({"float64", "int64", "get64", "local_day", "max", "min", "abs", "_ratio"})
"""What an expression may call and still counts as cheap."""
_ARITHMETIC = re.compile(r" [-+*] |_ratio")
_CALL = re.compile(r"([A-Za-z_0-9]+)\(")
_LOCAL = re.compile(r"\b([fp])_([a-z][a-z0-9_]*)\b")
LAYER = f"layer = np.int64((st[s, CODES] & 255) * {SEGMENTS} + ((st[s, CODES] >> 8) & 255))"


def may_be_none(typed: Typed) -> bool:
    """True for features whose arithmetic may overflow."""
    return typed.type == "number" and _ARITHMETIC.search(typed.code) is not None


class Names:
    """Of one rule."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def needed(self, *expressions: Typed | None) -> set[str]:
        """Return the names that expressions refer to, and those that these refer to."""
        wanted: set[str] = set()
        queue = [name for each in expressions if each is not None for name in each.names]
        while queue:
            name = queue.pop()
            if name not in wanted:
                wanted.add(name)
                if name in self._rule.features:
                    queue.extend(self._rule.features[name].names)
        return wanted

    def cost(self, expression: Typed) -> int:
        """Return about how much an expression costs: what it calls, and its features."""
        codes = [
            expression.code,
            *(self._rule.features[n].code for n in self.needed(expression) if n in self._rule.features),
        ]
        return sum(1 + 20 * sum(called not in _CHEAP for called in _CALL.findall(code)) for code in codes)

    def lazily(self, expression: Typed) -> str:
        """Return the code of an expression that computes features where they are used, so only when it comes to that;
        of parts that all or one of which must hold, the cheapest first. A feature that is no number is counted."""
        if expression.parts:
            parts = (self.lazily(each) for each in sorted(expression.parts, key=self.cost))
            return f"({f' {expression.joined_by} '.join(parts)})"
        return _LOCAL.sub(self._in_place, expression.code)

    def _in_place(self, match: re.Match[str]) -> str:
        name = match[2]
        if match[1] == "p" and name in self._rule.parameters:
            return f"parameters[layer, {list(self._rule.parameters).index(name)}]"
        if match[1] == "p" or name not in self._rule.features:
            return match[0]
        typed = self._rule.features[name]
        code = f"({self.lazily(typed)})"
        return f"_sure(counts, {code})" if may_be_none(typed) else code
