"""The product with another mail provider: other limits, other credentials, other events, and no change above it."""

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
from integrations.mail import Answered, Receipt, ReceiptStatus
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
from tests.campaigns.calls import TEST, asked, gid
from tests.client import ApiClient
from tests.deliveries.test_jobs import order_campaign, wait_until_ended, with_short_times, worker
from tests.deliveries.worker import progress, statuses
from tests.inbox import deliver
from tests.serving import Served, served
from tests.webhooks.another_provider import PigeonMailer, PigeonWebhooks

PEOPLE = 5


@pytest.fixture
def mailer() -> PigeonMailer:
    return PigeonMailer()


@pytest.fixture
def pigeon(fresh_runtime: Runtime, mailer: PigeonMailer) -> Runtime:
    """An installation that sends by the other provider, and still reads what the first one tells."""
    return replace(
        fresh_runtime,
        settings=with_short_times(fresh_runtime.settings),
        mailer=mailer,
        webhooks={**fresh_runtime.webhooks, "pigeon": PigeonWebhooks()},
        sender_policy=policy.sender_policy(mailer, production=False),
    )


@pytest.fixture
async def server(pigeon: Runtime) -> AsyncIterator[Served]:
    async with served(pigeon) as found:
        yield found


def letters(mailer: PigeonMailer, **fates: int) -> list[dict[str, Any]]:
    """Events of the messages that were sent: by fate, the number of the message."""
    now = int(clock.now().timestamp() * 1000)
    return [
        {
            "what": what,
            "number": f"{what}-{number}",
            "when": now,
            "letter": mailer.sent[number][2],
            "whom": mailer.sent[number][1].to,
            "ours": f"{mailer.sent[number][0].campaign_id}/{mailer.sent[number][1].delivery_id}",
        }
        for what, number in fates.items()
    ]


async def post(server: Served, body: bytes, headers: dict[str, str]) -> int:
    """Post a webhook of the provider; the status."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.base}/webhooks/pigeon", data=body, headers=headers) as answer,
    ):
        return answer.status


async def settled(runtime: Runtime, owner: Actor, campaign_id: UUID, *wanted: DeliveryStatus) -> None:
    """Wait until the campaign's deliveries are in these states."""
    async with asyncio.timeout(60):
        while True:
            if sorted((await statuses(runtime, owner, campaign_id)).values()) == sorted(wanted):
                return
            await asyncio.sleep(0.05)


async def test_a_campaign_goes_out_and_its_webhooks_come_back(
    pigeon: Runtime, mailer: PigeonMailer, server: Served
) -> None:
    """From the order to the last event: requests within its limits, its signature, its format, its own address."""
    webhooks = PigeonWebhooks()
    async with worker(pigeon):
        owner, campaign_id = await order_campaign(pigeon, PEOPLE)
        assert await wait_until_ended(pigeon, owner, campaign_id) is CampaignStatus.SENT
        assert sorted(mailer.requests) == [1, 2, 2]
        assert {envelope.sender for envelope, _, _ in mailer.sent} == {"post@pigeon.example"}
        body = orjson.dumps([*letters(mailer, landed=0, lost=1, angry=2), *letters(mailer, landed=3)])
        for _ in range(2):  # a repeat changes nothing
            assert await post(server, body, webhooks.sign(body)) == 200
        status = DeliveryStatus
        await settled(
            *(pigeon, owner, campaign_id),
            *(status.ACCEPTED, status.DELIVERED, status.DELIVERED, status.BOUNCED, status.COMPLAINED),
        )
    rows = await pigeon.reads(owner.tenant).rows(select(Suppression.email_norm, Suppression.reason))
    assert {(row.email_norm, str(row.reason)) for row in rows} == {
        (mailer.sent[1][1].to, "hard_bounce"),
        (mailer.sent[2][1].to, "complaint"),
    }
    assert (await progress(pigeon, owner, campaign_id)).counts.delivered == 2


