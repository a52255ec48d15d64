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
