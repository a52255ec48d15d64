from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.logstream import LogStream
from core.pubsub import Hub, Publisher, RedisBackend, Timing
from tests.realtime.valkey_server import ValkeyServer
from tests.waiting import WAIT_SECONDS

# Short delays but long timeouts, as a busy machine may answer late. QUICK_TIMING is for tests of the timeouts.
SLOW_TIMING = Timing(
    connect_timeout=WAIT_SECONDS,
    heartbeat_interval=0.1,
    heartbeat_timeout=WAIT_SECONDS,
    initial_delay=0.02,
    max_delay=0.1,
    publish_timeout=WAIT_SECONDS,
)
QUICK_TIMING = replace(SLOW_TIMING, connect_timeout=0.3, heartbeat_timeout=0.4, publish_timeout=0.4)


async def settled_topic(hub: Hub, topic: str, stack: ExitStack) -> None:
    """Subscribe to a topic and read its first gap, so that later watchers get real signals only."""
    watcher = stack.enter_context(hub.watch(topic))
    signal = await watcher.next(within=WAIT_SECONDS)
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
    async with Hub(RedisBackend(server.url, timing=SLOW_TIMING)) as hub:
        yield hub


@pytest.fixture
async def publisher(server: ValkeyServer) -> AsyncIterator[Publisher]:
    publisher = Publisher(server.url, within=SLOW_TIMING.publish_timeout)
    yield publisher
    await publisher.aclose()


@pytest.fixture
def logs(redis: Redis) -> LogStream:
    return LogStream(redis, within=WAIT_SECONDS)
