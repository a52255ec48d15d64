"""Validation of messages: a wrong type refuses the whole request, a wrong value only the message."""

import re
from dataclasses import dataclass
from email.utils import getaddresses

from sandbox.postmark.admission import refusal
from sandbox.wire import JsonObject

TYPES: dict[str, type] = {
    **dict.fromkeys(("From", "To", "Cc", "Bcc", "ReplyTo", "Subject", "Tag", "HtmlBody", "TextBody"), str),
    **dict.fromkeys(("TrackLinks", "MessageStream"), str),
    "TrackOpens": bool,
    "Metadata": dict,
    "Headers": list,
    "Attachments": list,
}
MAILBOX = (
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,}"
)
PLAIN = re.compile(MAILBOX)
NAMED = re.compile(rf"[^\x00-\x1f\x7f\"<>,;:@()\\]*<({MAILBOX})>")
BREAK = re.compile(r"[\r\n]")
LINK_TRACKING = frozenset(("None", "HtmlAndText", "HtmlOnly", "TextOnly"))
MAX_RECIPIENTS = 50
MAX_BODY = 5_000_000
MAX_SUBJECT = 2_000
MAX_TAG = 1_000
MAX_METADATA_FIELDS, MAX_METADATA_NAME, MAX_METADATA_VALUE = 10, 20, 80


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason why a message is refused."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The mailboxes of a valid message."""

    sender: str
    recipients: list[str]
    stream: str


def check_types(item: JsonObject) -> None:
    """Refuse the whole request (422, code 403) if a known field has a wrong JSON type."""
    for name, value in item.items():
        expected = TYPES.get(name)
        if expected is not None and value is not None and type(value) is not expected:
            raise refusal(422, 403, f"Incompatible JSON: {name} must be a {expected.__name__}.")
    _check_metadata_types(item.get("Metadata"))
    for name in ("Headers", "Attachments"):
        _check_entries(name, item.get(name))


def _check_metadata_types(metadata: object) -> None:
    if isinstance(metadata, dict):
        for value in metadata.values():
            if isinstance(value, dict | list):
                raise refusal(422, 403, "Incompatible JSON: Metadata values must be strings.")


def _check_entries(name: str, entries: object) -> None:
    if isinstance(entries, list):
        for entry in entries:
            if not isinstance(entry, dict):
                raise refusal(422, 403, f"Incompatible JSON: {name} must be an array of objects.")


def check(item: JsonObject, streams: frozenset[str], broadcast: frozenset[str]) -> Checked | Problem:
    """The message's mailboxes, or the problem (code 300, or 1235 for an unknown stream)."""
    senders = mailboxes(item.get("From"))
    if senders is None or len(senders) != 1:
        return Problem(300, "Invalid 'From' address.")
    recipients: list[str] = []
    for name in ("To", "Cc", "Bcc"):
        addresses = mailboxes(item.get(name))
        if addresses is None:
            return Problem(300, f"Invalid '{name}' address.")
        if name == "To" and not addresses:
            return Problem(300, "'To' needs at least one address.")
        recipients += addresses
    if len(recipients) > MAX_RECIPIENTS:
        return Problem(300, "A message has at most 50 recipients over 'To', 'Cc' and 'Bcc'.")
    stream = item.get("MessageStream") or "outbound"
    if stream not in streams:
        return Problem(1235, f"The message stream '{stream}' does not exist on this server.")
    problem = _content(item) or _metadata(item.get("Metadata")) or _lists(item)
    problem = problem or _unsubscribe_header(item, is_broadcast=stream in broadcast)
    return problem or Checked(senders[0], recipients, str(stream))


def mailboxes(value: object) -> list[str] | None:
    """The mailboxes in an address header; [] if it is missing or empty, None if it is invalid."""
    if not value:
        return []
    text = str(value)
    if PLAIN.fullmatch(text):
        return [text]
    if named := NAMED.fullmatch(text):
        return [named[1]]
    if "\n" in text or "\r" in text:
        return None
    addresses = [address for _, address in getaddresses([text])]
    return addresses if all(PLAIN.fullmatch(address) for address in addresses) else None


def _content(item: JsonObject) -> Problem | None:
    html, text = str(item.get("HtmlBody") or ""), str(item.get("TextBody") or "")
    if not html and not text:
        return Problem(300, "Provide an HtmlBody, a TextBody, or both.")
    if len(html) > MAX_BODY or len(text) > MAX_BODY:
        return Problem(300, "HtmlBody and TextBody hold at most 5 MB each.")
    return _labels(item)


def _labels(item: JsonObject) -> Problem | None:
    subject = str(item.get("Subject") or "")
    if len(subject) > MAX_SUBJECT or "\n" in subject or "\r" in subject:
        return Problem(300, "Invalid 'Subject': one line of at most 2000 characters.")
    if len(str(item.get("Tag") or "")) > MAX_TAG:
        return Problem(300, "Invalid 'Tag': at most 1000 characters.")
    if (item.get("TrackLinks") or "None") not in LINK_TRACKING:
        return Problem(300, "Invalid 'TrackLinks': None, HtmlAndText, HtmlOnly or TextOnly.")
    if mailboxes(item.get("ReplyTo")) is None:
        return Problem(300, "Invalid 'ReplyTo' address.")
    return None


def _metadata(metadata: object) -> Problem | None:
    if not isinstance(metadata, dict):
        return None
    if len(metadata) > MAX_METADATA_FIELDS:
        return Problem(300, "Metadata holds at most 10 fields.")
    for name, value in metadata.items():
        if not isinstance(value, str):
            return Problem(300, f"Metadata field '{name}' must be a string.")
        if not name or len(name) > MAX_METADATA_NAME:
            return Problem(300, f"Metadata field name '{name}' must have 1 to 20 characters.")
        if len(value) > MAX_METADATA_VALUE:
            return Problem(300, f"Metadata field '{name}' holds at most 80 characters.")
    return None


def _lists(item: JsonObject) -> Problem | None:
    for header in _entries(item.get("Headers")):
        name, value = header.get("Name"), header.get("Value")
        if not (isinstance(name, str) and isinstance(value, str)) or not _header_ok(name, value):
            return Problem(300, "Invalid 'Headers': each needs a Name and a Value of one line.")
    for attachment in _entries(item.get("Attachments")):
        if not all(isinstance(attachment.get(key), str) for key in ("Name", "Content", "ContentType")):
            return Problem(300, "Invalid 'Attachments': each needs Name, Content and ContentType.")
    return None


def _unsubscribe_header(item: JsonObject, *, is_broadcast: bool) -> Problem | None:
    """Require List-Unsubscribe on broadcast streams: Postmark adds one of its own, which our client must not need."""
    names = {str(header.get("Name")).lower() for header in _entries(item.get("Headers"))}
    if is_broadcast and "list-unsubscribe" not in names:
        return Problem(300, "A message on a broadcast stream needs a List-Unsubscribe header.")
    if not is_broadcast and "list-unsubscribe" in names:
        return Problem(300, "Bulk mail, which has a List-Unsubscribe header, belongs on a broadcast stream.")
    return None


def _entries(value: object) -> list[JsonObject]:
    return value if isinstance(value, list) else []


def _header_ok(name: str, value: str) -> bool:
    return bool(name) and ":" not in name and BREAK.search(name) is None and BREAK.search(value) is None
