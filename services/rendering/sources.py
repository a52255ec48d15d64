"""Checks before python-liquid parses a source: its lexer takes quadratic time on tags that never close."""

import re
from typing import Final

from services.rendering.limits import (
    MAX_GAP,
    MAX_SOURCE,
    MAX_SUBJECT,
    MAX_TAG,
    MAX_TAGS,
)
from services.rendering.problems import invalid

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_OPENING: Final = re.compile(r"\{[{%]")
_LIQUID: Final = re.compile(r"\{%-?\s{0,100}liquid\b")
_VERBATIM: Final = re.compile(r"\{%-?\s*(raw|doc)\s*-?%\}")
_ENDS: Final = {name: re.compile(rf"\{{%-?\s*end{name}\s*-?%\}}") for name in ("raw", "doc")}
_DOC: Final = re.compile(r"\{%-?\s*doc\b")
_GAP: Final = re.compile(rf"\s{{{MAX_GAP + 1}}}")


def check_size(source: str, field: tuple[str, ...], *, one_line: bool) -> None:
    """Raise `TemplateInvalid` for a source that is too long or has too many tags."""
    limit = MAX_SUBJECT if one_line else MAX_SOURCE
    if len(source) > limit:
        raise invalid(f"The template is longer than {limit} characters", source, limit, field=field)
    count = 0
    for opening in _OPENING.finditer(source):
        count += 1
        if _LIQUID.match(source, opening.start()):
            # Each line of {% liquid %} is a tag.
            count += source.count("\n", opening.start(), opening.start() + MAX_TAG)
        if count > MAX_TAGS:
            raise invalid(f"The template has more than {MAX_TAGS} tags", source, opening.start(), field=field)


def check_tags(source: str, field: tuple[str, ...]) -> None:
    """Raise `TemplateInvalid` for control characters and tags that never close; takes linear time."""
    if control := _CONTROL.search(source):
        name = f"U+{ord(control[0]):04X}"
        raise invalid(f"The template contains the control character {name}", source, control.start(), field=field)
    position = 0
    while opening := _OPENING.search(source, position):
        position = _end_of_tag(source, opening.start(), field)


def _end_of_tag(source: str, start: int, field: tuple[str, ...]) -> int:
    opening = source[start : start + 2]
    closing = "}}" if opening == "{{" else "%}"
    end = source.find(closing, start + 2, start + MAX_TAG)
    if end < 0:
        closed = source.find(closing, start) >= 0
        message = f"A tag is longer than {MAX_TAG} characters" if closed else f"{opening} is never closed"
        suggestion = f"Add {closing} where the tag should end."
        raise invalid(message, source, start, field=field, suggestion=suggestion)
    if gap := _GAP.search(source, start, end):
        message = f"A tag contains more than {MAX_GAP} spaces in a row"
        raise invalid(message, source, gap.start(), field=field)
    if verbatim := _VERBATIM.match(source, start):
        return _end_of_verbatim(source, start, end, verbatim[1], field)
    if _DOC.match(source, start):
        raise invalid("{% doc %} takes nothing but its name", source, start, field=field)
    return end + 2


def _end_of_verbatim(source: str, start: int, end: int, name: str, field: tuple[str, ...]) -> int:
    closing = _ENDS[name].search(source, end + 2)
    if closing is None:
        suggestion = f"Add {{% end{name} %}} where the block should end."
        raise invalid(f"{{% {name} %}} is never closed", source, start, field=field, suggestion=suggestion)
    if name == "doc" and (nested := _DOC.search(source, end + 2, closing.start())):
        raise invalid("{% doc %} cannot be inside another one", source, nested.start(), field=field)
    return closing.end()
