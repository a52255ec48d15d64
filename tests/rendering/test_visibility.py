"""Which inline styles, sizes and style sheets hide a text, an image or a link."""

import pytest

from services.rendering.reading import plain_text, read

LINK = '<a href="https://x.test/">Go</a>'


def shows(html: str) -> bool:
    """Whether a reader sees the word `Text`."""
    return "Text" in plain_text(html)


@pytest.mark.parametrize(
    ("size", "visible"),
    [
        ("0", False), ("0px", False), ("0.0em", False), (".0%", False), ("+0", False), ("-0pt", False),
        ("1px", False), ("1pt", False), ("0.5px", False), ("1", False), ("-5px", False), ("1.0px", False),
        ("1.1px", True), ("2pt", True), ("10px", True), ("1em", True), ("0.5rem", True), ("small", True),
        ("x-large", True), ("", True), ("px", True), ("-", True), (".", True),
    ],
)  # fmt: skip
def test_the_size_of_a_font(size: str, *, visible: bool) -> None:
    """Up to a pixel or point a text is hidden, whatever unit says zero; relative sizes are not tiny by themselves."""
    assert shows(f"<p style='font-size: {size}'>Text</p>") is visible


@pytest.mark.parametrize(
    ("size", "visible"),
    [
        ("12px", True), ("2pt", True), ("medium", True), ("1.5rem", True),
        ("1.5em", False), ("200%", False), ("2ex", False), ("3ch", False), ("inherit", False), ("larger", False),
        ("smaller", False), ("unset", False), ("0", False), ("1px", False),
    ],
)  # fmt: skip
def test_a_size_within_a_tiny_one(size: str, *, visible: bool) -> None:
    """An absolute size makes a text visible again; a relative one multiplies nothing."""
    assert shows(f"<td style='font-size:0'>a<p style='font-size: {size}'>Text</p></td>") is visible


@pytest.mark.parametrize(
    ("font", "visible"),
    [
        ("12px Arial", True), ("bold 12px/1.5 Arial", True), ("italic 700 1.2em serif", True), ("12px/0 Arial", True),
        ("0 Arial", True), ("0px Arial", False), ("700 1px Arial", False), ("0/0 a", False), ("inherit", True),
    ],
)  # fmt: skip
def test_the_size_within_a_font(font: str, *, visible: bool) -> None:
    """Neither a weight nor a line height is a size; a number without a unit is none either."""
    assert shows(f"<p style='font: {font}'>Text</p>") is visible


@pytest.mark.parametrize(
    ("style", "visible"),
    [
        ("display:none", False), ("display:block", True), ("display:nonesuch", True), ("display", True),
        ("opacity:0", False), ("opacity:0.00", False), ("opacity:0%", False), ("opacity:.1", True),
        ("opacity:1", True), ("zoom:0", False), ("zoom:1", True),
        ("visibility:hidden", False), ("visibility:collapse", False), ("visibility:visible", True),
        ("clip:rect(0,0,0,0)", False), ("clip:rect(1px, 1px, 1px, 1px)", False), ("clip:rect(0,9px,9px,0)", True),
        ("clip-path:inset(50%)", False), ("clip-path:inset(100%)", False), ("clip-path:inset(5%)", True),
        ("clip-path:circle(0)", False), ("clip-path:circle(9px)", True),
        ("transform:scale(0)", False), ("transform:rotate(9deg) scalex(0.0)", False), ("transform:scale(0.5)", True),
        ("transform:scale3d(0,1,1)", False),
        ("overflow:hidden;height:0", False), ("overflow:hidden;max-width:0px", False),
        ("overflow:clip;width:0", False), ("overflow-y:hidden;max-height:0", False),
        ("overflow-x:hidden;width:0", False),
        ("height:0", True), ("overflow:visible;height:0", True), ("overflow:hidden;height:9px", True),
        ("overflow:hidden", True),
        ("text-indent:-9999px", False), ("text-indent:-901px", False), ("text-indent:-900px", True),
        ("text-indent:9999px", True), ("text-indent:-", True),
        ("position:absolute;left:-9999px", False), ("position:fixed;top:-1000em", False),
        ("position:absolute;left:-10px", True), ("position:relative;left:-9999px", True), ("left:-9999px", True),
        ("position:absolute;right:-9999px", True), ("position:absolute", True),
        ("display:none;display:block", True), ("display:none!important;display:block", False),
        ("display:none ! IMPORTANT ;display:block", False), ("display:block!important;display:none", True),
        ("display:none!important;display:block!important", True),
        ("/*display:none*/color:red", True), ("display:/* */none", False), ("/* display:none", True),
        ("color:red;;DISPLAY : NONE;", False),
    ],
)  # fmt: skip
def test_declarations_that_hide(style: str, *, visible: bool) -> None:
    """What leaves no pixel of an element, or moves it off the screen; of two declarations the last important one."""
    assert shows(f'<p style="{style}">Text</p>') is visible
    assert shows(f'<div style="{style}"><p><b>Text</b></p></div>') is visible


