"""Generates one Python function for a template that uses the common part of Liquid, once per campaign.

No text of a template's author or a contact becomes source code: literal text, names of variables and filters are
constants (`k0`, `k1`...) in the function's namespace. Anything that the generator does not support raises
`Unsupported`, and the template is rendered by python-liquid.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import BooleanExpression, FilteredExpression, Literal, Nil, Path, PositionalArgument
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from services.rendering import runtime, values
from services.rendering.environment import TemplateEnvironment
from services.rendering.escaping import COMMON_URL_PREFIXES, html_text, printer
from services.rendering.filters.registry import work_on
from services.rendering.limits import FILTER_WORK, MAX_ITERATIONS, MAX_WORK
from services.rendering.nodes import MeteredFor, PrintedOutput
from services.rendering.places import Place

Renderer = Callable[[Mapping[str, object]], str]

SPECIAL_KEYS: Final = frozenset({"size", "first", "last"})
_FORLOOP: Final = {
    "index": "(j{0} + 1)",
    "index0": "j{0}",
    "rindex": "(n{0} - j{0})",
    "rindex0": "(n{0} - j{0} - 1)",
    "first": "(j{0} == 0)",
    "last": "(j{0} == n{0} - 1)",
    "length": "n{0}",
}
_COMPARISONS: Final[dict[type[Expression], str]] = {
    EqExpression: "equal({0}, {1})",
    NeExpression: "(not equal({0}, {1}))",
    LtExpression: "less({0}, {1})",
    GtExpression: "less({1}, {0})",
    LeExpression: "less_or_equal({0}, {1})",
    GeExpression: "less_or_equal({1}, {0})",
    ContainsExpression: "contains({0}, {1})",
}
_FAST_PATHS: Final = {
    Place.ATTRIBUTE: "type(value) is str",
    Place.ATTRIBUTE | Place.LINK: "type(value) is str and value.startswith(url_prefixes)",
}
ORDERED: Final = (LtExpression, GtExpression, LeExpression, GeExpression)
_LITERALS: Final[tuple[tuple[type[Expression], str], ...]] = ((Blank, "blank({0})"), (Empty, "empty({0})"))

_CHECK: Final = f"if used > {MAX_WORK:d}: raise work_limit_error()"


class Unsupported(Exception):
    """The template uses something that python-liquid has to render."""


@dataclass(slots=True)
class _Writer:
    environment: TemplateEnvironment
    lines: list[str] = field(default_factory=list)
    constants: dict[str, object] = field(default_factory=dict)
    loops: list[tuple[str, int]] = field(default_factory=list)
    depth: int = 1
    numbers: int = 0

    def line(self, code: str) -> None:
        self.lines.append("    " * self.depth + code)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def constant(self, value: object) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name


def generate(nodes: Iterable[Node], environment: TemplateEnvironment) -> Renderer:
    """A function from variables to text; raises `Unsupported` if python-liquid has to render instead."""
    writer = _Writer(environment)
    writer.line("out = []")
    writer.line("append = out.append")
    writer.line("used = 0")
    for node in nodes:
        _node(writer, node, muted=False)
    writer.line("return ''.join(out)")
    source = "def render(variables):\n" + "\n".join(writer.lines)
    namespace = {**_names(environment), **writer.constants}
    try:
        exec(compile(source, "<template>", "exec"), namespace)  # noqa: S102  # only code of ours, see above
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise Unsupported("too deeply nested") from error
    return cast("Renderer", namespace["render"])


def _names(environment: TemplateEnvironment) -> dict[str, object]:
    return {
        "lookup": runtime.lookup,
        "root_of": runtime.root_of,
        "follow": runtime.follow,
        "text": html_text if environment.html else runtime.plain_text,
        "url_prefixes": COMMON_URL_PREFIXES,
        "truthy": runtime.truthy,
        "items": runtime.items,
        "loop_limit_error": runtime.loop_limit_error,
        "work_limit_error": runtime.work_limit_error,
        "work_on": work_on,
        "equal": values.equal,
        "less": values.less,
        "less_or_equal": values.less_or_equal,
        "contains": values.contains,
        "blank": values.blank,
        "empty": values.empty,
    }


def _node(writer: _Writer, node: Node, *, muted: bool) -> None:
    kind = type(node)
    if isinstance(node, ContentNode):
        if not muted:
            writer.line(f"append({writer.constant(node.text)})")
    elif isinstance(node, PrintedOutput):
        _output(writer, node)
    elif isinstance(node, (IfNode, UnlessNode)):
        _condition(writer, node, muted=muted)
    elif isinstance(node, MeteredFor):
        _loop(writer, node, muted=muted)
    elif kind in (BreakNode, ContinueNode) and writer.loops:
        writer.line("break" if kind is BreakNode else "continue")
    elif kind not in (CommentNode, InlineCommentNode):
        raise Unsupported(kind.__name__)


def _output(writer: _Writer, node: PrintedOutput) -> None:
    value = _filtered(writer, node.expression)
    if test := _FAST_PATHS.get(node.place):
        # Fast path: the common case needs plain escaping only, which saves a call.
        writer.line(f"value = {value}")
        writer.line(f"piece = text(value) if {test} else {writer.constant(printer(node.place))}(value)")
    else:
        writer.line(f"piece = {writer.constant(printer(node.place)) if node.place else 'text'}({value})")
    writer.line("used += len(piece)")
    writer.line(_CHECK)
    writer.line("append(piece)")


def _block(writer: _Writer, block: BlockNode, *, muted: bool) -> None:
    # Blocks of white space only print nothing: python-liquid's `suppress_blank_control_flow_blocks`.
    writer.depth += 1
    before = len(writer.lines)
    for node in block.nodes:
        _node(writer, node, muted=muted or block.blank)
    if len(writer.lines) == before:
        writer.line("pass")
    writer.depth -= 1


def _condition(writer: _Writer, node: IfNode | UnlessNode, *, muted: bool) -> None:
    negation = "not " if isinstance(node, UnlessNode) else ""
    writer.line(f"if {negation}{_boolean(writer, node.condition)}:")
    _block(writer, node.consequence, muted=muted)
    for alternative in node.alternatives:
        writer.line(f"elif {_boolean(writer, alternative.expression)}:")
        _block(writer, alternative.block, muted=muted)
    if node.default:
        writer.line("else:")
        _block(writer, node.default, muted=muted)


def _loop(writer: _Writer, node: MeteredFor, *, muted: bool) -> None:
    expression = node.expression
    if expression.limit or expression.offset or expression.reversed or expression.cols:
        raise Unsupported("for with arguments")
    if expression.identifier == "forloop" or not isinstance(expression.iterable, Path):
        raise Unsupported("for over something else than a variable")
    number = writer.number()
    writer.line(f"s{number} = items({_path(writer, expression.iterable)})")
    writer.line(f"n{number} = len(s{number})")
    if writer.loops:
        lengths = " * ".join(f"n{each}" for _, each in [*writer.loops, ("", number)])
        writer.line(f"if {lengths} > {MAX_ITERATIONS:d}: raise loop_limit_error()")
    writer.line(f"used += n{number} * {node.body_size:d}")
    writer.line(_CHECK)
    writer.line(f"for j{number}, i{number} in enumerate(s{number}):")
    writer.loops.append((str(expression.identifier), number))
    _block(writer, node.block, muted=muted)
    writer.loops.pop()
    if node.default:
        writer.line(f"if not n{number}:")
        _block(writer, node.default, muted=muted)


def _filtered(writer: _Writer, expression: Expression) -> str:
    if type(expression) is not FilteredExpression:
        raise Unsupported(type(expression).__name__)
    value = _primitive(writer, expression.left)
    for step in expression.filters or ():
        value = _filter(writer, value, step)
    return value


def _filter(writer: _Writer, value: str, step: Filter) -> str:
    arguments = []
    for argument in step.args:
        if not isinstance(argument, PositionalArgument):
            raise Unsupported("named argument")
        arguments.append(_primitive(writer, argument.value))
    function = writer.constant(writer.environment.plain_filters[step.name])
    name = f"t{writer.number()}"
    call = f"{function}({', '.join([name, *arguments])})"
    writer.line(f"{name} = {value}")
    if writer.loops:
        writer.line(f"used += {FILTER_WORK:d} + (len({name}) if type({name}) is str else work_on({name}))")
        writer.line(_CHECK)
    if step.name == "default" and len(arguments) == 1:
        call = f"({name} if type({name}) is str and {name} else {call})"
    result = f"t{writer.number()}"
    writer.line(f"{result} = {call}")
    return result


def _boolean(writer: _Writer, expression: Expression) -> str:
    if type(expression) is not BooleanExpression:
        raise Unsupported(type(expression).__name__)
    return _truth(writer, expression.expression)


def _truth(writer: _Writer, expression: Expression) -> str:
    if isinstance(expression, (LogicalAndExpression, LogicalOrExpression)):
        left, right = _truth(writer, expression.left), _truth(writer, expression.right)
        return f"({left} {'and' if isinstance(expression, LogicalAndExpression) else 'or'} {right})"
    if _comparison(expression):
        return _operand(writer, expression)
    return f"truthy({_primitive(writer, expression)})"


def _comparison(expression: Expression) -> str | None:
    return next((code for kind, code in _COMPARISONS.items() if isinstance(expression, kind)), None)


def _operand(writer: _Writer, expression: Expression) -> str:
    code = _comparison(expression)
    if code is None:
        return _primitive(writer, expression)
    left, right = expression.children()
    if isinstance(expression, (EqExpression, NeExpression)) and (question := _question(writer, left, right)):
        return f"(not {question})" if isinstance(expression, NeExpression) else question
    if isinstance(expression, ORDERED) and any(isinstance(side, (Blank, Empty)) for side in (left, right)):
        return "False"
    if isinstance(expression, ContainsExpression) and isinstance(left, (Blank, Empty)):
        return "False"
    return code.format(_operand(writer, left), _operand(writer, right))


def _question(writer: _Writer, left: Expression, right: Expression) -> str | None:
    """The test of the other side for `== blank` or `== empty`."""
    for literal, other in ((left, right), (right, left)):
        for kind, code in _LITERALS:
            if isinstance(literal, kind):
                return "False" if isinstance(other, (Blank, Empty)) else code.format(_operand(writer, other))
    return None


def _primitive(writer: _Writer, expression: Expression) -> str:
    if isinstance(expression, Path):
        return _path(writer, expression)
    if isinstance(expression, Literal):
        return writer.constant(expression.value)
    if isinstance(expression, Nil):
        return "None"
    if isinstance(expression, (Empty, Blank)):
        return "''"
    raise Unsupported(type(expression).__name__)


def _path(writer: _Writer, path: Path) -> str:
    root, *rest = path.path
    if not isinstance(root, str) or any(isinstance(segment, Path) for segment in rest):
        raise Unsupported("computed path")
    for name, number in reversed(writer.loops):
        if root == "forloop":
            return _loop_property(rest, number)
        if root == name:
            return _follow(writer, f"i{number}", rest)
    if len(rest) == 1 and isinstance(rest[0], str) and rest[0] not in SPECIAL_KEYS:
        return f"lookup(variables, {writer.constant(root)}, {writer.constant(rest[0])})"
    return _follow(writer, f"root_of(variables, {writer.constant(root)})", rest)


def _loop_property(rest: list[object] | list[str | int | Path], number: int) -> str:
    if len(rest) != 1 or rest[0] not in _FORLOOP:
        raise Unsupported("forloop")
    return _FORLOOP[str(rest[0])].format(number)


def _follow(writer: _Writer, value: str, segments: list[str | int | Path]) -> str:
    return f"follow({value}, {writer.constant(tuple(segments))})" if segments else value
