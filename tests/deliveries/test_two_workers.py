"""Two workers on one campaign: neither waits for the other's rows, and each recipient gets one message."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from runtime import Runtime, running
from services.deliveries.sending import CampaignSender
from tests.conftest import Servers, copy_template, settings_for
from tests.deliveries.conftest import Provider, sender_for
from tests.deliveries.worker import progress, recipients, sending
from tests.waiting import WAIT_SECONDS, until

BATCH = 10
FIRST_CLAIM, GATE = 20_261_129, 20_261_130
# Holds the first claim between locking its rows and counting them, which is the end of its statement.
HOLD_FIRST_CLAIM = f"""
CREATE FUNCTION hold_first_claim() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
    IF NEW.status = 'claimed' AND pg_try_advisory_xact_lock({FIRST_CLAIM}) THEN
        PERFORM pg_advisory_xact_lock({GATE});
    END IF;
    RETURN NEW;
END $body$;
CREATE TRIGGER hold_first_claim BEFORE UPDATE ON email_deliveries
    FOR EACH ROW EXECUTE FUNCTION hold_first_claim();
"""
WAITING = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two workers' runtimes with separate engines on one database, and a superuser's connection to it."""

    runtimes: Sequence[Runtime]
    senders: Sequence[CampaignSender]
    admin: "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def pair(servers: Servers, provider: Provider) -> AsyncIterator[Pair]:
    settings = settings_for(servers, await copy_template(servers), redis_database=1)
    settings = settings.model_copy(
        update={"sending": settings.sending.model_copy(update={"batch_size": BATCH, "lease_seconds": 600.0})}
    )
    assert settings.database.url is not None
    database = str(make_url(settings.database.url.get_secret_value()).database)
    async with AsyncExitStack() as stack:
        runtimes = [await stack.enter_async_context(running(settings)) for _ in range(2)]
        admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
        stack.push_async_callback(admin.close)
        yield Pair(runtimes=runtimes, senders=[sender_for(each, provider) for each in runtimes], admin=admin)


async def test_a_worker_skips_rows_locked_by_another(pair: Pair, provider: Provider) -> None:
    """While one worker claims, the other sends all the rest; each recipient gets exactly one message."""
    first, second = pair.senders
    actor, contacts, campaign_id = await sending(pair.runtimes[0], 4 * BATCH)
    await pair.admin.execute(HOLD_FIRST_CLAIM)
    await pair.admin.execute("SELECT pg_advisory_lock($1)", GATE)
    claiming = asyncio.create_task(first.send_batch(actor, campaign_id))

    async def is_held() -> bool:
        assert not claiming.done(), claiming.result()
        return bool(await pair.admin.fetchval(WAITING))

    await until(is_held)
    async with asyncio.timeout(WAIT_SECONDS):
        for _ in range(3):
            assert (await second.send_batch(actor, campaign_id)).handed_over == BATCH
        assert not (await second.send_batch(actor, campaign_id)).claimed
    assert not claiming.done()
    await pair.admin.execute("SELECT pg_advisory_unlock($1)", GATE)
    assert (await claiming).handed_over == BATCH
    mailed = recipients(await provider.messages(campaign_id))
    assert len(mailed) == len(set(mailed)) == len(contacts)
    assert (await progress(pair.runtimes[0], actor, campaign_id)).counts.accepted == len(contacts)


async def test_two_workers_share_a_campaign(pair: Pair, provider: Provider) -> None:
    """Both send several batches concurrently, and each recipient gets one message."""
    actor, contacts, campaign_id = await sending(pair.runtimes[0], 40 * BATCH)

    async def work(sender: CampaignSender) -> int:
        handed_over = 0
        while (batch := await sender.send_batch(actor, campaign_id)).claimed:
            handed_over += batch.handed_over
        return handed_over

    first, second = pair.senders
    shares = await asyncio.gather(*(work(sender) for sender in (first, second, first, second)))
    assert shares[0] + shares[2] > 0
    assert shares[1] + shares[3] > 0
    mailed = recipients(await provider.messages(campaign_id))
    assert len(mailed) == len(set(mailed)) == sum(shares) == len(contacts)
    assert (await progress(pair.runtimes[0], actor, campaign_id)).counts.accepted == len(contacts)
