"""One Liquid template, compiled once and rendered for each recipient."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from liquid import BoundTemplate, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.primitive import FloatLiteral, IntegerLiteral, RangeLiteral
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.exceptions import LiquidError
from liquid.static_analysis import TemplateAnalysis

from services.rendering.codegen import ORDERED, SPECIAL_KEYS, Unsupported, generate
from services.rendering.environment import HTML, PLAIN, TEXT, TemplateEnvironment
from services.rendering.errors import RenderFailed, TemplateInvalid
from services.rendering.expressions import walk
from services.rendering.limits import (
    MAX_ITERATIONS,
    MAX_OUTPUT,
    MAX_SUBJECT,
)
from services.rendering.problems import always_fails, check_arguments, explain, invalid, sentence, unknown_filter
from services.rendering.sources import check_size, check_tags

Renderer = Callable[[Mapping[str, object]], str]

_NOT_ONE_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_SAMPLE_VALUES: Final = ("Zoë <&\"'> O'Neil", 7, ["one", "two"], None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTemplate:
    """A valid template.

    `variables` are the paths that it reads, e.g. `contact.firstName`; `numbers` those that it compares with a number
    by <, >, <= or >=, and that must not be text. `compiled` is whether generated code renders it; otherwise
    python-liquid does, with the same output.
    """

    source: str
    variables: frozenset[str]
    numbers: frozenset[str]
    field: tuple[str, ...]
    compiled: bool
    one_line: bool
    _render: Renderer = dataclasses.field(repr=False)

    def render(self, variables: Mapping[str, object]) -> str:
        """The text for one recipient; raises `RenderFailed` if the template fails with these values."""
        try:
            text = self._render(variables)
        except Exception as error:  # any error with one contact's values must affect that contact only
            raise RenderFailed(_reason(error), field=self.field) from error
        if _is_too_long(text):
            raise RenderFailed("The message is longer than 2 MiB", field=self.field)
        return _one_line(text) if self.one_line else text


def compile_template(source: str, *, html: bool, field: tuple[str, ...], one_line: bool = False) -> CompiledTemplate:
    """Compile a Liquid template; raises `TemplateInvalid` with line, column and, if possible, a suggestion.

    With `html` all values are escaped. With `one_line` (a subject) line ends and control characters in values become
    spaces, so that no contact's name can inject a header, and the result has at most 998 characters.
    """
    check_size(source, field, one_line=one_line)
    environment = HTML if html else TEXT if one_line else PLAIN
    return read_template(source, environment=environment, field=field, one_line=one_line)


def read_template(
    source: str, *, environment: TemplateEnvironment, field: tuple[str, ...], one_line: bool = False
) -> CompiledTemplate:
    """Like `compile_template`, without its limit of length: for derived sources."""
    check_tags(source, field)
    try:
        bound = environment.from_string(source)
        analysis = bound.analyze()
        _check_filters(analysis, source, field)
        _check_expressions(bound, source, field)
        _check_breaks(bound.nodes, RenderContext(bound), source, field)
    except LiquidError as error:
        raise explain(error, source, field) from error
    except RecursionError as error:
        raise invalid("The template is too deeply nested", source, 0, field=field) from error
    variables = frozenset(_paths(analysis))
    expected = _try_samples(bound, variables, source, field)
    code = _compiled(bound, environment, variables, expected)
    return CompiledTemplate(
        source=source,
        variables=variables,
        numbers=variables & frozenset(_numbers(bound)),
        field=field,
        compiled=code is not None,
        one_line=one_line,
        _render=code or _interpreter(bound),
    )


def _check_filters(analysis: TemplateAnalysis, source: str, field: tuple[str, ...]) -> None:
    for name, spans in analysis.filters.items():
        if name not in PLAIN.filters:
            raise unknown_filter(name, source, spans[0].index, field)


def _check_expressions(bound: BoundTemplate, source: str, field: tuple[str, ...]) -> None:
    for _, expression in walk(bound.nodes, RenderContext(bound)):
        if isinstance(expression, FilteredExpression):
            for step in expression.filters or ():
                check_arguments(step, source, field)
        if isinstance(expression, RangeLiteral) and _too_long(expression):
            message = f"A range has more than {MAX_ITERATIONS} numbers"
            raise invalid(message, source, expression.token.start_index, field=field)


def _check_breaks(nodes: Iterable[Node], context: RenderContext, source: str, field: tuple[str, ...]) -> None:
    """Raise `TemplateInvalid` for a `break` or `continue` outside a loop, which may fail for some contacts only."""
    for node in nodes:
        if isinstance(node, (BreakNode, ContinueNode)):
            message = f"{node} is outside of a loop"
            raise invalid(message, source, node.token.start_index, field=field)
        if not isinstance(node, (ForNode, TablerowNode)):
            _check_breaks(node.children(context), context, source, field)


def _too_long(span: RangeLiteral) -> bool:
    start, stop = span.start, span.stop
    if not (isinstance(start, IntegerLiteral) and isinstance(stop, IntegerLiteral)):
        return False
    return stop.value - start.value >= MAX_ITERATIONS


def _numbers(bound: BoundTemplate) -> Iterator[str]:
    """The paths that are compared with a number by <, >, <= or >=."""
    for _, expression in walk(bound.nodes, RenderContext(bound)):
        if isinstance(expression, ORDERED):
            left, right = expression.left, expression.right
            for path, other in ((left, right), (right, left)):
                if isinstance(path, Path) and isinstance(other, (IntegerLiteral, FloatLiteral)):
                    yield ".".join(map(str, path.path))


def _paths(analysis: TemplateAnalysis) -> Iterator[str]:
    """The global variables, as far as their paths consist of names."""
    for variables in analysis.globals.values():
        for variable in variables:
            names: list[str] = []
            for segment in variable.segments:
                if not isinstance(segment, str):
                    break
                names.append(segment)
            yield ".".join(names)


def _samples(variables: frozenset[str]) -> Iterator[dict[str, object]]:
    """Values to test a template with: none at all, and each kind of value at every path that it reads."""
    yield {}
    paths = sorted(filter(None, map(_value_path, variables)))
    for value in _SAMPLE_VALUES:
        sample: dict[str, object] = {}
        for path in paths:
            *parents, last = path.split(".")
            place = sample
            for name in parents:
                inner = place.get(name)
                if not isinstance(inner, dict):
                    inner = place[name] = {}
                place = inner
            place.setdefault(last, value)
        yield sample


def _value_path(path: str) -> str:
    """The path of a value, without `size`, `first` and `last`, which belong to a list or a text."""
    parent, _, last = path.rpartition(".")
    return parent if parent and last in SPECIAL_KEYS else path


def _try_samples(
    bound: BoundTemplate, variables: frozenset[str], source: str, field: tuple[str, ...]
) -> list[str | None]:
    """python-liquid's output for each sample, None for a failure.

    Raises `TemplateInvalid` if the template fails on all of them at the same position. If the positions differ, the
    values are the cause: each sample gives all variables the same kind of value.
    """
    results: list[str | None] = []
    failures: dict[int, LiquidError] = {}
    for sample in _samples(variables):
        try:
            results.append(bound.render(sample))
        except LiquidError as error:
            failures[error.token.start_index if error.token else -1] = error
            results.append(None)
        except (ValueError, ArithmeticError, TypeError, LookupError, AttributeError, RecursionError):
            results.append(None)  # some filters let Python's own errors through; `render` reports them per contact
    if len(failures) == 1 and not any(result is not None for result in results):
        failure = next(iter(failures.values()))
        raise always_fails(failure, source, field) from failure
    return results


def _compiled(
    bound: BoundTemplate, environment: TemplateEnvironment, variables: frozenset[str], outputs: list[str | None]
) -> Renderer | None:
    """Generated code, if the template is supported and the output is the same as python-liquid's for all samples."""
    try:
        code = generate(bound.nodes, environment)
    except Unsupported:
        return None
    for sample, expected in zip(_samples(variables), outputs, strict=True):
        if expected is not None and not _same_output(code, sample, expected):
            return None
    return code


def _same_output(code: Renderer, sample: Mapping[str, object], expected: str) -> bool:
    try:
        return code(sample) == expected
    except Exception:  # noqa: BLE001  # python-liquid did not fail, so any error is a difference
        return False


def _interpreter(bound: BoundTemplate) -> Renderer:
    def render(variables: Mapping[str, object]) -> str:
        return bound.render(variables)

    return render


def _is_too_long(text: str) -> bool:
    # A character has at most four bytes, so that few texts are encoded only to be measured.
    return len(text) > MAX_OUTPUT // 4 and len(text.encode(errors="surrogatepass")) > MAX_OUTPUT


def _one_line(text: str) -> str:
    return text if text.isprintable() and len(text) <= MAX_SUBJECT else _flattened(text)


def _flattened(text: str) -> str:
    return _NOT_ONE_LINE.sub(" ", text).strip()[:MAX_SUBJECT]


def _reason(error: Exception) -> str:
    return f"The template does not work with this contact's values: {sentence(error)}"


__all__ = ["CompiledTemplate", "TemplateInvalid", "compile_template"]
