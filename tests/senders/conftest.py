from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from core.access.actor import Actor
from core.access.permissions import Role
from core.configuration import Environment
from jobs.outbox import outbox_sender
from runtime import Runtime
from tests import factories
from tests.client import ApiClient
from tests.conftest import Servers
from tests.deliveries.conftest import Provider, http, provider, shared_provider
from tests.environments import fresh_cache, in_environment
from tests.serving import Served, served

__all__ = ["http", "provider", "shared_provider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installation with a provider; a test sends its system mail explicitly."""

    runtime: Runtime
    provider: Provider
    server: Served
    http: aiohttp.ClientSession

    @property
    def base(self) -> str:
        """The base URL of its pages."""
        return self.server.base

    async def owner(self, role: Role = Role.OWNER) -> tuple[Actor, ApiClient]:
        """A new organization's member, and their client."""
        actor = await factories.organization(self.runtime, role=role)
        return actor, ApiClient(self.server.url, factories.token(self.runtime, actor))

    async def deliver(self, actor: Actor) -> None:
        """Send the organization's due system mail."""
        await outbox_sender(self.runtime).send_due(actor)

    async def mails(self, address: str) -> list[dict[str, Any]]:
        """The messages to an address, oldest first, as the provider accepted them."""
        page = (await self.provider.client.call("GET", "/sandbox/ledger?limit=1000")).object()
        assert isinstance(page["messages"], list)
        messages = []
        for entry in page["messages"]:
            if entry["to"] == address:
                answer = await self.provider.client.call("GET", f"/sandbox/messages/{entry['message_id']}")
                message = answer.object()["message"]
                assert isinstance(message, dict)
                messages.append(message)
        return messages

    async def token(self, address: str) -> str:
        """The token of the latest confirmation mail to an address."""
        text = str((await self.mails(address))[-1]["TextBody"])
        link = next(line for line in text.splitlines() if "/confirm-sender/" in line)
        return link.rpartition("/")[2]


@pytest.fixture
async def cache(servers: Servers) -> AsyncIterator[Redis]:
    async with fresh_cache(servers) as redis:
        yield redis


async def run_installation(
    runtime: Runtime, provider: Provider, http: aiohttp.ClientSession
) -> AsyncIterator[Installation]:
    """An installation with this runtime."""
    mailing = replace(runtime, mailer=provider.mailer)
    async with served(mailing) as server:
        yield Installation(runtime=mailing, provider=provider, server=server, http=http)


@pytest.fixture
async def production(
    runtime: Runtime, cache: Redis, provider: Provider, http: aiohttp.ClientSession
) -> AsyncIterator[Installation]:
    """With production's rules."""
    async for installation in run_installation(
        in_environment(runtime, cache, Environment.PRODUCTION), provider, http
    ):
        yield installation


@pytest.fixture
async def development(
    runtime: Runtime, cache: Redis, provider: Provider, http: aiohttp.ClientSession
) -> AsyncIterator[Installation]:
    """With development's rules."""
    async for installation in run_installation(
        in_environment(runtime, cache, Environment.DEVELOPMENT), provider, http
    ):
        yield installation
