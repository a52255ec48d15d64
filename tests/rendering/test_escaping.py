"""Values are escaped once, when they are printed: the HTML shows the plain text."""

import json
from collections.abc import Callable
from html import unescape
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from services.rendering.environment import HTML, TEXT
from services.rendering.templates import compile_template
from tests.properties import examples
from tests.rendering.strategies import VARIABLES, WORDS, templates
from tests.rendering.test_reference import CASES
from tests.rendering.test_reference import VARIABLES as RECORDED

TOM: Final[dict[str, object]] = {
    "first": "Tom & Jo",
    "last": "O'Neil",
    "html": "<b>",
    "note": '1 < 2\n"3"',
    "tags": ["a&b", "<c>", "a&b"],
}


def html(source: str, variables: dict[str, object] = TOM) -> str:
    """The template rendered as HTML, by generated code if supported, and always by python-liquid."""
    rendered = compile_template(source, html=True, field=()).render(variables)
    assert HTML.from_string(source).render(variables) == rendered
    return rendered


def check(source: str, variables: dict[str, object]) -> None:
    """Fail unless the HTML is the escaped text, or both fail to render."""
    outcomes: list[str | None] = []
    for environment in (HTML, TEXT):
        try:
            outcomes.append(environment.from_string(source).render(variables))
        except Exception:  # noqa: BLE001  # any failure is an outcome, and must be one on both sides
            outcomes.append(None)
    rendered, text = outcomes
    assert rendered == (None if text is None else str(escape(text)))


@examples(long=5_000)
@given(source=templates(WORDS, stateful=True), variables=VARIABLES)
def test_html_is_the_escaped_text(source: str, variables: dict[str, object]) -> None:
    """Without markup in the template, the HTML shows the plain text, with any filters and tags."""
    check(source, variables)


@pytest.mark.parametrize(
    ("source", "result"),
    [(source, result) for source, result in CASES if source.startswith("{{") and "newline_to_br" not in source],
)
def test_html_is_the_escaped_result_of_the_reference(source: str, result: str) -> None:
    """The HTML shows the output of the reference; nothing is escaped twice."""
    text = unescape(result) if "| escape" in source or "| h" in source else result
    assert unescape(html(source, RECORDED)) == text
    assert html(source, RECORDED) == str(escape(text))


OTHER: Final = "{% ifchanged %}{{ html }}{% endifchanged %}"
CHANGED: Final = "{% ifchanged %}{{ first }}{% endifchanged %}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            '<a href="https://x.example/?n={{ first | append: " " | append: last | url_encode }}">',
            '<a href="https://x.example/?n=Tom+%26+Jo+O%27Neil">',
        ),
        ('{{ "Dear " | append: first | remove: "&" }}', "Dear Tom  Jo"),
        ("{{ '<b>' }}{{ html }}", "&lt;b&gt;&lt;b&gt;"),
        ("{{ first | append: '<' | size }}", "9"),
        ("{{ first | prepend: '<' | slice: 0, 2 }}", "&lt;T"),
        ("{{ first | append: last | truncate: 8 }}", "Tom &amp;..."),
        ("{{ '&' | append: last | truncatewords: 1 }}", "&amp;O&#39;Neil"),
        ("{{ first | append: '&' | replace: '&', '<' }}", "Tom &lt; Jo&lt;"),
        ("{{ first | append: '&x' | split: '&' | join: '-' }}", "Tom - Jo-x"),
        ("{{ tags | join: '&' }}", "a&amp;b&amp;&lt;c&gt;&amp;a&amp;b"),
        ("{{ tags | uniq | sort | join: '|' }}", "&lt;c&gt;|a&amp;b"),
        ("{{ tags }}", "a&amp;b&lt;c&gt;a&amp;b"),
        ("{{ first | escape }} {{ '&amp; <' | escape_once }}", "Tom &amp; Jo &amp; &lt;"),
        ("{{ first | escape | escape | upcase }}", "TOM &amp; JO"),
        ("{% if first == 'Tom & Jo' and tags contains '<c>' and last contains \"'\" %}y{% endif %}", "y"),
        ("{% assign a = first | append: '<' %}{% if a == 'Tom & Jo<' %}y{% endif %}{{ a }}", "yTom &amp; Jo&lt;"),
        ("{% case html %}{% when '<b>' %}y{% endcase %}", "y"),
        ("{% cycle first, 'x' %}{% echo last %}{% liquid echo html %}", "Tom &amp; JoO&#39;Neil&lt;b&gt;"),
        ("{% ifchanged %}{{ first }}{% endifchanged %}", "Tom &amp; Jo"),
        (f"{CHANGED}{{% capture c %}}{CHANGED}{{% endcapture %}}[{{{{ c }}}}]", "Tom &amp; Jo[]"),
        (f"{{% capture c %}}{CHANGED}{{% endcapture %}}{CHANGED}[{{{{ c }}}}]", "[Tom &amp; Jo]"),
        ("{% ifchanged %}<b>{% endifchanged %}{% ifchanged %}{{ html }}{% endifchanged %}", "<b>&lt;b&gt;"),
        (
            f"{{% capture c %}}{{% ifchanged %}}<b>{{% endifchanged %}}{OTHER}{OTHER}{{% endcapture %}}{{{{ c }}}}",
            "<b>&lt;b&gt;",
        ),
        ("{{ nothing }}{{ nothing | escape }}", ""),
    ],
)
def test_filters_and_comparisons_see_values_not_entities(source: str, expected: str) -> None:
    """Filters, comparisons and tags process the value; entities result only when it is printed."""
    assert html(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ note | newline_to_br }}", "1 &lt; 2<br />\n&#34;3&#34;"),
        ("{{ note | newline_to_br | append: '<' | prepend: html }}", "&lt;b&gt;1 &lt; 2<br />\n&#34;3&#34;&lt;"),
        ("{{ note | newline_to_br | strip_newlines }}", "1 &lt; 2<br />&#34;3&#34;"),
        ("{{ note | newline_to_br | strip_html }}", "1 \n&#34;3&#34;"),
        ("{{ note | newline_to_br | escape }}", "1 &lt; 2&lt;br /&gt;\n&#34;3&#34;"),
        ("{{ note | newline_to_br | truncate: 10, '' }}", "1 &lt; 2&lt;br /"),
        ("{{ note | newline_to_br | split: '<br />' | join: '+' }}", "1 &lt; 2+\n&#34;3&#34;"),
        ("{{ tags | join: '\n' | newline_to_br }}", "a&amp;b<br />\n&lt;c&gt;<br />\na&amp;b"),
    ],
)
def test_line_breaks_are_elements_between_escaped_lines(source: str, expected: str) -> None:
    """`newline_to_br` makes elements; if a filter leaves half of one, it becomes text."""
    assert html(source) == expected


