"""Redaction of secrets and addresses in finished log lines, as the last safeguard.

Code must not rely on it: it must not log such values, and errors are formatted by `core.failures`.
"""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

MIN_SECRET_LENGTH = 6
SECRET = "[secret]"  # noqa: S105 - the replacement
# All repetitions are bounded, so that matching takes linear time.
PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]{1,30}-----.{0,8000}?-----END [A-Z ]{1,30}-----", re.DOTALL), SECRET),
    (re.compile(r"(?i)\b(bearer|basic)(\s+|%20)[\w.~+/=-]{6,}"), rf"\1 {SECRET}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(\.[\w-]*)?"), SECRET),
    (re.compile(r"(?i)(\w{2,20}://)[^\s/@\"']{1,300}@"), rf"\1{SECRET}@"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), "[address]"),
)


class Redaction:
    """Replaces known secrets, and what looks like an address or a credential, in texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in forms_of(secret)}
        longest_first = sorted((form for form in forms if len(form) >= MIN_SECRET_LENGTH), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """The redacted text."""
        if self._known is not None:
            text = self._known.sub(SECRET, text)
        for pattern, replacement in PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def forms_of(secret: str) -> set[str]:
    """The forms in which a secret may occur: plain, in JSON, in a URL, line by line; for a URL only its password."""
    password = urlsplit(secret).password if "://" in secret else None
    lines = [line for line in secret.splitlines() if len(line) > MIN_SECRET_LENGTH and not line.startswith("-----")]
    if password:
        return forms_of(password) | forms_of(unquote(password))
    return {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), *(lines if len(lines) > 1 else ())}


def basic_authorization(username: str, password: str) -> str:
    """The credentials of an HTTP Basic Authorization header."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()
