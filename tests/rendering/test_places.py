"""Values stay the same at any place in the HTML: the standard library's parser reads them back."""

import re
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rendering.environment import HTML
from services.rendering.templates import compile_template
from tests.properties import examples

HOSTILE: Final = (
    "plain",
    "",
    "Tom & Jo's \"x\" <b>",
    '"><script>alert(1)</script>',
    "' onload='alert(1)",
    " x onclick=alert(1) y",
    "a=b`c/d>e",
    "-->", "--!><b>", "]]>", "</title><script>", "</style><script>", "</textarea>",
    "a\tb\nc\fd",
    "&amp; &#x6a; &lt",
)  # fmt: skip


class Tags(HTMLParser):
    """All start tags with their attributes, decoded, and the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.comments: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Record text."""
        self.text += data

    def handle_comment(self, data: str) -> None:
        """Record a comment."""
        self.comments.append(data)


def html(source: str, **variables: object) -> str:
    """The template rendered as HTML, by generated code if supported, and always by python-liquid."""
    rendered = compile_template(source, html=True, field=()).render(variables)
    assert HTML.from_string(source).render(variables) == rendered
    return rendered


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "source",
    [
        '<p title="{{ v }}" id="i">x</p>',
        "<p title='{{ v }}' id='i'>x</p>",
        "<p title={{ v }} id=i>x</p>",
        "<p id=i title={{ v }}>x</p>",
        "<p id=i TITLE = {{ v }} >x</p>",
        '<p title="{% if a %}b{% else %}{{ v }}{% endif %}" id="i">x</p>',
        '{% if a %}<p title="b{% else %}<p title="{% endif %}{{ v }}" id="i">x</p>',
        '<p {% if a %}lang{% else %}title{% endif %}="{{ v }}" id="i">x</p>',
        '{% capture c %}<p title="{{ v }}" id="i">x</p>{% endcapture %}{{ c }}',
        '{% capture c %}{{ v }}{% endcapture %}<p title="{{ c }}" id="i">x</p>',
        "{% capture c %}<p title={{ v }} id=i>x</p>{% endcapture %}{{ c }}",
        '<!--[if mso]><table><![endif]--><p title="{{ v }}" id="i">x</p>',
        '{% for n in l %}{% if a %}>{% endif %}<p title="{{ v }}" id="i">x</p>{% endfor %}',
    ],
)
def test_an_attribute_holds_the_value_and_nothing_else(source: str, value: str) -> None:
    """With or without quotes, through branches, loops and captures: one attribute with exactly the value."""
    tags = Tags(html(source, v=value, l=[1]))
    assert tags.tags[-1] == ("p", {"title": value, "id": "i"})
    assert tags.text == "x"


