"""All settings of the application, each an environment variable `NUDGE_...`, with `__` after the name of its group.

Each group is defined next to the code it configures. In development missing settings are taken from the data folder
(see `development`); in production no secret has a default.
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
from core.configuration import DELIMITER, PREFIX, Environment, InvalidSettings, variable
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
    """All settings of a process. Use `load()`, whose errors name the invalid variable."""

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
        """The base URL of links in e-mail, without a final slash."""
        return self.api.public_url or self.local_url

    @property
    def local_url(self) -> str:
        """The URL at which the API listens."""
        host = f"[{self.api.host}]" if ":" in self.api.host else self.api.host
        return f"http://{host}:{self.api.port}"

    @property
    def introspection(self) -> bool:
        """Whether anonymous callers may introspect the schema."""
        return not self.production if self.graphql.introspection is None else self.graphql.introspection

    @property
    def cost_per_minute(self) -> int:
        """The cost points that an organization may spend in a minute."""
        return self.graphql.cost_per_minute or (60_000 if self.production else 100_000_000)

    @property
    def secrets(self) -> set[str]:
        """All secrets as text, for redaction of the log; includes the credentials header of webhooks."""
        groups = (getattr(self, name) for name in type(self).model_fields)
        values = [value for group in groups if isinstance(group, BaseModel) for _, value in group]
        secrets = {value.get_secret_value() for value in values if isinstance(value, SecretStr)}
        return secrets | ({credentials} if (credentials := self.postmark.webhook_credentials) else set())

    @property
    def features(self) -> Features:
        """The features that are off because none of their vendor's settings is set."""
        on = {feature for feature, vendor in VENDORS.items() if any(_is_set(self, path) for path in vendor.theirs)}
        return Features(off=frozenset(VENDORS.keys() - on))

    @property
    def cors_origins(self) -> list[str]:
        """Origins of web apps that may call the API."""
        return self.api.cors_origins or ([] if self.production else ["*"])


log = logger(__name__)
CONCURRENT_SWEEPS: Final = 2
"""Sweeps with an installation-wide lock that run concurrently in a process."""
SettingPath = tuple[str, ...]
REQUIRED: Final[tuple[SettingPath, ...]] = (
    ("database", "url"),
    ("redis", "url"),
    ("auth", "signing_key"),
    ("security", "secret_key"),
)


class Vendor(NamedTuple):
    """The settings of a feature: any of `theirs`, the vendor's, enables it; then `ours` are required as well."""

    theirs: tuple[SettingPath, ...]
    ours: tuple[SettingPath, ...] = ()


VENDORS: Final = {
    Feature.SENDING: Vendor(
        theirs=(("postmark", "base_url"), ("postmark", "server_token")), ours=(("postmark", "webhook_password"),)
    ),
    Feature.MAYA: Vendor(theirs=(("llm", "base_url"), ("llm", "api_key"))),
}


