"""The unsubscribe link that every bulk mail shows: whether a reader sees one, and the footer with one."""

import re
from collections.abc import Mapping
from html import escape
from typing import Final

from services.rendering.reading import Page

UNSUBSCRIBE: Final = "unsubscribeUrl"
FOOTER_VARIABLES: Final = frozenset({UNSUBSCRIBE, "organization.name"})
HTML_FOOTER: Final = (
    '<p style="margin:24px 0 0;font-size:12px;color:#666;text-align:center">You receive this e-mail from ',
    '. <a href="',
    '">Unsubscribe</a></p>\n',
)
TEXT_FOOTER: Final = ("\n\n-- \nYou receive this e-mail from ", ".\nUnsubscribe: ", "\n")
SPECIAL: Final = re.compile("[&<>\"']")
IN_ADDRESS: Final = frozenset("%~+=&@-_")
BEFORE_MORE: Final = frozenset(".:/")


def page_shows(page: Page, url: str) -> bool:
    """Whether a reader of the page sees a link to the address and can follow it, or the address itself."""
    if not url:
        return False
    return any(_leads_to(href, url) for href in page.links) or text_shows(page.seen_text, url)


def text_shows(text: str, url: str) -> bool:
    """Whether the address stands in the text, not as a part of another one."""
    if not url:
        return False
    start = text.find(url)
    while start >= 0:
        end = start + len(url)
        if not text[max(start - 1, 0) : start].isalnum() and not _goes_on(text[end : end + 2]):
            return True
        start = text.find(url, end)
    return False


def html_with_footer(html: str, position: int, campaign: Mapping[str, object]) -> str:
    """Rendered HTML with the footer at a position, the page's `end`."""
    before, between, after = HTML_FOOTER
    organization, url = _escaped(_organization(campaign)), _escaped(str(campaign.get(UNSUBSCRIBE) or ""))
    return f"{html[:position]}{before}{organization}{between}{url}{after}{html[position:]}"


def text_with_footer(text: str, campaign: Mapping[str, object]) -> str:
    """A rendered text part with the footer behind it."""
    before, between, after = TEXT_FOOTER
    url = campaign.get(UNSUBSCRIBE) or ""
    return f"{text.rstrip()}{before}{_organization(campaign)}{between}{url}{after}"


def _leads_to(href: str, url: str) -> bool:
    # Parameters and fragments change nothing about whom the address belongs to.
    return href == url or (href.startswith(url) and href[len(url)] in "?#") or href == f"{url}/"


def _goes_on(following: str) -> bool:
    first, second = following[:1], following[1:]
    return first.isalnum() or first in IN_ADDRESS or (first in BEFORE_MORE and second.isalnum())


def _organization(campaign: Mapping[str, object]) -> str:
    organization = campaign.get("organization")
    return str(organization.get("name") or "") if isinstance(organization, Mapping) else ""


def _escaped(text: str) -> str:
    # Most texts hold none of the five.
    return escape(text) if SPECIAL.search(text) else text
