"""Every setting of the application: an environment variable `NUDGE_...`, groups joined by `__`.

Development fills what is missing from the data folder (see `core.development`); production has no default secret.
"""

import json
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from core.errors import OperatorError
from core.redaction import basic
from core.setting_types import (
    DatabaseUrl,
    Home,
    LogLevel,
    LongSecret,
    Port,
    PublicUrl,
    RedisUrl,
    SigningKey,
    upper,
)

PREFIX = "NUDGE_"
DELIMITER = "__"


class SignUpMode(StrEnum):
    """Who may open an organisation by `signUp`."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Environment(StrEnum):
    """Where the process runs; only development and test may fill in secrets by themselves."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class Group(BaseModel):
    model_config = ConfigDict(frozen=True)


class DatabaseSettings(Group):
    url: DatabaseUrl | None = Field(None, description="The app's own role: no superuser, owner of nothing.")
    migrator_url: DatabaseUrl | None = Field(None, description="The owner's role, for `nudge migrate` alone.")
    admin_url: DatabaseUrl | None = Field(
        None,
        description="The administrator's role, for `nudge roles create` alone; it asks where this is unset.",
    )
    pool_size: int = Field(
        10, ge=2, le=200, description="At least two more than batches in flight; reads have as many again."
    )
    statement_timeout_seconds: float = Field(30.0, gt=0, description="The longest a statement may take.")


class RedisSettings(Group):
    url: RedisUrl | None = Field(None, description="Redis or Valkey: job doorbell, pub/sub, Maya's streams.")


class ApiSettings(Group):
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: Port = Field(8000, description="Port the API listens on.")
    public_url: PublicUrl | None = Field(
        None, description="The https URL that recipients reach: unsubscribe links start with it. A host, no path."
    )
    body_limit_bytes: int = Field(1_048_576, ge=1024, description="The largest GraphQL request body.")
    body_timeout_seconds: float = Field(30.0, gt=0, description="Time for a GraphQL request body to come.")
    trusted_proxies: list[str] = Field(
        [], description="Addresses or networks of load balancers whose X-Forwarded-For is believed (JSON)."
    )
    cors_origins: list[str] = Field(
        [], description='Origins of web apps that may call the API (JSON); `["*"]` for any. Development allows any.'
    )


class GraphQLSettings(Group):
    graphiql: bool = Field(True, description="Whether GET /graphql shows GraphiQL to browsers.")
    introspection: bool | None = Field(
        None, description="Schema introspection for anonymous callers: on in development, off in production."
    )
    max_depth: int = Field(12, ge=1, description="The deepest selection.")
    max_aliases: int = Field(30, ge=0, description="Aliases in one document.")
    max_tokens: int = Field(2_000, ge=10, description="Tokens in one document.")
    max_directives: int = Field(50, ge=0, description="Directives in one document.")
    max_cost: int = Field(5_000, ge=1, description="The dearest single operation, in cost points.")
    cost_per_minute: int | None = Field(
        None, ge=1, description="Cost points of an organisation and minute: 60,000 in production, else 100 million."
    )


class RealtimeSettings(Group):
    init_timeout_seconds: float = Field(5.0, gt=0, description="Time for a socket's connection_init.")
    ping_seconds: float = Field(25.0, gt=0, description="Between pings; two missed pongs close the socket.")
    recheck_seconds: float = Field(60.0, gt=0, description="Between looks at role and membership.")
    send_timeout_seconds: float = Field(10.0, gt=0, description="A reader slower than this is closed (1013).")
    message_limit_bytes: int = Field(65_536, ge=1024, description="The largest message from a client.")
    unauthenticated: int = Field(
        500, ge=1, description="Sockets of a process that have not authenticated yet; more are closed (1013)."
    )
    per_socket: int = Field(100, ge=1, description="Subscriptions on one socket.")
    per_user: int = Field(500, ge=1, description="Sockets of one user.")
    per_organization: int = Field(5_000, ge=1, description="Sockets of one organisation and process.")


class AuthSettings(Group):
    signing_key: SigningKey | None = Field(None, description="EC P-256 private key (PEM) for access tokens.")
    access_token_seconds: int = Field(900, ge=1, description="Life of an access token.")
    refresh_token_days: int = Field(30, ge=1, description="Life of a refresh token.")
    issuer: str | None = Field(None, description="Set to take Supabase-style tokens of this issuer instead.")
    jwks_url: str | None = Field(None, description="Where the issuer's keys are; the well-known path if unset.")
    audience: str = Field("authenticated", description="The `aud` an access token must carry.")
    shared_secret: SecretStr | None = Field(
        None, description="The issuer's HS256 secret, where it signs with one instead of a key pair.", min_length=32
    )
    sign_up: Annotated[SignUpMode | None, BeforeValidator(upper)] = Field(
        None,
        description=(
            "OPEN lets anybody open an organization, CLOSED only `nudge organization create`: "
            "CLOSED in production, else OPEN."
        ),
    )
    sign_ups_per_client: int | None = Field(
        None, ge=1, description="Sign-ups of one client in an hour: 10 in production, else 100,000."
    )
    sign_ups_per_hour: int | None = Field(
        None, ge=1, description="Sign-ups of all clients in an hour: 200 in production, else 100,000."
    )
    failed_logins: int = Field(10, ge=1, description="Failed log-ins of an address and client in five minutes.")
    failed_logins_per_client: int | None = Field(
        None, ge=1, description="Failed log-ins of one client in five minutes: 30 in production, else 10,000."
    )


