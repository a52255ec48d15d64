"""Warnings about content that is valid, but probably not what its author wants."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from services.rendering.errors import RenderFailed
from services.rendering.footers import UNSUBSCRIBE, page_shows, text_shows
from services.rendering.messages import MessageTemplate
from services.rendering.outline import LinkVisibility
from services.rendering.problems import nearest
from services.rendering.reading import read
from services.rendering.templates import CompiledTemplate
from services.rendering.variables import CUSTOM_FIELDS, KNOWN, is_known

_NO_LINK: Final = "The {part} has no unsubscribe link ({{{{ unsubscribeUrl }}}}), so a footer with one is added."
_LINK_NOT_VISIBLE: Final = (
    "The {part} mentions {{{{ unsubscribeUrl }}}}, but readers see no link to it, so a footer with one is added."
)
_LINK_DEPENDS_ON_CONDITION: Final = (
    "Some recipients see no unsubscribe link in the {part}, because {{{{ unsubscribeUrl }}}} depends on a condition: "
    "they get a footer with one."
)
_NOT_A_NUMBER: Final = (
    "{path} is a text for some contacts. They would get no message, because it is compared with a number. "
    "Convert it with {{% assign number = {path} | plus: 0 %}} and compare `number`."
)
_TEXT_VARIABLES: Final = frozenset(
    {"contact.firstName", "contact.lastName", "contact.email", "organization.name", "campaign.name"}
)
_PROBE: Final = "https://unsubscribe.invalid/0"
_SAMPLE_VALUES: Final = ("Ada", 7, ["vip"])
_GMAIL_CLIPS_ABOVE_BYTES: Final = 102 * 1024
_MAX_VARIABLES: Final = 20
_REMOVED_ELEMENTS: Final = {
    "script": re.compile(r"<script\b", re.IGNORECASE),
    "form": re.compile(r"<form\b", re.IGNORECASE),
    "iframe": re.compile(r"<iframe\b", re.IGNORECASE),
    "object": re.compile(r"<(?:object|embed|applet)\b", re.IGNORECASE),
}
_JAVASCRIPT_LINK: Final = re.compile(r"""\bhref\s{0,9}=\s{0,9}["']?\s{0,9}javascript:""", re.IGNORECASE)
_EVENT_HANDLER: Final = re.compile(r"""<[a-z][^<>]*\son[a-z]+\s*=""", re.IGNORECASE)


def check_content(
    *,
    subject: str,
    html_content: str,
    message: MessageTemplate,
    custom_fields: frozenset[str] | None = None,
    text_fields: frozenset[str] = frozenset(),
) -> list[str]:
    """The warnings of `validateCampaign` about a valid message, as sentences for its author.

    `message` is compiled from the two sources. `custom_fields` are the names in use, or None to accept any, and
    `text_fields` those of them that are text for some contact.
    """
    return [
        *_subject(subject),
        *_variables(message, custom_fields),
        *_numbers(message, text_fields),
        *_footers(message),
        *_size(message.html),
        *_removed_elements(html_content),
    ]


def _subject(subject: str) -> list[str]:
    return [] if subject.strip() else ["The subject is empty."]


def _variables(message: MessageTemplate, custom_fields: frozenset[str] | None) -> list[str]:
    names = {CUSTOM_FIELDS + name for name in custom_fields or ()}
    warnings = []
    for path in sorted(message.variables):
        unknown_field = custom_fields is not None and path.startswith(CUSTOM_FIELDS) and not _in_use(path, names)
        if unknown_field or not is_known(path):
            hint = nearest(path, [*KNOWN, *names])
            warnings.append(f"There is no variable {path}, so it is rendered as empty.{f' {hint}' if hint else ''}")
        if len(warnings) == _MAX_VARIABLES:
            break
    return warnings


def _numbers(message: MessageTemplate, text_fields: frozenset[str]) -> list[str]:
    texts = {*_TEXT_VARIABLES, *(CUSTOM_FIELDS + name for name in text_fields)}
    return [_NOT_A_NUMBER.format(path=path) for path in sorted(message.numbers & texts)]


def _in_use(path: str, names: set[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in names)


def _footers(message: MessageTemplate) -> Iterator[str]:
    """Warnings about footers with the unsubscribe link that are added for all or some recipients."""
    link = message.link or _link(message.html, lambda html: page_shows(read(html), _PROBE))
    yield from _footer("HTML", message.html, link)
    if message.text and message.space_runs is None:
        yield from _footer("text", message.text, _link(message.text, lambda text: text_shows(text, _PROBE)))


def _footer(part: str, template: CompiledTemplate, link: LinkVisibility) -> list[str]:
    if UNSUBSCRIBE not in template.variables:
        return [_NO_LINK.format(part=part)]
    if link is LinkVisibility.NEVER:
        return [_LINK_NOT_VISIBLE.format(part=part)]
    return [_LINK_DEPENDS_ON_CONDITION.format(part=part)] if link is LinkVisibility.SOMETIMES else []


def _link(template: CompiledTemplate, shows: Callable[[str], bool]) -> LinkVisibility:
    visibilities = {shows(text) for text in _rendered_samples(template)}
    if visibilities == {True}:
        return LinkVisibility.ALWAYS
    return LinkVisibility.SOMETIMES if len(visibilities) > 1 else LinkVisibility.NEVER


def _rendered_samples(template: CompiledTemplate) -> Iterator[str]:
    for sample in _samples(template.variables):
        try:
            yield template.render({**sample, UNSUBSCRIBE: _PROBE})
        except RenderFailed:
            continue


def _samples(variables: frozenset[str]) -> Iterator[dict[str, object]]:
    """One sample without values, then one for each kind of value, in which every variable has it."""
    yield {}
    for value in _SAMPLE_VALUES:
        sample: dict[str, object] = {}
        for path in sorted(variables):
            parent = sample
            *parents, last = path.split(".")
            for name in parents:
                child = parent.setdefault(name, {})
                parent = child if isinstance(child, dict) else {}
            parent[last] = value
        yield sample


def _size(html: CompiledTemplate) -> list[str]:
    size = len(html.source.encode())
    if size <= _GMAIL_CLIPS_ABOVE_BYTES:
        return []
    return [f"The HTML has {size // 1024} KB; Gmail clips a message after 102 KB."]


def _removed_elements(html: str) -> list[str]:
    warnings = [
        f"Mail clients remove <{name}> elements."
        for name, pattern in _REMOVED_ELEMENTS.items()
        if pattern.search(html)
    ]
    if _JAVASCRIPT_LINK.search(html) or _EVENT_HANDLER.search(html):
        warnings.append("Mail clients remove JavaScript from links and attributes.")
    return warnings
