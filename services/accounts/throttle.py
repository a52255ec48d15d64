"""Counting log-ins that did not succeed, so that nobody tries passwords by the thousand."""

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
    """Attempts of a key within five minutes, in Redis for all processes; in this one alone while Redis is away.

    An attempt counts before its password is looked at: of many at once no more get a look than one after another.
    """

    def __init__(self, redis: Redis, *, most: int) -> None:
        self.redis = redis
        self.most = most
        self.local: dict[str, tuple[int, float]] = {}

    async def attempt(self, key: str) -> None:
        """Count an attempt; raise `RateLimited` when the key has had too many."""
        name = hidden(key)
        attempts, wait = self.counted_here(name)
        try:
            async with self.redis.pipeline(transaction=False) as pipeline:
                pipeline.incr(PREFIX + name)
                pipeline.expire(PREFIX + name, WINDOW_SECONDS, nx=True)
                pipeline.ttl(PREFIX + name)
                attempts, _, wait = await pipeline.execute()
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("log-ins counted in this process alone", error=repr(error))
        if attempts > self.most:
            raise RateLimited("Too many failed log-ins. Wait a few minutes and try again.", retry_after=max(1, wait))

    async def succeeded(self, key: str) -> None:
        """Forget the attempts: the right person got in."""
        name = hidden(key)
        self.local.pop(name, None)
        try:
            await self.redis.delete(PREFIX + name)
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("log-in attempts not forgotten", error=repr(error))

    def counted_here(self, name: str) -> tuple[int, int]:
        """The attempts that this process has seen, with this one, and in how many seconds they are forgotten."""
        now = time.monotonic()
        attempts, ends = self.local.pop(name, (0, now + WINDOW_SECONDS))
        if ends <= now:
            attempts, ends = 0, now + WINDOW_SECONDS
        self.local[name] = (attempts + 1, ends)
        while len(self.local) > MOST_KEYS:
            self.local.pop(next(iter(self.local)))
        return attempts + 1, round(ends - now)


def hidden(key: str) -> str:
    """The key's digest: no address stands in Redis."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