@pytest.mark.parametrize("value", [value for value in HOSTILE if value])
@pytest.mark.parametrize(
    "source",
    [
        "{% for n in none %}<b>{% else %}<p title={% endfor %}{{ v }} id=i>x</p>",
        "{% for n in none %}<b>{% else %}<p title={{ v }} id=i>x</p>{% endfor %}",
        "{% for n in l %}<p title={% else %}<b>{% endfor %}{{ v }} id=i>x</p>",
        "{% unless a %}<p title={% else %}<b>{% endunless %}{{ v }} id=i>x</p>",
        "{% if a %}<b>{% elsif l %}<p title={% else %}<i>{% endif %}{{ v }} id=i>x</p>",
        "{% case a %}{% when 1 %}<b>{% else %}<p title={% endcase %}{{ v }} id=i>x</p>",
        "{% case 1 %}{% when 2 %}<b>{% when 1 %}<p title={% endcase %}{{ v }} id=i>x</p>",
    ],
)
def test_a_value_after_branches_is_safe_in_each(source: str, value: str) -> None:
    """Also where only one of the branches, or no turn of a loop, leads into an attribute without quotes."""
    read = Tags(html(source, v=value, l=[1]))
    assert read.tags == [("p", {"title": value, "id": "i"})]
    assert read.text == "x"


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("element", ["title", "textarea", "p", "td"])
def test_an_element_holds_the_value_and_nothing_else(element: str, value: str) -> None:
    """Also in elements in which browsers decode entities but parse no tags."""
    tags = Tags(html(f"<{element}>{{{{ v }}}}</{element}>", v=value))
    assert tags.tags == [(element, {})]
    assert tags.text.replace("&amp;", "&") == html("{{ v }}", v=value).replace("&amp;", "&") or tags.text == value


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("source", ["<!-- {{ v }} -->", "<!--{{ v }}-->", "<!-- a > {{ v }} <p> -->"])
def test_a_comment_ends_where_its_author_ends_it(source: str, value: str) -> None:
    """A value cannot end a comment."""
    tags = Tags(html(source + "<i>", v=value))
    assert tags.tags == [("i", {})]
    assert len(tags.comments) == 1


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "java\u200bscript:alert(1)",
        "vbscript:x",
        "data:text/html;base64,PHNjcmlwdD4=",
        "view-source:javascript:x",
        ":alert(1)",
    ],
)
@pytest.mark.parametrize(
    "source",
    [
        '<a href="{{ v }}">',
        "<a href='{{ v }}'>",
        "<a href={{ v }}>",
        '<a href=" {{ v }}">',
        '<A HREF="{{ v }}">',
        '<img src="{{ v }}">',
        '<form action="{{ v }}">',
        '<table background="{{ v }}">',
        '<a href="{% if a %}https://x.example{% else %}{{ v }}{% endif %}">',
        '<a href="{% if a %}{% endif %}{{ v }}">',
        '<a href="{% if a %}https://x.example/{% endif %}{{ v }}">',
        '<a href="{% case a %}{% when 1 %}https://x.example/{% endcase %}{{ v }}">',
        '<a href="{% for i in none %}https://x.example/{% endfor %}{{ v }}">',
        '<a href="{{ a }}{{ v }}">',
        '<a {% if a %}title{% else %}href{% endif %}="{{ v }}">',
        '{% for i in l %}<a href="{{ i }}">{% endfor %}',
        '{% capture c %}{{ v }}{% endcapture %}<a href="{{ c }}">',
        '{% capture c %}<a href="{{ v }}">{% endcapture %}{{ c }}',
        '<!--[if mso]><a href="{{ v }}"><![endif]-->',
        "<a href=\"{{ v | strip | append: '//x' }}\">",
        '{% assign u = v %}<a href="{{ u }}">',
        '{% cycle "<a>" %}<a href="{% cycle v %}">',
        '<a href="{% liquid echo v %}">',
    ],
)
def test_a_value_cannot_bring_a_dangerous_scheme(source: str, value: str) -> None:
    """A URL whose scheme comes from data has an allowed scheme, or is replaced by `#`."""
    rendered = html(source, v=value, l=[value])
    tags = Tags(rendered.replace("<!--[if mso]>", "").replace("<![endif]-->", ""))
    addresses = [address for _, attributes in tags.tags for address in attributes.values()]
    assert addresses
    assert {urlsplit(address or "").scheme for address in addresses} == {""}, rendered
    assert not any((address or "").startswith(":") for address in addresses)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('<a href="{{ s }}://x.example">', '<a href="#://x.example">'),
        ('<a href="{{ s }}:alert(1)">', '<a href="#:alert(1)">'),
        ('<a href="java{{ t }}:alert(1)">', '<a href="java#:alert(1)">'),
        ('<a href="java{{ t }}{{ u }}">', '<a href="javascript%3Aalert(1)">'),
        ('<a href="{{ h }}://x.example">', '<a href="https://x.example">'),
        ('<a href="{{ h }}{% if h %}://x{% endif %}">', '<a href="https://x">'),
    ],
)
def test_a_scheme_cannot_be_composed_of_values(source: str, expected: str) -> None:
    """Parts of a scheme are checked too, with any text after them."""
    assert html(source, s="javascript", t="script", u=":alert(1)", h="https") == expected


@pytest.mark.parametrize(
    "value",
    [
        "https://x.example/?a=1&b=2#c",
        "HTTP://x.example",
        "mailto:a@b.example",
        "tel:+49123",
        "cid:logo",
        "/path:with/colon",
        "page?x=a:b",
        "#top",
        "//x.example",
        "",
    ],
)
def test_common_urls_are_not_changed(value: str) -> None:
    """URLs as in contacts' fields reach the attribute unchanged."""
    for source in ('<a href="{{ v }}">', "<a href={{ v }}>", '<a href="{{ v | strip }}">'):
        assert Tags(html(source, v=value)).tags == [("a", {"href": value})]
    assert (
        Tags(html('<a href="https://x.example/{{ v }}">', v=value)).tags[0][1]["href"] == "https://x.example/" + value
    )


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("#ff0000", "#ff0000"),
        ("rgb(1, 2, 3)", "rgb(1, 2, 3)"),
        ("1.5em", "1.5em"),
        ("red; background: url(x)", r"red\3b  background: url\28 x\29 "),
        ("O'Neil", r"O\27 Neil"),
        ("</style><b>", r"\3c /style\3e \3c b\3e "),
        ("a } b {", r"a \7d  b \7b "),
        ("/* x */", r"/\2a  x \2a /"),
        ("a\\62", r"a\5c 62"),
        ("@import x", r"\40 import x"),
        ("a\nb", r"a\a b"),
    ],
)
def test_a_value_cannot_leave_its_style(value: str, output: str) -> None:
    """In a style sheet or attribute a value cannot end its string, declaration or rule; colors and lengths work."""
    tags = Tags(html('<p style="color: {{ v }}; margin: 0">', v=value))
    assert tags.tags == [("p", {"style": f"color: {output}; margin: 0"})]
    sheet = Tags(html("<style>p { color: {{ v }} }</style>", v=value))
    assert sheet.text == f"p {{ color: {output} }}"
    assert sheet.tags == [("style", {})]


