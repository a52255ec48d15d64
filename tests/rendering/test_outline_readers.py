"""Static analysis of templates, compared with simple parsers of the rendered HTML."""

import dataclasses
import re
from html import unescape
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from services.rendering.outline import LinkVisibility
from tests.properties import examples
from tests.rendering.test_outline import CAMPAIGN, CONTACTS, LINK, URL, message


class TextParser(HTMLParser):
    """A slow and simple parser of well-formed HTML: visible text, and the URLs of links with visible content."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hidden = 0
        self.seen: list[str] = []
        self.links: list[list[str]] = []
        self.open: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that is hidden, or inside a hidden one."""
        values = dict(attrs)
        unseen = tag in {"title", "style", "svg"} or "hidden" in values or "none" in (values.get("style") or "")
        self.hidden += unseen or self.hidden > 0
        if tag == "a":
            self.open.append([values.get("href") or "", ""])

    def handle_endtag(self, tag: str) -> None:
        """The end of an element."""
        self.hidden = max(self.hidden - 1, 0)
        if tag == "a" and self.open:
            self.links.append(self.open.pop())

    def handle_data(self, data: str) -> None:
        """Visible characters, which belong to the links around them."""
        if not self.hidden:
            self.seen.append(data)
            for link in self.open:
                link[1] += data


WELL_FORMED = st.recursive(
    st.one_of(
        st.sampled_from(["Hi ", "one two ", "&lt;b&gt; ", "a &amp; b ", "Ä "]),
        st.sampled_from(
            ["{{ contact.firstName }} ", "{{ contact.customFields.x | escape }} ", "{{ unsubscribeUrl }} "]
        ),
        st.sampled_from(
            ["<!-- {% increment i %} -->", "<!-- {{ unsubscribeUrl }} -->", "<!--[if mso]>" + LINK + "<![endif]-->"]
        ),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda name, style, body: f"<{name}{style}>{''.join(body)}</{name}>",
            st.sampled_from(["span", "div", "b", "title", "style", "svg"]),
            st.sampled_from(["", "", " hidden", ' style="display:none"']),
            st.lists(inner, max_size=3),
        ),
        st.builds(
            lambda body: f'<a href="{{{{ unsubscribeUrl }}}}">{"".join(body)}</a> ',
            st.lists(st.sampled_from(["Bye ", " ", "<b hidden>x</b>"]), max_size=2),
        ),
        st.builds("{{% if contact.customFields.x %}}{}{{% else %}}{}{{% endif %}}".format, inner, inner),
        st.builds("<!-- {{% if contact.customFields.x %}} -->{}<!-- {{% endif %}} -->".format, inner),
    ),
    max_leaves=8,
)


@examples()
@given(html=WELL_FORMED, contact=CONTACTS)
def test_text_and_footer_agree_with_a_simple_parser(html: str, contact: dict[str, object]) -> None:
    """The text has the same words, and there is a footer if there is no link."""
    if re.search(r"<(title|style)[^>]*>[^<]*<(?!/\1)", html):
        return  # elements in which browsers parse no tags
    content = message(html).render(contact, CAMPAIGN)
    parser = TextParser()
    parser.feed(content.html)
    parser.close()
    visible_text = "".join(parser.seen)
    assert content.html.count("You receive this e-mail") == (0 if _shows(html, contact) else 1)
    words = content.text.replace(f"({URL})", "").replace("Unsubscribe: " + URL, "Unsubscribe").replace("-- \n", "")
    assert words.split() == visible_text.split()


def _shows(html: str, contact: dict[str, object]) -> bool:
    plain = dataclasses.replace(message(html), link=LinkVisibility.ALWAYS).render(contact, CAMPAIGN)
    parser = TextParser()
    parser.feed(plain.html)
    parser.close()
    return URL in "".join(parser.seen) or any(href == URL and text.strip() for href, text in parser.links)


MARKUP_FREE = st.lists(
    st.one_of(
        st.sampled_from(["Hi ", "&amp; ", "&lt;", " a > b", '"quoted"', "'", "\n"]),
        st.sampled_from(
            [
                "{{ contact.firstName }}",
                "{{ contact.customFields.x }}",
                "{{ contact.customFields.x | upcase | append: ' & ' }}",
                "{{ contact.lastName | default: 'you & me' }}",
                "{{ contact.customFields.y | truncate: 5 }}",
                "{% if contact.customFields.x == 'a & b' %}same{% else %}{{ contact.lastName }}{% endif %}",
                "{% for t in contact.tags %}{{ t }}, {% endfor %}",
                "{{ contact.tags | join: ' & ' | url_encode }}",
                "{% capture n %}{{ contact.lastName }} & {% endcapture %}{{ n }}",
                "{{ contact.customFields.y | escape }}",
            ]
        ),
    ),
    max_size=5,
).map("".join)


@examples()
@given(html=MARKUP_FREE, contact=CONTACTS)
def test_without_markup_the_text_is_the_html(html: str, contact: dict[str, object]) -> None:
    """The text part has the characters of the HTML part with its entities decoded: nothing is escaped in a text."""
    content = message(html + " {{ unsubscribeUrl }}").render(contact, CAMPAIGN)
    assert re.sub(r"[ \t\n\r\f\xa0]+", " ", unescape(content.html)).strip() == content.text.strip().replace("\n", " ")
