"""Every setting of the application, composed: an environment variable `NUDGE_...`, groups joined by `__`.

Each group is defined beside what it configures. Development fills what is missing from the data folder (see
`development`); production has no default secret.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from core.access.settings import AuthSettings, SecuritySettings
from core.configuration import DELIMITER, PREFIX, Environment, SettingsInvalid, variable
from core.development_settings import SandboxSettings, WorkerSettings
from core.http.settings import ApiSettings, GraphQLSettings, MetricsSettings, RealtimeSettings
from core.server_settings import DatabaseSettings, RedisSettings
from core.setting_types import Home, LogLevel
from core.telemetry import logger
from integrations.language_settings import LLMSettings
from integrations.postmark.settings import PostmarkSettings
from services.features import Feature, Features
from services.mailing.settings import SendingSettings


class Settings(BaseSettings):
    """All settings of a process. Build it with `load()`, which names a bad variable in its error."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="Environment: development, test or production."
    )
    home: Home = Field(Path(".nudge"), description="Data folder of `nudge dev`.")
    log_level: LogLevel = Field("INFO", description="Minimum level of log lines: DEBUG, INFO, WARNING or ERROR.")
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    api: ApiSettings = ApiSettings()
    graphql: GraphQLSettings = GraphQLSettings()
    realtime: RealtimeSettings = RealtimeSettings()
    auth: AuthSettings = AuthSettings()
    security: SecuritySettings = SecuritySettings()
    postmark: PostmarkSettings = PostmarkSettings()
    llm: LLMSettings = LLMSettings()
    worker: WorkerSettings = WorkerSettings()
    sandbox: SandboxSettings = SandboxSettings()
    sending: SendingSettings = SendingSettings()
    metrics: MetricsSettings = MetricsSettings()

    @property
    def production(self) -> bool:
        """Whether this process runs in production."""
        return self.environment is Environment.PRODUCTION

    @property
    def public_url(self) -> str:
        """The base of links in e-mail, without a trailing slash."""
        return self.api.public_url or self.local_url

    @property
    def local_url(self) -> str:
        """Where the API listens."""
        host = f"[{self.api.host}]" if ":" in self.api.host else self.api.host
        return f"http://{host}:{self.api.port}"

    @property
    def introspection(self) -> bool:
        """Whether anonymous callers may introspect the schema."""
        return not self.production if self.graphql.introspection is None else self.graphql.introspection

    @property
    def cost_per_minute(self) -> int:
        """Cost points that an organisation may spend in a minute."""
        return self.graphql.cost_per_minute or (60_000 if self.production else 100_000_000)

    @property
    def secrets(self) -> set[str]:
        """Every secret in the clear, for the log to leave out; with the header that the webhooks' sender shows."""
        groups = (getattr(self, name) for name in type(self).model_fields)
        values = [value for group in groups if isinstance(group, BaseModel) for _, value in group]
        found = {value.get_secret_value() for value in values if isinstance(value, SecretStr)}
        return found | ({credentials} if (credentials := self.postmark.webhook_credentials) else set())

    @property
    def features(self) -> Features:
        """What is switched off, as none of its vendor's settings is set."""
        on = {feature for feature, vendor in VENDORS.items() if any(is_set(self, path) for path in vendor.theirs)}
        return Features(off=frozenset(VENDORS.keys() - on))

    @property
    def cors_origins(self) -> list[str]:
        """Origins of web apps that may call the API."""
        return self.api.cors_origins or ([] if self.production else ["*"])


log = logger(__name__)
CONCURRENT_SWEEPS: Final = 2
"""Sweeps of a process that are at work alone in the installation, side by side."""
SettingPath = tuple[str, ...]
REQUIRED: Final[tuple[SettingPath, ...]] = (
    ("database", "url"),
    ("redis", "url"),
    ("auth", "signing_key"),
    ("security", "secret_key"),
)


class Vendor(NamedTuple):
    """What a feature needs: the vendor's own settings, any of which switches it on, and what it needs of us then."""

    theirs: tuple[SettingPath, ...]
    ours: tuple[SettingPath, ...] = ()


VENDORS: Final = {
    Feature.SENDING: Vendor(
        theirs=(("postmark", "base_url"), ("postmark", "server_token")), ours=(("postmark", "webhook_password"),)
    ),
    Feature.MAYA: Vendor(theirs=(("llm", "base_url"), ("llm", "api_key"))),
}


