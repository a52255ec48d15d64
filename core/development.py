"""What `nudge dev` fills in for a developer. Production never comes here."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from core.security import new_secret, new_signing_key
from core.settings import Settings

DEMO_EMAIL = "demo@nudge.example"
DEMO_PASSWORD = "correct-horse-nudge"  # noqa: S105 - of the demo organisation, which production never gets
SECRETS_FILE = "application.json"

# The name under which `nudge dev` remembers a URL, and the setting that takes it.
SERVER_SETTINGS: dict[str, tuple[str, ...]] = {
    "database_url": ("database", "url"),
    "migrator_url": ("database", "migrator_url"),
    "redis_url": ("redis", "url"),
}


def filled(settings: Settings, servers: Mapping[str, str]) -> Settings:
    """The settings with development's own values where none was set; production's come back as they are.

    `servers` holds the URLs of the servers that `nudge dev` runs on this data folder, if any.
    """
    if settings.production:
        return settings
    values = {path: servers[name] for name, path in SERVER_SETTINGS.items() if name in servers}
    values |= {tuple(name.split(".")): secret for name, secret in read_or_make_secrets(settings.home).items()}
    sandbox = f"http://127.0.0.1:{settings.sandbox.port}"
    values |= {("postmark", "base_url"): sandbox, ("llm", "base_url"): f"{sandbox}/api/v1"}
    return with_defaults(settings, values)


def with_defaults(settings: Settings, values: dict[tuple[str, ...], str]) -> Settings:
    """The settings, with each value taken where none is set yet."""
    document = settings.model_dump()
    for (group, name), value in values.items():
        if document[group][name] is None:
            document[group][name] = value
    return Settings.model_validate(document)


def read_or_make_secrets(home: Path) -> dict[str, str]:
    """Development's own secrets, made once for a data folder and readable by its owner alone."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / SECRETS_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        content = file.read()
        if content:
            secrets: dict[str, str] = json.loads(content)
            return secrets
        secrets = {
            "auth.signing_key": new_signing_key(),
            "security.secret_key": new_secret(),
            "postmark.server_token": new_secret(),
            "postmark.webhook_password": new_secret(),
            "llm.api_key": new_secret(),
        }
        json.dump(secrets, file)
        return secrets
