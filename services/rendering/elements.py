"""HTML's elements by how they are read (WHATWG HTML, 13.1.2 and 13.2.6)."""

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
"""What begins and ends a line of text."""
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
"""What has an empty line around it."""
ENDS_PARAGRAPH: Final = (LINES | PARAGRAPHS | {"details", "dialog", "fieldset", "form", "menu"}) - {
    "br",
    "tr",
    "caption",
}
CELLS: Final = frozenset({"td", "th", "caption"})
SCOPES: Final = CELLS | {"table", "template", "object", "marquee", "svg"}
"""Elements that an end tag of another name inside them cannot reach out of."""
IN_TABLE: Final = CELLS | {"tr", "tbody", "thead", "tfoot", "table"}
ENDED_BY: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(CELLS, ()),
    "tr": ("tr",),
    **dict.fromkeys(("tbody", "thead", "tfoot"), ("tr", "tbody", "thead", "tfoot")),
}
"""What a start tag in a table ends beside the cell that is open."""
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
"""Elements that a parent's end tag closes only for that parent."""
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
"""Elements whose content is not read as text."""
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
"""Elements whose text may be seen, but where a link cannot be relied on."""