def load(**overrides: Any) -> Settings:  # noqa: ANN401 - pydantic's keyword arguments
    """Read the settings from the environment and `.env`; raises `InvalidSettings` with all invalid variables."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"{variable(*map(str, e['loc'][:2]))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        ]
        raise InvalidSettings("\n".join(lines)) from None
    except SettingsError:
        raise InvalidSettings(f'{", ".join(_invalid_json())}: must be a JSON list, e.g. \'["one", "two"]\'') from None


def _is_list(annotation: object) -> bool:
    """Whether a setting is a list, written as JSON."""
    return get_origin(annotation) is list


def _invalid_json() -> list[str]:
    """The variables of list settings whose values are not JSON."""
    names = []
    for path, info in _leaves():
        text = _variables().get(variable(*path).lower())
        if text and _is_list(info.annotation):
            try:
                json.loads(text)
            except ValueError:
                names.append(variable(*path))
    return names


def _leaves() -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """All settings with their paths."""
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from (((name, leaf), info) for leaf, info in group.model_fields.items())
        else:
            yield (name,), field


def _variables() -> dict[str, str]:
    """The variables of the environment and of `.env` by lower-case name; the environment takes precedence."""
    file = {name: value or "" for name, value in dotenv_values(".env").items()}
    return {name.lower(): value for name, value in (file | dict(os.environ)).items()}


def unknown_variables() -> list[str]:
    """Variables with our prefix that are no setting: probably misspelt, so commands warn about them."""
    known = {variable(*path).lower() for path, _ in _leaves()}
    return sorted(name.upper() for name in _variables() if name.startswith(PREFIX.lower()) and name not in known)


def require(settings: Settings) -> None:
    """Raise `InvalidSettings` if a required setting is missing, or if the pool is so small that a worker would hang.

    All of a vendor's settings may be missing, which switches its feature off, but not some of them.
    """
    # Each sweep holds a connection for its lock while it waits for another one. Besides, there must be one for each
    # batch, which holds none while it waits: then the sweeps always get theirs.
    needed = settings.sending.concurrent_batches + CONCURRENT_SWEEPS
    if settings.database.pool_size < needed:
        pool, batches = variable("database", "pool_size"), variable("sending", "concurrent_batches")
        raise InvalidSettings(f"{pool}: must be at least {needed}, {CONCURRENT_SWEEPS} more than {batches}")
    missing = [variable(*path) for path in REQUIRED if not _is_set(settings, path)]
    if settings.production and settings.api.public_url is None:
        missing.append(variable("api", "public_url"))
    _require_https(settings)
    if missing:
        hint = (
            "Set it in the environment or in .env."
            if settings.production
            else "Start `make dev` first, which sets them, or set them yourself."
        )
        raise InvalidSettings(f"Missing: {', '.join(missing)}. {hint}")
    for feature in VENDORS.keys() - settings.features.off:
        _require_vendor(settings, feature)


def _require_vendor(settings: Settings, feature: Feature) -> None:
    """Raise `InvalidSettings` if some settings of a vendor are set and others are missing."""
    vendor = VENDORS[feature]
    missing = [variable(*path) for path in (*vendor.theirs, *vendor.ours) if not _is_set(settings, path)]
    if feature is Feature.SENDING and settings.production and "sender" not in settings.postmark.model_fields_set:
        missing.append(variable("postmark", "sender"))
    if missing:
        names = ", ".join(variable(*path) for path in vendor.theirs)
        raise InvalidSettings(
            f"Missing: {', '.join(missing)}. Set it, or leave out {names} as well to run without {feature}."
        )


def log_features_off(settings: Settings) -> None:
    """Log the features that are off, with the settings that would switch them on."""
    for feature in sorted(settings.features.off):
        needed = [variable(*path) for path in VENDORS[feature].theirs]
        log.warning("feature off: its vendor is not configured", feature=feature, settings=needed)


def _is_set(settings: Settings, path: SettingPath) -> bool:
    """Whether a setting of a group has a value."""
    return getattr(getattr(settings, path[0]), path[1]) is not None


def _require_https(settings: Settings) -> None:
    """Raise `InvalidSettings` if links in e-mail of production would be plain http."""
    if settings.production and settings.public_url.startswith("http:") and settings.api.public_url:
        raise InvalidSettings(
            f"{variable('api', 'public_url')}: must start with https:// in production: unsubscribe links use it, "
            "mailbox providers require https for one-click unsubscribing (RFC 8058), and plain http is not private"
        )


def table() -> str:
    """All settings as a Markdown table: variable, default, meaning."""
    lines = [_row(variable(*path), info) for path, info in _leaves()]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *lines])


def _row(name: str, field: FieldInfo) -> str:
    """One row of the table; None has no default in production."""
    default = "" if field.default is None else f"`{getattr(field.default, 'value', field.default)}`"
    return f"| `{name}` | {default} | {field.description} |"