class SecuritySettings(Group):
    secret_key: LongSecret | None = Field(None, description="At least 32 characters: signs unsubscribe links.")


class PostmarkSettings(Group):
    base_url: str | None = Field(None, description="Postmark's API, or the sandbox.")
    server_token: SecretStr | None = Field(None, description="The server's token.")
    message_stream: str = Field("broadcast", description="The stream campaigns are sent on.")
    transactional_stream: str = Field("outbound", description="The stream system mail is sent on.")
    sender: str = Field(
        "news@nudge.example",
        description="The From address of system mail and, outside production, of campaigns without a sender.",
    )
    webhook_username: str = Field("postmark", description="HTTP Basic user of our webhook endpoint.")
    webhook_password: SecretStr | None = Field(None, description="HTTP Basic password of our webhook endpoint.")
    messages_per_second: int = Field(0, ge=0, description="Token bucket of the account; 0 means unlimited.")
    timeout_seconds: float = Field(15.0, gt=0, description="Total time of one request; well inside the lease.")


class LLMSettings(Group):
    base_url: str | None = Field(None, description="OpenRouter, or any server that speaks OpenAI's API.")
    api_key: SecretStr | None = Field(None, description="Its key.")
    models: list[str] = Field(
        ["openai/gpt-5-mini", "anthropic/claude-haiku-4.5"],
        description="Models, in order of preference (JSON).",
        min_length=1,
    )
    timeout_seconds: float = Field(60.0, gt=0, description="The longest a run of Maya may take.")


class WorkerSettings(Group):
    processes: int = Field(1, ge=1, le=64, description="Worker processes that `nudge dev` starts.")


class SandboxSettings(Group):
    port: Port = Field(8025, description="Port of the vendor sandbox.")
    pace: float = Field(1.0, gt=0, description="Multiplies every simulated delay.")


class MetricsSettings(Group):
    token: LongSecret | None = Field(
        None, description="Bearer token of GET /metrics; without one it is open in development, 404 in production."
    )


class SendingSettings(Group):
    lease_seconds: float = Field(60.0, gt=0, description="How long a claimed batch is its worker's.")
    sweep_seconds: float = Field(5.0, gt=0, description="Between rounds of the sweeper.")
    reconcile_grace_seconds: float = Field(
        900.0, ge=0, description="How long the provider's search may lag before a message counts as absent."
    )
    batch_size: int = Field(500, ge=1, le=500, description="Messages in one request to the provider.")
    concurrent_batches: int = Field(3, ge=1, le=32, description="Batches a worker process has in flight.")


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

    environment: Environment = Field(Environment.DEVELOPMENT, description="development, test or production.")
    home: Home = Field(Path(".nudge"), description="The data folder of `nudge dev`.")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
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
        password = self.postmark.webhook_password
        if password is not None:
            found.add(basic(self.postmark.webhook_username, password.get_secret_value()))
        return found

    @property
    def sign_up(self) -> SignUpMode:
        """Who may open an organisation by `signUp`."""
        return self.auth.sign_up or (SignUpMode.CLOSED if self.production else SignUpMode.OPEN)

    @property
    def cors_origins(self) -> list[str]:
        """Origins of web apps that may call the API."""
        return self.api.cors_origins or ([] if self.production else ["*"])


class SettingsInvalid(OperatorError):
    """A setting is missing or does not fit; the message names the environment variable."""


REQUIRED = (
    ("database", "url"),
    ("redis", "url"),
    ("auth", "signing_key"),
    ("security", "secret_key"),
    ("postmark", "base_url"),
    ("postmark", "server_token"),
    ("postmark", "webhook_password"),
    ("llm", "base_url"),
    ("llm", "api_key"),
)


def variable(*path: str) -> str:
    """The environment variable of a setting, e.g. `NUDGE_DATABASE__URL`."""
    return PREFIX + DELIMITER.join(part.upper() for part in path)


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
    """Raise `SettingsInvalid` for every setting without which no process can serve, or with which it would hang."""
    # The sweeper keeps one connection while it works with another; each batch in flight needs one at times.
    needed = settings.sending.concurrent_batches + 2
    if settings.database.pool_size < needed:
        pool, batches = variable("database", "pool_size"), variable("sending", "concurrent_batches")
        raise SettingsInvalid(f"{pool}: must be at least {needed}, two more than {batches}")
    missing = [variable(*path) for path in REQUIRED if getattr(getattr(settings, path[0]), path[1]) is None]
    if settings.production and settings.api.public_url is None:
        missing.append(variable("api", "public_url"))
    if settings.production and "sender" not in settings.postmark.model_fields_set:
        missing.append(variable("postmark", "sender"))
    require_https(settings)
    if missing:
        hint = (
            "Set it in the environment or in .env."
            if settings.production
            else "Start `make dev` first, which fills these in, or set them."
        )
        raise SettingsInvalid(f"Missing: {', '.join(missing)}. {hint}")


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
