"""Warnings about content that is valid, but probably not what its author wants."""

import pytest

from services.rendering.checks import check_content
from services.rendering.limits import MAX_TAGS
from services.rendering.messages import compile_message
from tests.effort import cpu_limit

GOOD = '<p>Hi {{ contact.firstName }}</p><a href="{{ unsubscribeUrl }}">Unsubscribe</a>'


def warnings(html: str = GOOD, *, subject: str = "News", custom_fields: frozenset[str] | None = None) -> list[str]:
    message = compile_message(subject=subject, html_content=html, text_content="")
    return check_content(subject=subject, html_content=html, message=message, custom_fields=custom_fields)


def test_good_content_has_no_warnings() -> None:
    """The list of warnings is empty."""
    assert warnings() == []


def test_an_empty_subject_is_a_warning() -> None:
    """A subject of white space counts as empty."""
    assert warnings(subject=" \t") == ["The subject is empty."]


def test_an_unknown_variable_is_a_warning_with_a_suggestion() -> None:
    """A misspelt variable would silently stay empty."""
    assert warnings(GOOD + "{{ contact.fristName }}") == [
        "There is no variable contact.fristName, so it is rendered as empty. Did you mean contact.firstName?"
    ]
    assert "Did you mean contact.firstName" in warnings(GOOD + "{{ firstname }}")[0]


def test_custom_fields_are_checked_when_their_names_are_known() -> None:
    """With the organization's field names a misspelt one is a warning; without them any name passes."""
    html = GOOD + "{{ contact.customFields.ctiy }}{{ contact.customFields.city.size }}"
    assert warnings(html) == []
    assert warnings(html, custom_fields=frozenset({"city"})) == [
        (
            "There is no variable contact.customFields.ctiy, so it is rendered as empty. Did you mean "
            "contact.customFields.city?"
        )
    ]


def test_a_text_compared_with_a_number_is_a_warning() -> None:
    """Names are text; a custom field may be. Computed numbers, and comparisons with text, are fine."""
    html = (
        GOOD
        + "{% if contact.lastName > 3 or 2.5 >= contact.customFields.qty %}{% endif %}"
        + "{% if contact.email < 'b' %}{% endif %}"
        + "{% assign n = contact.customFields.age | plus: 0 %}{% if n > 17 %}{% endif %}"
    )
    message = compile_message(subject="News", html_content=html, text_content="")
    assert message.numbers == {"contact.lastName", "contact.customFields.qty"}
    warnings = check_content(
        subject="News", html_content=html, message=message, text_fields=frozenset({"qty", "age", "other"})
    )
    assert [warning.split(" ")[0] for warning in warnings] == ["contact.customFields.qty", "contact.lastName"]


LINK = '<a href="{{ unsubscribeUrl }}">Bye</a>'


@pytest.mark.parametrize(
    "html",
    [
        LINK,
        "Bye: {{ unsubscribeUrl }}",
        "{% if contact.lastName %}" + LINK + "{% else %}<p>" + LINK + "</p>{% endif %}",
        "{% assign u = unsubscribeUrl %}<a href='{{ u }}'>Bye</a>",
        '<p class="{% if contact.lastName %}a{% endif %}">' + LINK + "</p>",
    ],
)
def test_a_link_that_is_always_visible_needs_no_warning(html: str) -> None:
    """Also if that is only known from rendered samples."""
    assert warnings(html) == []


def test_a_missing_unsubscribe_link_is_a_warning() -> None:
    """The author learns that a footer is added."""
    assert warnings("<p>Hi</p>") == [
        "The HTML has no unsubscribe link ({{ unsubscribeUrl }}), so a footer with one is added."
    ]


@pytest.mark.parametrize(
    "html",
    [
        "<!-- {{ unsubscribeUrl }} -->",
        "<!--[if mso]>" + LINK + "<![endif]-->",
        '<div style="display:none">' + LINK + "</div>",
        '<a href="{{ unsubscribeUrl }}"></a>',
        "{% assign u = unsubscribeUrl %}",
        "<p title='{{ unsubscribeUrl }}'>Hi</p>",
        "{% if contact.lastName %}<!-- " + LINK + " -->{% endif %}",
    ],
)
def test_an_invisible_unsubscribe_link_is_a_warning(html: str) -> None:
    """The author may believe that there is a link."""
    assert warnings(html) == [
        "The HTML mentions {{ unsubscribeUrl }}, but readers see no link to it, so a footer with one is added."
    ]


@pytest.mark.parametrize(
    "html",
    [
        "{% if contact.lastName %}" + LINK + "{% endif %}",
        '{% if contact.lastName == "Bob" %}' + LINK + "{% endif %}",
        '{% unless contact.lastName == "Bob" %}' + LINK + "{% endunless %}",
        "{% for tag in contact.tags %}" + LINK + "{% endfor %}",
        '<a href="{{ unsubscribeUrl }}">{{ contact.lastName }}</a>',
        "<!-- {% if contact.lastName %} -->" + LINK + "<!-- {% endif %} -->",
        '<div {% if contact.lastName %}style="display:none"{% endif %}>' + LINK + "</div>",
    ],
)
def test_a_link_that_is_sometimes_invisible_is_a_warning(html: str) -> None:
    """The author learns that some recipients get a footer, whichever samples lack the link."""
    (warning,) = warnings(html)
    assert warning.startswith(
        "Some recipients see no unsubscribe link in the HTML, because {{ unsubscribeUrl }} depends"
    )
    assert warning.endswith(": they get a footer with one.")


