"""python-liquid as marketers get it: strict about tags and filters, no loading of other templates, metered."""

from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Final, cast

from liquid import BoundTemplate, Environment, Undefined
from liquid.ast import Node
from liquid.exceptions import LiquidError
from liquid.stream import TokenStream
from liquid.token import Token

from services.rendering.contexts import place_values
from services.rendering.expressions import adopt
from services.rendering.filters.registry import HTML_FILTERS, PLAIN_FILTERS, TEXT_FILTERS, Filter, bounded, metered
from services.rendering.lexing import LEXER
from services.rendering.limits import MAX_ITERATIONS, MAX_OUTPUT, MAX_VALUE
from services.rendering.metering import MeteredContext, limited_buffer
from services.rendering.nodes import (
    CapturedIfChangedTag,
    CapturedTag,
    MeteredForTag,
    MeteredTablerowTag,
    PrintedCycleTag,
    PrintedEchoTag,
    PrintedOutputTag,
)

REMOVED_TAGS: Final = ("include", "render")
OUR_TAGS: Final = (
    CapturedIfChangedTag,
    CapturedTag,
    MeteredForTag,
    MeteredTablerowTag,
    PrintedCycleTag,
    PrintedEchoTag,
    PrintedOutputTag,
)


class MeteredTemplate(BoundTemplate):
    context_class = MeteredContext

    def _get_buffer(self) -> StringIO:
        return limited_buffer(0)

    def make_partial_namespace(self, partial: bool, render_args: Mapping[str, object]) -> Mapping[str, object]:  # noqa: ARG002  # python-liquid's signature
        """The variables alone: `partial`, which python-liquid adds, is no variable of Liquid."""
        return render_args


def _placing(parse: Callable[[TokenStream], Node]) -> Callable[[TokenStream], Node]:
    """Give errors without a place that of their tag: the end of an expression has none in python-liquid."""

    def get_node(stream: TokenStream) -> Node:
        token = stream.current
        try:
            return parse(stream)
        except LiquidError as error:
            if error.token is not None and error.token.start_index < 0:
                error.token = token
            raise

    return get_node


def _nil(*_args: object, **_hints: object) -> None:
    """A missing variable."""


class TemplateEnvironment(Environment):
    """Three exist: `HTML`, `PLAIN` and `TEXT`. With `html` values are escaped as they are printed.

    `plain_filters` are the filters without the meter, for generated code.
    """

    loop_iteration_limit = MAX_ITERATIONS
    local_namespace_limit = MAX_VALUE
    output_stream_limit = MAX_OUTPUT
    template_class = MeteredTemplate

    def __init__(self, filters: Mapping[str, Filter], *, html: bool = False) -> None:
        self.html = html
        self.plain_filters = {name: bounded(name, function) for name, function in filters.items()}
        # Nil is what the reference has for a missing variable, so that nothing else needs to know of it.
        super().__init__(undefined=cast("type[Undefined]", _nil))

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Take python-liquid's own tags, less what reaches outside the template, and our filters."""
        super().setup_tags_and_filters(extra=extra)
        for name in REMOVED_TAGS:
            del self.tags[name]
        for tag in OUR_TAGS:
            self.add_tag(tag)
        for each in self.tags.values():
            each.get_node = _placing(each.get_node)  # type: ignore[assignment,method-assign]  # no hook
        self.filters = {name: metered(function) for name, function in self.plain_filters.items()}

    def tokenizer(self) -> Callable[[str], Iterator[Token]]:
        """python-liquid's lexer, mended."""
        return LEXER

    def _parse(self, source: str) -> list[Node]:
        nodes = super()._parse(source)
        context = MeteredContext(MeteredTemplate(self, nodes=nodes))
        adopt(nodes, context)
        if self.html:
            place_values(nodes, context)
        return nodes


HTML: Final = TemplateEnvironment(HTML_FILTERS, html=True)
"""Escapes what it prints, once, for the place in the HTML that it is printed at."""
PLAIN: Final = TemplateEnvironment(PLAIN_FILTERS)
"""Prints values as they are, as the reference does."""
TEXT: Final = TemplateEnvironment(TEXT_FILTERS)
"""For text parts and subjects: as `PLAIN`, but `escape`, `escape_once` and `newline_to_br` make no HTML."""