@pytest.mark.parametrize(
    ("captured", "place", "expected"),
    [
        ("color: {{ v }};", '<p style="{{ c }}">', r'<p style="color: r\27 \3b x\26 ;">'),
        ("a { b: '{{ v }}' }", "<style>{{ c }}</style>", r"<style>a { b: 'r\27 \3b x\26 ' }</style>"),
        ("f('{{ v }}')", "<script>{{ c }}</script>", r"<script>f('r\u0027\u003Bx\u0026')</script>"),
        ("f('{{ v }}')", '<a onclick="{{ c }}">', r'<a onclick="f(&#39;r\u0027\u003Bx\u0026&#39;)">'),
    ],
)
def test_a_capture_may_stand_in_a_style_or_script(captured: str, place: str, expected: str) -> None:
    """The author's part of it is kept, and only the values in it are escaped."""
    assert html(f"{{% capture c %}}{captured}{{% endcapture %}}{place}", v="r';x&") == expected


@pytest.mark.parametrize("value", ["onclick", "ONLOAD", " onclick", "on"])
def test_a_value_cannot_name_an_event_handler(value: str) -> None:
    """At the place of an attribute's name, a value cannot begin with `on`."""
    assert "on" not in html('<p {{ v }}="alert(1)">', v=value).lower()


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_makes_at_most_one_attribute(value: str) -> None:
    """At the place of an attribute's name, a value makes one attribute without a value."""
    (name, attributes), *rest = Tags(html("<p {{ v }}>x", v=value)).tags
    assert name == "p"
    assert not rest
    assert all(each is None for each in attributes.values())
    assert len(attributes) <= 1


@pytest.mark.parametrize(
    "value", ["O'Neil", "\\", "');alert(1)//", "</script><b>", "<!--", "a\u2028b", "${x}`", "%27", "\n", "&#39;"]
)
@pytest.mark.parametrize(
    "source",
    ["<script>f('{{ v }}')</script>", "<a onclick=\"f('{{ v }}')\">", "<a href=\"javascript:f('{{ v }}')\">"],
)
def test_a_value_cannot_leave_a_script_string(source: str, value: str) -> None:
    """In a script or an event handler each character that could end a string is escaped."""
    before, after = source.split("{{ v }}")
    output = html(source, v=value)
    inner = output.removeprefix(before).removesuffix(after)
    assert output == before + inner + after
    assert inner.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16") == value
    assert not set(inner) & set("'\"<>&`%\n\u2028")


CHARACTERS: Final = ("a", " ", "\t", "\n", '"', "'", "<", ">", "&", "&lt;", "&#x22;", "=", "/", "`", "--", "on", "é")
VALUES: Final = st.lists(st.sampled_from(CHARACTERS), max_size=8).map("".join)


@pytest.mark.parametrize("quote", ['"', "'", ""])
@examples(30)
@given(value=VALUES, other=VALUES)
def test_attributes_hold_any_value(quote: str, value: str, other: str) -> None:
    """Two values, and the author's text around them, are one attribute each."""
    source = f"<p title={quote}{{{{ v }}}}{quote} lang={quote}x{{{{ v }}}}-{{{{ w }}}}{quote} id=i>{{{{ v }}}}</p>"
    read = Tags(html(source, v=value, w=other))
    assert read.tags == [("p", {"title": value, "lang": f"x{value}-{other}", "id": "i"})]
    assert read.text == value


LINK_ATTRIBUTES: Final = (
    "href", "src", "action", "formaction", "background", "cite", "poster", "data", "longdesc", "codebase",
    "xlink:href", "srcset", "lowsrc", "dynsrc",
)  # fmt: skip
SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
PARTS: Final = (
    "java", "script", "data", "http", "https", "mailto", ":", "//", "/", "?", "#", "&", "&colon;", "%3a", "x", "+",
    " ", "\t", "\n", "\r", "\x01", "\x00", "\x7f", "\xa0", "\xad", "\u200b", "\u2028", "\ufeff",
)  # fmt: skip
ADDRESSES: Final = st.lists(st.sampled_from(PARTS), max_size=6).map("".join)


