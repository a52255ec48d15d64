"""How long a round of the sweeps takes with many active campaigns, in one worker process.

    python -m benchmarks.sweeping [campaigns] [organizations] [rounds]

The campaigns are in several states. One in five has work for the first round (an expired lease, a due schedule, a
cancellation, a completion), none for the later rounds. No mail is sent: pending deliveries remain pending, as behind
a provider's rate limit. PostgreSQL has fsync on; the worker is this process, with the settings of production. A round
includes all tasks that it starts; after the first, nothing must be due.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from sqlalchemy import insert, text, update

from benchmarks.sending import environment_of
from benchmarks.tables import machine, markdown
from core import telemetry
from core.access.actor import Actor, system_actor
from core.ids import new_id
from jobs import JOBS, SWEEPS
from jobs.sweeper import Sweeper
from jobs.worker import Worker, build_worker
from local.folder import free_port
from local.roles import DATABASE
from local.servers import start_postgres, start_valkey
from models.accounts import Organization
from models.campaigns import Campaign, CampaignRecipient, CampaignStats, CampaignStatus, RecipientKind
from models.contacts import Contact
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime, running
from settings import load

RECIPIENTS = 20
INTERVAL_SECONDS = 5.0
"""The time between rounds, the default of NUDGE_SENDING__SWEEP_SECONDS."""
LATER = timedelta(hours=1)
# Of each twenty campaigns: how many, their status, the status of their deliveries, and whether leases are expired.
KINDS: tuple[tuple[int, CampaignStatus, DeliveryStatus, bool], ...] = (
    (8, CampaignStatus.SENDING, DeliveryStatus.PENDING, False),
    (4, CampaignStatus.SENDING, DeliveryStatus.CLAIMED, False),
    (2, CampaignStatus.SENDING, DeliveryStatus.UNKNOWN, False),
    (2, CampaignStatus.PAUSED, DeliveryStatus.SUBMITTING, False),
    (1, CampaignStatus.SENDING, DeliveryStatus.CLAIMED, True),
    (1, CampaignStatus.SENDING, DeliveryStatus.ACCEPTED, False),
    (1, CampaignStatus.CANCELLING, DeliveryStatus.PENDING, False),
    (1, CampaignStatus.SCHEDULED, DeliveryStatus.PENDING, True),
)
UNFINISHED = (
    "SELECT count(*) FROM email_deliveries WHERE lease_until < now()",
    "SELECT count(*) FROM campaigns WHERE status = 'scheduled' AND scheduled_at < now()",
    "SELECT count(*) FROM campaigns WHERE status = 'cancelling'",
    (
        "SELECT count(*) FROM campaigns c WHERE status = 'sending' AND NOT EXISTS (SELECT FROM email_deliveries d "
        "WHERE d.campaign_id = c.id AND d.status IN ('pending', 'claimed', 'submitting', 'unknown'))"
    ),
)


@asynccontextmanager
async def start_runtime() -> AsyncIterator[tuple[Runtime, str]]:
    """Start servers; yields a runtime and the superuser's URL."""
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as home:
        postgres = start_postgres(Path(home), durable=True)
        valkey = start_valkey(Path(home))
        try:
            os.environ.update(await environment_of(Path(home), postgres, valkey, free_port()))
            async with running(load(_env_file=None)) as runtime:
                yield runtime, postgres.admin_url
        finally:
            valkey.stop()
            postgres.stop()


async def populate(runtime: Runtime, campaigns: int, organizations: int) -> None:
    """Create the campaigns, distributed over the organizations, with every kind in each."""
    kinds = [kind for kind in KINDS for _ in range(kind[0])]
    for number in range(organizations):
        actor = system_actor(new_id())
        async with runtime.work.begin(actor) as uow:
            values = {"id": actor.organization_id, "name": f"Org {number}", "slug": f"org-{number}"}
            await uow.execute(insert(Organization).values(values))
            contacts = [new_id() for _ in range(RECIPIENTS)]
            await uow.execute(insert(Contact), [contact(actor, each) for each in contacts])
        own_campaigns = range(number, campaigns, organizations)
        for index, _ in enumerate(own_campaigns):
            await add(runtime, actor, contacts, kinds[(index + number) % len(kinds)])


def contact(actor: Actor, contact_id: UUID) -> dict[str, Any]:
    """The values of a contact's row."""
    email = f"{contact_id}@example.com"
    return {"id": contact_id, "organization_id": actor.organization_id, "email": email, "email_norm": email}


