"""python-liquid's expressions, evaluated like the reference implementation.

python-liquid has no hook for the classes of its parser, so `replace_expressions` changes the classes of a template's
expressions to ours. They have the same fields and differ in `evaluate` only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from liquid import RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import LoopExpression, StringLiteral
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import Blank, Empty, FloatLiteral, RangeLiteral
from liquid.builtin.tags.case_tag import _AnyExpression
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.expression import Expression
from liquid.token import Token

from services.rendering import values
from services.rendering.errors import ValueProblem
from services.rendering.limits import MAX_ITERATIONS

Comparison = Callable[[object, object], bool]


class Equal(EqExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        """Whether both sides are equal, or the other side is `blank` or `empty`."""
        return _same(self.left, self.right, context)


class NotEqual(NeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        """The negation of `Equal`."""
        return not _same(self.left, self.right, context)


class Less(LtExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        """Whether left < right."""
        return _ordered(self.token, values.less, self.left, self.right, context)


class LessOrEqual(LeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        """Whether left <= right."""
        return _ordered(self.token, values.less_or_equal, self.left, self.right, context)


class Greater(GtExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        """Whether left > right."""
        return _ordered(self.token, values.less, self.right, self.left, context)


class GreaterOrEqual(GeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        """Whether left >= right."""
        return _ordered(self.token, values.less_or_equal, self.right, self.left, context)


class LiquidContains(ContainsExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        """Whether left contains right."""
        return values.contains(_comparable(self.left, context), self.right.evaluate(context))


class AnyOf(_AnyExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> list[bool]:
        """For each value of a `when`, whether it equals that of the `case`."""
        left = self.left.evaluate(context)
        return [_matches(left, expression, context) for expression in self.expressions]


class BlankLiteral(Blank):
    __slots__ = ()

    def evaluate(self, _: RenderContext) -> str:  # type: ignore[override]  # python-liquid gives the literal itself
        """The empty text, which `blank` is outside of comparisons."""
        return ""


class EmptyLiteral(Empty):
    __slots__ = ()

    def evaluate(self, _: RenderContext) -> str:  # type: ignore[override]  # python-liquid gives the literal itself
        """The empty text, which `empty` is outside of comparisons."""
        return ""


class LiquidRange(RangeLiteral):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        """The whole numbers from start to stop; raises `ValueProblem` if there are too many."""
        start, stop = self._bound(self.start, context), self._bound(self.stop, context)
        if stop - start >= MAX_ITERATIONS:
            raise ValueProblem(f"a range has more than {MAX_ITERATIONS} numbers")
        return range(start, max(start, stop + 1))

    @staticmethod
    def _bound(expression: Expression, context: RenderContext) -> int:
        value = expression.evaluate(context)
        if value is None or isinstance(value, str) or isinstance(expression, FloatLiteral):
            return values.truncated(value, "a range")
        return values.whole_number(value, "a range")


class Loop(LoopExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> tuple[Iterator[object], int]:
        """The items to iterate over, and their number."""
        name = f"{self.identifier}-{self.iterable}"
        if isinstance(self.offset, StringLiteral) and self.offset.value == "continue":
            first = context.stopindex(name)
        else:
            first = self._argument(self.offset, context, "offset") or 0
        limit = self._argument(self.limit, context, "limit")
        value = self.iterable.evaluate(context)
        items = values.items(value)
        if not isinstance(value, str):
            items = self._part(items, first, limit)
        self._store_stop(context, name, first + len(items))
        return iter(reversed(items) if self.reversed else items), len(items)

    def _store_stop(self, context: RenderContext, name: str, stop: int) -> None:
        context.stopindex(name, stop)

    @staticmethod
    def _part(items: Sequence[object], first: int, limit: int | None) -> Sequence[object]:
        stop = len(items) if limit is None else max(first + limit, 0)
        return items[max(first, 0) : stop]

    def _argument(self, expression: Expression | None, context: RenderContext, name: str) -> int | None:
        value = expression.evaluate(context) if expression else None
        return None if value is None else values.whole_number(value, name)


class TableLoop(Loop):
    __slots__ = ()

    def _store_stop(self, context: RenderContext, name: str, stop: int) -> None:
        """A table does not change where `offset: continue` continues."""

    def _argument(self, expression: Expression | None, context: RenderContext, name: str) -> int | None:
        return values.truncated(expression.evaluate(context), name) if expression else None


_REPLACEMENTS: Final[dict[type[Expression], type[Expression]]] = {
    EqExpression: Equal,
    NeExpression: NotEqual,
    LtExpression: Less,
    LeExpression: LessOrEqual,
    GtExpression: Greater,
    GeExpression: GreaterOrEqual,
    ContainsExpression: LiquidContains,
    _AnyExpression: AnyOf,
    Blank: BlankLiteral,
    Empty: EmptyLiteral,
    RangeLiteral: LiquidRange,
    LoopExpression: Loop,
}


def _ordered(
    token: Token,
    compare: Callable[[object, object], bool],
    left: Expression,
    right: Expression,
    context: RenderContext,
) -> bool:
    try:
        return compare(_comparable(left, context), _comparable(right, context))
    except ValueProblem as error:
        error.token = token
        raise


def _comparable(expression: Expression, context: RenderContext) -> object:
    """The value of an operand; `blank` and `empty` can be neither ordered nor searched."""
    return None if isinstance(expression, (Blank, Empty)) else expression.evaluate(context)


def _same(left: Expression, right: Expression, context: RenderContext) -> bool:
    """Whether two expressions are equal, also if one of them is `blank` or `empty`."""
    if isinstance(left, (Blank, Empty)):
        left, right = right, left
    if isinstance(left, (Blank, Empty)):
        return False
    return _matches(left.evaluate(context), right, context)


def _matches(value: object, expression: Expression, context: RenderContext) -> bool:
    """Whether a value equals an expression, which may be `blank` or `empty`."""
    if isinstance(expression, Blank):
        return values.blank(value)
    if isinstance(expression, Empty):
        return values.empty(value)
    return values.equal(value, expression.evaluate(context))


def replace_expressions(nodes: Iterable[Node], context: RenderContext) -> None:
    """Change the classes of a template's expressions to ours."""
    for node, expression in walk(nodes, context):
        replacement = _REPLACEMENTS.get(type(expression))
        if replacement is Loop and isinstance(node, TablerowNode):
            replacement = TableLoop
        if replacement:
            expression.__class__ = replacement


def walk(nodes: Iterable[Node], context: RenderContext) -> Iterator[tuple[Node, Expression]]:
    """All expressions of a template, each with its node."""
    for node in nodes:
        for expression in node.expressions():
            yield from ((node, inner) for inner in _nested(expression))
        yield from walk(node.children(context), context)


def _nested(expression: Expression) -> Iterator[Expression]:
    yield expression
    for child in expression.children():
        yield from _nested(child)
