"""Whether a message shows its unsubscribe link, and the footer that is added otherwise."""

import re
from collections.abc import Mapping
from html import escape
from typing import Final

from services.rendering.reading import HtmlPage

UNSUBSCRIBE: Final = "unsubscribeUrl"
FOOTER_VARIABLES: Final = frozenset({UNSUBSCRIBE, "organization.name"})
_HTML_FOOTER: Final = (
    '<p style="margin:24px 0 0;font-size:12px;color:#666;text-align:center">You receive this e-mail from ',
    '. <a href="',
    '">Unsubscribe</a></p>\n',
)
_TEXT_FOOTER: Final = ("\n\n-- \nYou receive this e-mail from ", ".\nUnsubscribe: ", "\n")
_SPECIAL: Final = re.compile("[&<>\"']")
_IN_ADDRESS: Final = frozenset("%~+=&@-_")
_BEFORE_MORE: Final = frozenset(".:/")


def page_shows(page: HtmlPage, url: str) -> bool:
    """Whether the page shows a working link to the URL, or the URL itself."""
    if not url:
        return False
    return any(_leads_to(href, url) for href in page.links) or text_shows(page.seen_text, url)


def text_shows(text: str, url: str) -> bool:
    """Whether the text contains the URL, and not as a part of a longer one."""
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
    """Rendered HTML with the footer inserted at a position."""
    before, between, after = _HTML_FOOTER
    organization, url = _escaped(_organization(campaign)), _escaped(str(campaign.get(UNSUBSCRIBE) or ""))
    return f"{html[:position]}{before}{organization}{between}{url}{after}{html[position:]}"


def text_with_footer(text: str, campaign: Mapping[str, object]) -> str:
    """A rendered text part with the footer appended."""
    before, between, after = _TEXT_FOOTER
    url = campaign.get(UNSUBSCRIBE) or ""
    return f"{text.rstrip()}{before}{_organization(campaign)}{between}{url}{after}"


def _leads_to(href: str, url: str) -> bool:
    # Parameters and fragments do not change which unsubscribe link it is.
    return href == url or (href.startswith(url) and href[len(url)] in "?#") or href == f"{url}/"


def _goes_on(following: str) -> bool:
    first, second = following[:1], following[1:]
    return first.isalnum() or first in _IN_ADDRESS or (first in _BEFORE_MORE and second.isalnum())


def _organization(campaign: Mapping[str, object]) -> str:
    organization = campaign.get("organization")
    return str(organization.get("name") or "") if isinstance(organization, Mapping) else ""


def _escaped(text: str) -> str:
    # Most texts contain none of the five characters.
    return escape(text) if _SPECIAL.search(text) else text