async def test_a_test_message_keeps_to_its_limits(pigeon: Runtime, mailer: PigeonMailer, server: Served) -> None:
    """More addresses than it takes in a request go out in several, each once."""
    owner = await factories.organization(pigeon)
    campaign_id = await factories.campaign(pigeon, owner)
    to = [f"someone-{number}@example.com" for number in range(3)]
    mine = ApiClient(server.url).as_(factories.token(pigeon, owner))
    sent = await asked(mine, TEST, campaignId=gid(campaign_id), to=to)
    assert (sent["sentTo"], sorted(mailer.requests)) == (to, [1, 2])


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {}, 401),
        (b"[]", {"x-pigeon-signature": "00"}, 401),
        (b"[]", PigeonWebhooks(b"another secret").sign(b"[]"), 401),
        (b'{"what": "landed"}', PigeonWebhooks().sign(b'{"what": "landed"}'), 400),
        (b"[", PigeonWebhooks().sign(b"["), 400),
        (b"[]", PigeonWebhooks().sign(b"[]"), 200),
        (b'[{"what": "ate the letter"}]', PigeonWebhooks().sign(b'[{"what": "ate the letter"}]'), 200),
    ],
)
async def test_the_adapter_says_whose_request_it_is(
    server: Served, body: bytes, headers: dict[str, str], status: int
) -> None:
    """By its signature over the body, and what a body must be; an event that it does not know is kept."""
    assert await post(server, body, headers) == status


async def test_a_refusal_of_all_names_the_provider(pigeon: Runtime, mailer: PigeonMailer) -> None:
    """The reason that people read has the provider's own name."""
    no = Receipt(ReceiptStatus.REFUSED, None, 7, "No such loft.")
    mailer.answer = lambda _, messages: Answered(receipts=[no] * len(messages))
    owner, campaign_id = await order_campaign(pigeon, PEOPLE)
    async with worker(pigeon), asyncio.timeout(60):
        while True:
            now = await progress(pigeon, owner, campaign_id)
            if now.status == CampaignStatus.PAUSED:
                break
            await asyncio.sleep(0.05)
    assert (now.status_reason or "").startswith("Pigeon refused every message of a batch.")


async def test_the_longest_from_is_the_provider_s(pigeon: Runtime, server: Served) -> None:
    """A sender whose header it would refuse is refused when it is added."""
    mine = ApiClient(server.url).as_(factories.token(pigeon, await factories.organization(pigeon)))
    data = await mine.execute(
        "mutation($input: CreateSenderInput!) { createSender(input: $input) { userErrors { code message } } }",
        {"input": {"email": "news@acme.example", "name": "Acme and all its many daughters"}},
    )
    [error] = data["createSender"]["userErrors"]
    assert (error["code"], error["message"]) == ("TOO_LONG", "Name and address together have more than 40 bytes.")


async def test_events_wait_for_an_adapter_that_reads_them(fresh_runtime: Runtime) -> None:
    """An installation that has lost the adapter keeps the events, applies the others, and catches up later."""
    owner = await factories.organization(fresh_runtime)
    [contact_id] = await factories.contacts(fresh_runtime, owner, 1)
    campaign_id = await factories.campaign(fresh_runtime, owner)
    accepted = DeliveryStatus.ACCEPTED
    delivery_id = await factories.delivery(fresh_runtime, owner, campaign_id, contact_id, status=accepted)
    ours = {"campaign": str(campaign_id), "delivery": str(delivery_id)}
    fate = {"what": "landed", "number": "1", "when": 1_800_000_000_000, "whom": "x", "ours": "/".join(ours.values())}
    work, system, known = fresh_runtime.work, fresh_runtime.system, fresh_runtime.webhooks
    await receive(work, PigeonWebhooks(), [fate])
    await deliver(fresh_runtime, {"RecordType": "Open", "Metadata": ours})
    await attribute_events(system)
    await apply_pages(work, owner, known)
    inbox = select(WebhookInbox.provider, WebhookInbox.outcome, WebhookInbox.applied_at).order_by(WebhookInbox.id)
    first, second = await fresh_runtime.reads(owner.tenant).rows(inbox)
    assert (first.provider, first.outcome, first.applied_at) == ("pigeon", "failed: KeyError", None)
    assert (second.provider, second.outcome) == ("postmark", "applied")
    async with work.begin(owner) as uow:
        await uow.execute(update(WebhookInbox).values(due_at=func.now()))
    await apply_pages(work, owner, {**known, "pigeon": PigeonWebhooks()})
    assert list((await statuses(fresh_runtime, owner, campaign_id)).values()) == [DeliveryStatus.DELIVERED]
