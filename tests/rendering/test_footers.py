"""Every message has an unsubscribe link: whether it is visible, and where the footer is added."""

from html import escape

import pytest

from services.rendering.footers import page_shows, text_shows, text_with_footer
from services.rendering.messages import RenderedMessage, compile_message
from services.rendering.reading import read
from services.rendering.variables import campaign_variables, contact_variables

URL = "https://example.test/u/t0ken-_x"
CAMPAIGN = campaign_variables(organization_name="Ada & Co", campaign_name="Spring", unsubscribe_url=URL)
LINK = '<a href="{{ unsubscribeUrl }}">Bye</a>'
FOOTER_END = "Unsubscribe</a></p>\n"
FOOTER = '<p style="margin:24px 0 0'


def render(html: str, text: str = "", **custom_fields: object) -> RenderedMessage:
    contact = contact_variables(
        first_name="Zoë", last_name=None, email="zoe@example.test", custom_fields=custom_fields
    )
    return compile_message(subject="x", html_content=html, text_content=text).render(contact, CAMPAIGN)


SEEN = [
    LINK,
    "<a href='{{ unsubscribeUrl }}'>Bye</a>",
    "<A HREF={{ unsubscribeUrl }} >Bye</A>",
    '<a href=" {{ unsubscribeUrl | escape }}\n"><span>Bye</span></a>',
    '<a href="{{ unsubscribeUrl }}?utm_source=mail#x">Bye</a>',
    '<a href="{{ unsubscribeUrl }}"><img src="bye.png" alt=""></a>',
    '<td style="font-size:0"><a href="{{ unsubscribeUrl }}"><img src="bye.png"></a></td>',
    '<td style="font-size:0px"><a href="{{ unsubscribeUrl }}" style="font-size:12px">Bye</a></td>',
    '<map name="m"><area href="{{ unsubscribeUrl }}"></map><img src="a.png" usemap="#m">',
    "Unsubscribe: {{ unsubscribeUrl }}.",
    "<p>({{ unsubscribeUrl }})</p>",
    "{% assign u = unsubscribeUrl %}<a href='{{ u }}'>Bye</a>",
    "{% capture u %}{{ unsubscribeUrl }}{% endcapture %}<a href='{{ u }}'>Bye</a>",
    "<!--[if !mso]><!-->" + LINK + "<!--<![endif]-->",
    "<![if !mso]>" + LINK + "<![endif]>",
    "<!-- a -->" + LINK,
    "{% if contact.email %}" + LINK + "{% endif %}",
    "<div style='display:none'>x</div>" + LINK,
    "<p style='display:none'>x<p>" + LINK,
    "<table><tr><td hidden>x<td>" + LINK + "</table>",
    "<table><tr><td>x</td><td>{{ unsubscribeUrl }}</td><td>y</td></tr></table>",
    "x<br>{{ unsubscribeUrl }}<br>y",
    "<p>x</p>{{ unsubscribeUrl }}<p>y</p>",
    "<style>a { color: red }</style>" + LINK,
    "<head><title>x</title></head><body>" + LINK,
    "<style>.a { display: none }</style><p class='b'>" + LINK + "</p>",
    "<style>p.a, #a { display: none }</style><div class='a' id='b'>" + LINK + "</div>",
    "<style>.a.b { display: none }</style><p class='a'>" + LINK + "</p>",
    "<style>/* .a { display: none } */ .a { color: red }</style><p class='a'>" + LINK + "</p>",
    "<style>@media print { .a { display: none } } a { color: red }</style><p class='a'>" + LINK + "</p>",
    "<style>.a { display: none }</style><p class='a'>Preheader</p>" + LINK,
    "<style>a:hover, a::before, p + a { display: none }</style>" + LINK,
    "<p style='font: 12px/0 Arial'>" + LINK + "</p>",
    "<p style='font: 700 12px Arial; transform: scale(0.5); zoom: 1'>" + LINK + "</p>",
]


@pytest.mark.parametrize("html", SEEN)
def test_a_visible_link_needs_no_footer(html: str) -> None:
    """The HTML is sent as the author wrote it."""
    message = render(html)
    assert FOOTER not in message.html
    assert page_shows(read(message.html), URL)


