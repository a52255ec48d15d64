"""A campaign's three templates as one message, with the unsubscribe link that no bulk mail may lack."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.errors import InputErrors, NudgeError
from services.rendering.environment import HTML, TEXT, TemplateEnvironment
from services.rendering.errors import TemplateInvalid
from services.rendering.footers import (
    FOOTER_VARIABLES,
    UNSUBSCRIBE,
    html_with_footer,
    page_shows,
    text_shows,
    text_with_footer,
)
from services.rendering.outline import Link, outline
from services.rendering.plain_text import finished, tidy
from services.rendering.reading import Page, read
from services.rendering.sources import check_size
from services.rendering.templates import Template, read_template

SUBJECT_FIELD: Final = ("input", "subject")
HTML_FIELD: Final = ("input", "htmlContent")
TEXT_FIELD: Final = ("input", "textContent")

LONG: Final = 20_000
"""Characters of HTML that are read in a few milliseconds at most."""
LOOP: Final = re.compile(r"\{%-?\s*(?:for|tablerow|liquid)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedMessage:
    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTemplate:
    """A checked message.

    `text` is the author's template or, with `seams`, one that was made from the HTML's source; None when only a
    rendered HTML can give the text. `link` and `tail` are those of the HTML's `Outline`, None when only a rendered
    HTML can tell.
    """

    subject: Template
    html: Template
    text: Template | None
    seams: tuple[str, ...] | None
    link: Link | None
    tail: int | None

    @property
    def is_slow(self) -> bool:
        """Whether a rendering may take milliseconds: each HTML has to be read, and it is long or made by loops."""
        link_known = self.link is Link.ALWAYS or (self.link is Link.NEVER and self.tail is not None)
        is_read = self.text is None or not link_known
        return is_read and (len(self.html.source) > LONG or LOOP.search(self.html.source) is not None)

    @property
    def variables(self) -> frozenset[str]:
        """The paths any part reads, so that the caller can read only the columns they need."""
        text = self.text.variables if self.text else frozenset()
        return self.subject.variables | self.html.variables | text | FOOTER_VARIABLES

    @property
    def numbers(self) -> frozenset[str]:
        """The paths that any part compares with a number: a contact for whom one is a text gets no message."""
        return self.subject.numbers | self.html.numbers | (self.text.numbers if self.text else frozenset())

    def render(self, contact: Mapping[str, object], campaign: Mapping[str, object]) -> RenderedMessage:
        """The message for one recipient, from `contact_variables` and `campaign_variables`; raises `RenderFailed`.

        A part in which this recipient sees no unsubscribe link gets a footer with one.
        """
        variables = {"contact": contact, **campaign}
        url = str(campaign.get(UNSUBSCRIBE) or "")
        html = self.html.render(variables)
        text = self._text(variables)
        page = read(html) if text is None else None
        if text is None and page:
            text = tidy(page.text)
        if self.link is not Link.ALWAYS:
            html = self._with_link(html, page, url, campaign)
        # What the source proves of the HTML may not hold here: an image's text may follow the address at once.
        if not text_shows(text or "", url):
            text = text_with_footer(text or "", campaign)
        return RenderedMessage(subject=self.subject.render(variables), html=html, text=text or "")

    def _text(self, variables: Mapping[str, object]) -> str | None:
        """The text part; None when it has to be made from the rendered HTML."""
        if self.text is None:
            return None
        text = self.text.render(variables)
        return text if self.seams is None else finished(text, self.seams)

    def _with_link(self, html: str, page: Page | None, url: str, campaign: Mapping[str, object]) -> str:
        if self.tail is not None and self.link is Link.NEVER:
            return html_with_footer(html, len(html) - self.tail, campaign)
        page = page or read(html)
        if page_shows(page, url):
            return html
        return html_with_footer(html, len(html) if page.end is None else page.end, campaign)


def compile_message(*, subject: str, html_content: str, text_content: str | None) -> MessageTemplate:
    """Read all parts of a message; raises `InputErrors` with every part that is invalid."""
    errors: list[NudgeError] = []

    def part(
        source: str, field: tuple[str, ...], environment: TemplateEnvironment, *, one_line: bool = False
    ) -> Template | None:
        try:
            check_size(source, field, one_line=one_line)
            return read_template(source, environment=environment, field=field, one_line=one_line)
        except TemplateInvalid as error:
            errors.append(error)
            return None

    subject_part = part(subject, SUBJECT_FIELD, TEXT, one_line=True)
    html_part = part(html_content, HTML_FIELD, HTML)
    text_part = part(text_content, TEXT_FIELD, TEXT) if text_content and text_content.strip() else None
    if errors or subject_part is None or html_part is None:
        raise InputErrors(errors)
    known = outline(html_content)
    return MessageTemplate(
        subject=subject_part,
        html=html_part,
        text=text_part or (_derived(known.text.source) if known else None),
        seams=known.text.seams if known and text_part is None else None,
        link=known.link if known else None,
        tail=known.tail if known else None,
    )


def _derived(source: str) -> Template | None:
    try:
        return read_template(source, environment=TEXT, field=TEXT_FIELD)
    except TemplateInvalid:
        return None
