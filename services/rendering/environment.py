"""python-liquid as marketers get it: strict about tags and filters, no loading of other templates, metered."""

from functools import partial
from io import StringIO
from typing import Final, TextIO

from liquid import BoundTemplate, Environment, RenderContext
from liquid.ast import BlockNode
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import ResourceLimitError
from liquid.output import LimitedStringIO
from liquid.token import Token

from services.rendering.filters import NEUTRAL_IN_TEXT, Filter, bounded_filters, metered
from services.rendering.limits import MAX_ITERATIONS, MAX_OUTPUT, MAX_VALUE, MAX_WORK

REMOVED_TAGS: Final = ("include", "render", "tablerow", "ifchanged", "liquid", "doc")
SMALLEST_BODY: Final = 64


class MeteredContext(RenderContext):
    """A rendering that counts its work, because python-liquid limits nested loops but not loops in a row."""

    spent = 0
    body_size = SMALLEST_BODY

    def spend(self, work: int) -> None:
        """Count work in characters; raises `ResourceLimitError` beyond the share of one rendering."""
        self.spent += work
        if self.spent > MAX_WORK:
            raise ResourceLimitError("the template does too much work", token=None)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Called once a loop: all its rounds are paid for before the first."""
        super().raise_for_loop_limit(length)
        self.spend(length * self.body_size)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """The buffer of a `capture`; what the outer one holds counts against the same limit."""
        return _buffer(buf.size if isinstance(buf, LimitedStringIO) else 0)


class MeteredTemplate(BoundTemplate):
    context_class = MeteredContext

    def _get_buffer(self) -> StringIO:
        return _buffer(0)


def _buffer(used: int) -> StringIO:
    # python-liquid's own limited buffer would turn CR LF into LF, its unlimited one does not.
    return LimitedStringIO(limit=MAX_OUTPUT - used, newline="")


class MeteredFor(ForNode):
    """A loop that knows how many characters of source one round renders."""

    def __init__(
        self, token: Token, expression: LoopExpression, block: BlockNode, default: BlockNode | None = None
    ) -> None:
        super().__init__(token, expression, block, default)
        self.body_size = max(block.token.start_index - token.start_index, SMALLEST_BODY)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Tell the meter what a round costs, then loop as usual."""
        if isinstance(context, MeteredContext):
            context.body_size = self.body_size
        return super().render_to_output(context, buffer)


class MeteredForTag(ForTag):
    node_class = MeteredFor


class TemplateEnvironment(Environment):
    """`plain_filters` are the same filters without the meter, for generated code.

    With `text` the filters that make HTML leave a value as a reader of plain text should see it.
    """

    loop_iteration_limit = MAX_ITERATIONS
    local_namespace_limit = MAX_VALUE
    output_stream_limit = MAX_OUTPUT
    template_class = MeteredTemplate
    plain_filters: dict[str, Filter]

    def __init__(self, *, autoescape: bool = False, text: bool = False) -> None:
        self.text = text
        super().__init__(autoescape=autoescape)

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Take python-liquid's own tags and filters, less what reaches outside the template."""
        super().setup_tags_and_filters(extra=extra)
        for name in REMOVED_TAGS:
            del self.tags[name]
        self.add_tag(MeteredForTag)
        if self.text:
            self.filters.update(NEUTRAL_IN_TEXT)
        checked = bounded_filters(self.filters)
        self.filters = {name: metered(function) for name, function in checked.items()}
        self.plain_filters = {name: self._bind(function) for name, function in checked.items()}

    def _bind(self, function: Filter) -> Filter:
        if getattr(function, "with_environment", False):
            return partial(function, environment=self)
        return function


HTML: Final = TemplateEnvironment(autoescape=True)
"""Escapes what it prints."""
PLAIN: Final = TemplateEnvironment()
"""Prints values as they are, as Shopify does."""
TEXT: Final = TemplateEnvironment(text=True)
"""For text parts and subjects: as `PLAIN`, but `escape`, `escape_once` and `newline_to_br` make no HTML."""
