"""What a process needs in order to serve: built once from the settings, handed to every door."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from core.db import ReadScope, SystemScope, create_engine
from core.logstream import LogStream
from core.permissions import Tenant
from core.pubsub import Hub, Publisher, RedisBackend
from core.queue import Queue
from core.security import AccessTokens, Signer
from core.settings import Settings, require
from core.unit_of_work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The parts of a running process. Services get the part they need, never the whole."""

    settings: Settings
    engine: AsyncEngine
    system: SystemScope
    queue: Queue
    work: Work
    publisher: Publisher
    hub: Hub
    logs: LogStream
    tokens: AccessTokens
    unsubscribe_signer: Signer

    def reads(self, tenant: Tenant) -> ReadScope:
        """A read scope of the tenant."""
        return ReadScope(self.engine, tenant)


def secret(value: SecretStr | None) -> str:
    """A required secret, in the clear; `require` has seen to it that it is there."""
    if value is None:
        raise AssertionError("settings.require() was not called")
    return value.get_secret_value()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Runtime]:
    """Build the runtime, and close everything it opened when the block ends. Raises `SettingsInvalid`."""
    require(settings)
    redis_url = secret(settings.redis.url)
    engine = create_engine(
        secret(settings.database.url),
        pool_size=settings.database.pool_size,
        statement_timeout_seconds=settings.database.statement_timeout_seconds,
    )
    queue = Queue(redis_url)
    publisher = Publisher(redis_url)
    try:
        async with Hub(RedisBackend(redis_url)) as hub, Redis.from_url(redis_url) as redis:
            yield Runtime(
                settings=settings,
                engine=engine,
                system=SystemScope(engine),
                queue=queue,
                work=Work(engine, queue, publisher),
                publisher=publisher,
                hub=hub,
                logs=LogStream(redis),
                tokens=AccessTokens(
                    secret(settings.auth.signing_key),
                    audience=settings.auth.audience,
                    lifetime_seconds=settings.auth.access_token_seconds,
                ),
                unsubscribe_signer=Signer(secret(settings.security.secret_key), "unsubscribe"),
            )
    finally:
        await publisher.aclose()
        await queue.aclose()
        await engine.dispose()
