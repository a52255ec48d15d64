"""Loops: generated code and python-liquid render the same, up to the last property of `forloop`."""

from typing import Final

import pytest

from services.rendering.errors import RenderFailed, TemplateInvalid
from services.rendering.templates import compile_template

FIELD: Final = ("input", "htmlContent")
INTERPRETED: Final = "{% assign unused = 1 %}"
"""Before a template: no code is generated for it."""
VARIABLES: Final = {"contact": {"tags": ["a", "b", "c"], "one": ["x"], "none": []}}
EACH: Final = "{% for t in contact.tags %}"
END: Final = "{% endfor %}"


def both(source: str) -> set[str]:
    """What generated code and the interpreter render."""
    generated = compile_template(source, html=True, field=FIELD)
    interpreted = compile_template(INTERPRETED + source, html=True, field=FIELD)
    assert (generated.compiled, interpreted.compiled) == (True, False)
    return {template.render(VARIABLES) for template in (generated, interpreted)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (EACH + "{{ t }}" + END, "abc"),
        (EACH + "{% if t == 'b' %}{% break %}{% endif %}{{ t }}" + END + "|", "a|"),
        (EACH + "{{ t }}{% if t == 'b' %}{% break %}{% endif %}" + END + "|", "ab|"),
        (EACH + "{% if t == 'b' %}{% continue %}{% endif %}{{ t }}" + END + "|", "ac|"),
        (EACH + "{% unless t == 'b' %}{% continue %}{% endunless %}{{ t }}" + END, "b"),
        (EACH + "{% break %}{{ t }}" + END + "|", "|"),
        (EACH + "{% for t in contact.tags %}{% if t == 'b' %}{% break %}{% endif %}{{ t }}" + END + "{{ t }} " + END,
         "aa ab ac "),
        (EACH + "{% for u in contact.tags %}{% if u == 'b' %}{% continue %}{% endif %}{{ t }}{{ u }} " + END + END,
         "aa ac ba bc ca cc "),
        (EACH + "{% for u in contact.one %}{% if t == 'b' %}{% break %}{% endif %}{{ t }}{{ u }}" + END + END,
         "axcx"),
        ("{% for t in contact.none %}{{ t }}{% else %}none" + END, "none"),
        ("{% for t in contact.one %}{{ t }}{% else %}none" + END, "x"),
        ("{% for t in contact.unknown %}{{ t }}{% else %}none" + END, "none"),
        ("{% for t in contact.none %}{{ t }}" + END + "|", "|"),
    ],
)  # fmt: skip
def test_what_a_loop_renders(source: str, expected: str) -> None:
    """`break` ends the innermost loop, `continue` its current iteration; `else` is for an empty list."""
    assert both(source) == {expected}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index", "1 2 3 "),
        ("index0", "0 1 2 "),
        ("rindex", "3 2 1 "),
        ("rindex0", "2 1 0 "),
        ("first", "true false false "),
        ("last", "false false true "),
        ("length", "3 3 3 "),
    ],
)
def test_properties_of_forloop(name: str, expected: str) -> None:
    """Each is that of the innermost loop; a loop within does not change those of the one around it."""
    tag = "{{ forloop." + name + " }} "
    assert both(EACH + tag + END) == {expected}
    assert both(EACH + "{% for u in contact.one %}{{ u }}" + END + tag + END) == {
        "".join(f"x{each} " for each in expected.split())
    }


@pytest.mark.parametrize(
    ("expression", "expected"), [("forloop.unknown", ""), ("forloop.index.x", ""), ("forloop", "ForLoop")]
)
def test_what_forloop_does_not_have_is_empty(expression: str, expected: str) -> None:
    """No code is generated for it; python-liquid renders it."""
    template = compile_template(EACH + "{{ " + expression + " }}" + END, html=True, field=FIELD)
    assert not template.compiled
    assert template.render(VARIABLES) == expected * 3


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ("t in contact.tags limit: 1", "a"),
        ("t in contact.tags offset: 1", "bc"),
        ("t in contact.tags limit: 1 offset: 1", "b"),
        ("t in contact.tags limit: '1' offset: '2'", "c"),
        ("t in contact.tags reversed", "cba"),
        ("t in (1..3)", "123"),
        ("t in (3..1)", ""),
    ],
)
def test_loops_that_are_interpreted(loop: str, expected: str) -> None:
    """Loops with arguments and over ranges render as in Liquid, without generated code."""
    template = compile_template("{% for " + loop + " %}{{ t }}" + END, html=True, field=FIELD)
    assert not template.compiled
    assert template.render(VARIABLES) == expected


@pytest.mark.parametrize("tag", ["break", "continue"])
def test_what_ends_a_loop_stands_in_one(tag: str) -> None:
    """Elsewhere it is an error with its position, and never cuts a message short."""
    for before, after in (("a", "b"), (EACH + END, ""), ("{% if x %}", "{% endif %}")):
        with pytest.raises(TemplateInvalid, match=f"{{% {tag} %}} is outside of a loop"):
            compile_template(before + "{% " + tag + " %}" + after, html=True, field=FIELD)


@pytest.mark.parametrize(("items", "fits"), [(10_000, True), (10_001, False)])
@pytest.mark.parametrize("prefix", ["", INTERPRETED])
def test_the_items_of_all_loops_are_limited(items: int, prefix: str, *, fits: bool) -> None:
    """A loop has at most 10,000 iterations, in generated code and in python-liquid."""
    template = compile_template(prefix + EACH + "x" + END, html=True, field=FIELD)
    variables = {"contact": {"tags": ["t"] * items}}
    if fits:
        assert template.render(variables) == "x" * items
    else:
        with pytest.raises(RenderFailed, match="a loop goes through more than 10000 items"):
            template.render(variables)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("'2026-01-01 00:00' | date: '%p %P %I'", "AM am 12"),
        ("'2026-01-01 11:59' | date: '%p %P %I'", "AM am 11"),
        ("'2026-01-01 12:00' | date: '%p %P %I'", "PM pm 12"),
        ("'2026-01-01 12:59' | date: '%p %P %I'", "PM pm 12"),
        ("'2026-01-01 13:00' | date: '%p %P %I'", "PM pm 01"),
        ("999999999999999.0", "999999999999999.0"),
        ("1000000000000000.0", "1.0e+15"),
        ("-1000000000000000.0", "-1.0e+15"),
        ("100000000000000000.0", "1.0e+17"),
    ],
)
def test_values_at_a_boundary(filters: str, expected: str) -> None:
    """Noon is PM and midnight AM, and numbers have an exponent from 1e15 on, as in Ruby."""
    template = compile_template("{{ " + filters + " }}", html=False, field=FIELD)
    assert template.render({}) == expected


def test_a_range_contains_what_lies_between_its_ends() -> None:
    """Both ends belong to it; text and booleans never do."""
    source = (
        "{% assign r = (1..3) %}{% for n in contact.numbers %}{% if r contains n %}{{ n }} {% endif %}{% endfor %}"
    )
    template = compile_template(source, html=True, field=FIELD)
    assert template.render({"contact": {"numbers": [0, 0.9, 1, 2.5, 3, 3.1, 4, True, "2"]}}) == "1 2.5 3 "
