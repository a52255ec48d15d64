"""The product with another mail provider: other limits, credentials and events, without changes above the adapter."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import aiohttp
import orjson
import pytest
from sqlalchemy import func, select, update

from core import clock
from core.access.actor import Actor
from integrations.mail import BatchProcessed, SubmissionResult, SubmissionStatus
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryStatus
from models.suppressions import Suppression
from models.webhooks import WebhookInbox
from runtime import Runtime
from services.senders import policy
from services.webhooks.applying import apply_pages
from services.webhooks.attributing import attribute_events
from services.webhooks.receiving import receive
from tests import factories
from tests.campaigns.calls import TEST, gid, mutate
from tests.client import ApiClient
from tests.deliveries.test_jobs import start_campaign, wait_until_ended, with_short_times, worker
from tests.deliveries.worker import progress, statuses
from tests.inbox import deliver
from tests.serving import Served, served
from tests.webhooks.another_provider import OtherMailer, OtherWebhooks

PEOPLE = 5


@pytest.fixture
def mailer() -> OtherMailer:
    return OtherMailer()


@pytest.fixture
def other_installation(fresh_runtime: Runtime, mailer: OtherMailer) -> Runtime:
    """An installation that sends by the other provider, and still parses events of the first one."""
    return replace(
        fresh_runtime,
        settings=with_short_times(fresh_runtime.settings),
        mailer=mailer,
        webhooks={**fresh_runtime.webhooks, "other": OtherWebhooks()},
        sender_policy=policy.sender_policy(mailer, production=False),
    )


@pytest.fixture
async def server(other_installation: Runtime) -> AsyncIterator[Served]:
    async with served(other_installation) as api_process:
        yield api_process


def events_about(mailer: OtherMailer, **kinds: int) -> list[dict[str, Any]]:
    """Events about the messages that were sent: by kind, with the number of the message."""
    now = int(clock.now().timestamp() * 1000)
    return [
        {
            "event": kind,
            "number": f"{kind}-{number}",
            "time": now,
            "message": mailer.sent[number][2],
            "recipient": mailer.sent[number][1].to,
            "reference": f"{mailer.sent[number][0].campaign_id}/{mailer.sent[number][1].delivery_id}",
        }
        for kind, number in kinds.items()
    ]


async def post(server: Served, body: bytes, headers: dict[str, str]) -> int:
    """Post a webhook of the provider; the status."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.base}/webhooks/other", data=body, headers=headers) as answer,
    ):
        return answer.status


async def wait_for_statuses(runtime: Runtime, owner: Actor, campaign_id: UUID, *expected: DeliveryStatus) -> None:
    """Wait until the campaign's deliveries have these statuses."""
    async with asyncio.timeout(60):
        while True:
            if sorted((await statuses(runtime, owner, campaign_id)).values()) == sorted(expected):
                return
            await asyncio.sleep(0.05)


async def test_a_campaign_is_sent_and_its_events_are_applied(
    other_installation: Runtime, mailer: OtherMailer, server: Served
) -> None:
    """From the mutation to the last event: requests within its limits, its signature, its format, its sender."""
    webhooks = OtherWebhooks()
    async with worker(other_installation):
        owner, campaign_id = await start_campaign(other_installation, PEOPLE)
        assert await wait_until_ended(other_installation, owner, campaign_id) is CampaignStatus.SENT
        assert sorted(mailer.requests) == [1, 2, 2]
        assert {header.sender for header, _, _ in mailer.sent} == {"news@other.example"}
        body = orjson.dumps(
            [*events_about(mailer, delivered=0, hard_bounce=1, complaint=2), *events_about(mailer, delivered=3)]
        )
        for _ in range(2):  # a repeat changes nothing
            assert await post(server, body, webhooks.sign(body)) == 200
        status = DeliveryStatus
        await wait_for_statuses(
            *(other_installation, owner, campaign_id),
            *(status.ACCEPTED, status.DELIVERED, status.DELIVERED, status.BOUNCED, status.COMPLAINED),
        )
    rows = await other_installation.reads(owner.tenant).rows(select(Suppression.email_norm, Suppression.reason))
    assert {(row.email_norm, str(row.reason)) for row in rows} == {
        (mailer.sent[1][1].to, "hard_bounce"),
        (mailer.sent[2][1].to, "complaint"),
    }
    assert (await progress(other_installation, owner, campaign_id)).counts.delivered == 2


