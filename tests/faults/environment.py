"""PostgreSQL, Valkey, the sandbox and workers on loopback, as processes that a test may kill or restart."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError

from core import migration
from core.access.actor import Actor
from core.security import new_signing_key
from local.folder import free_port
from local.servers import PostgresServer, ValkeyServer, create_database, create_roles, start_postgres, start_valkey
from models.campaigns import Campaign, CampaignStatus
from models.deliveries import EmailDelivery
from models.suppressions import Suppression, SuppressionReason
from runtime import Runtime, running
from services.campaigns import lifecycle
from services.deliveries.preparing import prepare
from settings import Settings
from tests import factories
from tests.conftest import password

WAIT_SECONDS = 180.0
POLL_SECONDS = 0.005
# Short times in the same order as in production: request < lease, and the grace long enough for three look-ups.
TIMES = {
    "NUDGE_SENDING__LEASE_SECONDS": "4",
    "NUDGE_SENDING__SWEEP_SECONDS": "0.3",
    "NUDGE_SENDING__RECONCILE_GRACE_SECONDS": "1.5",
    "NUDGE_SENDING__BATCH_SIZE": "50",
    "NUDGE_SENDING__CONCURRENT_BATCHES": "2",
    "NUDGE_POSTMARK__TIMEOUT_SECONDS": "2",
}
# For tests that must observe a batch in progress: on a busy machine, polling may be seconds late.
LONGER_TIMES = {"NUDGE_SENDING__LEASE_SECONDS": "12", "NUDGE_POSTMARK__TIMEOUT_SECONDS": "6"}


@dataclass(kw_only=True)
class FaultEnvironment:
    """The running servers and processes, and the faults that a test causes in them."""

    home: Path
    postgres: PostgresServer
    valkey: ValkeyServer
    environment: dict[str, str]
    sandbox_url: str
    runtime: Runtime
    http: aiohttp.ClientSession
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, *, clock_offset_seconds: int = 0) -> subprocess.Popen[bytes]:
        """Start a worker process, whose clock may be wrong."""
        environment = self.environment | (
            shifted_clock(self.home, clock_offset_seconds) if clock_offset_seconds else {}
        )
        worker = launch("worker", environment, self.home / "worker.log")
        self.workers.append(worker)
        return worker

    def kill_worker(self) -> None:
        """Kill the worker that was started last with SIGKILL."""
        worker = self.workers[-1]
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(60)

    async def set_faults(self, **postmark: object) -> None:
        """Set the sandbox's faults; these replace all earlier ones."""
        async with self.http.put(f"{self.sandbox_url}/sandbox/faults", json={"postmark": postmark}) as response:
            assert response.status == 200, await response.text()

    async def summary(self) -> dict[str, Any]:
        """The counts of messages that the sandbox accepted."""
        async with self.http.get(f"{self.sandbox_url}/sandbox/ledger/summary") as response:
            counts: dict[str, Any] = await response.json()
            return counts

    async def recipients(self) -> list[str]:
        """The recipient of every message in the sandbox's ledger, duplicates included."""
        mailboxes: list[str] = []
        while True:
            query = f"limit=1000&offset={len(mailboxes)}"
            async with self.http.get(f"{self.sandbox_url}/sandbox/ledger?{query}") as response:
                page = await response.json()
            mailboxes += [mailbox for message in page["messages"] for mailbox in message["recipients"]]
            if len(mailboxes) >= page["total"]:
                return mailboxes

    async def statuses(self, actor: Actor, campaign_id: UUID) -> dict[str, int]:
        """How many deliveries of the campaign are in each status."""
        rows = await self.runtime.reads(actor.tenant).rows(
            select(EmailDelivery.status).where(EmailDelivery.campaign_id == campaign_id)
        )
        return {status: sum(row.status == status for row in rows) for status in {row.status for row in rows}}

    async def status(self, actor: Actor, campaign_id: UUID) -> str | None:
        """The campaign's status."""
        rows = await self.runtime.reads(actor.tenant).rows(select(Campaign.status).where(Campaign.id == campaign_id))
        return rows[0].status if rows else None

    async def until(self, what: str, holds: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Poll a condition until it holds.

        Raises:
            AssertionError: it does not hold in time; the message has `what` and the end of the workers' log.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not await holds():  # noqa: ASYNC110 - the state is in other processes
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            log = (self.home / "worker.log").read_text(errors="replace")[-3000:]
            raise AssertionError(f"not in {WAIT_SECONDS:.0f} s: {what}\n{log}") from None

    async def until_finished(self, actor: Actor, campaign_id: UUID) -> None:
        """Wait until the campaign is sent; PostgreSQL may be restarted meanwhile."""

        async def finished() -> bool:
            await asyncio.sleep(0.1)
            try:
                status = await self.status(actor, campaign_id)
            except (DBAPIError, OSError):
                return False  # PostgreSQL is restarting
            return status in {CampaignStatus.SENT, CampaignStatus.SENT_WITH_ISSUES}

        await self.until("the campaign is sent", finished)

    @asynccontextmanager
    async def locked(self, statement: str) -> AsyncIterator[list[Any]]:
        """Run a statement as superuser and hold its locks, to block a worker at this point; yields the rows."""
        connection = await asyncpg.connect(self.postgres.admin_url, database="nudge")
        try:
            async with connection.transaction():
                yield await connection.fetch(statement)
        finally:
            connection.terminate()

    async def is_lock_awaited(self) -> bool:
        """Whether any session in the database waits for a lock."""
        connection = await asyncpg.connect(self.postgres.admin_url, database="nudge")
        try:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return bool(await connection.fetchval(waiting))
        finally:
            await connection.close()


CLOCK = """
import datetime, time

OFF = {seconds}
true_time, true_time_ns, true_datetime = time.time, time.time_ns, datetime.datetime
time.time = lambda: true_time() + OFF
time.time_ns = lambda: true_time_ns() + OFF * 1_000_000_000


class Kind(type(true_datetime)):
    def __instancecheck__(cls, one):
        return isinstance(one, true_datetime)


class Shifted(true_datetime, metaclass=Kind):
    @classmethod
    def now(cls, tz=None):
        return true_datetime.now(tz) + datetime.timedelta(seconds=OFF)


datetime.datetime = Shifted
"""


def shifted_clock(home: Path, seconds: int) -> dict[str, str]:
    """Variables that shift the clocks of a Python process, through a `sitecustomize` module."""
    folder = home / f"clock{seconds}"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(CLOCK.format(seconds=seconds))
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def launch(verb: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start `nudge <verb>` as a process, in a folder without a `.env`."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", verb],
            cwd=log.parent,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


@asynccontextmanager
async def fault_environment(home: Path, times: dict[str, str] = TIMES) -> AsyncIterator[FaultEnvironment]:
    """Start the servers and the sandbox; at the end of the block, stop all processes."""
    postgres = start_postgres(home)
    valkey = start_valkey(home)
    sandbox: subprocess.Popen[bytes] | None = None
    env: FaultEnvironment | None = None
    try:
        await create_roles(
            postgres.admin_url,
            migrator_password=password(postgres.migrator_url),
            app_password=password(postgres.app_url),
        )
        await create_database(postgres.admin_url)
        await migration.upgrade(postgres.migrator_url)
        port = free_port()
        environment = environment_variables(home, postgres, valkey, port) | TIMES | times
        sandbox = launch("sandbox", environment, home / "sandbox.log")
        async with aiohttp.ClientSession() as http, running(settings_from(environment)) as runtime:
            env = FaultEnvironment(
                home=home,
                postgres=postgres,
                valkey=valkey,
                environment=environment,
                sandbox_url=f"http://127.0.0.1:{port}",
                runtime=runtime,
                http=http,
            )
            await env.until("the sandbox answers", lambda: is_sandbox_ready(env))
            yield env
    finally:
        for process in [*(env.workers if env is not None else []), *([] if sandbox is None else [sandbox])]:
            if process.poll() is None:
                process.kill()
            process.wait(60)
        valkey.stop()
        postgres.stop()


async def is_sandbox_ready(env: FaultEnvironment) -> bool:
    """Whether the sandbox responds."""
    try:
        return bool(await env.summary())
    except aiohttp.ClientError:
        return False


def environment_variables(home: Path, postgres: PostgresServer, valkey: ValkeyServer, port: int) -> dict[str, str]:
    """Every setting as an environment variable, so that the developer's own environment has no effect."""
    return {
        "NUDGE_ENVIRONMENT": "test",
        "NUDGE_HOME": str(home),
        "NUDGE_DATABASE__URL": postgres.app_url,
        "NUDGE_REDIS__URL": valkey.url,
        "NUDGE_API__PORT": str(free_port()),
        "NUDGE_SANDBOX__PORT": str(port),
        "NUDGE_SANDBOX__PACE": "0.01",
        "NUDGE_AUTH__SIGNING_KEY": new_signing_key(),
        "NUDGE_SECURITY__SECRET_KEY": secrets.token_hex(32),
        "NUDGE_POSTMARK__BASE_URL": f"http://127.0.0.1:{port}",
        "NUDGE_POSTMARK__SERVER_TOKEN": secrets.token_hex(8),
        "NUDGE_POSTMARK__WEBHOOK_PASSWORD": secrets.token_hex(8),
        "NUDGE_LLM__BASE_URL": f"http://127.0.0.1:{port}/api/v1",
        "NUDGE_LLM__API_KEY": secrets.token_hex(8),
    }


def settings_from(environment: dict[str, str]) -> Settings:
    """The settings from environment variables."""
    document: dict[str, Any] = {"_env_file": None}
    for name, value in environment.items():
        group, _, leaf = name.removeprefix("NUDGE_").lower().partition("__")
        if leaf:
            document.setdefault(group, {})[leaf] = value
        else:
            document[group] = value
    return Settings.model_validate(document)


@dataclass(frozen=True, kw_only=True)
class PreparedCampaign:
    """A campaign in `sending`, and the only suppressed address in its audience."""

    actor: Actor
    campaign_id: UUID
    audience: int
    suppressed: str


async def prepare_campaign(env: FaultEnvironment, *, recipients: int) -> PreparedCampaign:
    """Create an organization with contacts and a campaign in `sending`, then suppress one contact."""
    runtime = env.runtime
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, recipients)
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        await lifecycle.change_status(uow, campaign_id, CampaignStatus.PREPARING, from_header=factories.FROM)
    assert await prepare(runtime.work, actor, campaign_id)
    suppressed = (
        await runtime.reads(actor.tenant).rows(
            select(EmailDelivery.email_norm)
            .where(EmailDelivery.campaign_id == campaign_id)
            .order_by(EmailDelivery.id.desc())
            .limit(1)
        )
    )[0].email_norm
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(Suppression).values(
                organization_id=actor.organization_id, email_norm=suppressed, reason=SuppressionReason.COMPLAINT
            )
        )
    return PreparedCampaign(actor=actor, campaign_id=campaign_id, audience=recipients, suppressed=suppressed)


async def assert_exact(env: FaultEnvironment, campaign: PreparedCampaign) -> None:
    """Check that each delivery has a final status, and the provider one message to each address not suppressed."""
    statuses = await env.statuses(campaign.actor, campaign.campaign_id)
    assert sum(statuses.values()) == campaign.audience
    assert set(statuses) <= {"accepted", "delivered", "bounced", "complained", "rejected", "skipped", "failed"}, (
        statuses
    )
    assert statuses.get("skipped") == 1
    assert await env.status(campaign.actor, campaign.campaign_id) == CampaignStatus.SENT, statuses
    mailboxes = await env.recipients()
    assert len(mailboxes) == len(set(mailboxes)) == campaign.audience - 1
    assert campaign.suppressed not in mailboxes
