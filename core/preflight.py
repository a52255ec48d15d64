"""Checks of a process before it starts: its servers accept it, and the database has the right schema."""

from core import revisions, selfcheck, servers
from core.configuration import variable
from core.database.engine import create_engine
from core.server_settings import DatabaseSettings, RedisSettings


async def check(database: DatabaseSettings, redis: RedisSettings, *, reset_advice: str | None = None) -> None:
    """Raise `ServerUnusable` or `UnsafeDatabase`, each with one sentence for the operator.

    `reset_advice` is for a developer's database at an unknown revision, see `revisions.check`.
    """
    if database.url is None or redis.url is None:
        raise AssertionError("settings.require() was not called")
    engine = create_engine(
        database.url.get_secret_value(),
        pool_size=1,
        statement_timeout_seconds=database.statement_timeout_seconds,
    )
    with servers.operator_errors(variable("database", "url"), database.url.get_secret_value()):
        try:
            await revisions.check(engine, reset_advice=reset_advice)
            await selfcheck.check(engine)
        finally:
            await engine.dispose()
    await servers.check_redis(variable("redis", "url"), redis.url.get_secret_value())
