"""A campaign's three templates as one message, with the unsubscribe link that no bulk mail may lack."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.errors import NudgeError, Refusals
from services.rendering.environment import HTML, TEXT, TemplateEnvironment
from services.rendering.errors import TemplateInvalid
from services.rendering.plain_text import plain_text
from services.rendering.sources import check_size
from services.rendering.templates import Template, read_template

UNSUBSCRIBE: Final = "unsubscribeUrl"
SUBJECT_FIELD: Final = ("input", "subject")
HTML_FIELD: Final = ("input", "htmlContent")
TEXT_FIELD: Final = ("input", "textContent")
HTML_FOOTER: Final = (
    '<p style="margin:24px 0 0;font-size:12px;color:#666;text-align:center">'
    'You receive this e-mail from {{ organization.name }}. <a href="{{ unsubscribeUrl }}">Unsubscribe</a></p>\n'
)
TEXT_FOOTER: Final = (
    "\n\n-- \nYou receive this e-mail from {{ organization.name }}.\nUnsubscribe: {{ unsubscribeUrl }}\n"
)
PROBE: Final = "https://unsubscribe.invalid/0"
BODY_END: Final = re.compile(r"</body\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedMessage:
    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTemplate:
    """`variables` are all paths that the three parts read."""

    subject: Template
    html: Template
    text: Template

    @property
    def variables(self) -> frozenset[str]:
        """The paths any part reads, so that the caller can read only the columns they need."""
        return self.subject.variables | self.html.variables | self.text.variables

    def render(self, contact: Mapping[str, object], campaign: Mapping[str, object]) -> RenderedMessage:
        """The message for one recipient, from `contact_variables` and `campaign_variables`; raises `RenderFailed`."""
        variables = {"contact": contact, **campaign}
        return RenderedMessage(
            subject=self.subject.render(variables),
            html=self.html.render(variables),
            text=self.text.render(variables),
        )


def compile_message(*, subject: str, html_content: str, text_content: str | None) -> MessageTemplate:
    """Read all parts of a message; raises `Refusals` with every part that is invalid.

    A part without `unsubscribeUrl` gets a footer with it; without text content the text is made from the HTML.
    """
    errors: list[NudgeError] = []

    def read(
        source: str, field: tuple[str, ...], environment: TemplateEnvironment, *, one_line: bool = False
    ) -> Template | None:
        try:
            check_size(source, field, one_line=one_line)
            return read_template(source, environment=environment, field=field, one_line=one_line)
        except TemplateInvalid as error:
            errors.append(error)
            return None

    subject_part = read(subject, SUBJECT_FIELD, TEXT, one_line=True)
    html_part = read(html_content, HTML_FIELD, HTML)
    text_part = read(text_content, TEXT_FIELD, TEXT) if text_content and text_content.strip() else None
    if errors or subject_part is None or html_part is None:
        raise Refusals(errors)
    return MessageTemplate(
        subject=subject_part, html=_with_html_link(html_part), text=_with_text_link(text_part or _derived(html_part))
    )


def has_unsubscribe_link(template: Template) -> bool:
    """Whether the template itself shows the unsubscribe link."""
    return UNSUBSCRIBE in template.variables


def _with_html_link(template: Template) -> Template:
    if has_unsubscribe_link(template):
        return template
    source = template.source
    end = max((match.start() for match in BODY_END.finditer(source)), default=len(source))
    footed = _html(source[:end] + HTML_FOOTER + source[end:])
    # The last </body> may stand in a comment or a branch: then the footer goes behind everything.
    shown = footed and PROBE in footed.render({UNSUBSCRIBE: PROBE})
    return footed if footed and shown else read_template(source + HTML_FOOTER, environment=HTML, field=HTML_FIELD)


def _html(source: str) -> Template | None:
    try:
        return read_template(source, environment=HTML, field=HTML_FIELD)
    except TemplateInvalid:
        return None


def _with_text_link(template: Template) -> Template:
    if has_unsubscribe_link(template):
        return template
    return read_template(template.source.rstrip() + TEXT_FOOTER, environment=TEXT, field=TEXT_FIELD)


def _derived(html: Template) -> Template:
    try:
        return read_template(plain_text(html.source), environment=TEXT, field=TEXT_FIELD)
    except TemplateInvalid as error:
        refusal = TemplateInvalid(
            "No text part can be made from this HTML",
            line=error.line,
            column=error.column,
            field=TEXT_FIELD,
            suggestion="Write the text content yourself.",
        )
        raise Refusals([refusal]) from error
