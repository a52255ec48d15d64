"""Known secrets, and text in the form of a credential or an address, are removed from the finished log line."""

import base64

import pytest

from core.redaction import Redaction, basic_authorization
from core.security import new_signing_key
from settings import Settings
from tests.effort import cpu_limit

KEY = new_signing_key()
REDACTION = Redaction(
    [
        "a-known-secret",
        "postgresql://app:pass%2Fword@db/x",
        KEY,
        basic_authorization("postmark", "hook-password"),
        "ab",
    ]
)


@pytest.mark.parametrize(
    ("line", "redacted"),
    [
        ("token=a-known-secret.", "token=[secret]."),
        ("tried a-known-secretly", "tried [secret]ly"),
        ("the password pass%2Fword or pass/word", "the password [secret] or [secret]"),
        ("redis://:a-password@127.0.0.1:6379/0", "redis://[secret]@127.0.0.1:6379/0"),
        ("Authorization: Basic cG9zdG1hcms6aG9vaw==", "Authorization: Basic [secret]"),
        ("b'bearer abc.def-123'", "b'bearer [secret]'"),
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "[secret]!"),
        ("ada+1@sub.people.example is suppressed", "[address] is suppressed"),
        ("<ada@people.example>", "<[address]>"),
        ("worker@host", "worker@host"),
        ("abc stays", "abc stays"),
        ('File "core/db.py", line 3, in read', 'File "core/db.py", line 3, in read'),
    ],
)
def test_line(line: str, redacted: str) -> None:
    """Secrets, credentials and addresses are replaced; other text is unchanged."""
    assert REDACTION(line) == redacted


def test_keys_and_headers() -> None:
    """A key is recognized as a whole, line by line and in JSON; a Basic header by its content."""
    body = KEY.splitlines()[1]
    for text in (KEY, KEY.replace("\n", "\\n"), body, base64.b64encode(b"postmark:hook-password").decode()):
        assert body not in REDACTION(text)
        assert "[secret]" in REDACTION(text)


def test_webhook_header_is_a_secret(settings: Settings) -> None:
    """The credentials of the provider's webhooks are recognized without the word `Basic` before them."""
    credentials = basic_authorization("postmark", "test-webhook-password")
    assert Redaction(settings.secrets)(f"tried {credentials}") == "tried [secret]"


def test_long_lines_are_cheap() -> None:
    """No text makes the patterns backtrack without limit."""
    with cpu_limit():
        for text in ("a" * 100_000, "a@" * 50_000, "eyJ" * 30_000, "basic " * 20_000, "http://" * 14_000):
            Redaction()(text)
