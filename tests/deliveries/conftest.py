"""The sandbox as provider over HTTP, and the parts of a worker process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, replace

import aiohttp
import pytest

from integrations.postmark.mailer import PostmarkMailer
from runtime import Runtime
from sandbox import EngagementRates, SandboxConfig, build
from services.deliveries.sending import CampaignSender
from settings import Settings
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import build_sender
from tests.sandbox.conftest import Answer, Client, serving
from tests.serving import served

STILL = EngagementRates(hard_bounce=0, soft_bounce=0, complaint=0, unsubscribe=0, open=0, second_open=0, click=0)


@dataclass(slots=True)
class Provider:
    """The sandbox as Postmark, with a client of its control API."""

    client: Client
    mailer: PostmarkMailer

    async def messages(self, campaign_id: object) -> list[dict[str, object]]:
        """The messages accepted for a campaign, oldest first."""
        ledger: list[dict[str, object]] = []
        while True:
            path = f"/sandbox/ledger?campaign={campaign_id}&limit=1000&offset={len(ledger)}"
            page = (await self.client.call("GET", path)).object()
            messages = page["messages"]
            assert isinstance(messages, list)
            ledger += messages
            if len(ledger) >= int(str(page["total"])):
                return ledger

    async def fail(self, **switches: object) -> Answer:
        """Set the provider's faults; without arguments there are none."""
        return await self.client.call("PUT", "/sandbox/faults", {"postmark": switches})


@asynccontextmanager
async def run_provider() -> AsyncIterator[Provider]:
    """Run a provider on a free port."""
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
    """The provider of a test folder; tests use `provider`."""
    async with run_provider() as provider:
        yield provider


@pytest.fixture
async def provider(shared_provider: Provider) -> Provider:
    """The provider without messages and faults."""
    assert (await shared_provider.client.call("DELETE", "/sandbox/ledger")).status == 204
    assert (await shared_provider.client.call("DELETE", "/sandbox/faults")).status == 204
    return shared_provider


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays of senders, recorded instead of waited for."""
    delays: list[float] = []

    async def sleep(_: asyncio.Event, seconds: float) -> None:
        delays.append(seconds)

    monkeypatch.setattr("services.deliveries.sending.sleep_unless", sleep)
    return delays


def rate_limited_mailer(provider: Provider, messages_per_second: int) -> PostmarkMailer:
    """The provider's mailer with a rate limit; it shares the open connections and is not closed."""
    mailer = copy(provider.mailer)
    mailer.limits = replace(mailer.limits, messages_per_second=messages_per_second)
    return mailer


def sender_for(runtime: Runtime, provider: Provider, settings: Settings | None = None) -> CampaignSender:
    """A worker process's sender, which sends to the provider."""
    return build_sender(runtime, provider.mailer, settings)


@pytest.fixture
def sender(runtime: Runtime, provider: Provider) -> CampaignSender:
    return sender_for(runtime, provider)


@pytest.fixture(scope="session")
async def base_url(runtime: Runtime) -> AsyncIterator[str]:
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
def scripted_sender(runtime: Runtime, mailer: ModelMailer) -> CampaignSender:
    """A sender with a mailer that the test controls, in place of the sandbox."""
    return build_sender(runtime, mailer)
