"""The limits of templates at their last value: what is still accepted, and where the error is."""

from collections.abc import Callable

import pytest

from services.rendering.errors import RenderFailed, TemplateInvalid
from services.rendering.templates import CompiledTemplate, compile_template

INTERPRETED = "{% assign unused = 1 %}"
"""Before a template: no code is generated for it."""
EACH, OTHER, END = "{% for a in l %}", "{% for b in m %}", "{% endfor %}"


def compiled(source: str, *, one_line: bool = False) -> CompiledTemplate:
    return compile_template(source, html=not one_line, field=(), one_line=one_line)


@pytest.mark.parametrize(
    ("source", "limit", "place", "message"),
    [
        (lambda count: "\n" + "x" * (count - 1), 512 * 1024, (2, 512 * 1024), "longer than 524288 characters"),
        (lambda count: "{{a}}\n" * count, 2_000, (2_001, 1), "more than 2000 tags"),
        (lambda count: "\n{% liquid" + "\n#" * (count - 1) + "%}", 2_000, (2, 1), "more than 2000 tags"),
        (lambda count: "\n{{ a" + " " * count + "}}", 100, (2, 5), "more than 100 spaces in a row"),
        (lambda count: "\n{% if" + "\t" * count + "a %}{% endif %}", 100, (2, 6), "more than 100 spaces in a row"),
        (lambda count: "\n {{'" + "x" * (count - 6) + "'}}", 5_000, (2, 2), "A tag is longer than 5000 characters"),
        (lambda count: "{% for i in (1.." + str(count) + ") %}{% endfor %}", 10_000, (1, 13), "more than 10000"),
        (lambda count: "{% for i in (-9.." + str(count) + ") %}{% endfor %}", 9_990, (1, 13), "more than 10000"),
    ],
    ids=["source", "tags", "lines of liquid", "gap in an output", "gap in a tag", "tag", "range", "negative range"],
)
def test_a_template_at_its_limits(
    source: Callable[[int], str], limit: int, place: tuple[int, int], message: str
) -> None:
    """The last template that fits is compiled, and the next one is refused with the place and the limit."""
    assert compiled(source(limit)).source == source(limit)
    with pytest.raises(TemplateInvalid, match=message) as caught:
        compiled(source(limit + 1))
    assert (caught.value.line, caught.value.column) == place


def test_a_subject_at_its_limits() -> None:
    """Both the template and the subject itself have at most 998 characters; a longer subject is cut."""
    assert compiled("x" * 998, one_line=True).render({}) == "x" * 998
    with pytest.raises(TemplateInvalid, match="longer than 998 characters") as caught:
        compiled("\n" + "x" * 998, one_line=True)
    assert (caught.value.line, caught.value.column) == (2, 998)
    name = compiled("{{ name }}", one_line=True)
    assert name.render({"name": "é" * 999}) == "é" * 998
    assert name.render({"name": "a" + "\n" * 999 + "b"}) == "a b"
    assert name.render({"name": "\na\x85\x9fb\u2029"}) == "a b"


@pytest.mark.parametrize("prefix", ["", INTERPRETED])
@pytest.mark.parametrize(
    ("source", "sizes", "reason"),
    [
        (EACH + OTHER + "x" + END + END, (100, 101), "a loop goes through more than 10000 items"),
        (EACH + OTHER + "{% for c in one %}x" + END * 3, (100, 101), "a loop goes through more than 10000 items"),
        (EACH + "x" + END + OTHER + "x" + END, (10_000, 10_001), "a loop goes through more than 10000 items"),
    ],
)
def test_loops_at_their_limit(prefix: str, source: str, sizes: tuple[int, int], reason: str) -> None:
    """The items of nested loops count together, those of consecutive loops do not; all of them are rendered."""
    fitting, excessive = sizes
    template = compiled(prefix + source)
    assert template.compiled is not bool(prefix)
    length = len(template.render({"l": [1] * fitting, "m": [1] * fitting, "one": [1]}))
    assert length == (fitting**2 if fitting == 100 else 2 * fitting)
    for values in ({"l": [1] * excessive, "m": [1] * fitting}, {"l": [1] * fitting, "m": [1] * excessive}):
        with pytest.raises(RenderFailed, match=reason):
            template.render({**values, "one": [1]})
    assert template.render({"l": [1] * fitting, "m": [], "one": []}) == ("" if fitting == 100 else "x" * fitting)


@pytest.mark.parametrize("prefix", ["", INTERPRETED])
@pytest.mark.parametrize("character", ["x", "é", "\u20ac", "\U0001f600"])
def test_a_part_at_its_limit(prefix: str, character: str) -> None:
    """A rendered part has at most 2 MiB, which are bytes and not characters."""
    piece = character * (64 * 1024 // len(character.encode()))
    if character == "\u20ac":
        piece += "x"
    template = compiled(prefix + EACH + "{{ a }}" + END)
    assert len(template.render({"l": [piece] * 32}).encode()) == 2 * 1024 * 1024
    with pytest.raises(RenderFailed, match="message is longer than 2 MiB"):
        template.render({"l": [*[piece] * 32, "x"]})


@pytest.mark.parametrize("prefix", ["", INTERPRETED])
def test_the_work_at_its_limit(prefix: str) -> None:
    """A turn of a loop counts its source, or 64 characters, and a filter its input and 512 more, of 8 Mi together."""
    turns = compiled(prefix + EACH + "{% if a == 2 %}" + "y" * 800 + "{% endif %}" + END)
    filters = compiled(prefix + EACH + "{{ b | slice: 9000 }}" + END)
    for template, fitting, excessive, text in ((turns, 9_900, 9_999, ""), (filters, 970, 980, "x" * 8_000)):
        assert template.render({"l": [1] * fitting, "b": text}) == ""
        with pytest.raises(RenderFailed, match="the template does too much work; make its loops shorter"):
            template.render({"l": [1] * excessive, "b": text})