def load(**overrides: Any) -> Settings:  # noqa: ANN401 - as pydantic takes them
    """Read the settings from the environment and `.env`; raise `SettingsInvalid` naming each bad variable."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"{variable(*map(str, e['loc'][:2]))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        ]
        raise SettingsInvalid("\n".join(lines)) from None
    except SettingsError:
        raise SettingsInvalid(f'{", ".join(not_json())}: must be a JSON list, e.g. \'["one", "two"]\'') from None


def is_list(annotation: object) -> bool:
    """Whether a setting is a list, which a variable holds as JSON."""
    return get_origin(annotation) is list


def not_json() -> list[str]:
    """The variables of list settings that do not hold JSON."""
    found = []
    for path, info in leaves():
        text = given().get(variable(*path).lower())
        if text and is_list(info.annotation):
            try:
                json.loads(text)
            except ValueError:
                found.append(variable(*path))
    return found


def leaves() -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every setting with its path."""
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from (((name, leaf), info) for leaf, info in group.model_fields.items())
        else:
            yield (name,), field


def given() -> dict[str, str]:
    """What is set, in the environment or in `.env`, by lower-case name; the environment wins."""
    file = {name: value or "" for name, value in dotenv_values(".env").items()}
    return {name.lower(): value for name, value in (file | dict(os.environ)).items()}


def unknown_variables() -> list[str]:
    """Variables that start with our prefix and mean nothing; each door warns of them, as they may be misspelt."""
    known = {variable(*path).lower() for path, _ in leaves()}
    return sorted(name.upper() for name in given() if name.startswith(PREFIX.lower()) and name not in known)


def require(settings: Settings) -> None:
    """Raise `SettingsInvalid` for every setting without which no process can serve, or with which it would hang.

    A vendor may be left out whole, which switches its feature off, but not in part.
    """
    # Each sweep keeps a connection for its lock while it waits for another. Beside these there is one for each batch,
    # which keeps none while it waits, so that there is always one to come by.
    needed = settings.sending.concurrent_batches + CONCURRENT_SWEEPS
    if settings.database.pool_size < needed:
        pool, batches = variable("database", "pool_size"), variable("sending", "concurrent_batches")
        raise SettingsInvalid(f"{pool}: must be at least {needed}, {CONCURRENT_SWEEPS} more than {batches}")
    missing = [variable(*path) for path in REQUIRED if not is_set(settings, path)]
    if settings.production and settings.api.public_url is None:
        missing.append(variable("api", "public_url"))
    require_https(settings)
    if missing:
        hint = (
            "Set it in the environment or in .env."
            if settings.production
            else "Start `make dev` first, which fills these in, or set them."
        )
        raise SettingsInvalid(f"Missing: {', '.join(missing)}. {hint}")
    for feature in VENDORS.keys() - settings.features.off:
        require_vendor(settings, feature)


def require_vendor(settings: Settings, feature: Feature) -> None:
    """Raise `SettingsInvalid` for a vendor of which some settings are there and others are missing."""
    vendor = VENDORS[feature]
    missing = [variable(*path) for path in (*vendor.theirs, *vendor.ours) if not is_set(settings, path)]
    if feature is Feature.SENDING and settings.production and "sender" not in settings.postmark.model_fields_set:
        missing.append(variable("postmark", "sender"))
    if missing:
        theirs = ", ".join(variable(*path) for path in vendor.theirs)
        raise SettingsInvalid(
            f"Missing: {', '.join(missing)}. Set it, or leave out {theirs} as well to run without {feature}."
        )


def log_features_off(settings: Settings) -> None:
    """Say at the start of a process what it does without, and which settings would switch it on."""
    for feature in sorted(settings.features.off):
        needed = [variable(*path) for path in VENDORS[feature].theirs]
        log.warning("feature switched off, as its vendor is not set", feature=feature, settings=needed)


def is_set(settings: Settings, path: SettingPath) -> bool:
    """Whether a setting of a group has a value."""
    return getattr(getattr(settings, path[0]), path[1]) is not None


def require_https(settings: Settings) -> None:
    """Raise `SettingsInvalid` where links in production's mail would be plain http."""
    if settings.production and settings.public_url.startswith("http:") and settings.api.public_url:
        raise SettingsInvalid(
            f"{variable('api', 'public_url')}: must start with https:// in production: unsubscribe links use it, "
            "providers take no other for one-click unsubscribing (RFC 8058), and plain http can be read by others"
        )


def table() -> str:
    """Every setting as a Markdown table: variable, default, meaning."""
    lines = [row(variable(*path), info) for path, info in leaves()]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *lines])


def row(name: str, field: FieldInfo) -> str:
    """One line of the table; a default of None is filled in development and required or optional in production."""
    default = "" if field.default is None else f"`{getattr(field.default, 'value', field.default)}`"
    return f"| `{name}` | {default} | {field.description} |"
