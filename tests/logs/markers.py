"""Random values that stand for secrets and personal data in a test, and a search for them in the logs."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from urllib.parse import quote


def new_marker(name: str) -> str:
    """A value that occurs nowhere else: a log that contains it has leaked it."""
    return f"marker-{name}-{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class Markers:
    """One marker for each kind of secret or personal data; the address is a contact's."""

    password: str = field(default_factory=lambda: new_marker("password"))
    header: str = field(default_factory=lambda: new_marker("header"))
    cookie: str = field(default_factory=lambda: new_marker("cookie"))
    body: str = field(default_factory=lambda: new_marker("body"))
    address: str = field(default_factory=lambda: f"{new_marker('address')}@people.example")
    token: str = field(default_factory=lambda: new_marker("token"))
    payload: str = field(default_factory=lambda: new_marker("payload"))
    prompt: str = field(default_factory=lambda: new_marker("prompt"))
    postmark_token: str = field(default_factory=lambda: new_marker("postmark"))
    llm_key: str = field(default_factory=lambda: new_marker("llm"))
    webhook_password: str = field(default_factory=lambda: new_marker("webhook"))
    secret_key: str = field(default_factory=lambda: new_marker("secret-key"))
    metrics_token: str = field(default_factory=lambda: new_marker("metrics"))
    others: list[str] = field(default_factory=list)

    def values(self) -> list[str]:
        """Every marker."""
        names = [name for name in self.__dataclass_fields__ if name != "others"]
        return [*(getattr(self, name) for name in names), *self.others]

    def find_in(self, text: str) -> list[str]:
        """The text around each marker that is found, in plain, URL-encoded, JSON or base64 form."""
        excerpts = []
        for value in self.values():
            # Libraries truncate long values: the first half is enough to find them.
            prefix = value[:-16] if value.startswith("marker-") and "@" not in value else value
            forms = {
                prefix,
                quote(value, safe=""),
                json.dumps(value)[1:-1],
                base64.b64encode(value.encode()).decode(),
            }
            for form in forms:
                position = text.find(form)
                if position >= 0:
                    excerpts.append(text[max(0, position - 200) : position + len(form) + 50])
        return excerpts
