"""Compiling and rendering single templates: errors with a position, escaping, limits, hostile input."""

import contextlib

import pytest

from core.errors import ErrorCode
from services.rendering.environment import HTML, PLAIN
from services.rendering.errors import RenderFailed, TemplateInvalid
from services.rendering.templates import CompiledTemplate, compile_template
from tests.effort import cpu_limit

FIELD = ("input", "htmlContent")
HOSTILE = "<script>alert('x')</script>"


def html(source: str) -> CompiledTemplate:
    return compile_template(source, html=True, field=FIELD)


def plain(source: str) -> CompiledTemplate:
    return compile_template(source, html=False, field=FIELD)


def subject(source: str) -> CompiledTemplate:
    return compile_template(source, html=False, field=("input", "subject"), one_line=True)


@pytest.mark.parametrize(
    ("source", "place", "message", "suggestion"),
    [
        ("Hi\n  {{ a | upcas }}", (2, 10), "no filter called 'upcas'", "Did you mean upcase?"),
        ("{{ a | safe }}", (1, 8), "no filter called 'safe'", None),
        ("\n{% iff a %}", (2, 4), "no tag called 'iff'", "Did you mean if?"),
        ("{% include 'x' %}", (1, 4), "'include' is not supported", "block"),
        ("a {%- render 'x' -%}", (1, 7), "'render' is not supported", "block"),
        ("a{% doc %}", (1, 2), "{% doc %} is never closed", "Add {% enddoc %}"),
        ("{% doc x %}{% enddoc %}", (1, 1), "{% doc %} takes nothing", None),
        ("{% doc %}{% doc %}{% enddoc %}", (1, 10), "{% doc %} cannot be inside another", None),
        ("{% tablerow a in b %}", (1, 1), "{% tablerow %} is never closed", "Add {% endtablerow %}"),
        ("{% liquid\n  assign a = 1\n  nope b\n%}", (3, 3), "no tag called 'nope'", None),
        ("a\nb {% if x %}\nc", (2, 3), "{% if %} is never closed", "Add {% endif %}"),
        ("{% for a in b %}{% if c %}{% endif %}", (1, 1), "{% for %} is never closed", "Add {% endfor %}"),
        ("{% raw %}{{", (1, 1), "{% raw %} is never closed", "Add {% endraw %}"),
        ("é {{ a }\n", (1, 3), "{{ is never closed", "Add }}"),
        ("{% if a", (1, 1), "{% is never closed", "Add %}"),
        ("{% endif %}", (1, 4), "a block that is not open", None),
        ("{{ a | default: &quot;x&quot; }}", (1, 17), "unexpected '&'", "plain quotes"),
        ("{{ a | default: \u201cx\u201d }}", (1, 17), "cannot be read", "plain quotes"),
        ("{{&nbsp;contact.email&nbsp;}}", (1, 3), "unexpected '&'", "a plain space instead of &nbsp;"),
        ("{% if a &gt; 3 %}{% endif %}", (1, 9), "unexpected '&'", "> instead of &gt;"),
        ("{% if a &amp;&amp; b %}{% endif %}", (1, 9), "unexpected '&'", "and instead of &amp;&amp;"),
        ("{% if a && b %}{% endif %}", (1, 9), "unexpected '&'", "and instead of &&"),
        ("{% if a || b %}{% endif %}", (1, 9), "", "or instead of ||"),
        ("{%&nbsp;if a %}{% endif %}", (1, 1), "", "a plain space instead of &nbsp;"),
        ("{% if a = b %}{% endif %}", (1, 9), "found '='", "Compare with =="),
        ("{{ a | append }}", (1, 8), "append needs a value", 'append: "value"'),
        ("{{ a | replace_last: 'b' }}", (1, 8), "replace_last needs 2 values", 'replace_last: "value", "value"'),
        ("{{ a | upcase: 1 }}", (1, 8), "upcase takes no value", None),
        ("{{ a | append: 1, 2 }}", (1, 8), "append takes one value", None),
        ("{{ a | slice: 1, 2, 3 }}", (1, 8), "slice takes at most 2 values", None),
        ("{{ a | default: 1, allow: true }}", (1, 8), "default takes no value called allow", None),
        ("a\n\n  {% if a == %}{% endif %}", (3, 6), "expected a value, found the end of the tag", None),
        ("x\n {{ a | }}", (2, 2), "expected a word, found the end of the tag", None),
        ("\n {% for i in a limit: %}{% endfor %}", (2, 5), "expected a value, found the end", None),
        ("\n\n{% if a %}\n{{ (a..b }}{% endif %}", (4, 1), "expected ')', found the end of the tag", None),
        ("{% liquid\n assign x = 1\n assign y =\n%}", (3, 2), "expected a value", None),
        ("\n{% for i in a %}\n{{ i | }}", (2, 1), "{% for %} is never closed", "Add {% endfor %}"),
        ("{% for i in a limit 2 %}{% endfor %}", (1, 21), "expected a colon, found a number", None),
        ("{{ (1..) }}", (1, 8), "expected a value, found ')'", None),
        ("\n{% if %}{% endif %}", (2, 4), "something is missing after the name of the tag", None),
        ("{% if a %}{% endif a %}", (1, 20), "nothing may follow the name of the tag", None),
        ("{% if (a or b) and c %}{% endif %}", (1, 7), "a condition must not contain parentheses", None),
        ("{{ a[ }}", (1, 1), "missing after a dot or a bracket", None),
        ("{% break %}", (1, 4), "{% break %} is outside of a loop", None),
        ("{% if a %}\n{% continue %}{% endif %}", (2, 4), "{% continue %} is outside of a loop", None),
        ("{{ a | concat: 5 }}{{ 9 | divided_by: b }}", (1, 8), "concat needs a list", None),
        ("{% if '2' > 1 %}{% endif %}", (1, 11), "a text is compared with a number", None),
        ("{% if startswith a b %}{% endif %}", (1, 18), "found a word", None),
        ("{{ 1 | divided_by: 0 }}", (1, 8), "divide by 0", None),
        ("a\x00", (1, 2), "control character U+0000", None),
        ("a\n\ud800", (2, 1), "control character U+D800", None),
        ("{% for i in (1..99999999) reversed %}{% endfor %}", (1, 13), "more than 10000 numbers", None),
    ],
)
def test_an_invalid_template_has_a_position_and_a_message(
    source: str, place: tuple[int, int], message: str, suggestion: str | None
) -> None:
    """Each error has line and column from 1, the field, and a suggestion if possible."""
    with pytest.raises(TemplateInvalid) as excinfo:
        html(source)
    error = excinfo.value
    assert (error.line, error.column) == place
    assert message in error.message
    assert f"(line {place[0]}, column {place[1]})" in error.message
    assert error.field == FIELD
    assert error.error_code is ErrorCode.TEMPLATE_INVALID
    if suggestion:
        assert suggestion in (error.suggestion or "")


