"""A campaign that a sweep cannot advance does not delay the others."""

import asyncio
from dataclasses import replace
from uuid import UUID

import asyncpg
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from core.access.actor import Actor
from jobs import run
from models.campaigns import CampaignStatus
from runtime import Runtime
from services.campaigns.progress import read_progress
from tests import factories
from tests.conftest import Servers
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import go, start
from tests.waiting import WAIT_SECONDS, until

# A campaign of this name is a row that no statement can change.
BROKEN = "Broken"
BREAK = f"""
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
    RAISE EXCEPTION 'this row is broken';
END $body$;
CREATE TRIGGER refuse_change BEFORE UPDATE ON campaigns
    FOR EACH ROW WHEN (OLD.name = '{BROKEN}') EXECUTE FUNCTION refuse_change();
"""


async def cancelling(runtime: Runtime) -> tuple[Actor, UUID]:
    """A campaign that only a sweep finishes: cancelled before anything was sent, with its job lost."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 2)
    campaign_id = await factories.campaign(runtime, actor)
    await start(runtime, actor, campaign_id)
    await go(runtime, actor, campaign_id, CampaignStatus.CANCELLING)
    return actor, campaign_id


async def status(runtime: Runtime, actor: Actor, campaign_id: UUID) -> CampaignStatus:
    """The campaign's status."""
    row = await read_progress(runtime.reads(actor.tenant), campaign_id)
    assert row is not None
    return row.status


async def test_failing_campaigns_do_not_delay_others(
    servers: Servers, fresh_runtime: Runtime, provider: Provider
) -> None:
    """In the same round of a worker, campaigns before, between and after failing ones are advanced."""
    sending = fresh_runtime.settings.sending.model_copy(update={"sweep_seconds": 86_400.0})
    settings = fresh_runtime.settings.model_copy(update={"sending": sending})
    runtime = replace(fresh_runtime, settings=settings, mailer=provider.mailer)
    campaigns = [await cancelling(runtime) for _ in range(5)]
    broken, sound = campaigns[::2], campaigns[1::2]
    assert settings.database.url is not None
    database = str(make_url(settings.database.url.get_secret_value()).database)
    admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        ids = [campaign_id for _, campaign_id in broken]
        await admin.execute("UPDATE campaigns SET name = $1 WHERE id = ANY($2)", BROKEN, ids)
        await admin.execute(BREAK)
    finally:
        await admin.close()

    def failures() -> list[str]:
        return [entry["campaign_id"] for entry in logs if entry["log_level"] == "error"]

    async def all_advanced() -> bool:
        statuses = [await status(runtime, *each) for each in sound]
        return set(statuses) == {CampaignStatus.CANCELLED} and len(failures()) >= len(broken)

    stopping = asyncio.Event()
    with capture_logs() as logs:
        worker = asyncio.create_task(run(runtime, stopping))
        try:
            await until(all_advanced)
        finally:
            stopping.set()
            await asyncio.wait_for(worker, WAIT_SECONDS)
    assert [await status(runtime, *each) for each in broken] == [CampaignStatus.CANCELLING] * 3
    assert sorted(failures()) == sorted(str(each) for each in ids)