async def add(
    runtime: Runtime, actor: Actor, contacts: list[UUID], kind: tuple[int, CampaignStatus, DeliveryStatus, bool]
) -> None:
    """Insert a campaign of a kind."""
    _, status, delivery, due = kind
    campaign_id, now = new_id(), datetime.now(UTC)
    ids = {"organization_id": actor.organization_id, "campaign_id": campaign_id}
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(Campaign).values(
                id=campaign_id,
                organization_id=actor.organization_id,
                name="Spring",
                subject="Spring",
                html_content="<p>Spring</p>",
                from_header="a@shop.example",
                status=status,
                scheduled_at=now if status == CampaignStatus.SCHEDULED else None,
            )
        )
        await uow.execute(insert(CampaignStats).values(ids))
        await uow.execute(insert(CampaignRecipient).values(id=new_id(), kind=RecipientKind.ALL, **ids))
        if status == CampaignStatus.SCHEDULED:
            return
        leased = delivery in (DeliveryStatus.CLAIMED, DeliveryStatus.SUBMITTING)
        rows = [{"contact_id": each, "email": f"{each}@example.com", **ids} for each in contacts]
        await uow.execute(insert(EmailDelivery), [{**row, "email_norm": row["email"]} for row in rows])
        await uow.execute(
            update(EmailDelivery)
            .where(EmailDelivery.campaign_id == campaign_id)
            .values(
                status=delivery,
                batch_id=None if delivery is DeliveryStatus.PENDING else new_id(),
                lease_token=new_id() if leased else None,
                lease_until=(now if due else now + LATER) if leased else None,
                next_lookup_at=now + LATER if delivery is DeliveryStatus.UNKNOWN else None,
            )
        )


async def one_round(worker: Worker, sweeper: Sweeper) -> None:
    """Run every sweep once, concurrently as in a worker, and wait for all tasks that they start."""
    await asyncio.gather(*(sweeper.run_once(sweep) for sweep in SWEEPS if sweep.every is None))
    while worker.tasks.tasks:
        await asyncio.wait(list(worker.tasks.tasks.values()))


async def commits(runtime: Runtime) -> int:
    """The number of transactions committed in the database."""
    async with runtime.engine.connect() as connection:
        result = await connection.execute(
            text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        )
        return int(result.scalar_one())


async def unfinished(admin_url: str) -> int:
    """The number of campaigns and deliveries with work for the sweeps, counted without Row Level Security."""
    connection = await asyncpg.connect(admin_url, database=DATABASE)
    try:
        return sum([await connection.fetchval(statement) for statement in UNFINISHED])
    finally:
        await connection.close()


async def main(campaigns: int, organizations: int, rounds: int) -> None:
    """Measure a round with work, and the median of the rounds without."""
    telemetry.configure("WARNING", json=False, secrets=())
    async with start_runtime() as (runtime, admin_url):
        await populate(runtime, campaigns, organizations)
        worker = build_worker(runtime, JOBS)
        sweeper = Sweeper(worker, asyncio.Event())
        measured = []
        assert await unfinished(admin_url)
        for _ in range(rounds + 1):
            before, cpu, started = await commits(runtime), time.process_time(), time.monotonic()
            await one_round(worker, sweeper)
            seconds, cpu = time.monotonic() - started, time.process_time() - cpu
            await asyncio.sleep(2)  # PostgreSQL counts with a delay
            measured.append((seconds, cpu, await commits(runtime) - before))
            assert not await unfinished(admin_url)
        print(f"{campaigns:,} active campaigns of {organizations} organizations; {machine()}\n")
        first, later = measured[0], [statistics.median(column) for column in zip(*measured[1:], strict=True)]
        print(
            markdown(
                ("round", "seconds", "CPU of the worker, s", "transactions"),
                [
                    ("first, work for one campaign in five", *cells(*first)),
                    (f"later, no work (median of {rounds})", *cells(*later)),
                ],
            )
        )
        print(f"\ngoal: a round takes less than half its interval of {INTERVAL_SECONDS:.0f} s")


def cells(seconds: float, cpu: float, transactions: float) -> tuple[str, str, str]:
    """A round's cells in the table."""
    return f"{seconds:.2f}", f"{cpu:.2f}", f"{transactions:,.0f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeping")
    parser.add_argument("campaigns", type=int, nargs="?", default=1_000)
    parser.add_argument("organizations", type=int, nargs="?", default=50)
    parser.add_argument("rounds", type=int, nargs="?", default=5)
    arguments = parser.parse_args()
    uvloop.run(main(arguments.campaigns, arguments.organizations, arguments.rounds))