def test_missing_variables_render_empty() -> None:
    """A missing field prints nothing, at any depth."""
    template = html("[{{ contact.customFields.a.b.c }}{{ nothing }}{{ contact.tags.first }}]")
    assert template.render({}) == "[]"
    assert template.render({"contact": None}) == "[]"


def test_variables_are_the_paths_read() -> None:
    """Loop variables are not among them, and a path ends at a position."""
    template = html(
        "{{ contact.firstName }}{% for t in contact.tags %}{{ t.x }}{{ forloop.index }}{% endfor %}"
        "{% if contact.customFields['k y'] == organization.name %}{% endif %}{{ list[0].a }}"
    )
    assert template.variables == {
        "contact.firstName",
        "contact.tags",
        "contact.customFields.k y",
        "organization.name",
        "list",
    }


def test_common_templates_are_compiled_and_rare_ones_interpreted() -> None:
    """Both kinds render; `compiled` distinguishes them."""
    common = html("{% if a contains 'x' %}{{ a | upcase | truncate: 3 }}{% else %}{{ b.c }}{% endif %}")
    rare = html("{% assign x = a | upcase %}{% case x %}{% when 'YX' %}{{ x }}{% endcase %}")
    assert common.compiled
    assert not rare.compiled
    assert common.render({"a": "yx"}) == "YX"
    assert rare.render({"a": "yx"}) == "YX"


def test_values_are_escaped_in_html_and_not_in_text() -> None:
    """A contact's field cannot inject markup into HTML; plain text shows it unchanged."""
    values = {"contact": {"firstName": HOSTILE, "tags": [HOSTILE]}}
    source = "{{ contact.firstName }}|{{ contact.tags }}|{{ contact.firstName | default: 'x' | append: '<b>' }}"
    assert "<" not in html(source).render(values).replace("<b>", "")
    assert plain(source).render(values) == f"{HOSTILE}|{HOSTILE}|{HOSTILE}<b>"