def scheme_in_browsers(address: str) -> str | None:
    """The scheme of a URL by the rules of the WHATWG, once with the characters that some programs ignore."""
    text = re.sub("[\t\n\r]", "", address.strip("".join(map(chr, range(33)))))
    found = SCHEME.match(text) or SCHEME.match(re.sub("[^!-~]", "", text))
    return found[1].lower() if found else None


@pytest.mark.parametrize(
    "source", ['<a href="{{ v }}{{ w }}">', "<a href=' {{ v }}{{ w }}'>", "<a href={{ v }}{{ w }}>"]
)
@examples(20)
@given(first=ADDRESSES, second=ADDRESSES)
def test_only_allowed_schemes_reach_a_browser(source: str, first: str, second: str) -> None:
    """Whatever two values together make of a URL; at most they put letters before an allowed scheme: `xhttp:`."""
    ((_, attributes),) = Tags(html(source, v=first, w=second)).tags
    assert (scheme_in_browsers(attributes["href"] or "") or "http").endswith(("http", "https", "mailto"))


@pytest.mark.parametrize("name", LINK_ATTRIBUTES)
def test_every_attribute_with_a_url_is_checked(name: str) -> None:
    """Of any element, and in letters of either case."""
    for written in (name, name.upper()):
        assert html(f'<x {written}="{{{{ v }}}}">', v="javascript:x") == f'<x {written}="#">'
        assert (
            html(f'<x title="" {written}="/{{{{ v }}}}">', v="javascript:x")
            == f'<x title="" {written}="/javascript:x">'
        )
    assert html(f'<x data-{name}="{{{{ v }}}}">', v="javascript:x") == f'<x data-{name}="javascript:x">'


def test_a_scheme_is_not_hidden_behind_a_long_text() -> None:
    """Of a text without end it is not known what a browser takes for its scheme, so that it is no URL."""
    for value in ("\x01" * 1_990 + "javascript:x", "\u200b" * 5_000 + "javascript:x", "x" * 2_001):
        assert html('<a href="{{ v }}">', v=value) == '<a href="#">'
    for value in ("x" * 2_000, "x" * 1_999 + "/" + "y" * 9_000, "https://x.test/" + "y" * 9_000):
        assert html('<a href="{{ v }}">', v=value) == f'<a href="{value}">'


@pytest.mark.parametrize("element", ["style", "script", "title", "textarea", "p"])
def test_an_end_tag_begins_no_element(element: str) -> None:
    """After the end of a style sheet or script, and after an end tag that ends nothing, a value is ordinary text."""
    for before in (f"</{element}>", f"<{element}></{element}>", f"<{element}>x</{element.upper()} >"):
        assert html(before + "{{ v }}<i title='{{ v }}'>", v="a;'b\\") == before + "a;&#39;b\\<i title='a;&#39;b\\'>"


@pytest.mark.parametrize(
    ("before", "escaped"),
    [
        ("<style>", True), ("<style >a", True), ("<STYLE type=x>a", True), ("<style></styles>", True),
        ("<style><!-- </style", True), ("<style>a</style>", False), ("<style>a</style\n>", False),
        ("<styles>", False), ("<p><!-- <style> -->", False), ("<!--><style>", True), ("<!---><style>", True),
        ("<!-- <style>", False), ("<!x <style>", False), ("<? <style>", False), ("<!--[if mso]><style>", True),
        ("< style>", False), ("<1><style>", True), ("<p title='<style>'>", False), ("<p title=<style>", False),
        ("<p =x><style>", True), ("<p a = ><style>", True), ("<p a=''b><style>", True), ("<p a/b='>'><style>", True),
        ("<style a='>", False), ("<style a=>", True), ("<style a= b>", True), ("<br/><style>", True),
    ],
)  # fmt: skip
def test_where_a_style_sheet_begins_and_ends(before: str, *, escaped: bool) -> None:
    """A value in it is escaped for CSS; in a comment, an attribute or another element it is not."""
    assert html(before + "{{ v }}", v="a}b") == before + (r"a\7d b" if escaped else "a}b")


@pytest.mark.parametrize("count", [0, 51, 200])
def test_a_loop_after_many_others_is_scanned_twice(count: int) -> None:
    """From its second turn on, a value may be in an attribute that the first turn has opened."""
    source = "{% for n in l %}{{ n }}{% endfor %}" * count + "{% for n in l %}{{ v }}<a href={% endfor %}>"
    assert html(source, l=[1, 2], v="javascript:x y") == "12" * count + "#<a href=#<a href=>"