async def test_test_messages_are_within_the_provider_s_limits(
    other_installation: Runtime, mailer: OtherMailer, server: Served
) -> None:
    """More addresses than one request may have are sent in several, each once."""
    owner = await factories.organization(other_installation)
    campaign_id = await factories.campaign(other_installation, owner)
    to = [f"someone-{number}@example.com" for number in range(3)]
    mine = ApiClient(server.url).as_(factories.token(other_installation, owner))
    sent = await mutate(mine, TEST, campaignId=gid(campaign_id), to=to)
    assert (sent["sentTo"], sorted(mailer.requests)) == (to, [1, 2])


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {}, 401),
        (b"[]", {"x-other-signature": "00"}, 401),
        (b"[]", OtherWebhooks(b"another secret").sign(b"[]"), 401),
        (b'{"event": "delivered"}', OtherWebhooks().sign(b'{"event": "delivered"}'), 400),
        (b"[", OtherWebhooks().sign(b"["), 400),
        (b"[]", OtherWebhooks().sign(b"[]"), 200),
        (b'[{"event": "unknown"}]', OtherWebhooks().sign(b'[{"event": "unknown"}]'), 200),
    ],
)
async def test_the_adapter_authenticates_requests(
    server: Served, body: bytes, headers: dict[str, str], status: int
) -> None:
    """By the signature of the body, and by its format; an unknown event is stored."""
    assert await post(server, body, headers) == status


async def test_the_reason_of_a_refusal_names_the_provider(other_installation: Runtime, mailer: OtherMailer) -> None:
    """The reason shown to users has the provider's name."""
    no = SubmissionResult(SubmissionStatus.REFUSED, None, 7, "No.")
    mailer.answer = lambda _, messages: BatchProcessed(results=[no] * len(messages))
    owner, campaign_id = await start_campaign(other_installation, PEOPLE)
    async with worker(other_installation), asyncio.timeout(60):
        while True:
            now = await progress(other_installation, owner, campaign_id)
            if now.status == CampaignStatus.PAUSED:
                break
            await asyncio.sleep(0.05)
    assert (now.status_reason or "").startswith("Other Mail refused every message of a batch.")


async def test_the_limit_of_the_from_header_is_the_provider_s(other_installation: Runtime, server: Served) -> None:
    """A sender whose header it would refuse is refused when it is created."""
    mine = ApiClient(server.url).as_(
        factories.token(other_installation, await factories.organization(other_installation))
    )
    data = await mine.execute(
        "mutation($input: CreateSenderInput!) { createSender(input: $input) { userErrors { code message } } }",
        {"input": {"email": "news@acme.example", "name": "Acme and all of its companies"}},
    )
    [error] = data["createSender"]["userErrors"]
    assert (error["code"], error["message"]) == ("TOO_LONG", "Name and address together have more than 40 bytes.")


async def test_events_without_an_adapter_are_applied_later(fresh_runtime: Runtime) -> None:
    """Without the adapter an installation stores the events and applies others; with it, it continues."""
    owner = await factories.organization(fresh_runtime)
    [contact_id] = await factories.contacts(fresh_runtime, owner, 1)
    campaign_id = await factories.campaign(fresh_runtime, owner)
    accepted = DeliveryStatus.ACCEPTED
    delivery_id = await factories.delivery(fresh_runtime, owner, campaign_id, contact_id, status=accepted)
    ours = {"campaign": str(campaign_id), "delivery": str(delivery_id)}
    event = {
        "event": "delivered",
        "number": "1",
        "time": 1_800_000_000_000,
        "recipient": "x",
        "reference": "/".join(ours.values()),
    }
    work, system, adapters = fresh_runtime.work, fresh_runtime.system, fresh_runtime.webhooks
    await receive(work, OtherWebhooks(), [event])
    await deliver(fresh_runtime, {"RecordType": "Open", "Metadata": ours})
    await attribute_events(system)
    await apply_pages(work, owner, adapters)
    inbox = select(WebhookInbox.provider, WebhookInbox.outcome, WebhookInbox.applied_at).order_by(WebhookInbox.id)
    first, second = await fresh_runtime.reads(owner.tenant).rows(inbox)
    assert (first.provider, first.outcome, first.applied_at) == ("other", "failed: KeyError", None)
    assert (second.provider, second.outcome) == ("postmark", "applied")
    async with work.begin(owner) as uow:
        await uow.execute(update(WebhookInbox).values(due_at=func.now()))
    await apply_pages(work, owner, {**adapters, "other": OtherWebhooks()})
    assert list((await statuses(fresh_runtime, owner, campaign_id)).values()) == [DeliveryStatus.DELIVERED]
