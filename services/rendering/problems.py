"""Error messages about templates for their authors: with the position of the error, and a suggestion if possible."""

import inspect
import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Final

from liquid.builtin.expressions import Filter, KeywordArgument
from liquid.exceptions import (
    BlockNestingError,
    ContextDepthError,
    LiquidError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
    ResourceLimitError,
)

from services.rendering.environment import PLAIN, REMOVED_TAGS
from services.rendering.errors import TemplateInvalid, ValueProblem
from services.rendering.limits import MAX_ITERATIONS, MAX_OUTPUT, MAX_VALUE

_TAG: Final = re.compile(r"\{%-?\s*(\w+)")
_BLOCKS: Final = frozenset(
    {"if", "unless", "for", "case", "capture", "comment", "raw", "doc", "ifchanged", "tablerow"}
)
_QUOTES: Final = ("&quot;", "&#34;", "&#39;", "&apos;", "\u201c", "\u201d", "\u2018", "\u2019")
_ENTITIES: Final = {
    "&nbsp;": "a plain space",
    "&#160;": "a plain space",
    "&gt;": ">",
    "&lt;": "<",
    "&amp;&amp;": "and",
    "&amp;": "and",
    "&&": "and",
    "||": "or",
}
_PARTS: Final = {
    "word": "a word",
    "eof": "the end",
    "float": "a number",
    "integer": "a number",
    "string": "a text in quotes",
    "identstring": "a name in brackets",
    "path_index": "a number in brackets",
    "identindex": "a number in brackets",
    "end of expression": "the end of the tag",
    "end of file": "the end of the template",
    "rangeliteral": "a range",
    "colon": "a colon",
    "comma": "a comma",
    "dot": "a dot",
    "lparen": "'('",
    "rparen": "')'",
    "rbracket": "']'",
    "range": "'..'",
    "Path": "a variable",
    "Nil": "nil",
    "StringLiteral": "a text in quotes",
    "IntegerLiteral": "a number",
    "FloatLiteral": "a number",
    "RangeLiteral": "a range",
    "TrueLiteral": "true",
    "FalseLiteral": "false",
    "Blank": "blank",
    "Empty": "empty",
}
_LIMITS: Final[tuple[tuple[type[LiquidError], str], ...]] = (
    (LoopIterationLimitError, f"a loop goes through more than {MAX_ITERATIONS} items"),
    (OutputStreamLimitError, f"the message is longer than {MAX_OUTPUT // 1024 // 1024} MiB"),
    (LocalNamespaceLimitError, f"the variables of the template hold more than {MAX_VALUE // 1024} KiB"),
    (BlockNestingError, "the template is too deeply nested"),
    (ContextDepthError, "the template is too deeply nested"),
    (ResourceLimitError, "the template does too much work; make its loops shorter"),
)
_SENTENCES: Final = {
    "missing expression": "something is missing after the name of the tag",
    "expected expression, found content": "something is missing after the name of the tag",
    "expected content, found expression": "nothing may follow the name of the tag",
    "missing or unexpected path segment": "a name or a number is missing after a dot or a bracket",
    "disallowed parentheses in logical expression": "a condition must not contain parentheses",
}
_COUNTS: Final = {0: "no value", 1: "one value"}
_MISSING: Final = "a value is of another kind than the template can work with"


def position(source: str, index: int) -> tuple[int, int]:
    """Line and column of a character, both from 1; only a line feed ends a line."""
    return source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index)


def invalid(
    message: str, source: str, index: int, *, field: tuple[str, ...], suggestion: str | None = None
) -> TemplateInvalid:
    """The error at one character of the source."""
    line, column = position(source, index)
    return TemplateInvalid(message, line=line, column=column, field=field, suggestion=suggestion)


def nearest(word: str, names: Iterable[str]) -> str | None:
    """A suggestion of the most similar known word, or None."""
    folded = {name.casefold(): name for name in names}
    matches = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"Did you mean {folded[matches[0]]}?" if matches else None


def _unclosed_block(source: str) -> tuple[str, int] | None:
    """The innermost block that is never closed: its name and where it begins."""
    opened: list[tuple[str, int]] = []
    for tag in _TAG.finditer(source):
        name = tag[1]
        if name in _BLOCKS:
            opened.append((name, tag.start()))
        elif name.startswith("end") and opened and opened[-1][0] == name[3:]:
            opened.pop()
    return opened[-1] if opened else None


def sentence(error: Exception) -> str:
    """The message about an error, in terms of the template, never in those of Python or a library."""
    if isinstance(error, ValueProblem):
        return str(error.message)
    return next((text for kind, text in _LIMITS if isinstance(error, kind)), _MISSING)


