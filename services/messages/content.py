"""The texts of a message, checked before they are stored in a campaign or a template."""

import asyncio
from typing import Final, TypedDict

from core import texts
from core.errors import ErrorCode, InputErrors, InvalidInput, NudgeError
from services.rendering.messages import MessageTemplate, compile_message

MAX_NAME_LENGTH: Final = 200
MAX_SUBJECT_LENGTH: Final = 998
_MAX_CONTENT_BYTES: Final = 512 * 1024
_MAX_INLINE_TAGS: Final = 50
"""A message with more Liquid tags takes more than some tens of milliseconds to compile: it is done in a thread."""
_MAX_INLINE_LENGTH: Final = 50_000
"""The same for its characters."""


class Required(InvalidInput):
    """A text of the input must not be empty."""

    code = ErrorCode.REQUIRED


class Texts(TypedDict):
    """The three templates of a message."""

    subject: str
    html_content: str
    text_content: str


class TextChanges(TypedDict, total=False):
    """Changes of a message's texts. A missing key leaves the text as it is; None makes it empty."""

    subject: str | None
    html_content: str | None
    text_content: str | None


EMPTY: Final = Texts(subject="", html_content="", text_content="")


def with_changes(old: Texts, changes: TextChanges) -> Texts:
    """The old texts with the changes; invisible characters around a subject are removed."""
    return Texts(
        subject=texts.strip_directions(changes["subject"] or "") if "subject" in changes else old["subject"],
        html_content=changes.get("html_content", old["html_content"]) or "",
        text_content=changes.get("text_content", old["text_content"]) or "",
    )


def changed_name(name: str | None) -> str:
    """The changed name; raises as `check_name` does, and for None."""
    if name is None:
        raise Required("A name cannot be cleared.", field=("input", "name"))
    return check_name(name)


def check_name(name: str) -> str:
    """The name, trimmed; raises unless it is one line of 1 to 200 characters."""
    field = ("input", "name")
    cleaned = texts.clean_line(name, field=field, max_length=MAX_NAME_LENGTH)
    if not cleaned:
        raise Required("A name cannot be empty.", field=field)
    return cleaned


async def check_content(*, subject: str, html_content: str, text_content: str) -> MessageTemplate:
    """Check and compile the three texts. Raises `InputErrors` with all errors together, so that a form can show them.

    A subject is one line of at most 998 characters (RFC 5322, 2.1.1); HTML and text have at most 512 KiB each. Empty
    texts are allowed, as in a draft.
    """
    errors = [
        *_subject_errors(subject),
        *_size_errors("htmlContent", html_content),
        *_size_errors("textContent", text_content),
    ]
    if errors:
        raise InputErrors(errors)
    return await compiled(subject=subject, html_content=html_content, text_content=text_content)


async def compiled(*, subject: str, html_content: str, text_content: str) -> MessageTemplate:
    """Compile a message, a long one in a thread, so that it does not block the event loop; raises `InputErrors`."""
    tags = html_content.count("{") + text_content.count("{")
    if tags <= _MAX_INLINE_TAGS and len(html_content) + len(text_content) <= _MAX_INLINE_LENGTH:
        return compile_message(subject=subject, html_content=html_content, text_content=text_content)
    return await asyncio.to_thread(
        compile_message, subject=subject, html_content=html_content, text_content=text_content
    )


def _subject_errors(subject: str) -> list[NudgeError]:
    field = ("input", "subject")
    try:
        texts.require_no_controls(subject, texts.FORBIDDEN, field)
        texts.require_length(subject, field=field, max_length=MAX_SUBJECT_LENGTH)
    except NudgeError as error:
        return [error]
    return []


def _size_errors(name: str, content: str) -> list[NudgeError]:
    size = len(content.encode(errors="replace"))
    if size <= _MAX_CONTENT_BYTES:
        return []
    message = f"At most {_MAX_CONTENT_BYTES // 1024} KiB; this has {size:,} bytes."
    return [InvalidInput(message, field=("input", name), code=ErrorCode.TOO_LONG)]
