"""Whole messages: three parts, all errors in one response, an unsubscribe link in each body."""

import unicodedata

import pytest

from core.errors import InputErrors
from services.rendering.errors import TemplateInvalid
from services.rendering.limits import MAX_SOURCE, MAX_TAGS
from services.rendering.messages import MessageTemplate, RenderedMessage, compile_message
from services.rendering.variables import campaign_variables, contact_variables

URL = "https://example.test/u/t0ken"
CAMPAIGN = campaign_variables(organization_name="Ada & Co", campaign_name="Spring", unsubscribe_url=URL)


def contact(first_name: str | None = "Zoë", **custom_fields: object) -> dict[str, object]:
    return contact_variables(
        first_name=first_name,
        last_name="O'Neil",
        email="zoe@example.test",
        custom_fields=custom_fields,
        tags=["vip", "a&b"],
    )


def message(html: str, text: str | None = None, subject: str = "Hi {{ contact.firstName }}") -> MessageTemplate:
    return compile_message(subject=subject, html_content=html, text_content=text)


def render(html: str, text: str | None = None) -> RenderedMessage:
    return message(html, text).render(contact(), CAMPAIGN)


def test_a_message_has_three_parts() -> None:
    """Subject, HTML and text have the contact's and the campaign's values, escaped as each part needs."""
    content = compile_message(
        subject="{{ campaign.name }}: {{ contact.firstName | default: 'you' }} {{ contact.lastName }}",
        html_content="<p>{{ contact.lastName }} {{ contact.tags | join: ', ' }} {{ unsubscribeUrl }}</p>",
        text_content="{{ organization.name }} {{ contact.customFields.city }} {{ unsubscribeUrl }}",
    ).render(contact(city="K<ö>ln"), CAMPAIGN)
    assert content.subject == "Spring: Zoë O'Neil"
    assert content.html == f"<p>O&#39;Neil vip, a&amp;b {URL}</p>"
    assert content.text == f"Ada & Co K<ö>ln {URL}"


def test_all_invalid_parts_are_reported_at_once() -> None:
    """There is an error for each invalid part, with its position."""
    with pytest.raises(InputErrors) as excinfo:
        compile_message(subject="{{ a", html_content="\n{{ a | b }}", text_content="{% if a %}")
    errors = [error for error in excinfo.value.errors if isinstance(error, TemplateInvalid)]
    assert [(error.field[-1], error.line, error.column) for error in errors] == [
        ("subject", 1, 1),
        ("htmlContent", 2, 8),
        ("textContent", 1, 1),
    ]


def test_a_footer_is_added_where_the_link_is_missing() -> None:
    """Each body shows the unsubscribe link once, before the end of the HTML body."""
    content = render("<html><body><p>Hi</p></BODY ></html>", "Hi")
    assert content.html.count(URL) == 1
    assert content.html.index(URL) < content.html.index("</BODY >")
    assert "Ada &amp; Co" in content.html
    assert content.text.startswith("Hi\n\n-- \n")
    assert content.text.count(URL) == 1


def test_no_footer_is_added_to_a_template_with_the_link() -> None:
    """A template that uses `unsubscribeUrl` is sent as its author wrote it."""
    content = message('<a href="{{ unsubscribeUrl }}">Bye</a>', "Bye: {{ unsubscribeUrl }}")
    assert content.html.source == '<a href="{{ unsubscribeUrl }}">Bye</a>'
    assert content.text is not None
    assert content.text.source == "Bye: {{ unsubscribeUrl }}"
    parts = content.render(contact(), CAMPAIGN)
    assert (parts.html, parts.text) == (f'<a href="{URL}">Bye</a>', f"Bye: {URL}")


@pytest.mark.parametrize(
    "html",
    [
        "<p>a</p>{% comment %}</body>{% endcomment %}",
        "<p>a</p>{% if contact.nothing %}</body>{% endif %}",
        "<p>a</p>{% raw %}{{ x }}</body>{% endraw %}",
        "<p>a</p>{{ contact.nothing | append: '</body>' }}",
        "",
    ],
)
def test_the_footer_is_visible_wherever_the_body_ends(html: str) -> None:
    """Also if `</body>` is not plain markup."""
    assert URL in render(html, "x").html


def test_a_source_at_its_limits_can_get_a_footer() -> None:
    """The limits apply to the author's source, not to what we add."""
    assert URL in render("<p>Hi</p>" + " " * (MAX_SOURCE - 9), "x").html
    assert URL in render("{{ contact.email }}" * MAX_TAGS, "x").html


