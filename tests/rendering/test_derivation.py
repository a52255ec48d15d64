"""The text part derived from the source of an HTML template: as expected, and as derived from each rendered HTML."""

import pytest

from services.rendering.messages import MessageTemplate
from services.rendering.outline import LinkVisibility, outline
from services.rendering.variables import contact_variables
from tests.rendering.test_outline import CAMPAIGN, LINK, URL, message, parse_each_rendering

BYE = f"Bye ({URL})"
EACH, END = "{% for t in contact.tags %}", "{% endfor %}"
VIP = "{% if t == 'vip' %}"


def text_of(template: MessageTemplate, *tags: str, **fields: object) -> str:
    """The text part for a contact, by either way, on one line."""
    contact = contact_variables(
        first_name="Zoë", last_name=None, email="zoe@example.test", custom_fields=fields, tags=tags
    )
    made = template.render(contact, CAMPAIGN)
    assert made == parse_each_rendering(template).render(contact, CAMPAIGN)
    return made.text.rstrip("\n")


@pytest.mark.parametrize(
    ("html", "texts"),
    [
        (EACH + " a" + VIP + "c {% continue %}{% endif %}b" + END + ".", ("ac ac ab.", "ab ab ab.", ".")),
        (EACH + "a" + VIP + "c {% break %}{% endif %}b" + END + " .", ("ac .", "ababab .", ".")),
        (EACH + " {{ t }} " + END + ".", ("vip vip x .", "x y z .", ".")),
        ("." + EACH + " {{ t }}" + END + " .", (". vip vip x .", ". x y z .", ". .")),
        ("." + EACH + "<br>{{ t }}<br>" + END + "<p>.", (".\nvip\n\nvip\n\nx\n\n.", ".\nx\n\ny\n\nz\n\n.", ".\n\n.")),
        (". " + EACH + " " + END + " .", (". .", ". .", ". .")),
        (". " + EACH + "<i></i> " + END + " .", (". .", ". .", ". .")),
        (EACH + VIP + "a {% else %} b{% endif %}" + END + " .", ("a a b .", "b b b .", ".")),
        (EACH + VIP + "a {% endif %} b" + END + " .", ("a ba b b .", "b b b .", ".")),
        (EACH + VIP + " <b> </b> {% elsif t == 'x' %}<br>{% else %} {% endif %}." + END, (". .\n.", ". . .", "")),
        (EACH + "{% unless t == 'vip' %} {{ t }}{% endunless %}" + END + " .", ("x .", "x y z .", ".")),
        (EACH + "{{ t }} {% else %}<br>none {% endfor %} .", ("vip vip x .", "x y z .", "none .")),
        ("a" + EACH + "x{% else %}<b> </b>{% endfor %}b", ("axxxb", "axxxb", "a b")),
        ("a{% if contact.firstName %}<b> </b>{% if contact.lastName %} {% endif %}{% endif %}b", ("a b",) * 3),
        ("a{% if contact.firstName %}" + EACH + "<b> </b>" + END + "{% endif %}b", ("a b", "a b", "ab")),
        ("a" + EACH + "<b> </b>{% else %}x{% endfor %}b", ("a b", "a b", "axb")),
        ("{% assign n = contact.tags.size %}{{ n }}" + EACH + " {{ forloop.index }}" + END,
         ("3 1 2 3", "3 1 2 3", "0")),
    ],
)  # fmt: skip
def test_white_space_of_branches_and_loops(html: str, texts: tuple[str, str, str]) -> None:
    """Spaces and line ends that meet where a branch or a turn of a loop ends are one, as in a rendered page."""
    assert outline(html)
    template = message(html + "<p>{{ unsubscribeUrl }}</p>")
    assert template.text
    for tags, expected in zip((("vip", "vip", "x"), ("x", "y", "z"), ()), texts, strict=True):
        assert text_of(template, *tags) == f"{expected}\n\n{URL}".lstrip("\n")