UNSEEN = [
    "",
    "<style>a.u { visibility: hidden !important }</style>" + LINK.replace("<a", "<a class=u"),
    "<style>.A { DISPLAY: NONE }</style><p class='b a'>" + LINK + "</p>",
    "<style>@import url(x); <!-- p#a.b, .c { color: red; opacity: 0 } --></style><p class=b id=a>" + LINK + "</p>",
    "<style>@media print { .x { color: red } } .a { display: none }</style><p class='a'><b>" + LINK + "</b></p>",
    "<style>.a { display: none }</style><p class='a'>{{ unsubscribeUrl }}</p>",
    "<p style='font: 0/0 a'>" + LINK + "</p>",
    "<p style='font: bold 0px Arial'>" + LINK + "</p>",
    "<p style='position: absolute; clip: rect(0, 0, 0, 0)'>" + LINK + "</p>",
    "<p style='clip: rect(1px 1px 1px 1px)'>" + LINK + "</p>",
    "<p style='clip-path: inset(50%)'>" + LINK + "</p>",
    "<p style='transform: scale(0)'>" + LINK + "</p>",
    "<p style='zoom: 0'>" + LINK + "</p>",
    "<datalist><option>{{ unsubscribeUrl }}</option></datalist>",
    '<a href="{{ unsubscribeUrl }}">\u2800</a>',
    "<!-- {{ unsubscribeUrl }} -->",
    "<!-- " + LINK + " -->",
    "<!--[if mso]>" + LINK + "<![endif]-->",
    "<!--[if mso]><!-- " + LINK + " <![endif]-->",
    "<!x " + LINK.replace(">", "") + ">",
    "{% assign u = unsubscribeUrl %}",
    "{% capture u %}" + LINK + "{% endcapture %}",
    "{% comment %}" + LINK + "{% endcomment %}",
    "{% raw %}" + LINK + "{% endraw %}",
    "{% if contact.customFields.vip %}" + LINK + "{% endif %}",
    "{% for t in contact.tags %}" + LINK + "{% endfor %}",
    "{% unless contact.email %}{{ unsubscribeUrl }}{% endunless %}",
    "<head>" + LINK + "</head>",
    '<head><link rel="help" href="{{ unsubscribeUrl }}"></head>',
    "<title>{{ unsubscribeUrl }}</title>",
    "<style>/* {{ unsubscribeUrl }} */</style>",
    "<script>'{{ unsubscribeUrl }}'</script>",
    "<template>" + LINK + "</template>",
    "<noscript>" + LINK + "</noscript>",
    "<svg><text>{{ unsubscribeUrl }}</text></svg>",
    "<iframe>" + LINK + "</iframe>",
    "<textarea>" + LINK + "</textarea>",
    "<select><option>{{ unsubscribeUrl }}</option></select>",
    "<dialog>" + LINK + "</dialog>",
    "<details>" + LINK + "</details>",
    '<img src="a.png" alt="{{ unsubscribeUrl }}">',
    '<p title="{{ unsubscribeUrl }}" data-href="{{ unsubscribeUrl }}">x</p>',
    '<img src="{{ unsubscribeUrl }}">',
    '<form action="{{ unsubscribeUrl }}"><input type="submit"></form>',
    '<a data-href="{{ unsubscribeUrl }}">Bye</a>',
    '<a href="#" href="{{ unsubscribeUrl }}">Bye</a>',
    '<a href="https://x.test/?u={{ unsubscribeUrl }}">Bye</a>',
    '<a href="{{ unsubscribeUrl | upcase }}">Bye</a>',
    '<a href="{{ unsubscribeUrl | url_encode }}">Bye</a>',
    '<a href="{{ unsubscribeUrl }}x">Bye</a>',
    '<a href="http://{{ unsubscribeUrl }}">Bye</a>',
    '<a href="mailto:stop@x.test?subject={{ unsubscribeUrl }}">Bye</a>',
    '<a href="{{ unsubscribeUrl | truncate: 20 }}">Bye</a>',
    "{{ unsubscribeUrl }}x",
    "x{{ unsubscribeUrl }}",
    "<b>x</b>{{ unsubscribeUrl }}",
    "{{ unsubscribeUrl }}/more",
    "{{ unsubscribeUrl | remove: 'https://' }}",
    '<a href="{{ unsubscribeUrl }}"></a>',
    '<a href="{{ unsubscribeUrl }}"> &nbsp;&zwnj;&#8203; </a>',
    '<a href="{{ unsubscribeUrl }}"><!-- Bye --></a>',
    '<a href="{{ unsubscribeUrl }}"><img src="p.gif" width="1" height="1"></a>',
    '<a href="{{ unsubscribeUrl }}"><span style="display:none">Bye</span></a>',
    '<a href="{{ unsubscribeUrl }}" hidden>Bye</a>',
    '<a href="{{ unsubscribeUrl }}" style="display:none">Bye</a>',
    '<a href="{{ unsubscribeUrl }}" style="DISPLAY: None !important">Bye</a>',
    '<a href="{{ unsubscribeUrl }}" style="/* x */display:/**/none">Bye</a>',
    '<div style="visibility:hidden">' + LINK + "</div>",
    '<div style="font-size:0">' + LINK + "</div>",
    '<div style="font-size:0.0em">' + LINK + "</div>",
    '<div style="font-size:1px;line-height:1px">' + LINK + "</div>",
    '<div style="opacity:0">' + LINK + "</div>",
    '<div style="max-height:0px;overflow:hidden">' + LINK + "</div>",
    '<div style="position:absolute;left:-9999px">' + LINK + "</div>",
    "<div hidden><p>" + LINK + "</div>",
    '<p><font style="display:none"></p>' + LINK,
    '<map name="m"><area href="{{ unsubscribeUrl }}"></map>',
    "<!--" + LINK,
    "<title>" + LINK,
    '<p title="' + LINK,
    "<style/>" + LINK,
]
ENDS = ["", "</body></html>", "</BODY >\n", "<!-- </body> -->", "<script></body></script>"]


