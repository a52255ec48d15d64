"""What is refused before python-liquid reads a source: its lexer takes quadratic time on tags that never close."""

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

CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
OPENING: Final = re.compile(r"\{[{%]")
NAME: Final = re.compile(r"\{%-?\s{0,100}(\w+)")
RAW: Final = re.compile(r"\{%-?\s*raw\s*-?%\}")
END_RAW: Final = re.compile(r"\{%-?\s*endraw\s*-?%\}")
GAP: Final = re.compile(rf"\s{{{MAX_GAP + 1}}}")


def check_size(source: str, field: tuple[str, ...], *, one_line: bool) -> None:
    """Refuse what is too long or has too many tags."""
    limit = MAX_SUBJECT if one_line else MAX_SOURCE
    if len(source) > limit:
        raise invalid(f"The template is longer than {limit} characters", source, limit, field=field)
    for count, opening in enumerate(OPENING.finditer(source), start=1):
        if count > MAX_TAGS:
            raise invalid(f"The template has more than {MAX_TAGS} tags", source, opening.start(), field=field)


def check_tags(source: str, field: tuple[str, ...]) -> None:
    """Refuse control characters and tags that do not close; linear in the length of the source."""
    if control := CONTROL.search(source):
        name = f"U+{ord(control[0]):04X}"
        raise invalid(f"The template contains the control character {name}", source, control.start(), field=field)
    position = 0
    while opening := OPENING.search(source, position):
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
    if gap := GAP.search(source, start, end):
        message = f"A tag contains more than {MAX_GAP} spaces in a row"
        raise invalid(message, source, gap.start(), field=field)
    name = NAME.match(source, start)
    if name and name[1] == "doc":
        raise invalid("There is no tag called 'doc'", source, name.start(1), field=field)
    return _end_of_raw(source, start, end, field) if RAW.match(source, start) else end + 2


def _end_of_raw(source: str, start: int, end: int, field: tuple[str, ...]) -> int:
    if closing := END_RAW.search(source, end + 2):
        return closing.end()
    suggestion = "Add {% endraw %} where the block should end."
    raise invalid("{% raw %} is never closed", source, start, field=field, suggestion=suggestion)
