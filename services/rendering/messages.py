"""A campaign's three templates as one message, with the unsubscribe link that no bulk mail may lack."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.errors import NudgeError, Refusals
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
from services.rendering.plain_text import tidy
from services.rendering.reading import read
from services.rendering.sources import check_size
from services.rendering.templates import Template, read_template

SUBJECT_FIELD: Final = ("input", "subject")
HTML_FIELD: Final = ("input", "htmlContent")
TEXT_FIELD: Final = ("input", "textContent")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedMessage:
    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTemplate:
    """A checked message. Without `text` the text part is made from each rendered HTML."""

    subject: Template
    html: Template
    text: Template | None

    @property
    def variables(self) -> frozenset[str]:
        """The paths any part reads, so that the caller can read only the columns they need."""
        text = self.text.variables if self.text else frozenset()
        return self.subject.variables | self.html.variables | text | FOOTER_VARIABLES

    def render(self, contact: Mapping[str, object], campaign: Mapping[str, object]) -> RenderedMessage:
        """The message for one recipient, from `contact_variables` and `campaign_variables`; raises `RenderFailed`.

        A part in which this recipient sees no unsubscribe link gets a footer with one.
        """
        variables = {"contact": contact, **campaign}
        url = str(campaign.get(UNSUBSCRIBE) or "")
        html = self.html.render(variables)
        page = read(html)
        text = self.text.render(variables) if self.text else tidy(page.text)
        if not page_shows(page, url):
            html = html_with_footer(html, page.end or 0, campaign)
        if not text_shows(text, url):
            text = text_with_footer(text, campaign)
        return RenderedMessage(subject=self.subject.render(variables), html=html, text=text)


def compile_message(*, subject: str, html_content: str, text_content: str | None) -> MessageTemplate:
    """Read all parts of a message; raises `Refusals` with every part that is invalid."""
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
        raise Refusals(errors)
    return MessageTemplate(subject=subject_part, html=html_part, text=text_part)