@pytest.mark.parametrize("html", UNSEEN)
def test_an_invisible_link_does_not_count(html: str) -> None:
    """A footer is added, and it is visible."""
    for end in ENDS:
        message = render(f"<p>Hi</p>{html}{end}")
        assert message.html.count(FOOTER) == 1
        assert page_shows(read(message.html), URL)
        assert text_shows(message.text, URL)


@pytest.mark.parametrize(("name", "is_visible"), [("a", False), ("b", True)])
@pytest.mark.parametrize("style", ["display: none", "display: {{ contact.customFields.style }}"])
def test_a_class_may_come_from_a_contact(name: str, style: str, *, is_visible: bool) -> None:
    """The rendered style sheet and class of each message decide."""
    source = f"<style>.a {{ {style} }}</style><p class='{{{{ contact.customFields.name }}}}'>{LINK}</p>"
    assert (FOOTER not in render(source, name=name, style="none").html) is is_visible


def test_the_footer_stands_before_the_end_of_the_body() -> None:
    """Before the last real `</body>`, not one in a comment, style sheet or attribute."""
    message = render("<body><p title='</body>'>Hi</p></body ><!-- </body> --><style></body></style></html>")
    assert message.html.partition(FOOTER_END)[2] == "</body ><!-- </body> --><style></body></style></html>"


@pytest.mark.parametrize(
    "unclosed",
    [
        "<!--",
        "<!-- x --",
        "<style>",
        "<title>x",
        "<textarea>",
        "<plaintext>",
        "<p title='",
        "<div hidden>",
        "</p x='",
    ],
)
def test_the_footer_stands_before_an_unclosed_element(unclosed: str) -> None:
    """An element that never ends hides everything after it."""
    message = render(f"<p>Hi</p>{unclosed} Yours")
    assert message.html.partition(FOOTER_END)[2] == f"{unclosed} Yours"
    assert page_shows(read(message.html), URL)


def test_the_footer_depends_on_the_recipient() -> None:
    """A recipient who sees the author's link gets no second one."""
    html = "{% if contact.customFields.vip %}<p>VIP</p>{% else %}" + LINK + "{% endif %}"
    assert FOOTER not in render(html).html
    assert FOOTER in render(html, vip=True).html
    assert render(html).text == f"Bye ({URL})\n"
    assert render(html, vip=True).text.startswith("VIP\n\n-- \n")


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        ("Bye: {{ unsubscribeUrl }}", True),
        ("<{{ unsubscribeUrl }}>", True),
        ("{{ unsubscribeUrl }}.", True),
        ("{% assign u = unsubscribeUrl %}", False),
        ("{% if contact.customFields.vip %}{{ unsubscribeUrl }}{% endif %}", False),
        ("{{ unsubscribeUrl }}x {{ unsubscribeUrl | upcase }}", False),
    ],
)
def test_a_text_part_shows_the_url_or_gets_a_footer(text: str, is_shown: bool) -> None:
    """For an authored text part, the URL in the rendered text decides."""
    message = render(LINK, f"Hi\n{text}")
    assert ("\n-- \n" in message.text) is not is_shown
    assert text_shows(message.text, URL)


def test_the_footer_is_neither_template_nor_markup() -> None:
    """An organization's name is escaped in the HTML and unescaped in the text."""
    campaign = campaign_variables(
        organization_name="<b>{{ x }}</b> {organization}", campaign_name="x", unsubscribe_url=URL + "?a='<"
    )
    message = compile_message(subject="x", html_content="<p>{{ '{%' }}", text_content="").render({}, campaign)
    assert "&lt;b&gt;{{ x }}&lt;/b&gt; {organization}" in message.html
    assert "?a=&#x27;&lt;" in message.html
    assert message.text.startswith("{%\n\n-- \n")
    assert "<b>{{ x }}</b> {organization}" in message.text