@pytest.mark.parametrize(
    ("html", "value", "expected"),
    [
        ("<a href='https://x.test/{{ contact.customFields.v }}'>x.test</a>", "", "x.test"),
        ("<a href='https://x.test/{{ contact.customFields.v }}'>x.test</a>", "a", "x.test (https://x.test/a)"),
        ("<a href='https://x.test/a {{ contact.customFields.v }}'>x.test/a {{ contact.customFields.v }}</a>", "b",
         "x.test/a b"),
        ("<a href='https://x.test/{{ contact.customFields.v }}'>y.test</a>", "a", "y.test (https://x.test/a)"),
        ("<a href='https://x.test/{{ contact.customFields.v }}'>Go to x.test/</a>", "a",
         "Go to x.test/ (https://x.test/a)"),
        ("<a href='{{ contact.customFields.v }}'>Go</a>", "https://x.test/", "Go (https://x.test/)"),
        ("<a href='{{ contact.customFields.v }}'>Go</a>", "#top", "Go"),
        ("<a href='{{ contact.customFields.v }}'>Go</a>", "", "Go"),
        ("<a href='{{ contact.customFields.v }}'>{{ contact.customFields.v }}</a>", "https://x.test/", "https://x.test/"),
        ("<a href='mailto:{{ contact.customFields.v }}'>Write</a>", "a@b.test?subject=x", "Write (a@b.test)"),
        ("<a href='https://x.test/'>{{ contact.customFields.v }}</a>", "", ""),
        ("<a href='https://x.test/'>{{ contact.customFields.v }}</a>", "Go", "Go (https://x.test/)"),
        ("<a href='https://x.test/'>{{ contact.customFields.v }}</a>", "x.test", "x.test"),
        ("<a href='https://x.test/'>{% if contact.customFields.v %}Go{% endif %}</a>", None, ""),
        ("<a href='https://x.test/'>{% if contact.customFields.v %}Go{% endif %} on</a>", "x", "Go on (https://x.test/)"),
        ("<a href='{{ unsubscribeUrl }}'>Bye {{ contact.customFields.v }}</a>", "x", f"Bye x ({URL})"),
        ("<a href='{{ unsubscribeUrl }}'>{{ unsubscribeUrl }}</a>", "x", URL),
        ("<img alt='{{ contact.customFields.v }}' src='a.png'>", "Logo", "Logo"),
        ("<img alt='a' src='{{ contact.customFields.v }}'>", "", "a"),
        ("<a href='https://x.test/'><img src='a.png' alt='{{ contact.customFields.v }}'></a>", "", "https://x.test/"),
        ("<a href='https://x.test/'><img src='a.png' alt='{{ contact.customFields.v }}'></a>", "x.test", "x.test"),
        ("<a href='https://x.test/'><img src='a.png' alt='{{ contact.customFields.v }}'></a>", "y", "y (https://x.test/)"),
        ("<p hidden>{{ contact.customFields.v }}</p>a", "x", "a"),
        ("<head><title>t</title><p>{{ contact.customFields.v }}</p>", "x", "x"),
        ("<head><title>t</title><body>{{ contact.customFields.v }}", "x", "x"),
        ("<title>{{ contact.customFields.v }}</title>a", "x", "a"),
        ("<style>.a { display: {{ contact.customFields.v }} }</style><p class=a>b</p>", "none", "b"),
        ("<textarea>{{ contact.customFields.v }}</textarea>", "x", "x"),
        ("a{{ contact.customFields.v }}<b>b", "  ", "a b"),
        ("a {{ contact.customFields.v }} b", "", "a b"),
        ("a<br>{{ contact.customFields.v }}<br>b", "", "a\n\nb"),
        ("{{ contact.customFields.v }}<br>b", "", "b"),
        ("a {{ contact.customFields.v }}", "x \n\n y", "a x y"),
        ("a {{ contact.customFields.v }}", "<b> &amp; {{ x }}", "a <b> &amp; {{ x }}"),
        ("{% assign n = contact.customFields.v | newline_to_br | strip_newlines %}{{ n }}", "a\nb", "a\nb"),
        ("{% assign n = contact.customFields.v | newline_to_br | size %}{{ n }}", "a\nb", "9"),
        ("{% assign n = contact.customFields.v | escape | size %}{{ n }}", "<a>", "3"),
        ("{{ contact.customFields.v | newline_to_br }}", "a\nb", "a\nb"),
        ("{{ contact.customFields.v | strip_html }}", "<b>a</b>", "a"),
        ("{{ contact.customFields.v | escape | upcase }}", "<a>", "<A>"),
    ],
)  # fmt: skip
def test_links_and_values_of_a_derived_text(html: str, value: str | None, expected: str) -> None:
    """Whether a link's text is its URL, and whether there is any text, may depend on the value."""
    text = text_of(message(f"{html}<p>{LINK}</p>"), v=value)
    assert text == f"{expected}\n\n{BYE}".lstrip("\n")


