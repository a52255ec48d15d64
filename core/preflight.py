"""What a process looks at before it begins: that its servers let it in, and hold what it needs."""

from core import development, revisions, selfcheck, servers
from core.database.engine import create_engine
from core.settings import Settings, require, variable


async def check(settings: Settings) -> None:
    """Raise `SettingsInvalid`, `ServerUnusable` or `UnsafeDatabase`, each with one sentence for the operator."""
    require(settings)
    database, redis = settings.database.url, settings.redis.url
    if database is None or redis is None:
        raise AssertionError("settings.require() lets neither be missing")
    afresh = development.start_afresh(settings, database.get_secret_value())
    engine = create_engine(
        database.get_secret_value(),
        pool_size=1,
        statement_timeout_seconds=settings.database.statement_timeout_seconds,
    )
    with servers.explained(variable("database", "url"), database.get_secret_value()):
        try:
            await revisions.check(engine, start_afresh=afresh)
            await selfcheck.check(engine)
        finally:
            await engine.dispose()
    await servers.check_redis(variable("redis", "url"), redis.get_secret_value())
