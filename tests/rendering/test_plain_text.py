"""The text part derived from HTML: its visible text, in lines."""

import pytest

from core.errors import InputErrors
from services.rendering.messages import compile_message
from services.rendering.reading import plain_text
from services.rendering.variables import campaign_variables, contact_variables

URL = "https://example.test/u/t0ken"
CAMPAIGN = campaign_variables(organization_name="Ada & Co", campaign_name="Spring", unsubscribe_url=URL)
BYE = '<p><a href="{{ unsubscribeUrl }}">Bye</a></p>'


def text_of(html: str, **custom_fields: object) -> str:
    """The derived text part for a contact, without the footer."""
    contact = contact_variables(
        first_name="Seán & Co",
        last_name="O'Neil",
        email="sean@example.test",
        custom_fields=custom_fields,
        tags=["vip"],
    )
    message = compile_message(subject="x", html_content=html + BYE, text_content="")
    return message.render(contact, CAMPAIGN).text.removesuffix(f"Bye ({URL})\n").strip()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two<br>three</p>", "One\n\nTwo\nthree"),
        ("a\n   b &amp; c&nbsp;d", "a b & c d"),
        ('<a href="https://x.test/?a=1&amp;b=2">Shop</a>', "Shop (https://x.test/?a=1&b=2)"),
        ('<a href="https://x.test/?a=1&region=2">Shop</a>', "Shop (https://x.test/?a=1&region=2)"),
        ('<a href="https://x.test/"><img src="l.png"></a>', "https://x.test/"),
        ('<a href="https://x.test/"><div>Shop</div></a>now', "Shop (https://x.test/)\nnow"),
        (
            '<a href="https://x.test/a">One<a href="https://x.test/b">Two',
            "One (https://x.test/a)Two (https://x.test/b)",
        ),
        ('<a href="https://x.test/"></a>', ""),
        ('<img src="l.png" alt="Logo">', "Logo"),
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n\n- Two"),
        ("<head><title>T</title></head><style>p{}</style><script>x()</script>Body", "Body"),
        ("<head><title>T</title><body>Body", "Body"),
        ("<head><meta charset=utf-8><title>T</title><p>Body", "Body"),
        ("Hello <b>wor</b>ld<span>!</span>", "Hello world!"),
        ("<div>" * 3000 + "deep" + "</div>" * 3000, "deep"),
        ("<style>a</STYLE >Body<svg><text>x</text></svg><template>y</template><noscript>z</noscript>", "Body"),
        ("<table><tr><td>A</td><td>B</td></tr><tr><td>C</td></tr></table>", "A B\n\nC"),
        ("1 < 2 and 3 <4 > 0", "1 < 2 and 3 <4 > 0"),
        ("<a title='a > b' data-href='no' HREF='https://x.test/'>Go</a>", "Go (https://x.test/)"),
        ("<style/>Body<br/>more", "Body\nmore"),
        ("<pre>One\nTwo</pre>", "One\nTwo"),
        ("<title>a</title ><textarea>&lt;b> </textarea>c", "<b> c"),
        ("", ""),
    ],
)
def test_html_becomes_readable_text(html: str, text: str) -> None:
    """Structure becomes lines, links keep their URL, invisible content is dropped."""
    assert plain_text(html) == text + "\n"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<!-- hidden -->shown", "shown"),
        ("<!-->shown", "shown"),
        ("<!--->shown", "shown"),
        ("<!---->shown", "shown"),
        ("a<!-- x --!>b", "ab"),
        ("a<!-- x --!> b --> c", "a b --> c"),
        ("a<!-- x -- > y -->b", "ab"),
        ("a<!-- x <!-- y -->b-->", "ab-->"),
        ("a<!-- x", "a"),
        ("a<!--[if mso]><table><tr><td>Outlook</td></tr></table><![endif]-->b", "ab"),
        ("a<!--[if !mso]><!-->b<!--<![endif]-->c", "abc"),
        ("a<!--[if !mso]>-->b<!--<![endif]-->c", "abc"),
        ("a<![if !mso]>b<![endif]>c", "abc"),
        ("a<!x>b<?y z>c</ w>d</>e<!doctype html>f<![CDATA[g]]>h", "abcdefh"),
        ("<!--[if !mso]><style>v\\:* {behavior:url(#default#VML);}</style><![endif]-->a", "a"),
        ("a</ b </ c<!-- <!--", "a"),
        ("a<!-- editor-mode: fancy -->", "a"),
        ("a<!-- </style> --><style>/* <!-- */</style>b", "ab"),
        ("a<p title='<!--'>b</p>", "a\n\nb"),
        ("a<p title='b>c", "a"),
        ("a</p title='b>c", "a"),
        ("a<p title=b", "a"),
        ("a<1 title='b>c", "a<1 title='b>c"),
        ("a<script>if (1<2) '<!--'</script>b", "ab"),
    ],
)
def test_comments_of_every_form_end_where_they_end_in_browsers(html: str, text: str) -> None:
    """The content of a comment is dropped, and nothing else."""
    assert plain_text(html) == text + "\n"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('a<p style="display:none">b</p>c', "a\n\nc"),
        ('<div style="DISPLAY : none !important; display:block">preheader</div>a', "a"),
        ('<div style="display:none;display:block">a</div>', "a"),
        ("<p hidden>a<p>b", "b"),
        ('<td style="font-size:0px"><div style="font-size:16px">a</div>b</td>', "a"),
        (
            '<td style="font-size:0"><a href="https://x.test/"><img src="l.png" alt="Logo"></a></td>',
            "Logo (https://x.test/)",
        ),
        ('<p style="visibility:hidden">a<b style="visibility:visible">b</b></p>c', "b\n\nc"),
        ('<div style="max-height:0;overflow:hidden">a</div>b', "b"),
        ('<div style="opacity:0"><b>a</b></div>b', "b"),
        ('<div style="display:none"><div>a</div>b</div>c', "c"),
        ('<div style="display:none"><table><tr><td></div>a</td></tr></table></div>b', "b"),
        ('<p><b style="display:none">a</p>b</b>c', "c"),
        ('<p style="font-size:1.5em;line-height:0">a</p>', "a"),
    ],
)
def test_hidden_content_is_not_in_the_text(html: str, text: str) -> None:
    """Preheaders and blocks for other devices are dropped; content that is visible again inside is kept."""
    assert plain_text(html) == text + "\n"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="https://x.test/">https://x.test/</a>', "https://x.test/"),
        ('<a href="https://x.test/">https://x.test</a>', "https://x.test"),
        ('<a href="https://x.test">x.test</a>', "x.test"),
        ('<a href="http://www.x.test/a">www.x.test/a</a>', "www.x.test/a"),
        ('<a href="https://X.test/"> <b>https://x.test/</b>\n</a>', "https://x.test/"),
        ('<a href="https://x.test/a">https://x.test/A</a>', "https://x.test/A (https://x.test/a)"),
        ('<a href="mailto:a@b.test">a@b.test</a> <a href="#top">Top</a>', "a@b.test Top"),
        ('<a href="MAILTO:a@b.test?subject=Hi">a@b.test</a>', "a@b.test"),
        ('<a href="mailto:a@b.test">Write</a>', "Write (a@b.test)"),
        ('<a href="tel:+4930123">+49 30 123</a>', "+49 30 123"),
        ('<a href="javascript:x()">Go</a>', "Go"),
    ],
)
def test_a_link_whose_text_is_its_url_appears_once(html: str, text: str) -> None:
    """Scheme, `www.` and last slash may differ, but not the path."""
    assert plain_text(html) == text + "\n"


