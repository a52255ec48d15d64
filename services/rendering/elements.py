"""HTML elements, grouped by how they are parsed and shown (WHATWG HTML, 13.1.2 and 13.2.6)."""

from typing import Final

VOID: Final = frozenset(
    {
        "area",
        "base",
        "basefont",
        "bgsound",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "keygen",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    }
)
LINES: Final = frozenset(
    {
        "br",
        "tr",
        "li",
        "dt",
        "dd",
        "div",
        "section",
        "header",
        "footer",
        "address",
        "center",
        "main",
        "nav",
        "aside",
        "figure",
        "figcaption",
        "caption",
    }
)
"""Elements that begin and end a line of text."""
PARAGRAPHS: Final = frozenset(
    {
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "dl",
        "table",
        "blockquote",
        "hr",
        "pre",
        "article",
        "xmp",
        "plaintext",
    }
)
"""Elements with an empty line around them."""
ENDS_PARAGRAPH: Final = (LINES | PARAGRAPHS | {"details", "dialog", "fieldset", "form", "menu"}) - {
    "br",
    "tr",
    "caption",
}
CELLS: Final = frozenset({"td", "th", "caption"})
SCOPES: Final = CELLS | {"table", "template", "object", "marquee", "svg"}
"""Elements inside which an end tag closes no element outside."""
IN_TABLE: Final = CELLS | {"tr", "tbody", "thead", "tfoot", "table"}
ENDED_BY: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(CELLS, ()),
    "tr": ("tr",),
    **dict.fromkeys(("tbody", "thead", "tfoot"), ("tr", "tbody", "thead", "tfoot")),
}
"""The elements that a start tag in a table closes in addition to an open cell."""
ITEMS: Final = {"li": ("li",), "dt": ("dt", "dd"), "dd": ("dt", "dd"), "option": ("option",)}
LISTS: Final = frozenset({"ul", "ol", "dl", "menu", "select"})
FORMATTING: Final = frozenset(
    {
        "a",
        "b",
        "big",
        "code",
        "em",
        "font",
        "i",
        "nobr",
        "s",
        "small",
        "strike",
        "strong",
        "tt",
        "u",
    }
)
"""Formatting elements, which are reopened after their parent's end tag."""
UNSEEN: Final = frozenset(
    {
        "script",
        "style",
        "head",
        "title",
        "template",
        "noscript",
        "svg",
        "iframe",
        "noembed",
        "noframes",
        "frameset",
        "datalist",
    }
)
"""Elements whose content is not visible text."""
NO_LINKS: Final = frozenset(
    {
        "textarea",
        "select",
        "object",
        "audio",
        "video",
        "canvas",
        "details",
        "button",
    }
)
"""Elements whose text may be visible, but in which a link may not work."""