CAPTURED: Final = "{% capture c %}<b class='x'>{{ first }}</b> &nbsp;{% endcapture %}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ c }}", "<b class='x'>Tom &amp; Jo</b> &nbsp;"),
        ("{{ c | append: last | prepend: '<' }}", "&lt;<b class='x'>Tom &amp; Jo</b> &nbsp;O&#39;Neil"),
        ("{{ c | strip | default: 'none' | newline_to_br }}", "<b class='x'>Tom &amp; Jo</b> &nbsp;"),
        ("{{ c | replace: '&', 'and' }}", "<b class='x'>Tom and Jo</b> andnbsp;"),
        ("{{ c | replace: 'Tom', html }}", "<b class='x'>&lt;b&gt; &amp; Jo</b> &nbsp;"),
        ("{{ c | strip_html }}", "Tom &amp; Jo &nbsp;"),
        ("{{ c | escape }}", "&lt;b class=&#39;x&#39;&gt;Tom &amp; Jo&lt;/b&gt; &amp;nbsp;"),
        ("{{ c | size }}", "32"),
        ("{{ c | upcase }}", "<B CLASS='X'>TOM &amp; JO</B> &NBSP;"),
        ("{{ c | slice: 0, 5 }}", "&lt;b cl"),
        ("{{ c | url_encode }}", "%3Cb+class%3D%27x%27%3ETom+%26+Jo%3C%2Fb%3E+%26nbsp%3B"),
        ("{% if c contains '& Jo</b>' %}y{% endif %}", "y"),
        ("{% capture d %}[{{ c }}]{% endcapture %}{{ d }}", "[<b class='x'>Tom &amp; Jo</b> &nbsp;]"),
        ("{% for i in (1..2) %}{% capture d %}{{ d }}{{ c }}{% endcapture %}{% endfor %}{{ d | size }}", "64"),
        ('<i title="{{ c }}">', '<i title="&lt;b class=&#39;x&#39;&gt;Tom &amp; Jo&lt;/b&gt; &nbsp;">'),
        ("{% assign l = c | split: 'zz' %}{{ l }}{{ l | first }}", "<b class='x'>Tom &amp; Jo</b> &nbsp;" * 2),
    ],
)
def test_a_capture_keeps_the_authors_markup(source: str, expected: str) -> None:
    """Its values are escaped once, however often it is captured, cut or joined; filters see the plain text."""
    assert html(CAPTURED + source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% capture c %}<a href='X'>go</a>{% endcapture %}{{ c | replace: 'X', link }}", "<a href='#'>go</a>"),
        ("{% capture c %}<a href='{{ link }}'>go</a>{% endcapture %}{{ c }}", "<a href='#'>go</a>"),
        ("{% capture c %}<{% endcapture %}{{ c | append: 'img src=x onerror=y' }}", "&lt;img src=x onerror=y"),
        ("{% capture c %}<b>x</b>{% endcapture %}{{ c | slice: 0 }}{{ img }}>", "&lt;img src=x onerror=y>"),
        ("{% capture c %}<i title='x'>y</i>{% endcapture %}{{ c | remove: \"'>y</i>\" }}", "&lt;i title=&#39;x"),
        ("{% capture c %}<style>a{% endcapture %}{{ c | append: '}b{' }}", "&lt;style&gt;a}b{"),
    ],
)
def test_markup_cannot_be_made_of_values(source: str, expected: str) -> None:
    """Values that filters add to a capture are escaped for their place in it; half a tag is text."""
    assert html(source, {"link": "javascript:x", "img": "img src=x onerror=y"}) == expected


