"""The text part that is made from HTML."""

import time

import pytest

from services.rendering import compile_template, plain_text
from services.rendering.limits import MAX_SOURCE


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two<br>three</p>", "One\n\nTwo\nthree"),
        ("a\n   b &amp; c&nbsp;d", "a b & c d"),
        ('<a href="https://x.test/?a=1&amp;b=2">Shop</a>', "Shop (https://x.test/?a=1&b=2)"),
        ('<a href="https://x.test/">https://x.test/</a>', "https://x.test/"),
        ('<a href="mailto:a@b.test">a@b.test</a> <a href="#top">Top</a>', "a@b.test Top"),
        ('<a href="https://x.test/"><img src="l.png"></a>', "https://x.test/"),
        ('<img src="l.png" alt="Logo">', "Logo"),
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n\n- Two"),
        ("<head><title>T</title></head><style>p{}</style><script>x()</script>Body", "Body"),
        ("<head><title>T</title><body>Body", "Body"),
        ("<table><tr><td>A</td><td>B</td></tr><tr><td>C</td></tr></table>", "A B\n\nC"),
        ("<!-- hidden -->shown", "shown"),
        ("<!--[if mso]><table><![endif]-->shown<![if !mso]>", "shown"),
        ("1 < 2 and 3 <4 > 0", "1 < 2 and 3 <4 > 0"),
        ("<a title='a > b' data-href='no' HREF='https://x.test/'>Go</a>", "Go (https://x.test/)"),
        ("<style/>Body<br/>more", "Body\nmore"),
        ("", ""),
    ],
)
def test_html_becomes_readable_text(html: str, text: str) -> None:
    """Structure becomes lines, links keep their address, what nobody reads is dropped."""
    assert plain_text(html) == text + "\n"


@pytest.mark.parametrize(
    "html",
    [
        '{{ contact.firstName | default: "<there>" }}',
        "{% if a < b %}x{% endif %}",
        "{% raw %}{{ <b> }}{% endraw %}",
    ],
)
def test_liquid_survives_untouched(html: str) -> None:
    """Quotes, brackets and comparisons inside tags are not taken for HTML."""
    assert plain_text(f"<p>{html}</p>") == html + "\n"


def test_liquid_in_links_survives() -> None:
    """A merge tag with quotes inside a quoted attribute keeps its place."""
    html = '<a href="https://x.test/{{ contact.customFields.code | default: "none" }}">Go</a>'
    assert plain_text(html) == 'Go (https://x.test/{{ contact.customFields.code | default: "none" }})\n'


def test_dropped_elements_keep_conditions_balanced_and_print_nothing() -> None:
    """A condition around or inside a style sheet stays valid; what the style sheet prints goes."""
    html = "<style>{% if a %}p{color:{{ a }}}</style>A{% else %}</style>B{% endif %}"
    text = plain_text(html)
    assert compile_template(text, html=False, field=()).render({"a": "red"}).strip() == "A"
    assert "{{" not in text


@pytest.mark.parametrize("html", ["{<b>{ x }}</b>", "&#123;&#123; x }}", "{<i></i>% if %}", "&#123;{{ y }}"])
def test_braces_of_the_text_do_not_become_liquid(html: str) -> None:
    """Text that looks like a tag once the HTML is gone is printed, not run."""
    output = compile_template(plain_text(html), html=False, field=()).render({"x": "RUN", "y": "Y"})
    assert output.startswith("{")
    assert "RUN" not in output


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        "<!--",
        "<![CDATA[",
        "<!",
        "<?",
        "&#",
        "&a",
        "<a href=x>",
        "</a>",
        "<style>",
        "<p",
        "\n ",
        "</",
        "<p a='",
        "<p a='>",
        "<a \"'",
        "<a/",
        "<!-->",
        "<td>",
        "<a href=x>y</a>",
        "<p href ",
    ],
)
def test_hostile_html_is_read_quickly(piece: str) -> None:
    """HTML that never closes anything takes seconds at most, at the full size of a template."""
    started = time.process_time()
    plain_text(piece * (MAX_SOURCE // len(piece)))
    assert time.process_time() - started < 3
