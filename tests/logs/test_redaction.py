"""The last line of defence: known secrets and what looks like a credential or an address leave the finished text."""

import base64

import pytest

from core.redaction import Redaction, basic
from core.security import new_signing_key
from settings import Settings
from tests.effort import ends

KEY = new_signing_key()
REDACTION = Redaction(
    ["a-known-secret", "postgresql://app:pass%2Fword@db/x", KEY, basic("postmark", "hook-password"), "ab"]
)


@pytest.mark.parametrize(
    ("line", "kept"),
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
def test_a_line(line: str, kept: str) -> None:
    """What is taken out, and what is not."""
    assert REDACTION(line) == kept


def test_keys_and_headers() -> None:
    """A key is known as a whole, by its lines and in JSON; a Basic header by what it holds."""
    body = KEY.splitlines()[1]
    for text in (KEY, KEY.replace("\n", "\\n"), body, base64.b64encode(b"postmark:hook-password").decode()):
        assert body not in REDACTION(text)
        assert "[secret]" in REDACTION(text)


def test_the_settings_know_the_webhooks_header(settings: Settings) -> None:
    """What the provider shows us is told apart from any other text, without the word before it."""
    shown = basic("postmark", "test-webhook-password")
    assert Redaction(settings.secrets)(f"tried {shown}") == "tried [secret]"


def test_a_long_line_costs_little() -> None:
    """No text makes the patterns search without end."""
    with ends():
        for text in ("a" * 100_000, "a@" * 50_000, "eyJ" * 30_000, "basic " * 20_000, "http://" * 14_000):
            Redaction()(text)