def test_without_a_url_nothing_is_shown() -> None:
    """An empty link does not count as the unsubscribe link, nor does any text contain it."""
    assert not page_shows(read("<a href=''>Bye</a>"), "")
    assert not text_shows("Bye", "")
    assert text_with_footer("Bye \n", {}) == "Bye\n\n-- \nYou receive this e-mail from .\nUnsubscribe: \n"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (f'<map name="m"><area href="{URL}"></map><img src="a.png" usemap="#m">', True),
        (f'<map name="m"><area href="{URL}"></map><img src="a.png" usemap="#n">', False),
        (f'<map name="m"><area href="{URL}"></map><img src="a.png">', False),
        (f'<area href="{URL}"><img src="a.png" usemap="#">', False),
        (f'<map name=""><area href="{URL}"></map><img src="a.png" usemap="#">', False),
        (f'<map name="m"></map><area href="{URL}"><img src="a.png" usemap="#m">', False),
    ],
)
def test_an_area_is_a_link_of_the_image_that_uses_its_map(html: str, *, expected: bool) -> None:
    """An area outside of a map, or of a map that no image uses, cannot be clicked."""
    assert page_shows(read(html), URL) is expected


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        ("", "", True), (" ", " ", True), ("<", ">", True), ("(", ")", True), ("Bye:", "\n", True), ('"', '"', True),
        ("", ".", True), ("", ". Bye", True), ("", ":", True), ("", "/", True), ("", "?", True), ("", "/ more", True),
        ("", ",more", True), ("", ";x", True), ("", "!", True), ("-", "|", True),
        ("x", "", False), ("1", "", False), ("é", "", False), ("", "x", False), ("", "9", False), ("", "é", False),
        ("", ".x", False), ("", ":8", False), ("", "/x", False), ("", "%20", False), ("", "~", False),
        ("", "+", False), ("", "=", False), ("", "&a", False), ("", "@x", False), ("", "-", False), ("", "_", False),
    ],
)  # fmt: skip
def test_a_url_within_a_longer_one_is_not_the_link(before: str, after: str, *, seen: bool) -> None:
    """A mail client makes one link of a URL and the characters around it that may belong to it."""
    assert text_shows(before + URL + after, URL) is seen
    assert text_shows(f"{before}{URL}{after} or {before}{URL}{after}", URL) is seen
    assert text_shows(f"x{URL}x {URL}", URL)
    assert page_shows(read(f"<p>{escape(before + URL + after)}</p>"), URL) is seen


@pytest.mark.parametrize(
    ("more", "leads"),
    [
        ("", True), ("/", True), ("?a=1", True), ("#top", True), ("x", False), ("/x", False), ("//", False),
        ("&a", False), (".", False),
    ],
)  # fmt: skip
def test_a_link_may_have_parameters_or_a_fragment(more: str, *, leads: bool) -> None:
    """They do not change where it leads, unlike a longer path."""
    assert page_shows(read(f'<a href="{URL}{more}">Bye</a>'), URL) is leads


def test_the_footers_are_written_like_this() -> None:
    """The HTML and the text of the footer, around the organization's name and the URL."""
    message = render("<p>Hi</p>", "Hi \n")
    assert message.html == (
        '<p>Hi</p><p style="margin:24px 0 0;font-size:12px;color:#666;text-align:center">'
        f'You receive this e-mail from Ada &amp; Co. <a href="{URL}">Unsubscribe</a></p>\n'
    )
    assert message.text == f"Hi\n\n-- \nYou receive this e-mail from Ada & Co.\nUnsubscribe: {URL}\n"


@pytest.mark.parametrize("before", ["", "{% if contact.lastName %}<div hidden>{% endif %}"])
@pytest.mark.parametrize(
    "hidden",
    [
        "<div hidden>x</div>", "<b hidden>x</b>", "<p hidden>x<p>y", "<table><td hidden>x<td>y</table>",
        "<style>p {}</style>", "<head><title>x</title></head>", "<div hidden><b hidden>x</b></div>", "<br hidden>",
    ],
)  # fmt: skip
def test_the_footer_stands_at_the_end_after_hidden_elements(before: str, hidden: str) -> None:
    """What is closed hides nothing after it, whether the source or the rendered HTML is read."""
    made = render(f"{before}{hidden}<p>Hi</p>", "x").html
    assert made.startswith(f"{hidden}<p>Hi</p>{FOOTER}")