def test_the_text_is_derived_from_the_html_if_there_is_none() -> None:
    """Variables, loops and conditions work; the text shows values unescaped."""
    html = (
        "<h1>Hi {{ contact.firstName }}</h1>{% if contact.tags contains 'vip' %}<p>Dear {{ contact.lastName }}</p>"
        "{% endif %}<ul>{% for tag in contact.tags %}<li>{{ tag }}</li>{% endfor %}</ul>"
        '<a href="{{ unsubscribeUrl }}">Unsubscribe</a>'
    )
    text = render(html, " \n").text
    assert [line for line in text.split("\n") if line] == [
        "Hi Zoë",
        "Dear O'Neil",
        "- vip",
        "- a&b",
        f"Unsubscribe ({URL})",
    ]


def test_hostile_fields_do_no_harm_in_any_part() -> None:
    """Control characters, line ends and markup of a contact neither inject headers nor enter the HTML."""
    evil = "Eve\r\nBcc: x@y.z\x00\x1b[2J<img src=x onerror=alert(1)>{{ contact.email }}\u202e"
    content = message("<p>{{ contact.firstName }} {{ contact.customFields.a }}</p>").render(
        contact(first_name=evil, a=[evil, {"b": evil}]), CAMPAIGN
    )
    assert content.subject.isprintable()
    assert "<img" not in content.html
    assert "{{ contact.email }}" in content.html
    for part in (content.subject, content.html, content.text):
        assert not any(ord(c) < 32 and c not in "\r\n\t" for c in part)
        assert "\u202e" not in part


def test_variables_are_those_of_all_parts() -> None:
    """The caller loads only the columns that some part needs."""
    content = message("<p>{{ contact.lastName }}</p>", "{{ contact.customFields.city }}")
    assert content.variables == {
        "contact.firstName",
        "contact.lastName",
        "contact.customFields.city",
        "organization.name",
        "unsubscribeUrl",
    }


def test_filters_that_make_html_are_neutral_in_text() -> None:
    """Subject and text part have no entities and no <br />."""
    line = "{{ contact.lastName | escape }} {{ contact.firstName | escape_once }}"
    note = "{{ contact.customFields.note | newline_to_br }}"
    contact = contact_variables(
        first_name="A &amp; B", last_name="O'Neil <x>", email="a@b.example", custom_fields={"note": "one\ntwo"}
    )
    message = compile_message(subject=line, html_content=line + note, text_content=line + "\n" + note)
    rendered = message.render(contact, CAMPAIGN)
    assert rendered.subject == "O'Neil <x> A & B"
    assert rendered.text.startswith("O'Neil <x> A & B\none\ntwo")


def test_control_characters_are_removed_from_all_variables() -> None:
    """All but tab and line ends, lone surrogates, and the overrides of the direction of a text."""
    for number in (*range(0x3000), *range(0xD700, 0xE100), 0xFEFF, 0x1F600):
        character = chr(number)
        control = unicodedata.category(character) in {"Cc", "Cs"} and character not in "\t\n\r"
        shown = "ab" if control or number in {0x202D, 0x202E} else f"a{character}b"
        text = f"a{character}b"
        made = contact_variables(
            first_name=text, last_name=text, email=text, custom_fields={"x": [text, {"y": text}]}, tags=[text]
        )
        assert made == {
            "firstName": shown,
            "lastName": shown,
            "email": shown,
            "customFields": {"x": [shown, {"y": shown}]},
            "tags": [shown],
        }
        names = campaign_variables(organization_name=text, campaign_name=text, unsubscribe_url=URL)
        assert names == {"organization": {"name": shown}, "campaign": {"name": shown}, "unsubscribeUrl": URL}


def test_deep_custom_fields_are_cut() -> None:
    """Twenty levels are kept; what is deeper is missing, and other values keep their types."""
    deep: object = "x"
    cut: object = None
    for _ in range(18):
        deep, cut = [deep], [cut]
    fields = {"a": [deep], "b": [[deep]], "c": [1, 2.5, True, None]}
    found = contact_variables(first_name=None, last_name="", email="a@b.test", custom_fields=fields)
    assert (found["firstName"], found["lastName"]) == (None, "")
    assert found["customFields"] == {"a": [deep], "b": [cut], "c": [1, 2.5, True, None]}
    assert contact_variables(first_name=None, last_name=None, email="x")["customFields"] == {}
