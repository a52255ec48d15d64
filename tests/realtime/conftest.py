from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.logstream import LogStream
from core.pubsub import Hub, Publisher, RedisBackend, Timing
from tests.realtime.valkey_server import ValkeyServer
from tests.waiting import PATIENCE_SECONDS

# Quick to try again; and, but for tests of silence itself, patient with a server that a busy machine keeps from us.
PATIENT = Timing(
    connect=PATIENCE_SECONDS,
    canary=0.1,
    silence=PATIENCE_SECONDS,
    first_pause=0.02,
    longest_pause=0.1,
    publish=PATIENCE_SECONDS,
)
QUICK = replace(PATIENT, connect=0.3, silence=0.4, publish=0.4)


async def settled_topic(hub: Hub, topic: str, stack: ExitStack) -> None:
    """Keep a topic subscribed and its first gap behind us, so that only real signals wake later viewers."""
    viewer = stack.enter_context(hub.watch(topic))
    signal = await viewer.next(within=PATIENCE_SECONDS)
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
    async with Hub(RedisBackend(server.url, timing=PATIENT)) as hub:
        yield hub


@pytest.fixture
async def publisher(server: ValkeyServer) -> AsyncIterator[Publisher]:
    publisher = Publisher(server.url, within=PATIENT.publish)
    yield publisher
    await publisher.aclose()


@pytest.fixture
def logs(redis: Redis) -> LogStream:
    return LogStream(redis, within=PATIENCE_SECONDS)
