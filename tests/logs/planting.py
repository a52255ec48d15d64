"""Values that must never be logged, planted wherever a secret or a person's data can be; and a look for them."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from urllib.parse import quote


def planted(name: str) -> str:
    """A value that occurs nowhere else."""
    return f"planted-{name}-{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class Planted:
    """One value of each kind; the address is a contact's."""

    password: str = field(default_factory=lambda: planted("password"))
    header: str = field(default_factory=lambda: planted("header"))
    cookie: str = field(default_factory=lambda: planted("cookie"))
    body: str = field(default_factory=lambda: planted("body"))
    address: str = field(default_factory=lambda: f"{planted('address')}@people.example")
    token: str = field(default_factory=lambda: planted("token"))
    payload: str = field(default_factory=lambda: planted("payload"))
    prompt: str = field(default_factory=lambda: planted("prompt"))
    postmark_token: str = field(default_factory=lambda: planted("postmark"))
    llm_key: str = field(default_factory=lambda: planted("llm"))
    webhook_password: str = field(default_factory=lambda: planted("webhook"))
    secret_key: str = field(default_factory=lambda: planted("secret-key"))
    metrics_token: str = field(default_factory=lambda: planted("metrics"))
    others: list[str] = field(default_factory=list)

    def values(self) -> list[str]:
        """Every planted value."""
        names = [name for name in self.__dataclass_fields__ if name != "others"]
        return [*(getattr(self, name) for name in names), *self.others]

    def found_in(self, text: str) -> list[str]:
        """Which values a text holds, as they are or written in another way; and a look at where."""
        found = []
        for value in self.values():
            # Libraries cut long values: the first half is enough to tell.
            begun = value[:-16] if value.startswith("planted-") and "@" not in value else value
            forms = {begun, quote(value, safe=""), json.dumps(value)[1:-1], base64.b64encode(value.encode()).decode()}
            for form in forms:
                place = text.find(form)
                if place >= 0:
                    found.append(text[max(0, place - 200) : place + len(form) + 50])
        return found
