"""The searches of the sweeps: each finds exactly the rows that need work, page by page."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from types import ModuleType
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import update
from sqlalchemy.engine import make_url

from core import clock
from core.access.actor import Actor
from core.ids import new_id
from core.queue import Job
from jobs import campaigns, conversations, deliveries, outbox, webhooks
from jobs.sweeper import START, Find
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from models.outbox import OutboxKind
from runtime import Runtime
from services.campaigns.work import PrepareCampaign, SendBatches
from services.conversations import changing
from services.conversations.work import RunReply
from services.outbox import writing
from services.outbox.work import SendOutbox
from services.webhooks.work import ApplyEvents
from tests import factories
from tests.conftest import Servers

SEARCHES: dict[str, tuple[ModuleType, Find]] = {
    "replies": (conversations, conversations.find_replies),
    "to prepare": (campaigns, campaigns.find_campaigns),
    "to send": (deliveries, deliveries.find_campaigns),
    "mail": (outbox, outbox.find_outbox),
    "events": (webhooks, webhooks.find_events),
}


@dataclass(frozen=True, slots=True)
class World:
    """The keys that each search must find, in order."""

    runtime: Runtime
    jobs: dict[str, list[Job]]


async def campaign_in(runtime: Runtime, actor: Actor, status: CampaignStatus, *, pending: int) -> UUID:
    """A campaign in a status, with so many messages to send by its counters."""
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(status=status))
        own = CampaignStats.campaign_id == campaign_id
        await uow.execute(update(CampaignStats).where(own).values(pending=pending, audience=pending))
    return campaign_id


async def create_rows(runtime: Runtime, admin: "asyncpg.Connection[asyncpg.Record]") -> dict[str, Job]:
    """An organization in which one row of each kind needs a job, and one does not."""
    actor = await factories.organization(runtime)
    own = actor.organization_id
    async with runtime.work.begin(actor) as uow:
        cancelled, reply = [
            (await changing.send(uow, (await changing.start(uow, title=None)).id, "Hello"))[1] for _ in range(2)
        ]
        await changing.cancel(uow, cancelled.id)
        await writing.enqueue(
            uow, OutboxKind.SENDER_CONFIRMATION, new_id(), "a@b.example", expires_in=timedelta(days=1)
        )
    prepare = await campaign_in(runtime, actor, CampaignStatus.PREPARING, pending=0)
    send = await campaign_in(runtime, actor, CampaignStatus.SENDING, pending=1)
    await campaign_in(runtime, actor, CampaignStatus.PAUSED, pending=1)
    await campaign_in(runtime, actor, CampaignStatus.DRAFT, pending=0)
    for applied_at in (None, clock.now()):
        await admin.execute(
            "INSERT INTO webhook_inbox (id, organization_id, provider, dedupe_key, payload, applied_at)"
            " VALUES ($1, $2, 'postmark', $3, '{}', $4)",
            new_id(),
            own,
            new_id().hex,
            applied_at,
        )
    return {
        "replies": RunReply(organization_id=own, user_id=actor.require_user_id(), message_id=reply.id),
        "to prepare": PrepareCampaign(organization_id=own, campaign_id=prepare),
        "to send": SendBatches(organization_id=own, campaign_id=send),
        "mail": SendOutbox(organization_id=own),
        "events": ApplyEvents(organization_id=own),
    }


@pytest.fixture
async def world(fresh_runtime: Runtime, servers: Servers) -> AsyncIterator[World]:
    url = fresh_runtime.settings.database.url
    assert url is not None
    database = make_url(url.get_secret_value()).database
    assert database is not None
    admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        work_by_organization = [await create_rows(fresh_runtime, admin) for _ in range(4)]
        yield World(fresh_runtime, {name: [each[name] for each in work_by_organization] for name in SEARCHES})
    finally:
        await admin.close()


async def pages_of(world: World, find: Find) -> list[list[Job]]:
    """The jobs of each page, from the first to the last."""
    pages, after = list[list[Job]](), START
    while len(pages) < 10:
        page = await find(world.runtime.system, after)
        pages.append(list(page.jobs))
        if page.after is None:
            break
        after = page.after
    return pages


async def test_a_search_finds_all_work_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every kind and tenant, each once, in the order of the keys, with any page size."""
    for name, (module, find) in SEARCHES.items():
        expected = world.jobs[name]
        for size, pages in (
            (3, [expected[:3], expected[3:]]),
            (2, [expected[:2], expected[2:], []]),
            (5, [expected]),
        ):
            monkeypatch.setattr(module, "PAGE", size)
            assert await pages_of(world, find) == pages, name
