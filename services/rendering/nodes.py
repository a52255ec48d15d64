"""Tags that print values or loop: python-liquid's, with our metering and escaping."""

from typing import TextIO

from liquid import RenderContext
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import Identifier, LoopExpression, Nil, Path, parse_identifier, parse_name
from liquid.builtin.output import Output
from liquid.builtin.tags.capture_tag import ENDCAPTUREBLOCK, CaptureNode, CaptureTag
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.builtin.tags.ifchanged_tag import IfChangedNode, IfChangedTag
from liquid.builtin.tags.tablerow_tag import TableRow, TablerowNode, TablerowTag
from liquid.exceptions import BreakLoop, ContinueLoop
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.token import TOKEN_STRING, TOKEN_TAG, Token

from services.rendering.escaping import html_text, marked_text, printer
from services.rendering.limits import MAX_OUTPUT
from services.rendering.markup import marked, mask_of
from services.rendering.metering import MIN_BODY_SIZE, MeteredContext, limited_buffer, used_by
from services.rendering.places import Place
from services.rendering.values import printed, text_of, truncated, truthy


def _html(context: RenderContext) -> bool:
    return bool(getattr(context.env, "html", False))


class Captured(LimitedStringIO):
    """The buffer of a `capture` in HTML: `write` takes the author's markup, `add` takes values."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, newline="")
        self._masks: list[bytes] = []

    def write(self, text: str) -> int:
        """Write the author's own text."""
        self._masks.append(b"\x01" * len(text))
        return super().write(text)

    def add(self, text: str) -> int:
        """Write a value, which may contain the author's own markup."""
        self._masks.append(mask_of(text))
        return super().write(text)

    def text(self) -> str:
        """The text, with its mask of the author's markup."""
        return marked(self.getvalue(), b"".join(self._masks))


class Printing(Node):
    """A node that prints values. `place` is its place in the HTML; it stays `TEXT` if nothing is escaped."""

    place: Place

    def write(self, value: object, buffer: TextIO, *, html: bool) -> int:
        """Print a value, escaped as the environment and the place require."""
        if not html:
            return buffer.write(printed(value))
        if isinstance(buffer, Captured):
            text = marked_text(value)
            return buffer.add(text) if text or Place.ALONE not in self.place else buffer.write('""')
        return buffer.write(printer(self.place)(value))


class PrintedOutput(EchoNode, Printing):
    """`{{ value }}` and `{% echo value %}`."""

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        self.place = Place.TEXT

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Print the expression's value."""
        return self.write(self.expression.evaluate(context), buffer, html=_html(context))


class PrintedOutputTag(Output):
    node_class = PrintedOutput


class PrintedEchoTag(EchoTag):
    node_class = PrintedOutput


class PrintedCycle(CycleNode, Printing):
    """`{% cycle %}`, which prints the next of its values each time."""

    def __init__(self, token: Token, group: Expression | None, args: list[Expression]) -> None:
        # The reference ignores nil among the values.
        super().__init__(token, group, [arg for arg in args if not isinstance(arg, Nil)])
        self.place = Place.TEXT

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Print the next value."""
        index = context.cycle(self._key(context), len(self.args))
        if index >= len(self.args):
            return 0
        return self.write(self.args[index].evaluate(context), buffer, html=_html(context))

    def _key(self, context: RenderContext) -> tuple[str, object]:
        """Cycles with the same key share their position: the name, or the same texts and numbers."""
        if self.group:
            return "name", text_of(self.group.evaluate(context))
        if any(isinstance(arg, Path) for arg in self.args):
            return "tag", id(self)
        return "values", str([str(arg) for arg in self.args])


class PrintedCycleTag(CycleTag):
    node_class = PrintedCycle


class Capture(CaptureNode):
    """`{% capture %}`, which in HTML distinguishes the author's markup from values."""

    def __init__(self, token: Token, name: Identifier, block: BlockNode) -> None:
        super().__init__(token, name, block)
        # White space alone is kept here, unlike in blocks of `if` and `for`.
        block.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Render the block into a variable."""
        inner = Captured(MAX_OUTPUT - used_by(buffer))
        self.block.render(context, inner)
        context.assign(self.name, inner.text() if _html(context) else inner.getvalue())
        return 0


class CapturedTag(CaptureTag):
    node_class = Capture

    def parse(self, stream: TokenStream) -> CaptureNode:
        """Parse the tag; the name may be in quotes."""
        token = stream.eat(TOKEN_TAG)
        tokens = stream.into_inner(tag=token)
        name = (parse_name if tokens.current.kind == TOKEN_STRING else parse_identifier)(self.env, tokens)
        tokens.expect_eos()
        block = get_parser(self.env).parse_block(stream, ENDCAPTUREBLOCK)
        stream.expect(TOKEN_TAG, value=self.end)
        return self.node_class(token, name, block)


class IfChanged(IfChangedNode):
    """`{% ifchanged %}`, also within a capture."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Render the block, and write it unless it is the same as last time, within a capture or outside."""
        used = used_by(buffer)
        inner = Captured(MAX_OUTPUT - used) if isinstance(buffer, Captured) else limited_buffer(used)
        self.block.render(context, inner)
        if not isinstance(buffer, Captured) or not isinstance(inner, Captured):
            return buffer.write(inner.getvalue()) if context.ifchanged(inner.getvalue()) else 0
        text = inner.text()
        return buffer.add(text) if context.ifchanged(html_text(text) if _html(context) else text) else 0


class CapturedIfChangedTag(IfChangedTag):
    node_class = IfChanged


def body_size(node: Node, block: BlockNode) -> int:
    """How many characters of source one iteration of a loop renders."""
    return max(block.token.start_index - node.token.start_index, MIN_BODY_SIZE)


def _set_body(context: RenderContext, size: int) -> None:
    if isinstance(context, MeteredContext):
        context.body_size = size


class MeteredFor(ForNode):
    """A loop that counts its work."""

    def __init__(
        self, token: Token, expression: LoopExpression, block: BlockNode, default: BlockNode | None = None
    ) -> None:
        super().__init__(token, expression, block, default)
        self.body_size = body_size(self, block)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Set the work of one iteration, then loop as usual."""
        _set_body(context, self.body_size)
        return super().render_to_output(context, buffer)


class MeteredForTag(ForTag):
    node_class = MeteredFor


class MeteredTablerow(TablerowNode):
    """`{% tablerow %}`: a table of the items of a list."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Write the cells and rows; nothing for a missing list."""
        if not truthy(self.expression.iterable.evaluate(context)):
            return 0
        rows, length = self.expression.evaluate(context)
        columns = truncated(self.expression.cols.evaluate(context), "cols") if self.expression.cols else length
        _set_body(context, body_size(self, self.block))
        table = TableRow(self.expression.identifier, rows, length, columns)
        namespace: dict[str, object] = {"tablerowloop": table}
        buffer.write('<tr class="row1">\n')
        with context.loop(namespace, table):
            for item in table:
                namespace[self.expression.identifier] = item
                buffer.write(f'<td class="col{table.col}">')
                stopped = self._cell(context, buffer)
                buffer.write("</td>")
                if stopped:
                    break
                if table.col_last and not table.last:
                    buffer.write(f'</tr>\n<tr class="row{table.row + 1}">')
        return buffer.write("</tr>\n")

    def _cell(self, context: RenderContext, buffer: TextIO) -> bool:
        """Render one cell; returns whether it breaks the loop."""
        try:
            self.block.render(context, buffer)
        except BreakLoop:
            return True
        except ContinueLoop:
            return False
        return False


class MeteredTablerowTag(TablerowTag):
    node_class = MeteredTablerow
