"""SQL expressions of rules → checked, typed text for the compiler.

Only what is listed here is allowed: AND, OR, NOT, comparisons, BETWEEN, IN, + - * /, CASE, GREATEST, LEAST, ABS,
numbers, words of enums, TRUE, FALSE, and known names. Units must fit: fen are not compared with seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import sqlglot
from sqlglot import expressions as sql
from sqlglot.errors import SqlglotError

from services.detector.engine.errors import RuleError

PURE = frozenset({"", "count", "ratio", "percent", "hours", "minutes", "weeks", "days"})
"""Units that may multiply another one."""
_LENGTH_MAX = 2_000
_NODES_MAX = 300
MakeError = Callable[[str, int], RuleError]
"""Makes the error to raise, from the message and how far into the expression it is."""


@dataclass(frozen=True)
class Typed:
    """An expression in the compiler's language. type: number, boolean, text or enum:<words>; names: what it refers
    to."""

    code: str
    type: str
    unit: str = ""
    words: tuple[str, ...] = ()
    is_literal: bool = False
    names: frozenset[str] = frozenset()
    parts: "tuple[Typed, ...]" = ()
    joined_by: str = ""

    @property
    def conjuncts(self) -> "tuple[Typed, ...]":
        """The conditions that all must hold, where it is a conjunction; else itself."""
        return self.parts if self.parts and self.joined_by == "and" else (self,)


def compile_expression(
    text: str, names: Mapping[str, Typed], *, error: MakeError, words: tuple[str, ...] = ()
) -> Typed:
    """Return the typed form of an expression; raises what `error` makes.

    names: the columns that may be used. words: the enum that a bare word in the result stands for, such as channels.
    """
    if len(text) > _LENGTH_MAX:
        raise error(f"the expression is longer than {_LENGTH_MAX} characters", 0)
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except SqlglotError as fault:
        details = (getattr(fault, "errors", None) or [{}])[0]
        description = str(details.get("description") or fault).split("\n")[0]
        raise error(f"not a SQL expression: {description}", _offset(text, details)) from None
    except RecursionError:
        raise error("the expression is nested too deeply", 0) from None
    tree = trees[0] if len(trees) == 1 else None
    if tree is None:
        raise error("want one SQL expression", 0)
    if sum(1 for _ in tree.walk()) > _NODES_MAX:
        raise error("the expression has too many parts", 0)
    return _Compiler(names, error, words).visit(tree)


def _offset(text: str, details: Mapping[str, Any]) -> int:
    """Return how far into a text the parser stumbled."""
    before, at = str(details.get("start_context") or ""), str(details.get("highlight") or "")
    return max(text.find(before + at), 0) + len(before)


class _Compiler:
    def __init__(self, names: Mapping[str, Typed], error: MakeError, words: tuple[str, ...]) -> None:
        self._names = names
        self._error = error
        self._words = words

    def visit(self, node: sql.Expr) -> Typed:
        """Compile a node by its class; unknown classes are refused."""
        for class_, method in _METHODS:
            if isinstance(node, class_):
                result: Typed = method(self, node)
                return result
        raise self.fault(node, f"{node.sql()} is not allowed in a rule; allowed are {_ALLOWED}")

    def fault(self, node: sql.Expr, message: str) -> RuleError:
        """Return the error about a node, at the first place that is known in it."""
        for each in node.walk():
            column = each.meta.get("start")
            if column is not None:
                return self._error(message, int(column))
        return self._error(message, 0)

    def column(self, node: sql.Column) -> Typed:
        name = node.name
        if node.table or name not in self._names:
            near = sorted(self._names, key=lambda known: (_distance(known, name), known))[:3]
            words = f"; or a word in quotes: {', '.join(map(repr, self._words))}" if self._words else ""
            raise self.fault(node, f"unknown name {node.sql()}; nearest known: {', '.join(near)}{words}")
        return replace(self._names[name], names=frozenset({name}))

    def literal(self, node: sql.Literal) -> Typed:
        if not node.is_string:
            value = float(node.this)
            if not isfinite(value):
                raise self.fault(node, f"{node.this} is too great a number")
            return Typed(f"np.float64({value!r})", "number", is_literal=True)
        if node.this in self._words:
            return Typed(str(self._words.index(node.this)), "enum", words=self._words)
        return Typed(node.this, "word", is_literal=True)

    def boolean(self, node: sql.Boolean) -> Typed:
        return Typed("True" if node.this else "False", "boolean")

    def paren(self, node: sql.Paren) -> Typed:
        inner = self.visit(node.this)
        return replace(inner, code=f"({inner.code})")

    def negative(self, node: sql.Neg) -> Typed:
        inner = self.number(node.this)
        return replace(inner, code=f"(-{inner.code})")

    def logic(self, node: sql.Connector) -> Typed:
        left, right = self.truth(node.this), self.truth(node.expression)
        word = "and" if isinstance(node, sql.And) else "or"
        code = f"({left.code} {word} {right.code})"
        parts = [part for side in (left, right) for part in (side.parts if side.joined_by == word else (side,))]
        return Typed(code, "boolean", names=left.names | right.names, parts=tuple(parts), joined_by=word)

    def negation(self, node: sql.Not) -> Typed:
        inner = self.truth(node.this)
        return Typed(f"(not {inner.code})", "boolean", names=inner.names)

    def comparison(self, node: sql.Binary) -> Typed:
        left, right = self.same(node, self.visit(node.this), self.visit(node.expression))
        word = _COMPARISONS[type(node)]
        if left.type != "number" and word not in ("==", "!="):
            raise self.fault(node, f"{node.sql()}: only numbers have an order; use = or <>")
        return Typed(f"({left.code} {word} {right.code})", "boolean", names=left.names | right.names)

    def between(self, node: sql.Between) -> Typed:
        value, low = self.same(node, self.number(node.this), self.number(node.args["low"]))
        _, high = self.same(node, value, self.number(node.args["high"]))
        names = value.names | low.names | high.names
        return Typed(f"({low.code} <= {value.code} <= {high.code})", "boolean", names=names)

    def one_of(self, node: sql.In) -> Typed:
        if not node.expressions:
            raise self.fault(node, "IN wants a list of values in parentheses")
        value = self.visit(node.this)
        parts, names = [], value.names
        for each in node.expressions:
            left, right = self.same(node, value, self.visit(each))
            parts.append(f"{left.code} == {right.code}")
            names |= right.names
        return Typed(f"({' or '.join(parts)})", "boolean", names=names)

    def sum(self, node: sql.Binary) -> Typed:
        left, right = self.same(node, self.number(node.this), self.number(node.expression))
        sign = "+" if isinstance(node, sql.Add) else "-"
        unit = left.unit or right.unit
        return Typed(f"({left.code} {sign} {right.code})", "number", unit, names=left.names | right.names)

    def product(self, node: sql.Mul) -> Typed:
        left, right = self.number(node.this), self.number(node.expression)
        if left.unit not in PURE and right.unit not in PURE:
            raise self.fault(node, f"{node.sql()} multiplies {left.unit} by {right.unit}")
        unit = right.unit if left.unit in PURE else left.unit
        return Typed(f"({left.code} * {right.code})", "number", unit, names=left.names | right.names)

    def quotient(self, node: sql.Div) -> Typed:
        left, right = self.number(node.this), self.number(node.expression)
        if right.unit not in PURE and left.unit != right.unit:
            raise self.fault(node, f"{node.sql()} divides {left.unit or 'a pure number'} by {right.unit}")
        unit = "" if left.unit == right.unit else left.unit
        return Typed(f"_ratio({left.code}, {right.code})", "number", unit, names=left.names | right.names)

    def case(self, node: sql.Case) -> Typed:
        if node.this is not None or node.args.get("default") is None:
            raise self.fault(node, "want CASE WHEN condition THEN value … ELSE value END")
        result = self.visit(node.args["default"])
        code, names = result.code, result.names
        for branch in reversed(node.args["ifs"]):
            condition = self.truth(branch.this)
            value, result = self.same(node, self.visit(branch.args["true"]), result)
            code = f"({value.code} if {condition.code} else {code})"
            names |= condition.names | value.names
            result = replace(result, unit=result.unit or value.unit)
        return replace(result, code=code, names=names, is_literal=False, parts=(), joined_by="")

    def extreme(self, node: sql.Func) -> Typed:
        parts = [self.number(node.this), *(self.number(each) for each in node.expressions)]
        names = frozenset[str]().union(*(part.names for part in parts))
        unit = next((part.unit for part in parts if part.unit), "")
        for part in parts[1:]:
            self.same(node, parts[0], part)
        word = "max" if isinstance(node, sql.Greatest) else "min"
        return Typed(f"{word}({', '.join(part.code for part in parts)})", "number", unit, names=names)

    def absolute(self, node: sql.Abs) -> Typed:
        inner = self.number(node.this)
        return replace(inner, code=f"abs({inner.code})")

    def number(self, node: sql.Expr) -> Typed:
        found = self.visit(node)
        if found.type != "number":
            raise self.fault(node, f"{node.sql()} is a {found.type}; a number is wanted here")
        return found

    def truth(self, node: sql.Expr) -> Typed:
        found = self.visit(node)
        if found.type != "boolean":
            raise self.fault(node, f"{node.sql()} is a {found.type}; a condition is wanted here")
        return found

    def same(self, node: sql.Expr, left: Typed, right: Typed) -> tuple[Typed, Typed]:
        """Return both sides with words of enums replaced; refuse what cannot be compared."""
        if left.type == "enum" and right.type == "word":
            return left, self._word(node, left, right)
        if right.type == "enum" and left.type == "word":
            return self._word(node, right, left), right
        if left.type != right.type or left.words != right.words or left.type == "word":
            raise self.fault(node, f"{node.sql()} puts a {left.type} beside a {right.type}")
        is_free = left.is_literal or right.is_literal or left.unit == right.unit
        if not is_free and (left.unit not in PURE or right.unit not in PURE):
            units = f"{left.unit or 'a pure number'} beside {right.unit or 'a pure number'}"
            raise self.fault(node, f"{node.sql()} puts {units}")
        return left, right

    def _word(self, node: sql.Expr, enum: Typed, word: Typed) -> Typed:
        if word.code not in enum.words:
            raise self.fault(node, f"'{word.code}' is no such word; known: {', '.join(enum.words)}")
        return Typed(str(enum.words.index(word.code)), "enum", words=enum.words)


_COMPARISONS = {sql.EQ: "==", sql.NEQ: "!=", sql.LT: "<", sql.LTE: "<=", sql.GT: ">", sql.GTE: ">="}
_METHODS: tuple[tuple[type[sql.Expr] | tuple[type[sql.Expr], ...], Callable[..., Typed]], ...] = (
    (sql.Column, _Compiler.column),
    (sql.Literal, _Compiler.literal),
    (sql.Boolean, _Compiler.boolean),
    (sql.Paren, _Compiler.paren),
    (sql.Neg, _Compiler.negative),
    ((sql.And, sql.Or), _Compiler.logic),
    (sql.Not, _Compiler.negation),
    (tuple(_COMPARISONS), _Compiler.comparison),
    (sql.Between, _Compiler.between),
    (sql.In, _Compiler.one_of),
    ((sql.Add, sql.Sub), _Compiler.sum),
    (sql.Mul, _Compiler.product),
    (sql.Div, _Compiler.quotient),
    (sql.Case, _Compiler.case),
    ((sql.Greatest, sql.Least), _Compiler.extreme),
    (sql.Abs, _Compiler.absolute),
)
_ALLOWED = (
    "AND, OR, NOT, = <> < <= > >=, BETWEEN, IN, + - * /, CASE WHEN … THEN … ELSE … END, GREATEST, LEAST, ABS, numbers, "
    "words in quotes, TRUE, FALSE, and the names of features, parameters and facts"
)


def _distance(known: str, name: str) -> int:
    """How unlike two names are: letters that only one of them has, and the difference of length."""
    return len(set(known) ^ set(name)) + abs(len(known) - len(name))
