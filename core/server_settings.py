"""Settings of the servers that every process uses."""

from pydantic import Field

from core.configuration import Group
from core.setting_types import DatabaseUrl, RedisUrl


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
    url: RedisUrl | None = Field(None, description="Redis or Valkey: job queue, pub/sub, Maya's streams.")
