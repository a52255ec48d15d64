"""A runtime with the rules of another environment and with its own rate limit counts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from redis.asyncio import Redis
from sqlalchemy.engine import make_url

from core.configuration import Environment
from runtime import Runtime
from services.accounts.admission import build_admission
from services.mailing.limits import mail_limits
from services.senders.policy import sender_policy
from settings import Settings
from tests.conftest import Servers

REDIS_DATABASE = "6"


@asynccontextmanager
async def fresh_cache(servers: Servers) -> AsyncIterator[Redis]:
    """An empty Redis database."""
    url = make_url(servers.valkey.url).set(database=REDIS_DATABASE)
    async with Redis.from_url(url.render_as_string(hide_password=False)) as redis:
        await redis.flushdb()
        yield redis


def in_environment(runtime: Runtime, cache: Redis, environment: Environment, **auth: object) -> Runtime:
    """The runtime with the rules of an environment; `auth` changes settings of that group."""
    document = runtime.settings.model_dump()
    document |= {"environment": environment, "auth": {**document["auth"], **auth}, "_env_file": None}
    settings = Settings.model_validate(document)
    return replace(
        runtime,
        settings=settings,
        admission=build_admission(settings.auth, cache, production=settings.production),
        sender_policy=sender_policy(runtime.mailer, production=settings.production),
        mail_limits=mail_limits(cache, production=settings.production),
    )
