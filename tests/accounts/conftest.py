from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from core import passwords
from tests.conftest import Servers
from tests.environments import fresh_cache


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take no time."""
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def cache(servers: Servers) -> AsyncIterator[Redis]:
    async with fresh_cache(servers) as redis:
        yield redis
