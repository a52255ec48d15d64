"""The last line of defence of the log: what must never be written is taken out of the finished text.

It is no licence to log such values: whoever logs leaves them out, and errors are told by `core.failures`.
"""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

MIN_SECRET = 6
SECRET = "[secret]"  # noqa: S105 - what stands in its place
# Bounded repeats: a line without an address costs no more than its length.
PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]{1,30}-----.{0,8000}?-----END [A-Z ]{1,30}-----", re.DOTALL), SECRET),
    (re.compile(r"(?i)\b(bearer|basic)(\s+|%20)[\w.~+/=-]{6,}"), rf"\1 {SECRET}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(\.[\w-]*)?"), SECRET),
    (re.compile(r"(?i)(\w{2,20}://)[^\s/@\"']{1,300}@"), rf"\1{SECRET}@"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), "[address]"),
)


class Redaction:
    """Takes known secrets, and what looks like an address or a credential, out of texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in written(secret)}
        longest_first = sorted((form for form in forms if len(form) >= MIN_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """The text without them."""
        if self._known is not None:
            text = self._known.sub(SECRET, text)
        for pattern, replacement in PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def written(secret: str) -> set[str]:
    """The forms in which a secret may be met: as it is, in JSON, in a URL, by line; of a URL its password."""
    password = urlsplit(secret).password if "://" in secret else None
    lines = [line for line in secret.splitlines() if len(line) > MIN_SECRET and not line.startswith("-----")]
    if password:
        return written(password) | written(unquote(password))
    return {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), *(lines if len(lines) > 1 else ())}


def basic(username: str, password: str) -> str:
    """What an HTTP Basic header holds for them."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()
