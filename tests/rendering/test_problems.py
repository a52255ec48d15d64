"""Error messages for authors: never in terms of Python or a library."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

import pytest

from services.rendering.environment import PLAIN
from services.rendering.errors import RenderFailed, TemplateInvalid
from services.rendering.problems import _MISSING
from services.rendering.templates import compile_template

FOREIGN: Final = re.compile(
    r"object|__|NoneType|\bargument|positional|subscript|'(?:str|int|float|list|dict|tuple|bool|range)'"
    r"|Error|\bNone\b|[a-z]Literal|lparen|ident(?:string|ifier)|\beof\b|decimal\."
)
VALUES: Final = (
    None,
    True,
    3,
    2.5,
    "text",
    "",
    [1, "a", None],
    [{"a": 1}, {"a": "b"}],
    {"a": 1},
    float("inf"),
    10**9,
)


def messages(source: str) -> Iterator[str]:
    """The error messages of a template when it is saved, or rendered with all kinds of values."""
    try:
        template = compile_template(source, html=False, field=())
    except TemplateInvalid as error:
        yield error.message
        return
    for left, right in product(VALUES, repeat=2):
        try:
            template.render({"a": left, "b": right, "c": right, "d": right})
        except RenderFailed as error:
            yield error.message


def check(source: str) -> None:
    """Fail for a message in technical terms, or one without content."""
    for message in messages(source):
        assert not FOREIGN.search(message), message
        assert _MISSING not in message, source


@pytest.mark.parametrize("count", range(4))
@pytest.mark.parametrize("name", sorted(PLAIN.filters))
def test_messages_about_filters_are_about_the_template(name: str, count: int) -> None:
    """With any kind and number of arguments."""
    arguments = ", ".join(["b", "c", "d"][:count])
    check(f"{{{{ a | {name}{': ' if count else ''}{arguments} }}}}")


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in a limit: b %}{% endfor %}",
        "{% for i in a offset: b %}{% endfor %}",
        "{% for i in (a..b) %}{% endfor %}",
        "{% tablerow i in a cols: b limit: b %}{% endtablerow %}",
        "{% if a > b or a <= b or a contains b %}{% endif %}",
        "{% case a %}{% when b %}{% endcase %}{% cycle a: b %}{{ a[b] }}{{ a.size.first }}",
    ],
)
def test_messages_about_tags_are_about_the_template(source: str) -> None:
    """With any kind of values."""
    check(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% capture %}{% endcapture %}",
        "{% capture 1.5 %}{% endcapture %}",
        "{% assign (1..2) = 3 %}",
        "{% assign 'a' = 3 %}",
        "{% for 'a' in b %}{% endfor %}",
        "{% for a.b in c %}{% endfor %}",
        "{% if %}{% endif %}",
        "{% if a == %}{% endif %}",
        "{% if (a) %}{% endif %}",
        "{{ a | }}",
        "{{ a | upcase upcase }}",
        "{{ 99999" + "9" * 4_400 + " }}",
        "{{ a b }}",
        "{{ a[ }}",
        "{{ a['b'] c }}",
        "{{ (1..) }}",
        "{% cycle %}",
        "{% assign a %}",
        "{% when a %}",
    ],
)
def test_messages_of_the_parser_are_about_the_template(source: str) -> None:
    """With any typing error."""
    assert len(list(messages(source))) == 1
    check(source)


@pytest.mark.parametrize("name", ["contentt", "outputs", "illega", "conten"])
def test_names_of_the_library_are_not_suggested(name: str) -> None:
    """`content`, `output` and `illegal` are tags of python-liquid's parser, and none of Liquid's."""
    for kind in ("content", "output", "illegal"):
        with pytest.raises(TemplateInvalid, match="no tag called") as caught:
            compile_template("{% " + name + " %}", html=False, field=())
        assert f"Did you mean {kind}?" != caught.value.suggestion


@pytest.mark.parametrize(
    "source",
    [
        "\n" + "{% if a %}" * 900 + "{% endif %}" * 900,
        "\n" + "{% for i in a %}" * 200 + "{% endfor %}" * 200,
        "\n{{ a" + "[a" * 1_500 + "]" * 1_500 + " }}",
        "\n{% if a" + " and a" * 700 + " %}{% endif %}" + "{% if a %}" * 300 + "{% endif %}" * 300,
    ],
    ids=["blocks", "loops", "brackets", "conditions"],
)
def test_a_template_nested_too_deeply_has_no_position(source: str) -> None:
    """The error is at the beginning, because no single tag is the cause."""
    with pytest.raises(TemplateInvalid) as caught:
        compile_template(source, html=False, field=())
    assert caught.value.message == "The template is too deeply nested (line 1, column 1)"
