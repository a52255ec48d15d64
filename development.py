"""Default settings of development: the servers of `nudge dev` and generated secrets. Not used in production."""

import fcntl
import json
import os
import shlex
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from core.configuration import Environment
from core.security import new_secret, new_signing_key
from settings import Settings

DEMO_EMAIL = "demo@nudge.example"
DEMO_PASSWORD = "correct-horse-nudge"  # noqa: S105 - of the demo organization, which does not exist in production
SECRETS_FILE = "application.json"

# The name under which `nudge dev` stores a URL, and the setting for it.
SERVER_SETTINGS: dict[str, tuple[str, ...]] = {
    "database_url": ("database", "url"),
    "migrator_url": ("database", "migrator_url"),
    "redis_url": ("redis", "url"),
}


def fill_in(settings: Settings, servers: Mapping[str, str]) -> Settings:
    """The settings with development's values for those that are not set; unchanged in production.

    `servers` has the URLs of the servers that `nudge dev` runs on this data folder, if any.
    """
    if settings.production:
        return settings
    values = {path: servers[name] for name, path in SERVER_SETTINGS.items() if name in servers}
    values |= {tuple(name.split(".")): secret for name, secret in _read_or_create_secrets(settings.home).items()}
    sandbox = f"http://127.0.0.1:{settings.sandbox.port}"
    values |= {("postmark", "base_url"): sandbox, ("llm", "base_url"): f"{sandbox}/api/v1"}
    return _with_defaults(settings, values)


def reset_advice(settings: Settings, database_url: str) -> str | None:
    """How to replace this database by an empty one, for a message: the words after "to start over,".

    None outside development. The data of `nudge dev` is moved, not deleted.
    """
    if settings.environment is not Environment.DEVELOPMENT:
        return None
    data = settings.home.expanduser().resolve() / "postgres"
    if data.is_dir() and urlsplit(database_url).port == _postgres_port(settings.home):
        names = (data.with_name(f"postgres.{number}") for number in count(1))
        aside = next(path for path in names if not path.exists())
        return f"stop `nudge dev`, move its data (`{shlex.join(['mv', str(data), str(aside)])}`) and restart it"
    return "name an empty database in NUDGE_DATABASE__URL and NUDGE_DATABASE__MIGRATOR_URL"


def _postgres_port(home: Path) -> int | None:
    """The last known port of the PostgreSQL that `nudge dev` runs on this data folder."""
    try:
        port: int | None = json.loads((home / "servers.json").read_text(encoding="utf-8")).get("postgres_port")
    except (OSError, ValueError):
        return None
    return port


def _with_defaults(settings: Settings, values: dict[tuple[str, ...], str]) -> Settings:
    """The settings with these values for those that are not set."""
    document = settings.model_dump()
    for (group, name), value in values.items():
        if document[group][name] is None:
            document[group][name] = value
    return Settings.model_validate(document)


def _read_or_create_secrets(home: Path) -> dict[str, str]:
    """The secrets of a data folder, generated once, in a file that only its owner can read."""
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
