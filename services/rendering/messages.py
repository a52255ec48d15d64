"""A campaign's three templates as one message, which always has an unsubscribe link."""

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
from services.rendering.outline import LinkVisibility, outline
from services.rendering.plain_text import finish_text, tidy
from services.rendering.reading import HtmlPage, read
from services.rendering.sources import check_size
from services.rendering.templates import CompiledTemplate, read_template

_SUBJECT_FIELD: Final = ("input", "subject")
_HTML_FIELD: Final = ("input", "htmlContent")
_TEXT_FIELD: Final = ("input", "textContent")

_LONG: Final = 20_000
"""Characters of HTML that can be parsed in a few milliseconds at most."""
_LOOP: Final = re.compile(r"\{%-?\s*(?:for|tablerow|liquid)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedMessage:
    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTemplate:
    """A valid message.

    `text` is the author's template or, with `space_runs`, one derived from the HTML's source; None if the text has to
    be derived from each rendered HTML. `link` and `footer_offset` are those of the HTML's `Outline`, None if they
    depend on the rendered HTML.
    """

    subject: CompiledTemplate
    html: CompiledTemplate
    text: CompiledTemplate | None
    space_runs: tuple[str, ...] | None
    link: LinkVisibility | None
    footer_offset: int | None

    @property
    def is_slow(self) -> bool:
        """Whether a rendering may take milliseconds: each rendered HTML has to be parsed, and it may be long."""
        never_shown = self.link is LinkVisibility.NEVER and self.footer_offset is not None
        link_known = self.link is LinkVisibility.ALWAYS or never_shown
        is_read = self.text is None or not link_known
        return is_read and (len(self.html.source) > _LONG or _LOOP.search(self.html.source) is not None)

    @property
    def variables(self) -> frozenset[str]:
        """The variables of all parts, so that the caller can load only the columns it needs."""
        text = self.text.variables if self.text else frozenset()
        return self.subject.variables | self.html.variables | text | FOOTER_VARIABLES

    @property
    def numbers(self) -> frozenset[str]:
        """The variables that any part compares with a number: rendering fails for a contact for whom one is text."""
        return self.subject.numbers | self.html.numbers | (self.text.numbers if self.text else frozenset())

    def render(self, contact: Mapping[str, object], campaign: Mapping[str, object]) -> RenderedMessage:
        """The message for one recipient, from `contact_variables` and `campaign_variables`; raises `RenderFailed`.

        A part that does not show the unsubscribe link to this recipient gets a footer with one.
        """
        variables = {"contact": contact, **campaign}
        url = str(campaign.get(UNSUBSCRIBE) or "")
        html = self.html.render(variables)
        text = self._text(variables)
        page = read(html) if text is None else None
        if text is None and page:
            text = tidy(page.text)
        if self.link is not LinkVisibility.ALWAYS:
            html = self._with_link(html, page, url, campaign)
        # That the HTML shows the link does not prove it for the text: an image's text may directly follow the URL.
        if not text_shows(text or "", url):
            text = text_with_footer(text or "", campaign)
        return RenderedMessage(subject=self.subject.render(variables), html=html, text=text or "")

    def _text(self, variables: Mapping[str, object]) -> str | None:
        """The text part; None if it has to be derived from the rendered HTML."""
        if self.text is None:
            return None
        text = self.text.render(variables)
        return text if self.space_runs is None else finish_text(text, self.space_runs)

    def _with_link(self, html: str, page: HtmlPage | None, url: str, campaign: Mapping[str, object]) -> str:
        if self.footer_offset is not None and self.link is LinkVisibility.NEVER:
            return html_with_footer(html, len(html) - self.footer_offset, campaign)
        page = page or read(html)
        if page_shows(page, url):
            return html
        return html_with_footer(html, len(html) if page.end is None else page.end, campaign)


def compile_message(*, subject: str, html_content: str, text_content: str | None) -> MessageTemplate:
    """Compile all parts of a message; raises `InputErrors` with an error for each invalid part."""
    errors: list[NudgeError] = []

    def part(
        source: str, field: tuple[str, ...], environment: TemplateEnvironment, *, one_line: bool = False
    ) -> CompiledTemplate | None:
        try:
            check_size(source, field, one_line=one_line)
            return read_template(source, environment=environment, field=field, one_line=one_line)
        except TemplateInvalid as error:
            errors.append(error)
            return None

    subject_part = part(subject, _SUBJECT_FIELD, TEXT, one_line=True)
    html_part = part(html_content, _HTML_FIELD, HTML)
    text_part = part(text_content, _TEXT_FIELD, TEXT) if text_content and text_content.strip() else None
    if errors or subject_part is None or html_part is None:
        raise InputErrors(errors)
    outlined = outline(html_content)
    return MessageTemplate(
        subject=subject_part,
        html=html_part,
        text=text_part or (_derived(outlined.text.source) if outlined else None),
        space_runs=outlined.text.space_runs if outlined and text_part is None else None,
        link=outlined.link if outlined else None,
        footer_offset=outlined.footer_offset if outlined else None,
    )


def _derived(source: str) -> CompiledTemplate | None:
    try:
        return read_template(source, environment=TEXT, field=_TEXT_FIELD)
    except TemplateInvalid:
        return None
