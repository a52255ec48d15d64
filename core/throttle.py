"""Rate limits: calls counted in a time window, in Redis for all processes."""

import hashlib
import time
from ipaddress import IPv6Address, ip_address, ip_network

from cachetools import LRUCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.errors import RateLimited
from core.telemetry import describe_error, logger

PREFIX = "nudge:throttle:"
MAX_LOCAL_KEYS = 10_000
# The smallest network that an access provider assigns to a subscriber (RFC 6177 allows larger ones).
SUBSCRIBER_BITS = 64
log = logger(__name__)


class Throttle:
    """At most `limit` calls for each key in `seconds`; counted only in this process while Redis is unavailable.

    Call `count` before the work, so that concurrent callers cannot exceed the limit.
    """

    def __init__(self, redis: Redis, name: str, *, limit: int, seconds: int, message: str) -> None:
        self.redis = redis
        self.prefix = f"{PREFIX}{name}:"
        self.limit = limit
        self.seconds = seconds
        self.message = message
        self._local: LRUCache[str, tuple[int, float]] = LRUCache(MAX_LOCAL_KEYS)

    async def count(self, key: str, amount: int = 1) -> None:
        """Count `amount` calls; raises `RateLimited` if the key is then over its limit."""
        name = digest(key)
        counted, wait = self._count_here(name, amount)
        try:
            async with self.redis.pipeline(transaction=False) as pipeline:
                pipeline.incrby(self.prefix + name, amount)
                pipeline.expire(self.prefix + name, self.seconds, nx=True)
                pipeline.ttl(self.prefix + name)
                counted, _, wait = await pipeline.execute()
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("counted in this process only", throttle=self.prefix, error=describe_error(error))
        if counted > self.limit:
            raise RateLimited(self.message, retry_after=max(1, wait))

    async def reset(self, key: str) -> None:
        """Set the count of a key to zero."""
        name = digest(key)
        self._local.pop(name, None)
        try:
            await self.redis.delete(self.prefix + name)
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("count not reset", throttle=self.prefix, error=describe_error(error))

    async def undo_count(self, key: str) -> None:
        """Undo one `count` of a key."""
        name = digest(key)
        if name in self._local:
            counted, ends = self._local[name]
            self._local[name] = (counted - 1, ends)
        try:
            async with self.redis.pipeline(transaction=False) as pipeline:
                pipeline.decr(self.prefix + name)
                pipeline.expire(self.prefix + name, self.seconds, nx=True)
                await pipeline.execute()
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("count not undone", throttle=self.prefix, error=describe_error(error))

    def _count_here(self, name: str, amount: int) -> tuple[int, int]:
        """Count in this process; returns the count, and the seconds until the window ends."""
        now = time.monotonic()
        counted, ends = self._local.get(name, (0, now + self.seconds))
        if ends <= now:
            counted, ends = 0, now + self.seconds
        self._local[name] = (counted + amount, ends)
        return counted + amount, round(ends - now)


def digest(key: str) -> str:
    """The SHA-256 of a key, so that no address is stored in Redis."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def client_key(address: str) -> str:
    """The key of a client: its IPv4 address, or the /64 network of its IPv6 address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, SUBSCRIBER_BITS), strict=False))