def test_json_within_a_script_stays_json() -> None:
    """Structured data for mail clients contains the values themselves."""
    source = (
        '<script type="application/ld+json">{"name": "{{ first }} {{ last }}", "n": "{{ note }}"}</script>{{ html }}'
    )
    script, rest = html(source).removeprefix('<script type="application/ld+json">').split("</script>")
    assert json.loads(script) == {"name": "Tom & Jo O'Neil", "n": TOM["note"]}
    assert rest == "&lt;b&gt;"


Characters = list[tuple[str, bool]]
"""Each with whether it is the author's own, which is printed as it is."""
CAPTURES: Final[st.SearchStrategy[Characters]] = st.lists(
    st.tuples(st.sampled_from("a>, "), st.booleans()), max_size=10
)


def plain(text: Characters) -> str:
    return "".join(character for character, _ in text)


def replaced(text: Characters, searched: str, new: str, most: int = 99) -> Characters:
    """The text with a character replaced by values, one by one from the left."""
    result: Characters = []
    for character, own in text:
        found = character == searched and most > 0
        most -= found
        result += [(each, False) for each in new] if found else [(character, own)]
    return result


def without_last(text: Characters, searched: str) -> Characters:
    place = plain(text).rfind(searched)
    return text if place < 0 else text[:place] + text[place + 1 :]


def lstripped(text: Characters) -> Characters:
    return text[len(plain(text)) - len(plain(text).lstrip()) :]


def rstripped(text: Characters) -> Characters:
    return text[: len(plain(text).rstrip())]


STEPS: Final[dict[str, Callable[[Characters], Characters]]] = {
    "append: '>'": lambda text: [*text, (">", False)],
    "prepend: '>'": lambda text: [(">", False), *text],
    "slice: 2, 5": lambda text: text[2:7],
    "slice: -4, 2": lambda text: text[len(text) - 4 :][:2] if len(text) >= 4 else [],
    "truncate: 4, ''": lambda text: text[:4],
    "truncate: 4, '>'": lambda text: text if len(text) <= 4 else [*text[:3], (">", False)],
    "remove: 'a'": lambda text: replaced(text, "a", ""),
    "remove_first: '>'": lambda text: replaced(text, ">", "", 1),
    "remove_last: '>'": lambda text: without_last(text, ">"),
    "replace: '>', '>a'": lambda text: replaced(text, ">", ">a"),
    "replace_first: 'a', '>'": lambda text: replaced(text, "a", ">", 1),
    "replace: '', ''": lambda text: [(character, False) for character in plain(text)],
    "lstrip": lstripped,
    "rstrip": rstripped,
    "strip": lambda text: lstripped(rstripped(text)),
    "upcase": lambda text: [(character.upper(), own) for character, own in text],
    "split: ',' | join: '>'": lambda text: replaced(rstripped_commas(text), ",", ">"),
    "newline_to_br | strip_newlines": lambda text: text,
    "escape": lambda text: [(character, False) for character, _ in text],
}


def rstripped_commas(text: Characters) -> Characters:
    """The text as `split` takes it: without what is empty at its end."""
    return text[: len(plain(text).rstrip(","))]


@examples()
@given(text=CAPTURES, steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=4))
def test_each_character_stays_that_of_its_author(text: Characters, steps: list[str]) -> None:
    """Whatever filters cut, replace and join: the author's `>` is printed as it is, that of a value as an entity."""
    names = {"a": "a", ">": "gt", ",": "comma", " ": "space"}
    source = "".join(character if own else f"{{{{ {names[character]} }}}}" for character, own in text)
    shown = "".join(f" | {step}" for step in steps)
    values = {name: character for character, name in names.items()}
    for step in steps:
        text = STEPS[step](text)
    expected = "".join(character if own else str(escape(character)) for character, own in text)
    assert (
        HTML.from_string(f"{{% capture c %}}{source}{{% endcapture %}}{{{{ c{shown} }}}}").render(values) == expected
    )