@pytest.mark.parametrize("name", sorted(HTML.filters))
@pytest.mark.parametrize(
    "pattern",
    [
        "{{{{ contact.x | {0} }}}}",
        "{{{{ contact.x | {0}: contact.x }}}}",
        "{{{{ contact.x | {0}: 'a', contact.x }}}}",
        "{{{{ 'text abc' | {0}: contact.x }}}}",
        "{{{{ 'text abc' | {0}: 'text', contact.x }}}}",
        "{{{{ 'text abc' | {0}: 4, contact.x }}}}",
        "{{{{ 'a,b' | split: ',' | {0}: contact.x }}}}",
        "{{{{ contact.x | escape | {0} }}}}",
        "{{{{ contact.x | newline_to_br | {0}: 1 }}}}",
        "{{{{ contact.x | url_encode | {0} }}}}",
        "{{{{ contact.tags | {0} }}}}",
        "{{{{ contact.tags | {0}: contact.x | join: contact.x }}}}",
    ],
)
def test_no_filter_lets_markup_through(name: str, pattern: str) -> None:
    """The output has no tag, with any filter of a hostile value or with a hostile argument."""
    try:
        output = html(pattern.format(name)).render({"contact": {"x": HOSTILE, "tags": [HOSTILE, "b"]}})
    except (TemplateInvalid, RenderFailed):
        return
    assert "<script" not in output.lower()


@pytest.mark.parametrize(
    "source",
    [
        "'''\"\"\"\\",
        "\\n{0}%s${x}",
        "'); import os; os.abort() #",
        '{{ "\'); raise SystemExit #" }}',
        "{{ contact['\"); raise SystemExit #'] }}",
        "{{ __import__ }}{{ contact.__class__ }}{{ k0 }}{{ append }}{{ variables.used }}",
        "{% for __import__ in contact.tags %}{{ __import__ }}{% endfor %}",
        "{% for out in contact.tags %}{{ out }}{% endfor %}",
    ],
)
def test_template_text_never_becomes_code(source: str) -> None:
    """Quotes, escapes and Python's own names in a template are only data."""
    template = plain(source)
    assert template.compiled
    values = {"contact": {"tags": ["a", "b"]}}
    assert template.render(values) == PLAIN.from_string(source).render(values)


@pytest.mark.parametrize(
    "value", ["Eve\r\nBcc: all@x.y", "Eve\nBcc: all@x.y", "Eve\u2028Bcc: all@x.y", "Eve\x85\x00\x0bBcc: all@x.y"]
)
def test_a_subject_stays_one_line(value: str) -> None:
    """No line end or control character of a name reaches a header."""
    assert subject("Hi {{ n }}!").render({"n": value}) == "Hi Eve Bcc: all@x.y!"


def test_a_subject_is_limited() -> None:
    """Neither the template nor its output is longer than a line of a message may be."""
    assert len(subject("{{ n }}").render({"n": "x" * 5_000})) == 998
    with pytest.raises(TemplateInvalid, match="longer than 998"):
        subject("x" * 999)