@pytest.mark.parametrize(
    ("html", "link"),
    [
        (LINK, LinkVisibility.ALWAYS),
        ("{{ unsubscribeUrl }}", LinkVisibility.ALWAYS),
        ("({{ unsubscribeUrl }}).", LinkVisibility.ALWAYS),
        ("<p>{{ contact.firstName }}</p>{{ unsubscribeUrl }} now", LinkVisibility.ALWAYS),
        ("{% if contact.lastName %}" + LINK + "{% else %}" + LINK + "{% endif %}", LinkVisibility.ALWAYS),
        ("{% if contact.lastName %}" + LINK + "{% elsif contact.email %}a{% else %}" + LINK + "{% endif %}",
         LinkVisibility.SOMETIMES),
        ("{% if contact.lastName %}" + LINK + "{% endif %}", LinkVisibility.SOMETIMES),
        ("{% unless contact.lastName %}a{% else %}" + LINK + "{% endunless %}", LinkVisibility.SOMETIMES),
        (EACH + LINK + END, LinkVisibility.SOMETIMES),
        (EACH + LINK + "{% else %}" + LINK + END, LinkVisibility.SOMETIMES),
        ("{{ unsubscribeUrl }}{{ contact.lastName }}", LinkVisibility.SOMETIMES),
        ("{{ contact.lastName }}{{ unsubscribeUrl }}", LinkVisibility.SOMETIMES),
        ("{{ unsubscribeUrl }}.{{ contact.lastName }}", LinkVisibility.SOMETIMES),
        ("{{ unsubscribeUrl }}.x", LinkVisibility.SOMETIMES),
        ("{{ unsubscribeUrl }}x", LinkVisibility.SOMETIMES),
        ("x{{ unsubscribeUrl }}", LinkVisibility.SOMETIMES),
        ("{{ unsubscribeUrl | upcase }}", LinkVisibility.SOMETIMES),
        ("{{ ['unsubscribeUrl'] }}", LinkVisibility.SOMETIMES),
        ('<a href="{{ unsubscribeUrl }}?a=1">Bye</a>', LinkVisibility.ALWAYS),
        ('<a href="{{ unsubscribeUrl }}/x">Bye</a>', LinkVisibility.SOMETIMES),
        ('<a href="{{ unsubscribeUrl }}?a={{ contact.email }}">Bye</a>', LinkVisibility.SOMETIMES),
        ("<p>Hi {{ contact.firstName }}</p>", LinkVisibility.NEVER),
        ("<div hidden>" + LINK + "{{ unsubscribeUrl }}</div>", LinkVisibility.NEVER),
        ("<button>" + LINK + "</button>", LinkVisibility.NEVER),
        ('<a href="{{ unsubscribeUrl }}"> </a>', LinkVisibility.NEVER),
    ],
)  # fmt: skip
def test_whether_the_link_is_visible_is_known_from_the_source(html: str, link: LinkVisibility) -> None:
    """Always, never, or depending on values: then each message is read before it is sent."""
    known = outline(html)
    assert known
    assert known.link is link
    template = message(html)
    for fields in ({}, {"v": "x"}):
        text_of(template, "vip", **fields)
        text_of(template, **fields)


LONG = "<p>" + "x" * 20_000 + "</p>"
UNKNOWN = "{% if contact.lastName %}<div hidden>{% endif %}<p>Hi</p>"


@pytest.mark.parametrize(
    ("html", "slow"),
    [
        (LINK + LONG, False),
        ("<p>Hi</p>" + LONG, False),
        (EACH + "{{ t }}" + END + LINK, False),
        ("{% if contact.lastName %}" + LINK + "{% endif %}", False),
        ("{% if contact.lastName %}" + LINK + "{% endif %}" + LONG, True),
        ("{% if contact.lastName %}" + LINK + "{% endif %}" + EACH + "{{ t }}" + END, True),
        ("<p>Hi</p>" + LONG + "</body>{{ contact.firstName }}", True),
        (UNKNOWN, False),
        (UNKNOWN + "x" * (20_000 - len(UNKNOWN)), False),
        (UNKNOWN + "x" * (20_001 - len(UNKNOWN)), True),
        (UNKNOWN + "{%- for t in contact.tags %}{% endfor %}", True),
        (UNKNOWN + "{% tablerow t in contact.tags %}{% endtablerow %}", True),
        (UNKNOWN + "{% liquid\n for t in contact.tags\n endfor %}", True),
        (UNKNOWN + "{% assign for = contact.lastName %}", False),
    ],
)
def test_messages_that_may_take_milliseconds(html: str, *, slow: bool) -> None:
    """Each rendered HTML has to be parsed, and it is long, or a loop can make it so."""
    assert message(html).is_slow is slow