@pytest.mark.parametrize("outside", ["opacity:0", "display:none", "overflow:hidden;height:0"])
def test_what_is_removed_stays_removed(outside: str) -> None:
    """No style within a removed element shows it again, unlike `visibility` and sizes."""
    inner = '<p style="display:block;opacity:1;visibility:visible;font-size:12px">Text</p>'
    assert not shows(f'<div style="{outside}">{inner}</div>')
    assert shows(f'<div style="visibility:hidden">{inner}</div>')
    assert shows(f'<div style="font-size:0">{inner}</div>')


@pytest.mark.parametrize(
    ("image", "visible"),
    [
        ('src="a.png"', True), ("", False), ('src=" "', False), ('src="a.png" width="1"', False),
        ('src="a.png" height="0"', False), ('src="a.png" height="1px"', False), ('src="a.png" width="2"', True),
        ('src="a.png" width="100%"', True), ('src="a.png" width=""', True), ('src="a.png" hidden', False),
        ('src="a.png" style="display:none"', False), ('src="a.png" style="font-size:0"', True),
    ],
)  # fmt: skip
def test_images_that_a_link_shows(image: str, *, visible: bool) -> None:
    """A tracking pixel, or an image without a source, is nothing that a reader can follow."""
    links = read(f'<a href="https://x.test/"><img {image}></a>').links
    assert links == ({"https://x.test/"} if visible else set())


SHOWN, HIDDEN = {"https://x.test/"}, set[str]()


@pytest.mark.parametrize(
    ("sheet", "element", "links"),
    [
        (".a{display:none}", "class=a", HIDDEN),
        (".a{display:none}", "class='b A'", HIDDEN),
        (".a{display:none}", "class=ab", SHOWN),
        (".a{display:none}", "id=a", SHOWN),
        ("#a{display:none}", "id=' A '", HIDDEN),
        ("#a{display:none}", "class=a", SHOWN),
        ("p.a{display:none}", "class=a", HIDDEN),
        ("div.a{display:none}", "class=a", SHOWN),
        ("*.a{display:none}", "class=a", HIDDEN),
        (".a.b{display:none}", "class='b a'", HIDDEN),
        (".a.b{display:none}", "class=b", SHOWN),
        (".a#b{display:none}", "class=a id=b", HIDDEN),
        (".c,.a{display:none}", "class=a", HIDDEN),
        (".c .a{display:none}", "class=a", SHOWN),
        (".a:hover{display:none}", "class=a", SHOWN),
        ("p{display:none}", "class=a", SHOWN),
        (".a{color:red}", "class=a", SHOWN),
        (".a{visibility:hidden}", "class=a", HIDDEN),
        (".a{font-size:0}", "class=a", SHOWN),
        (".a{color:red}.a{opacity:0}", "class=a", HIDDEN),
        ("@import 'x';.a{display:none}", "class=a", HIDDEN),
        ("<!-- .a{display:none} -->", "class=a", HIDDEN),
        ("@media print{.a{display:none}}", "class=a", SHOWN),
        ("@media print{.c{color:red}}.a{display:none}", "class=a", HIDDEN),
        ("}.a{display:none}", "class=a", HIDDEN),
        (".a{display:none", "class=a", SHOWN),
        ("/* .a{display:none} */", "class=a", SHOWN),
    ],
)  # fmt: skip
def test_links_that_a_style_sheet_hides(sheet: str, element: str, links: set[str]) -> None:
    """Rules for one element with a class or an id count; the text is kept, as many clients drop style sheets."""
    page = read(f"<style>{sheet}</style><p {element}>{LINK}</p>")
    assert page.links == links
    assert page.text.strip() != ""


def test_only_the_first_selectors_of_a_message_count() -> None:
    """Each selector is compared with each tag, so their number is limited to 100."""
    rules = [f".a{number}{{display:none}}" for number in range(101)]
    sheet = "".join(rules)
    assert read(f"<style>{sheet}</style><p class=a99>{LINK}</p>").links == HIDDEN
    assert read(f"<style>{sheet}</style><p class=a100>{LINK}</p>").links == SHOWN
