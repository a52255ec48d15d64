"""The python-liquid environment: strict about tags and filters, no loading of other templates, metered."""

from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Final, cast

from liquid import BoundTemplate, Environment, Undefined
from liquid.ast import Node
from liquid.exceptions import LiquidError
from liquid.stream import TokenStream
from liquid.token import Token

from services.rendering.contexts import place_values
from services.rendering.expressions import replace_expressions
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
_CUSTOM_TAGS: Final = (
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
        """The variables, without `partial`, which python-liquid adds and Liquid does not have."""
        return render_args


def _with_position(parse: Callable[[TokenStream], Node]) -> Callable[[TokenStream], Node]:
    """Give errors without a position that of their tag: python-liquid has none for the end of an expression."""

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
    """The environments are `HTML`, `PLAIN` and `TEXT`. With `html`, values are escaped when they are printed.

    `plain_filters` are the filters without metering, for generated code.
    """

    loop_iteration_limit = MAX_ITERATIONS
    local_namespace_limit = MAX_VALUE
    output_stream_limit = MAX_OUTPUT
    template_class = MeteredTemplate

    def __init__(self, filters: Mapping[str, Filter], *, html: bool = False) -> None:
        self.html = html
        self.plain_filters = {name: bounded(name, function) for name, function in filters.items()}
        # A missing variable is nil, as in the reference implementation; no other code has to deal with `Undefined`.
        super().__init__(undefined=cast("type[Undefined]", _nil))

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Use python-liquid's tags, except those that load other templates, and our filters."""
        super().setup_tags_and_filters(extra=extra)
        for name in REMOVED_TAGS:
            del self.tags[name]
        for tag in _CUSTOM_TAGS:
            self.add_tag(tag)
        for each in self.tags.values():
            each.get_node = _with_position(each.get_node)  # type: ignore[assignment,method-assign]  # no hook
        self.filters = {name: metered(function) for name, function in self.plain_filters.items()}

    def tokenizer(self) -> Callable[[str], Iterator[Token]]:
        """python-liquid's lexer, patched."""
        return LEXER

    def _parse(self, source: str) -> list[Node]:
        nodes = super()._parse(source)
        context = MeteredContext(MeteredTemplate(self, nodes=nodes))
        replace_expressions(nodes, context)
        if self.html:
            place_values(nodes, context)
        return nodes


HTML: Final = TemplateEnvironment(HTML_FILTERS, html=True)
"""Escapes printed values for their place in the HTML."""
PLAIN: Final = TemplateEnvironment(PLAIN_FILTERS)
"""Prints values without escaping, like the reference implementation."""
TEXT: Final = TemplateEnvironment(TEXT_FILTERS)
"""For text parts and subjects: like `PLAIN`, but `escape`, `escape_once` and `newline_to_br` produce no HTML."""
