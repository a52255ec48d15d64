"""A plain text part from an HTML template, made once: the Liquid in it survives and is rendered per recipient."""

import re
from html.parser import HTMLParser
from typing import Final

LIQUID: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
MARK: Final = re.compile("\x01[%=]([0-9]+)\x02")
CONTROL_MARK: Final = re.compile("\x01%[0-9]+\x02")
CONTROL_LINE: Final = re.compile("^((?:\x01%[0-9]+\x02)+)\n", re.MULTILINE)
LONE_BRACE: Final = re.compile("\\{(?=[{%\x01])")
DROPPED: Final = frozenset({"script", "style", "head", "title", "template", "noscript", "svg"})
LINES: Final = frozenset({"br", "tr", "li", "dt", "dd", "div", "section", "header", "footer", "address", "center"})
PARAGRAPHS: Final = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "hr", "pre", "article"}
)


class _Reader(HTMLParser):
    """Collects text; `skipped` counts the open elements whose content nobody reads."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.links: list[tuple[str, int]] = []
        self.skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "body":
            self.skipped = 0  # </head> may be left out
        elif tag in DROPPED:
            self.skipped += 1
        elif tag == "a":
            self.links.append(((values.get("href") or "").strip(), len(self.pieces)))
        elif tag == "img" and not self.skipped:
            self.pieces.append(values.get("alt") or "")
        elif tag in {"td", "th"}:
            self.pieces.append(" ")
        self._break(tag)
        if tag == "li" and not self.skipped:
            self.pieces.append("- ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in DROPPED:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in DROPPED:
            self.skipped = max(self.skipped - 1, 0)
        elif tag == "a" and self.links:
            self._close_link(*self.links.pop())
        if tag != "br":
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if self.skipped:
            # An `if` that opens in here may close out there, so tags stay; what they would print does not.
            self.pieces.extend(mark[0] for mark in CONTROL_MARK.finditer(data))
        else:
            self.pieces.append(re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if not self.skipped and tag in PARAGRAPHS:
            self.pieces.append("\n\n")
        elif not self.skipped and tag in LINES:
            self.pieces.append("\n")

    def _close_link(self, href: str, start: int) -> None:
        text = "".join(self.pieces[start:]).strip()
        target = href.removeprefix("mailto:")
        if self.skipped or not target or target.startswith("#") or target == text:
            return
        self.pieces.append(f" ({target})" if text else target)


def plain_text(html: str) -> str:
    """The text part for an HTML template: links as "text (url)", no styles or scripts, merge tags kept."""
    tags: list[str] = []

    def mark(match: re.Match[str]) -> str:
        tags.append(match[0])
        return f"\x01{'%' if match[0].startswith('{%') else '='}{len(tags) - 1}\x02"

    reader = _Reader()
    reader.feed(LIQUID.sub(mark, html))
    reader.close()
    text = LONE_BRACE.sub("{{ '{' }}", _tidy("".join(reader.pieces)))
    return MARK.sub(lambda match: tags[int(match[1])], text)


def _tidy(text: str) -> str:
    text = re.sub(r"[ \t\xa0]+", " ", text)
    text = CONTROL_LINE.sub(r"\1", re.sub(r" ?\n ?", "\n", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