BIG = "x" * 4_900
BOMBS = {
    "loops in a row": "{%for i in(1..9999)%}{%endfor%}" * 900,
    "loops in loops": "{%for i in(1..9999)%}{%for j in(1..9999)%}x{%endfor%}{%endfor%}",
    "large body": "{%for i in(1..99)%}{%for j in(1..99)%}" + "y" * 100_000 + "{%endfor%}{%endfor%}",
    "assigned double": '{% assign a = "xxxxxxxx" %}' + "{% assign a = a | append: a %}" * 60,
    "captured double": '{% assign a = "xxxxxxxx" %}' + "{% capture a %}{{a}}{{a}}{% endcapture %}" * 60,
    "replaced": '{% assign a = "' + BIG + '" %}{% assign a = a | replace: "x", a %}',
    "joined": '{% assign a = "' + "a," * 1_900 + '" | split: "," %}{{ a | join: "' + BIG + '" }}',
    "concatenated": '{% assign a = "a,b" | split: "," %}' + "{% assign a = a | concat: a %}" * 40,
    "squared": "{% assign a = 99999 %}" + "{% assign a = a | times: a %}" * 40,
    "worked": '{% assign a = "' + BIG + '" %}{%for i in(1..9999)%}{% assign b = a | upcase %}{%endfor%}',
    "open outputs": "{{ " * 100_000,
    "spaces": "{{ " + " " * 500_000,
    "spaces in tags": ("{{" + " " * 2_000 + "}}") * 200,
    "dates": "{% for i in (1..9999) %}{{ '3 May 2026 10:11' | date: '%c' }}{% for j in (1..99) %}"
    "{{ '3 May 2026 10:11' | date: '%c' }}{% endfor %}{% endfor %}",
    "raw": "{% raw %}" * 50_000,
    "raw with a word": "{% raw x %}" + "{{ " * 100_000 + "{% endraw %}",
    "raw closed twice": "{% raw %}{% endraw" + " " * 200 + "%}" + "{{ " * 100_000 + "{% endraw %}",
    "and": "{% if a" + " and a" * 80_000 + "%}{% endif %}",
    "brackets": "{{ a" + "[a" * 2_000 + "]" * 2_000 + "}}",
    "nested": "{% if a %}" * 900,
    "long": "x" * (512 * 1024 + 1),
    "lines of liquid": ("{% liquid\n" + "echo a\n" * 700 + "%}") * 100,
    "liquid in liquid": "{% liquid " + "liquid " * 600 + "echo a %}",
    "doc": "{% doc %}" * 1_900,
    "tables in a row": "{% tablerow i in (1..9999) %}{% endtablerow %}" * 900,
    "tables in tables": "{% tablerow i in (1..9999) %}" * 2 + "x" + "{% endtablerow %}" * 2,
    "wide ranges": "{% for i in (1..9999) %}{{ (1..1999) | join }}{% endfor %}",
    "endless range": "{% assign n = '99999999999999' %}{% for i in (1..n) %}{% endfor %}",
    "lists": "{% assign l = '" + "a," * 1_999 + "' | split: ',' %}{% for i in (1..9999) %}"
    "{% assign m = l | where: 'a' | uniq | sort_natural %}{% endfor %}",
    "captured markup": "{% capture a %}{% for i in (1..9999) %}<b>{{ i }}</b>{% endfor %}{% endcapture %}"
    + "{{ a | append: '' }}" * 1_000,
    "tall numbers": "{% assign a = 10 %}" + "{% assign a = a | times: a %}" * 30,
}


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS.keys())
def test_a_hostile_template_is_refused_quickly(source: str) -> None:
    """No template blocks the process or exhausts its memory: it is refused long before a minute of CPU time."""
    with cpu_limit(), pytest.raises(TemplateInvalid):
        html(source)


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("{% for t in contact.tags %}{{ t }}{% endfor %}", ["x" * 1_000] * 9_999),
        ("{% for t in contact.tags %}" + "y" * 2_000 + "{% endfor %}", ["x"] * 9_999),
        ("{% for t in contact.tags %}x{% endfor %}", ["x"] * 10_001),
        ("{% for t in contact.tags %}{% for u in contact.tags %}x{% endfor %}{% endfor %}", ["x"] * 2_000),
        ("{{ contact.tags | join: ', ' }}", ["x"] * 2_001),
        ("{{ contact.tags[0] }}" * 1_000, ["x" * 10_000]),
        ("{% for t in contact.tags %}" + "{{ t | date: '%c' }}" * 200 + "{% endfor %}", ["3 May 2026"] * 2_000),
        ("{% for t in contact.tags %}{{ t | strip_html }}{% endfor %}", ["<a " * 9_000] * 2_000),
        ("{% for t in contact.tags %}{{ t | size }}{% endfor %}", ["x" * 9_000] * 2_000),
        ("{% for t in contact.tags %}{{ contact.tags | sort | size }}{% endfor %}", ["x"] * 2_000),
    ],
)
def test_a_contact_cannot_make_a_message_endless(source: str, tags: list[str]) -> None:
    """Generated code and python-liquid both stop at the limits, for values that the template does not show."""
    for template in (html(source), html("{% assign unused = 1 %}" + source)):
        with cpu_limit(), pytest.raises(RenderFailed) as excinfo:
            template.render({"contact": {"tags": tags}})
        assert excinfo.value.field == FIELD


HARMLESS = {
    "attributes": "<a " + "x=y " * 100_000 + "{{ a }}>",
    "tags": "<a " * 170_000 + "{{ a }}",
    "angles": "<" * 500_000 + "{{ a }}",
    "comments": "<!--" * 120_000 + "{{ a }}",
    "styles": "<style>" * 70_000 + "{{ a }}" + "</styl" * 2_000,
    "branches": "{% if a %}<a href={% else %}<b title='{% elsif b %}\"{% endif %}{{ a }}" * 300,
    "loops": "{% for i in a %}<a href='" * 29 + "{{ i }}" + "{% endfor %}" * 29,
    "one address": '<a href="' + "{{ a }}" * 1_900 + ':">',
    "style": '<p style="{{ a }}">',
    "stripped": "{{ a | strip_html }}{{ a | squish | truncatewords: 9 | date: '%c' }}",
}