def explain(error: LiquidError, source: str, field: tuple[str, ...]) -> TemplateInvalid:
    """A parser's error as `TemplateInvalid` with line, column and, if possible, a suggestion."""
    message = str(error.message or "the template cannot be read")
    index = error.token.start_index if error.token else -1
    if isinstance(error.__cause__, RecursionError) or isinstance(error, BlockNestingError):
        return invalid("The template is too deeply nested", source, 0, field=field)
    if unexpected := re.fullmatch(r"unexpected tag '(\w*)'", message):
        return _unexpected_tag(unexpected[1], source, index, field)
    if (block := _unclosed_block(source)) and (index < 0 or "end" in message):
        name, start = block
        return invalid(
            f"{{% {name} %}} is never closed",
            source,
            start,
            field=field,
            suggestion=f"Add {{% end{name} %}} where the block should end.",
        )
    message = f"The template cannot be read: {_plain(message)[:200]}"
    return invalid(message, source, max(index, 0), field=field, suggestion=_remedy(message, _around(source, index)))


def _plain(message: str) -> str:
    if message.startswith("integer string conversion"):
        return "a number has too many digits"
    if "unexpected liquid parsing error" in message:
        return "a tag or a value is not complete"
    if message in _SENTENCES:
        return _SENTENCES[message]
    message = re.sub(r"expected one of \('(\w+)'.*?\)", r"expected \1", message)
    message = message.replace("a primitive expression", "a value")
    message = message.replace("an identifier", "a name").replace("a path with multiple segments", "a name with dots")
    return re.sub(
        r"(expected|found|unexpected token) ([A-Za-z_]+(?: of \w+)?)\b",
        lambda match: f"{match[1]} {_PARTS.get(match[2], match[2])}",
        message,
    )


def _remedy(message: str, tag: str) -> str | None:
    if message.endswith("found '='"):
        return "Compare with == instead of =."
    if any(quote in tag for quote in _QUOTES):
        return "Use plain quotes (\" or ') inside {{ }} and {% %}; an editor may have replaced them."
    for written, meant in _ENTITIES.items():
        if written in tag:
            return f"Write {meant} instead of {written} inside {{{{ }}}} and {{% %}}; an editor may have replaced it."
    return None


def always_fails(error: LiquidError, source: str, field: tuple[str, ...]) -> TemplateInvalid:
    """The error for a template that fails for any contact, e.g. because it compares a text with a number."""
    index = max(error.token.start_index if error.token else 0, 0)
    return invalid(f"The template does not work: {sentence(error)}", source, index, field=field)


def unknown_filter(name: str, source: str, index: int, field: tuple[str, ...]) -> TemplateInvalid:
    """The error for a filter that does not exist."""
    suggestion = nearest(name, PLAIN.filters)
    return invalid(f"There is no filter called {name!r}", source, index, field=field, suggestion=suggestion)


def check_arguments(step: Filter, source: str, field: tuple[str, ...]) -> None:
    """Raise `TemplateInvalid` for a filter with too few, too many or unknown arguments."""
    least, most, names = _signature(step.name)
    arguments = [argument for argument in step.args if not isinstance(argument, KeywordArgument)]
    unknown = [argument.name for argument in step.args if isinstance(argument, KeywordArgument)]
    unknown = [name for name in unknown if name not in names]
    suggestion = None
    if len(arguments) < least:
        message = f"{step.name} needs {'a value' if least == 1 else f'{least} values'}"
        values = ", ".join(['"value"'] * least)
        suggestion = f"Write it like {step.name}: {values}."
    elif len(arguments) > most:
        message = f"{step.name} takes {_COUNTS.get(most, f'at most {most} values')}"
    elif unknown:
        message = f"{step.name} takes no value called {unknown[0]}"
    else:
        return
    message = f"The template does not work: {message}"
    raise invalid(message, source, max(step.token.start_index, 0), field=field, suggestion=suggestion)


@cache
def _signature(name: str) -> tuple[int, int, frozenset[str]]:
    """The minimum and maximum number of a filter's arguments, and its keyword arguments."""
    parameters = list(inspect.signature(PLAIN.plain_filters[name]).parameters.values())[1:]
    positional = [parameter for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    needed = sum(parameter.default is parameter.empty for parameter in positional)
    names = frozenset(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)
    return needed, len(positional), names


def _unexpected_tag(name: str, source: str, index: int, field: tuple[str, ...]) -> TemplateInvalid:
    if name in REMOVED_TAGS:
        return invalid(
            f"'{name}' is not supported: a template cannot load another one",
            source,
            index,
            field=field,
            suggestion="Write the content here; a {% capture %} block can be shown in several places.",
        )
    tags = {tag for tag in PLAIN.tags if tag.isalpha() and tag not in {"content", "output", "illegal"}}
    inner = {"else", "elsif", "when", "raw", *(f"end{block}" for block in _BLOCKS)}
    if name in inner:
        return invalid(f"{{% {name} %}} closes or continues a block that is not open", source, index, field=field)
    suggestion = nearest(name, tags | inner)
    return invalid(f"There is no tag called {name!r}", source, index, field=field, suggestion=suggestion)


def _around(source: str, index: int) -> str:
    start = max(source.rfind("{", 0, index + 1), 0)
    end = source.find("}", index)
    return source[start : end if end >= 0 else len(source)][:1_000]