def test_a_text_part_without_the_unsubscribe_url_is_a_warning() -> None:
    """Both parts need an unsubscribe link."""
    message = compile_message(subject="x", html_content=GOOD, text_content="{% if contact.lastName %}Hi{% endif %}")
    assert check_content(subject="x", html_content=GOOD, message=message) == [
        "The text has no unsubscribe link ({{ unsubscribeUrl }}), so a footer with one is added."
    ]


def test_long_html_is_a_warning() -> None:
    """Gmail clips a message after 102 KB, which are bytes and not characters."""
    rest = 102 * 1024 - len(GOOD)
    assert warnings(GOOD + "x" * rest) == []
    assert warnings(GOOD + "x" * (rest + 1)) == ["The HTML has 102 KB; Gmail clips a message after 102 KB."]
    assert warnings(GOOD + "é" * rest) == ["The HTML has 203 KB; Gmail clips a message after 102 KB."]


@pytest.mark.parametrize(
    ("piece", "warning"),
    [
        ("<script></script>", "Mail clients remove <script> elements."),
        ("<FORM></FORM>", "Mail clients remove <form> elements."),
        ("<iframe src='x'></iframe>", "Mail clients remove <iframe> elements."),
        ("<object></object>", "Mail clients remove <object> elements."),
        ("<embed src='x'>", "Mail clients remove <object> elements."),
        ("<Applet></Applet>", "Mail clients remove <object> elements."),
        ("<a href=' javascript:x'>x</a>", "Mail clients remove JavaScript from links and attributes."),
        ("<a HREF = JavaScript:x>x</a>", "Mail clients remove JavaScript from links and attributes."),
        ('<img src="x" onload="y()">', "Mail clients remove JavaScript from links and attributes."),
        ("<p class=a onClick = y()>x</p>", "Mail clients remove JavaScript from links and attributes."),
        ("<p>&lt;script&gt; <b>on time = now</b> href='javascripts'</p>", None),
        ("<formula>x</formula><a href='/javascript:x'>x</a><p title='on'>x</p>", None),
    ],
)
def test_elements_that_mail_clients_remove_are_warnings(piece: str, warning: str | None) -> None:
    """Scripts, forms, frames and JavaScript links do not work in an inbox; text about them does."""
    assert warnings(GOOD + piece) == ([warning] if warning else [])


def test_the_number_of_unknown_variables_is_limited() -> None:
    """The first 20 in the order of their names are enough to see that something is wrong."""
    html = GOOD + "".join(f"{{{{ x{number} }}}}" for number in range(10, 31))
    assert [warning.split(",")[0] for warning in warnings(html)] == [
        f"There is no variable x{number}" for number in range(10, 30)
    ]


@pytest.mark.parametrize(
    "path", ["contact", "contact.tags.size", "contact.tags[0]", "contact.customFields", "organization", "campaign"]
)
def test_parts_of_variables_are_known(path: str) -> None:
    """A variable may be used as a whole, or a part of it."""
    assert warnings(GOOD + "{{ " + path + " }}", custom_fields=frozenset({"city"})) == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("Bye: {{ unsubscribeUrl }}", None),
        ("{{ unsubscribeUrl }}x", "The text mentions {{ unsubscribeUrl }}, but readers see no link to it"),
        (
            "{% if contact.lastName %}{{ unsubscribeUrl }}{% endif %}",
            "Some recipients see no unsubscribe link in the",
        ),
        (
            "{% unless contact.lastName %}{{ unsubscribeUrl }}{% endunless %}",
            "Some recipients see no unsubscribe link",
        ),
        ("{% if contact.tags[0] > 1 %}{% endif %}{{ unsubscribeUrl }}", None),
    ],
)
def test_a_text_part_is_checked_like_the_html(text: str, warning: str | None) -> None:
    """Its link may be missing, in a longer word, or depend on a condition."""
    message = compile_message(subject="x", html_content=GOOD, text_content=text)
    checks = check_content(subject="x", html_content=GOOD, message=message)
    assert len(checks) == (warning is not None)
    assert all(each.startswith(warning or "") and "HTML" not in each for each in checks)


@pytest.mark.parametrize("piece", ["href=", "href ", " ", "<a on", "<script", "<1", "<a<1", "{{ a%d }}"])
def test_hostile_html_is_read_and_checked_quickly(piece: str) -> None:
    """The patterns are linear, and the number of variables compared with the known ones is limited."""
    count = MAX_TAGS if "{{" in piece else 50_000
    html = "".join(piece % i if "%" in piece else piece for i in range(count)) + " " * 100_000
    with cpu_limit():
        message = compile_message(subject="x", html_content=html, text_content="x")
        check_content(subject="x", html_content=html, message=message)
