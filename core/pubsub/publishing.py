import asyncio
from collections.abc import Iterable

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from cancellation.deadlines import deadline
from core.pubsub.topics import PREFIX

RETRY_SECONDS = 0.05


class PublishFailed(Exception):
    """Redis did not take a signal in time. The change itself is stored, so the caller continues: subscribers poll."""


class Publisher:
    """Publishes signals, without a hub. `within` is the timeout of a call in seconds."""

    def __init__(self, url: str, *, prefix: str = PREFIX, within: float = 1.0, connections: int = 8) -> None:
        self._prefix = prefix
        self._within = within
        pool = BlockingConnectionPool.from_url(url, max_connections=connections, timeout=within)
        self._redis = Redis.from_pool(pool)

    async def publish(self, topic: str, payload: bytes = b"") -> None:
        """Publish to one topic, retrying once. Raises `PublishFailed` within `within` seconds."""
        await self.publish_all([(topic, payload)])

    async def publish_all(self, signals: Iterable[tuple[str, bytes]]) -> None:
        """Publish to many topics in one round trip, retrying once: a topic may get its signal twice.

        Raises `PublishFailed`, also if some topics have got theirs.
        """
        batch = list(signals)
        try:
            async with deadline(self._within):
                try:
                    await self._send(batch)
                except (RedisError, OSError):
                    await asyncio.sleep(RETRY_SECONDS)
                    await self._send(batch)
        except (RedisError, OSError) as error:
            topics = ", ".join(topic for topic, _ in batch[:3])
            raise PublishFailed(f"no signal to {topics}: {error!r}") from error

    async def _send(self, batch: list[tuple[str, bytes]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for topic, payload in batch:
                pipeline.publish(self._prefix + topic, payload)
            await pipeline.execute()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