@pytest.mark.parametrize("source", HARMLESS.values(), ids=HARMLESS.keys())
@pytest.mark.parametrize(
    "value", ["<" * 100_000, "<script>" * 20_000, "rgb(" * 50_000, "\x01" * 90_000, "a " * 50_000]
)
def test_unusual_html_and_values_take_little_time(source: str, value: str) -> None:
    """Anything allowed is compiled and rendered long before a minute of CPU time."""
    with cpu_limit(), contextlib.suppress(RenderFailed):
        template = html(source)
        template.render({"a": value, "b": True})


@pytest.mark.parametrize(
    ("source", "tags", "reason"),
    [
        ("{% for t in contact.tags %}x{% endfor %}", ["x"] * 10_001, "a loop goes through more than 10000 items"),
        ("{{ contact.tags | join: ', ' }}", ["x"] * 2_001, "a list has more than 2000 items"),
        (
            "{% for t in contact.tags %}" + "{{ t | upcase }}" * 99 + "{% endfor %}",
            [""] * 2_000,
            "the template does too much work; make its loops shorter",
        ),
        ("{% if contact.tags[0] > 1 %}{% endif %}", ["x"], "a text is compared with a number by <, >, <= or >="),
    ],
)
def test_a_failure_has_a_reason_for_its_author(source: str, tags: list[str], reason: str) -> None:
    """The reason is the same for generated code and python-liquid, and in terms of neither."""
    for template in (plain(source), plain("{% assign unused = 1 %}" + source)):
        with pytest.raises(RenderFailed) as excinfo:
            template.render({"contact": {"tags": tags}})
        assert excinfo.value.message == f"The template does not work with this contact's values: {reason}"


def test_unsuitable_values_fail_one_message_only() -> None:
    """Text where the template compares numbers fails for that contact; the next one renders."""
    template = html("{% if contact.age > 17 %}adult{% else %}minor{% endif %}")
    with pytest.raises(RenderFailed, match="does not work with this contact's values"):
        template.render({"contact": {"age": "old"}})
    assert template.render({"contact": {"age": 40}}) == "adult"


@pytest.mark.parametrize("value", ["\u00b2", "9" * 40, "2026-99-99", "x" * 5_000, "", -1e300, [1]])
def test_a_value_that_is_no_date_is_printed_unchanged(value: object) -> None:
    """The `date` filter does not fail a message for a field with another kind of value."""
    output = plain("{{ d | date: '%Y' }}").render({"d": value})
    assert output == {"[1]": "1", "-1e+300": "-1.0e+300"}.get(str(value), str(value))
    assert plain("[{{ d | date: '%Y' }}]").render({"d": None}) == "[]"


def test_dates_are_formatted() -> None:
    """ISO dates, as in JSON fields, are formatted as the author asks."""
    assert plain("{{ d | date: '%d.%m.%Y' }}").render({"d": "2026-03-04"}) == "04.03.2026"


def test_strip_html_leaves_the_text() -> None:
    """Tags are removed, like everything between < and >; the rest of a contact's value is still escaped."""
    template = html("{{ t | strip_html }}{{ '<b>bold</b>' | strip_html }}{{ nothing | strip_html }}")
    assert template.render({"t": "<p>1 < 2 & <<b>i>"}) == "1 i&gt;bold"
    assert template.render({"t": "<p>1 & 2 < 3"}) == "1 &amp; 2 &lt; 3bold"


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("{{ a | concat: l | size }}{{ l.size }}{{ l.first }}{{ l.last }}", "31xx"),
        ("{{ a | concat: l | size }}{{ 100 | divided_by: n }}", "333"),
        ("{{ 100 | divided_by: n }}{{ a | concat: l | size }}", "333"),
        ("{% for i in (1..n) %}{{ i }}{% endfor %}{{ a | concat: l | size }}", "1233"),
        ("{% for i in a %}{% if i == n %}{% break %}{% endif %}{{ i }}{% endfor %}", "12"),
    ],
)
def test_a_template_that_works_with_suitable_values_can_be_saved(source: str, right: str) -> None:
    """With variables of different kinds in one template, no one kind of value suits all of them."""
    assert plain(source).render({"a": [1, 2], "l": ["x"], "n": 3}) == right


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("{% capture s %} {% endcapture %}[{{ s }}]", "[ ]"),
        ("{% capture s %}\n{% assign x = 1 %}\t{% endcapture %}[{{ s }}]", "[\n\t]"),
        ("{% capture s %}{% if true %} {% endif %}{% endcapture %}[{{ s }}]", "[]"),
        ("[{% if true %} {% capture s %}x{% endcapture %} {% endif %}]", "[]"),
    ],
)
def test_captured_white_space_is_kept(source: str, right: str) -> None:
    """A separator may be a space; only blocks of control flow with white space alone print nothing."""
    assert plain(source).render({}) == html(source).render({}) == right
