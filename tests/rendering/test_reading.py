"""Parsing hostile HTML terminates in linear time, with any open elements."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.rendering.outline import outline
from services.rendering.reading import plain_text, read
from tests.properties import examples

NAMES = [
    "html",
    "head",
    "body",
    "title",
    "style",
    "script",
    "svg",
    "template",
    "p",
    "div",
    "b",
    "a",
    "font",
    "span",
    "ul",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "tbody",
    "tr",
    "td",
    "th",
    "caption",
    "select",
    "option",
    "object",
    "button",
    "pre",
    "br",
    "img",
    "map",
    "area",
    "plaintext",
    "textarea",
    "frameset",
]
PIECES = [
    "<",
    "<a ",
    "<!--",
    "<!-->",
    "--!>",
    "<![CDATA[",
    "<!",
    "<?",
    "</",
    "&#",
    "&a",
    "\n ",
    "<p a='",
    "<p a='>",
    "<a \"'",
    "<a/",
    "<a =",
    "<p href ",
    "<a href=x>",
    "</a>",
    "<a href=x>y</a>",
    "<a href=x><div>",
    "<b hidden><p>",
    "<i><p>",
    "</i></p>",
    "<p hidden>",
    "<td>",
    "<table><tr><td>",
    "<caption><tr>",
    "<li>",
    "<ul><li>",
    "<dd>",
    "<option>",
    "<head>",
    "<body>",
    "</head>",
    "<title></title>",
    "<style>",
    "<style/>",
    "<svg>",
    "<object>",
    "<map name=a>",
    "<font style='font-size:0'></p>",
    "</b>",
    "x ",
]


def steps(read_it: Callable[[str], object], html: str) -> int:
    """How many calls parsing makes, of Python's functions and of the interpreter's own."""
    count = 0

    def called(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(called)
    try:
        read_it(html)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("read_it", [plain_text, outline], ids=["each message", "the source"])
@pytest.mark.parametrize("piece", PIECES)
def test_the_cost_is_linear(piece: str, read_it: Callable[[str], object]) -> None:
    """Unclosed elements, or closing tags without open elements, take twice the steps for twice the length."""
    for end in ("", "</div></p></b></td></table>" * 50):
        small, large = (steps(read_it, piece * count + end * (count // 50)) for count in (100, 400))
        assert large <= 4.4 * small + 100


TAGS = st.one_of(
    st.builds(
        "<{}{}>".format,
        st.sampled_from(NAMES),
        st.sampled_from(["", " hidden", " href=x", "/", " style='display:none'"]),
    ),
    st.builds("</{}>".format, st.sampled_from(NAMES)),
    st.sampled_from(["x", " ", "<!-- x -->", "<!--", "-->"]),
)


@examples(long=5_000)
@example(html="<head><body hidden>")
@example(html="<head><title>x</title><body style='display:none'>x</body>")
@example(html="x<head><p>x<body hidden></body></html>")
@example(html="<head hidden><body hidden><body>")
@example(html="<head></head><head><body hidden>")
@example(html="<html><head><body hidden>")
@example(html="<html hidden><head><body>x")
@given(html=st.lists(TAGS, max_size=25).map("".join))
def test_any_order_of_tags_can_be_parsed(html: str) -> None:
    """The parser terminates, and HTML inserted at its `end` is visible."""
    page = read(html)
    assert page.end is not None
    more = read(html[: page.end] + '<p><a href="https://x.test/">Bye</a></p>\n' + html[page.end :])
    assert "https://x.test/" in more.links


BLOCKS = (
    "address", "article", "aside", "blockquote", "center", "div", "dl", "fieldset", "figcaption", "figure", "footer",
    "form", "h1", "h2", "h6", "header", "hr", "main", "menu", "nav", "ol", "p", "pre", "section", "table", "ul", "li",
    "dd", "dt",
)  # fmt: skip
"""The start tags that end a paragraph, as far as they are used in mail (WHATWG HTML, 13.2.6.4.7)."""
LINK = '<a href="x">Go</a>'


@pytest.mark.parametrize("element", BLOCKS)
def test_a_paragraph_ends_before_a_block(element: str) -> None:
    """So that what hides it does not hide the block, even if an element in it is still open."""
    cell = "<td>" if element == "table" else ""
    assert read(f"<p hidden>x<{element}>{cell}{LINK}").links == {"x"}
    assert read(f"<p hidden><b>x<i>y<{element}>{cell}{LINK}").links == {"x"}
    assert read(f"<div hidden><p>x<{element}>{cell}{LINK}").links == set()


@pytest.mark.parametrize("element", ["b", "span", "a", "br", "img", "em", "font", "label", "u", "custom", "center-x"])
def test_a_paragraph_goes_on_in_other_elements(element: str) -> None:
    """What is hidden with it stays hidden."""
    assert read(f"<p hidden>x<{element}>{LINK}").links == set()


@pytest.mark.parametrize(
    ("html", "visible"),
    [
        ("<ul><li hidden>x<li>{}", True),
        ("<ul><li hidden>x<b>y<li>{}", True),
        ("<ul><li hidden>x<ul><li>{}", False),
        ("<ul hidden><li>x<li>{}", False),
        ("<ul><li hidden>x</ul>{}", True),
        ("<ul><li hidden>x</li>{}", True),
        ("<ul><li hidden><table><td>{}", False),
        ("<ul><li hidden><table><td>x<ul><li>{}", False),
        ("<dl><dt hidden>x<dd>{}", True),
        ("<dl><dd hidden>x<dt>{}", True),
        ("<dl><dd hidden>x<dl><dd>{}", False),
        ("<dl><dd hidden>x<li>{}", False),
        ("<table><tr><td hidden>x<td>{}", True),
        ("<table><tr><td hidden>x<th>{}", True),
        ("<table><tr><td hidden>x</td><td>{}", True),
        ("<table><tr><td hidden>x<tr><td>{}", True),
        ("<table><tr hidden><td>x<td>{}", False),
        ("<table><tr hidden><td>x<tr><td>{}", True),
        ("<table><tr hidden><td>x</table>{}", True),
        ("<table><tbody hidden><tr><td>x<tbody><tr><td>{}", True),
        ("<table><thead hidden><tr><td>x<tbody><td>{}", True),
        ("<table><tbody hidden><tr><td>x<tr><td>{}", False),
        ("<table><tbody hidden><tr><td>x<tfoot><td>{}", True),
        ("<table><caption hidden>x<tr><td>{}", True),
        ("<table><td hidden><table><td>x<td>{}", False),
        ("<table><td hidden><table><td>x</table><td>{}", True),
        ("<table><td hidden>x</tr><tr><td>{}", True),
        ("<table><td hidden>x</div>{}", False),
        ("<table><td><div hidden>x</td><td>{}", True),
        ("<div hidden><table><td>x</div>{}", False),
        ("<div hidden><table><td>x</table></div>{}", True),
        ("<div hidden><object>x</div>{}", False),
        ("<div hidden><p>x</div>{}", True),
        ("<div hidden>x</p>{}", False),
        ("<div hidden>x</span></div>{}", True),
        ("<span hidden>x</span>{}", True),
        ("<b hidden>x</b>{}", True),
        ("<p><b hidden>x</p>{}", False),
        ("<p><b hidden>x</b></p>{}", True),
        ("<p><b hidden>x</p></b>{}", True),
        ("<p><span hidden>x</p>{}", True),
        ("<div><i><b hidden>x</div>{}", False),
        ("<a hidden>x{}", True),
        ("<a hidden>x</a>{}", True),
        ("<head hidden><title>x</title></head>{}", True),
        ("<head>x</head>{}", True),
        ("<head><title>x</title><body>{}", True),
        ("<head><meta><p>{}", True),
        ("<br hidden>{}", True),
        ("<img hidden src=x>{}", True),
        ("<div hidden/>{}", False),
        ("</br hidden>{}", True),
        ("<svg><g>x</svg>{}", True),
        ("<style>x</style>{}", True),
        ("<style></style x>{}", True),
        ("<style></stylex>{}", False),
        ("<title>x</title/>{}", True),
        ("<iframe><p></iframe>{}", True),
        ("<noframes><p></noframes>{}", True),
        ("<p title='>'>{}", True),
        ("<p hidden='>'>x</p>{}", True),
        ('<p title="\'" hidden>{}', False),
        ("<p title=a'b hidden>{}", False),
        ("<p title= hidden>{}", True),
        ("<p title=hidden>{}", True),
        ("<p/hidden>{}", False),
        ("<p =hidden>{}", True),
        ("<p data-hidden hidden-x>{}", True),
        ("<p HIDDEN>{}", False),
    ],
)
def test_what_hides_a_link(html: str, *, visible: bool) -> None:
    """Which elements are open at the link, as in the tree that a browser builds (WHATWG HTML, 13.2.6)."""
    assert read(html.format(LINK)).links == ({"x"} if visible else set())
