"""Settings of the servers that every process uses."""

from pydantic import Field

from core.configuration import SettingsGroup
from core.setting_types import DatabaseUrl, RedisUrl


class DatabaseSettings(SettingsGroup):
    url: DatabaseUrl | None = Field(
        None,
        description=(
            "PostgreSQL URL of the application's role, which is neither a superuser nor the owner of the tables."
        ),
    )
    migrator_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL URL of the owner's role, used by `nudge migrate` only."
    )
    admin_url: DatabaseUrl | None = Field(
        None,
        description=(
            "PostgreSQL URL of an administrator, used by `nudge roles create` only, which asks for it if it is unset."
        ),
    )
    pool_size: int = Field(
        10,
        ge=2,
        le=200,
        description=(
            "Connections in the pool of a process, at least two more than `NUDGE_SENDING__CONCURRENT_BATCHES`. Reads "
            "have a second pool of the same size."
        ),
    )
    statement_timeout_seconds: float = Field(30.0, gt=0, description="Timeout of an SQL statement, in seconds.")


class RedisSettings(SettingsGroup):
    url: RedisUrl | None = Field(
        None, description="URL of Redis or Valkey, used for the job queue, pub/sub and the streams of Maya's replies."
    )
