"""A plain text part from an HTML template, made once: the Liquid in it survives and is rendered per recipient.

The standard library's HTML parser takes quadratic time on tags that never close, so the few things a text needs
(names of elements, `href`, `alt`) are read with patterns that cannot run back.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Final

LIQUID: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
MARK: Final = re.compile("\x01[%=]([0-9]+)\x02")
CONTROL_MARK: Final = re.compile("\x01%[0-9]+\x02")
CONTROL_LINE: Final = re.compile("^((?:\x01%[0-9]+\x02)+)\n", re.MULTILINE)
LONE_BRACE: Final = re.compile("\\{(?=[{%\x01])")
TAG: Final = re.compile(
    r"""<(/?)([a-zA-Z][a-zA-Z0-9]{0,20}+)((?:"[^"]{0,3000}+"|'[^']{0,3000}+'|[^<>"'])*+)>|<[!?][^<>]*+>"""
)
ATTRIBUTE: Final = re.compile(
    r"""(?<![\w-])(href|alt)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""", re.IGNORECASE
)
DROPPED: Final = frozenset({"script", "style", "head", "title", "template", "noscript", "svg"})
LINES: Final = frozenset({"br", "tr", "li", "dt", "dd", "div", "section", "header", "footer", "address", "center"})
PARAGRAPHS: Final = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "hr", "pre", "article"}
)


@dataclass(slots=True)
class _Text:
    """The text so far; `skipped` counts the open elements whose content nobody reads."""

    pieces: list[str] = field(default_factory=list)
    link: tuple[str, int] | None = None
    skipped: int = 0

    def write(self, text: str) -> None:
        if not self.skipped:
            self.pieces.append(text)


def plain_text(html: str) -> str:
    """The text part for an HTML template: links as "text (url)", no styles or scripts, merge tags kept."""
    tags: list[str] = []

    def mark(match: re.Match[str]) -> str:
        tags.append(match[0])
        return f"\x01{'%' if match[0].startswith('{%') else '='}{len(tags) - 1}\x02"

    text = _Text()
    _read(text, "".join(_without_comments(LIQUID.sub(mark, html))))
    source = LONE_BRACE.sub("{{ '{' }}", _tidy("".join(text.pieces)))
    return MARK.sub(lambda match: tags[int(match[1])], source)


def _without_comments(html: str) -> Iterator[str]:
    position = 0
    while (start := html.find("<!--", position)) >= 0:
        end = html.find("-->", start + 4)
        if end < 0:
            break
        yield html[position:start]
        position = end + 3
    yield html[position:]


def _read(text: _Text, html: str) -> None:
    position = 0
    for tag in TAG.finditer(html):
        _data(text, html[position : tag.start()])
        position = tag.end()
        if not tag[2]:
            continue
        name = tag[2].lower()
        if tag[1]:
            _close(text, name)
        else:
            _open(text, name, tag[3])
    _data(text, html[position:])


def _data(text: _Text, data: str) -> None:
    if text.skipped:
        # An `if` that opens in here may close out there, so tags stay; what they would print does not.
        text.pieces.extend(CONTROL_MARK.findall(data))
    else:
        text.pieces.append(re.sub(r"\s+", " ", unescape(data)))


def _open(text: _Text, name: str, attributes: str) -> None:
    if name in DROPPED:
        text.skipped += not attributes.endswith("/")
        return
    if name == "body":
        text.skipped = 0  # </head> may be left out
    elif name == "a":
        text.link = _attribute(attributes, "href"), len(text.pieces)
    elif name == "img":
        text.write(_attribute(attributes, "alt"))
    elif name in {"td", "th"}:
        text.write(" ")
    _break(text, name)
    if name == "li":
        text.write("- ")


def _close(text: _Text, name: str) -> None:
    if name in DROPPED:
        text.skipped = max(text.skipped - 1, 0)
    elif name == "a" and text.link:
        _close_link(text, *text.link)
        text.link = None
    if name != "br":
        _break(text, name)


def _attribute(attributes: str, name: str) -> str:
    for match in ATTRIBUTE.finditer(attributes):
        if match[1].lower() == name:
            return unescape(match[2] or match[3] or match[4] or "").strip()
    return ""


def _break(text: _Text, name: str) -> None:
    if name in PARAGRAPHS:
        text.write("\n\n")
    elif name in LINES:
        text.write("\n")


def _close_link(text: _Text, href: str, start: int) -> None:
    shown = "".join(text.pieces[start:]).strip()
    target = href.removeprefix("mailto:")
    if target and not target.startswith("#") and target != shown:
        text.write(f" ({target})" if shown else target)


def _tidy(text: str) -> str:
    text = re.sub(r"[ \t\xa0]+", " ", text)
    text = CONTROL_LINE.sub(r"\1", re.sub(r" ?\n ?", "\n", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
