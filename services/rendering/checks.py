"""Warnings about content that is valid but will surprise its author."""

import re
from typing import Final

from services.rendering.messages import MessageTemplate, has_unsubscribe_link
from services.rendering.problems import nearest
from services.rendering.templates import Template
from services.rendering.variables import CUSTOM_FIELDS, KNOWN, is_known

CLIPPED_AT: Final = 102 * 1024
MOST_VARIABLES: Final = 20
STRIPPED: Final = {
    "script": re.compile(r"<script\b", re.IGNORECASE),
    "form": re.compile(r"<form\b", re.IGNORECASE),
    "iframe": re.compile(r"<iframe\b", re.IGNORECASE),
    "object": re.compile(r"<(?:object|embed|applet)\b", re.IGNORECASE),
}
JAVASCRIPT_LINK: Final = re.compile(r"""\bhref\s{0,9}=\s{0,9}["']?\s{0,9}javascript:""", re.IGNORECASE)
EVENT_HANDLER: Final = re.compile(r"""<[a-z][^<>]*\son[a-z]+\s*=""", re.IGNORECASE)


def check_content(
    *, subject: str, html_content: str, message: MessageTemplate, custom_fields: frozenset[str] | None = None
) -> list[str]:
    """What `validateCampaign` should tell about a readable message, in sentences for its author.

    `message` is compiled from the two sources; `custom_fields` are the names in use, or None to accept any.
    """
    return [
        *_subject(subject),
        *_variables(message, custom_fields),
        *_footer(html_content, message),
        *_size(message.html),
        *_stripped(html_content),
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
            warnings.append(f"Nothing is called {path}, so it stays empty.{f' {hint}' if hint else ''}")
        if len(warnings) == MOST_VARIABLES:
            break
    return warnings


def _in_use(path: str, names: set[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in names)


def _footer(html_content: str, message: MessageTemplate) -> list[str]:
    if message.html.source == html_content and has_unsubscribe_link(message.html):
        return []
    return ["The HTML has no unsubscribe link ({{ unsubscribeUrl }}), so a footer with one is added."]


def _size(html: Template) -> list[str]:
    size = len(html.source.encode())
    if size <= CLIPPED_AT:
        return []
    return [f"The HTML has {size // 1024} KB; Gmail clips a message after 102 KB."]


def _stripped(html: str) -> list[str]:
    warnings = [
        f"Mail clients remove <{name}> elements." for name, pattern in STRIPPED.items() if pattern.search(html)
    ]
    if JAVASCRIPT_LINK.search(html) or EVENT_HANDLER.search(html):
        warnings.append("Mail clients remove JavaScript from links and attributes.")
    return warnings
