"""A strict provider over real HTTP, and the engine's parts as a worker process would hold them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, replace

import aiohttp
import pytest

from integrations.postmark.mailer import PostmarkMailer
from runtime import Runtime
from sandbox import EngagementRates, SandboxConfig, build
from services.deliveries.sending import Sender
from settings import Settings
from tests.deliveries.model import ModelMailer
from tests.sandbox.conftest import Answer, Client, serving
from tests.serving import served

STILL = EngagementRates(hard_bounce=0, soft_bounce=0, complaint=0, unsubscribe=0, open=0, second_open=0, click=0)


@dataclass(slots=True)
class Provider:
    """The sandbox as Postmark, and a client of its control plane."""

    client: Client
    mailer: PostmarkMailer

    async def ledger(self, campaign_id: object) -> list[dict[str, object]]:
        """The messages accepted for a campaign, oldest first."""
        found: list[dict[str, object]] = []
        while True:
            path = f"/sandbox/ledger?campaign={campaign_id}&limit=1000&offset={len(found)}"
            page = (await self.client.call("GET", path)).object()
            messages = page["messages"]
            assert isinstance(messages, list)
            found += messages
            if len(found) >= int(str(page["total"])):
                return found

    async def fail(self, **switches: object) -> Answer:
        """Set the provider's faults; none given clears them."""
        return await self.client.call("PUT", "/sandbox/faults", {"postmark": switches})


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """A provider on a free port."""
    async with serving(build(SandboxConfig(pace=0, rates=STILL))) as url, aiohttp.ClientSession() as session:
        mailer = PostmarkMailer(
            base_url=url, server_token="token", message_stream="broadcast", sender="news@nudge.example"
        )
        try:
            yield Provider(Client(url, session), mailer)
        finally:
            await mailer.aclose()


@pytest.fixture(scope="session")
async def shared_provider() -> AsyncIterator[Provider]:
    async with providing() as provider:
        yield provider


@pytest.fixture
async def provider(shared_provider: Provider) -> Provider:
    """The provider with an empty ledger and no faults."""
    assert (await shared_provider.client.call("DELETE", "/sandbox/ledger")).status == 204
    assert (await shared_provider.client.call("DELETE", "/sandbox/faults")).status == 204
    return shared_provider


def slowed(provider: Provider, messages_per_second: int) -> PostmarkMailer:
    """The provider's mailer with a rate of its own; it shares the open connections and is not closed."""
    mailer = copy(provider.mailer)
    mailer.limits = replace(mailer.limits, messages_per_second=messages_per_second)
    return mailer


def sender_for(runtime: Runtime, provider: Provider, settings: Settings | None = None) -> Sender:
    """A worker process's sender that talks to the provider."""
    return Sender(
        settings=(settings or runtime.settings).sending,
        public_url=runtime.settings.public_url,
        work=runtime.work,
        system=runtime.system,
        reads=runtime.reads,
        mailer=provider.mailer,
        signer=runtime.unsubscribe_signer,
    )


@pytest.fixture
def sender(runtime: Runtime, provider: Provider) -> Sender:
    return sender_for(runtime, provider)


@pytest.fixture(scope="session")
async def door(runtime: Runtime) -> AsyncIterator[str]:
    async with served(runtime) as server:
        yield server.base


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
def mailer() -> ModelMailer:
    return ModelMailer()


@pytest.fixture
def scripted_sender(runtime: Runtime, mailer: ModelMailer) -> Sender:
    """A sender with a provider that does what a test wants, in place of the sandbox."""
    return Sender(
        settings=runtime.settings.sending,
        public_url=runtime.settings.public_url,
        work=runtime.work,
        system=runtime.system,
        reads=runtime.reads,
        mailer=mailer,
        signer=runtime.unsubscribe_signer,
    )
