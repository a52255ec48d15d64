from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.logstream import LogStream
from core.pubsub import Hub, Publisher, RedisBackend, Timing
from tests.realtime.valkey_server import ValkeyServer

QUICK = Timing(connect=0.3, canary=0.1, silence=0.4, first_pause=0.02, longest_pause=0.1, publish=0.4)


async def settled_topic(hub: Hub, topic: str, stack: ExitStack) -> None:
    """Keep a topic subscribed and its first gap behind us, so that only real signals wake later viewers."""
    viewer = stack.enter_context(hub.watch(topic))
    signal = await viewer.next(within=3)
    assert signal is not None
    assert signal.kind == "gap"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    server = ValkeyServer(tmp_path)
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def redis(server: ValkeyServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def hub(server: ValkeyServer) -> AsyncIterator[Hub]:
    async with Hub(RedisBackend(server.url, timing=QUICK)) as hub:
        yield hub


@pytest.fixture
async def publisher(server: ValkeyServer) -> AsyncIterator[Publisher]:
    publisher = Publisher(server.url, within=QUICK.publish)
    yield publisher
    await publisher.aclose()


@pytest.fixture
def logs(redis: Redis) -> LogStream:
    return LogStream(redis, within=0.5)