def test_a_url_from_a_variable_appears_once() -> None:
    """The same applies to the values of variables."""
    assert text_of('<a href="{{ contact.customFields.u }}">{{ contact.customFields.u }}</a>', u=URL) == URL
    assert text_of('<a href="mailto:{{ contact.email }}">{{ contact.email }}</a>') == "sean@example.test"
    assert text_of('{% assign u = "https://x.test/" %}<a href="{{ u }}">https://x.test</a>') == "https://x.test"


@pytest.mark.parametrize(
    ("html", "without", "with_vip"),
    [
        ("<p>Hi</p><!-- {% if contact.customFields.vip %} --><p>VIP</p><!-- {% endif %} -->", "Hi", "Hi\n\nVIP"),
        ("<!--{% if contact.customFields.vip %}-->VIP<!--{% else %}-->Hi<!--{% endif %}-->", "Hi", "VIP"),
        ("<style>{% if contact.customFields.vip %}p{}</style>VIP{% else %}</style>Hi{% endif %}", "Hi", "VIP"),
        ("<!--[if mso]>{% assign x = contact.customFields.vip %}<![endif]-->Hi {{ x }}", "Hi", "Hi yes"),
        (
            "<title>{% capture x %}<b>{{ contact.customFields.vip }}</b>{% endcapture %}</title>Hi{{ x.size }}",
            "Hi7",
            "Hi10",
        ),
        ('<p class="{% increment n %}">{% increment n %}</p>{{ contact.customFields.vip }}', "1", "1\n\nyes"),
        ("<!-- {% cycle 'a', 'b' %} -->{% cycle 'a', 'b' %}{{ contact.customFields.vip }}", "b", "byes"),
        ("<p {% if contact.customFields.vip %}>VIP</p>{% else %}hidden>Hi</p>{% endif %}", "", "VIP"),
        ("<{% if contact.customFields.vip %}p{% else %}title{% endif %}>x</title>Hi", "Hi", "xHi"),
        (
            "{% for t in (1..2) %}<!--{% if contact.customFields.vip %}-->{% break %}<!--{% endif %}-->x{% endfor %}",
            "xx",
            "",
        ),
    ],
)
def test_tags_work_wherever_they_stand(html: str, without: str, with_vip: str) -> None:
    """Conditions, assignments and counters in comments, attributes and dropped elements affect the text too."""
    assert text_of(html) == without
    assert text_of(html, vip="yes") == with_vip


def test_links_in_branches_keep_their_url() -> None:
    """Content of conditions and loops is as complete as the rest."""
    html = "{% if contact.customFields.vip %}<a href='https://x.test/'>Shop</a>{% endif %}"
    assert text_of(html, vip="yes") == "Shop (https://x.test/)"
    loop = "{% for p in contact.customFields.picks %}<a href='https://x.test/{{ p }}'>{{ p }} now</a><br>{% endfor %}"
    assert text_of(loop, picks=["a", "b"]) == "a now (https://x.test/a)\nb now (https://x.test/b)"


def test_filters_that_make_html_give_text() -> None:
    """The text has characters and line ends, never entities and tags."""
    assert text_of("{{ contact.lastName | escape }}, {{ contact.firstName | escape_once }}") == "O'Neil, Seán & Co"
    assert text_of("{{ contact.customFields.note | newline_to_br }}", note="a <b>\r\nb") == "a <b>\nb"


@pytest.mark.parametrize("html", ["{<b>{ x }}</b>", "&#123;&#123; x }}", "{<i></i>% if %}", "&#123;{{ y }}"])
def test_braces_of_the_text_do_not_become_liquid(html: str) -> None:
    """Text that looks like a tag without the HTML around it is printed, not executed."""
    try:
        text = text_of(html)
    except InputErrors:
        return
    assert text.startswith("{")
