"""Static analysis of templates: its results are the same as those of parsing each rendered message."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputErrors
from services.rendering.errors import RenderFailed
from services.rendering.messages import MessageTemplate, compile_message
from services.rendering.outline import LinkVisibility, outline
from services.rendering.variables import campaign_variables, contact_variables
from tests.properties import examples

URL = "https://example.test/u/t0ken"
CAMPAIGN = campaign_variables(organization_name="Ada & Co", campaign_name="Spring", unsubscribe_url=URL)
LINK = '<a href="{{ unsubscribeUrl }}">Bye</a>'


def message(html: str) -> MessageTemplate:
    return compile_message(subject="x", html_content=html, text_content="")


def parse_each_rendering(template: MessageTemplate) -> MessageTemplate:
    """The same message, whose results come from parsing each rendered HTML."""
    return dataclasses.replace(template, text=None, space_runs=None, link=None, footer_offset=None)


VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "Zoë",
            "O'Neil & Söhne",
            "<b>x</b>",
            "a\nb",
            " a",
            "b ",
            "a  b",
            "\xa0",
            "-->",
            "--",
            ">",
            "&amp;",
            "|",
        ]
    ),
    st.sampled_from(
        [URL, "https://x.test/", "shop.example", "#", "Shop", "/", "a/b", "mailto:a@b.test", "display:none"]
    ),
    st.sampled_from(["\u2028", "\u200d", "👩‍👧", "\x0b", "{{ x }}", "{% if %}", "\t", "a\r\nb"]),
    st.text(max_size=6),
    st.none(),
    st.integers(-9, 9999),
    st.booleans(),
    st.lists(st.sampled_from(["a", "", " ", "<&>"]), max_size=3),
)
# The recipient's own address is no contact's value.
CONTACTS = st.builds(
    lambda first, last, fields, tags: contact_variables(
        first_name=first, last_name=last, email="zoe@example.test", custom_fields=fields, tags=tags
    ),
    st.one_of(st.none(), st.sampled_from(["Zoë", "", " ", "a <b> & 'c'", "x\ny"])),
    st.one_of(st.none(), st.text(max_size=5)),
    st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES, max_size=3),
    st.lists(st.sampled_from(["vip", "a&b", ""]), max_size=3),
).filter(lambda contact: URL not in repr(contact))
OUTPUTS = st.sampled_from(
    [
        "{{ contact.firstName }}",
        '{{ contact.firstName | default: "there" }}',
        "{{- contact.lastName | upcase -}}",
        "{{ contact.customFields.x }}",
        "{{ contact.customFields.y | escape }}",
        "{{ contact.customFields.x | newline_to_br }}",
        "{{ contact.email }}",
        "{{ unsubscribeUrl }}",
        "{{ unsubscribeUrl | escape }}",
        "{{ unsubscribeUrl | upcase }}",
        "{{ contact.tags | join: ', ' }}",
        "{{ t }}",
        "{{ n }}",
        "{{ forloop.index }}",
        '{{ " " }}',
    ]
)
TAGS = st.sampled_from(
    [
        "{% assign n = contact.customFields.x %}",
        "{%- assign n = unsubscribeUrl -%}",
        "{% increment i %}",
        "{% cycle 'a', 'b' %}",
        "{% comment %}<p>{% endcomment %}",
        "{% raw %}{{ <b>x</b> }}{% endraw %}",
        "{% # note %}",
        "{% capture n %}<i>{{ contact.firstName }}</i>{% endcapture %}",
    ]
)
WORDS = st.sampled_from(
    [
        " ",
        "\n  ",
        "Hi",
        "Hi, ",
        " you",
        "one two",
        "&amp;",
        "&nbsp;",
        "&",
        "&am",
        "p;",
        "{",
        "}",
        "<",
        ">",
        "-",
        "--",
        "!",
        "\u200b",
        "\x84",
        "\x83",
    ]
)
ELEMENTS = st.sampled_from(
    [
        "p",
        "b",
        "div",
        "h1",
        "li",
        "ul",
        "table",
        "tr",
        "td",
        "span",
        "pre",
        "title",
        "style",
        "head",
        "body",
        "center",
        "svg",
        "button",
    ]
)
LIQUID_TEXT = st.lists(st.one_of(WORDS, OUTPUTS, TAGS), max_size=3).map("".join)
STYLES = st.sampled_from(
    ["", "", "", ' class="a"', " hidden", ' style="display:none"', ' style="font-size:0"', ' style="font-size:12px"']
)
ATTRIBUTES = st.one_of(
    STYLES,
    st.builds(' title="{}"'.format, LIQUID_TEXT),
    st.builds(' style="{}"'.format, LIQUID_TEXT),
    st.sampled_from([" {% if contact.customFields.x %}hidden{% endif %}", " {{ contact.customFields.y }}"]),
)
ADDRESSES = st.sampled_from(
    [
        "{{ unsubscribeUrl }}",
        "{{ unsubscribeUrl }}?x=1",
        "{{ unsubscribeUrl }}/x",
        "https://shop.example/",
        "https://shop.example/?c={{ contact.customFields.x }}",
        "https://shop.example/{{ contact.email }}",
        "{{ contact.customFields.y }}",
        "mailto:{{ contact.email }}",
        "#{{ n }}",
        " {{ unsubscribeUrl }} ",
        "{% if contact.customFields.x %}{{ unsubscribeUrl }}{% endif %}",
    ]
)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    return st.one_of(
        st.builds(lambda name, attributes, text: f"<{name}{attributes}>{text}</{name}>", ELEMENTS, ATTRIBUTES, body),
        st.builds(lambda href, style, text: f'<a href="{href}"{style}>{text}</a>', ADDRESSES, STYLES, body),
        st.builds(lambda href, text: f'<a href="{href}">{text}', ADDRESSES, body),
        st.builds("<!-- {} -->".format, body),
        st.builds("<!--{}-->".format, body),
        st.builds("<!--[if mso]>{}<![endif]-->".format, body),
        st.builds("<!--[if !mso]><!-->{}<!--<![endif]-->".format, body),
        st.builds("{{% if contact.customFields.x %}}{}{{% endif %}}".format, body),
        st.builds("{{%- unless contact.firstName -%}}{}{{% else %}}{}{{% endunless -%}}".format, body, body),
        st.builds(
            "{{% if contact.lastName == n %}}{}{{% elsif contact.email %}}{}{{% else %}}{}{{% endif %}}".format,
            body,
            body,
            body,
        ),
        st.builds("{{% for t in contact.tags %}}{}{{% endfor %}}".format, body),
        st.builds(
            "{{% for t in contact.tags %}}{}{{% if n %}}{}{{%break%}}{{%endif%}}{}{{% else %}}{}{{%endfor%}}".format,
            body,
            body,
            body,
            body,
        ),
    )


SINGLE = st.sampled_from(
    [
        '<img src="a.png" alt="Logo">',
        '<img src="a.png" alt="{{ contact.customFields.x }}">',
        '<img src="{{ contact.customFields.x }}">',
        "<br>",
        "<br/>",
        "<p>",
        "</p>",
        "</div>",
        "<td>",
        "<!--",
        "-->",
        "<style>",
        "</a>",
        "</body>",
        "<p title='",
        LINK,
    ]
)
TEMPLATES = st.lists(st.recursive(st.one_of(WORDS, OUTPUTS, TAGS, SINGLE), _nested, max_leaves=8), max_size=5).map(
    "".join
)


@examples(long=5_000)
@given(html=TEMPLATES, contact=CONTACTS)
def test_the_analysis_agrees_with_every_rendering(html: str, contact: dict[str, object]) -> None:
    """The derived template, the link's visibility and the footer's position are the same as from the HTML."""
    _agrees(html, contact)


@pytest.mark.parametrize("last_name", [None, "", "O'Neil & <b>", " a  b ", "a\nb", "--", "https://x.test/"])
@pytest.mark.parametrize(
    "html",
    [
        "{% if contact.lastName %}<div hidden>{% endif %}<p>Hi</p>" + LINK,
        "{% if contact.lastName %}<!--{% endif %}<p>Hi</p>--> " + LINK,
        "{% if contact.lastName %}</body>{% endif %}<p>Hi</p>",
        "<a href='{{ unsubscribeUrl }}'>{% if contact.lastName %}Bye</a>{% endif %}",
        "<p>a {% if contact.lastName %} <br> {% endif %} b</p>",
        "<p>a{% if contact.lastName %} <b></b> {% endif %}b</p>",
        "<p>a{% for t in contact.tags %} {% endfor %}b</p>",
        "<ul>{% for t in contact.tags %}<li>{{ t }}</li>{% else %}<li>none</li>{% endfor %}</ul>",
        "<p>Dear {{ contact.firstName }} {{ contact.lastName }},</p><p>{{ contact.lastName }}</p><p>x</p>",
        "<!-- {{ contact.lastName }}> x -->y",
        "<title>{{ contact.lastName }}</title>AT&{{ contact.lastName }}T",
        "<a href='https://x.test/'>{{ contact.lastName }}</a>",
        "<a href='https://x.test/{{ contact.lastName }}'>x.test/</a>",
        "<a href='https://x.test/{{ contact.lastName }}'><img src='a' alt='{{ contact.firstName }}'></a>",
        "<pre>{{ contact.lastName }}\nx</pre>",
        "{%- if contact.lastName -%} <b>a</b> {%- endif -%} <i>b</i>",
        "<p>{{ unsubscribeUrl }}<img src='a.png' alt='Logo'></p>",
        "<p><img src='a.png' alt='Logo'>{{ unsubscribeUrl }}</p>",
        "<img src='a.png' alt='at'><a href='{{ unsubscribeUrl }}'>{{ unsubscribeUrl }}</a><img src='b.png' alt='-b'>",
        "{{ unsubscribeUrl }}<img src='a.png' alt='{{ contact.lastName }}'>",
        "<ul><li>{{ unsubscribeUrl }}<ul><li>a</ul></ul><table><td>x<td>{{ unsubscribeUrl }}<td>y</table>",
    ],
)
def test_the_analysis_agrees_in_difficult_cases(html: str, last_name: str | None) -> None:
    """Branches that open or close markup, blank blocks, values at edges of white space, URLs, comments."""
    contact = contact_variables(first_name="Zoë", last_name=last_name, email="zoe@example.test", tags=["a", "b"])
    _agrees(html, contact)


def _agrees(html: str, contact: dict[str, object]) -> None:
    try:
        template = message(html)
        expected = parse_each_rendering(template).render(contact, CAMPAIGN)
    except (RenderFailed, InputErrors):
        return
    assert template.render(contact, CAMPAIGN) == expected


@pytest.mark.parametrize(
    "html",
    [
        "<html><head><title>x</title><style>p {}</style></head><p>Hi {{ contact.firstName }},</p>" + LINK + "</html>",
        "<p>{% if contact.lastName %}Dear {{ contact.lastName }}{% else %}Hi{% endif %}</p>" + LINK,
        "{% if contact.lastName %}<p>Dear</p>" + LINK + "{% else %}" + LINK + "{% endif %}",
        "<!-- {% if contact.lastName %} --><p>Dear</p><!-- {% endif %} -->" + LINK,
        "<ul>{% for t in contact.tags %}<li>{{ t }}</li>{% endfor %}</ul>{{ unsubscribeUrl }}",
        '<a href="https://shop.example/?c={{ contact.email }}"><img src="a.png" alt="Logo"></a>' + LINK,
        '<a href="{{ unsubscribeUrl }}">{{ unsubscribeUrl }}</a>',
        "<title>{{ campaign.name }}</title>" + LINK,
        "<p>{% if contact.lastName %}{% endif %}{% unless contact.email %} {% endunless %}</p>" + LINK,
        "<!-- {{ campaign.name }} -->{% if contact.lastName %}a{% elsif contact.email %}b{% endif %}" + LINK,
        "<table><td title='{{ contact.email }}'>a</td></table><a href='{{ unsubscribeUrl | escape }}?x=1'>Bye</a>",
    ],
)
def test_common_templates_can_be_analyzed(html: str) -> None:
    """There is a template of the text, and the link is always visible: no rendered message has to be parsed."""
    result = outline(html)
    assert result
    assert result.link is LinkVisibility.ALWAYS
    template = message(html)
    assert template.text
    assert template.text.compiled


def test_a_template_without_a_link_has_a_footer_position() -> None:
    """Before the end of the body, counted from the end of the rendered HTML."""
    result = outline("<body><p>{{ contact.firstName }}</p></body></html>")
    assert result
    assert (result.link, result.footer_offset) == (LinkVisibility.NEVER, len("</body></html>"))


@pytest.mark.parametrize(
    "html",
    [
        "{% if contact.lastName %}" + LINK + "{% endif %}",
        "{% for t in contact.tags %}" + LINK + "{% else %}" + LINK + "{% endfor %}",
        "{% if contact.lastName %}<p hidden>{% endif %}" + LINK,
        "<div style='{{ contact.customFields.x }}'>" + LINK + "</div>",
        "<p {{ contact.customFields.x }}>" + LINK,
        "<{{ contact.customFields.x }}>" + LINK,
        "{{ contact.customFields.x }}{{ unsubscribeUrl }}",
        "{% assign unsubscribeUrl = 'x' %}" + LINK,
        "{% for unsubscribeUrl in contact.tags %}x{% endfor %}" + LINK.replace("Bye", ""),
        '<a href="{{ unsubscribeUrl }}">{% if contact.lastName %}Bye{% endif %}</a>',
        '<a href="{{ unsubscribeUrl }}">{{ contact.lastName }}</a>',
        '<a href="{{ unsubscribeUrl }}{{ contact.lastName }}">Bye</a>',
        "<!-- {{ contact.lastName }}> " + LINK + " -->",
    ],
)
def test_results_that_depend_on_values_are_not_assumed(html: str) -> None:
    """A link in a branch, or after something that a value can change, is searched for in each message."""
    result = outline(html)
    assert not (result and result.link is LinkVisibility.ALWAYS)
