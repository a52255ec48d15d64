"""Counting failed log-ins, so that nobody tries passwords by the thousand."""

import hashlib
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.errors import RateLimited
from core.telemetry import logger

WINDOW_SECONDS = 300
MOST_KEYS = 10_000
PREFIX = "nudge:login-failures:"
log = logger(__name__)


class Throttle:
    """Failures of a key within five minutes, in Redis for all processes; in this one alone while Redis is away."""

    def __init__(self, redis: Redis, *, most: int) -> None:
        self.redis = redis
        self.most = most
        self.local: dict[str, tuple[int, float]] = {}

    async def check(self, key: str) -> None:
        """Raise `RateLimited` when the key has failed too often."""
        name = hidden(key)
        failures, ends = self.remembered(name)
        try:
            failures = max(failures, int(await self.redis.get(PREFIX + name) or 0))
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("log-in failures counted in this process alone", error=repr(error))
        if failures >= self.most:
            wait = max(1, round(ends - time.monotonic()) or WINDOW_SECONDS)
            raise RateLimited("Too many failed log-ins. Wait a few minutes and try again.", retry_after=wait)

    async def failed(self, key: str) -> None:
        """Count a failure."""
        name = hidden(key)
        failures, ends = self.remembered(name)
        self.local[name] = (failures + 1, ends)
        while len(self.local) > MOST_KEYS:
            self.local.pop(next(iter(self.local)))
        try:
            async with self.redis.pipeline(transaction=False) as pipeline:
                pipeline.incr(PREFIX + name)
                pipeline.expire(PREFIX + name, WINDOW_SECONDS, nx=True)
                await pipeline.execute()
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("log-in failures counted in this process alone", error=repr(error))

    async def succeeded(self, key: str) -> None:
        """Forget the failures: the right person got in."""
        name = hidden(key)
        self.local.pop(name, None)
        try:
            await self.redis.delete(PREFIX + name)
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("log-in failures not forgotten", error=repr(error))

    def remembered(self, name: str) -> tuple[int, float]:
        """Failures known to this process, and when they are forgotten (monotonic seconds)."""
        now = time.monotonic()
        failures, ends = self.local.get(name, (0, now + WINDOW_SECONDS))
        return (failures, ends) if ends > now else (0, now + WINDOW_SECONDS)


def hidden(key: str) -> str:
    """The key's digest: no address stands in Redis."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
