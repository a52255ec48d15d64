"""A small production on loopback: servers of its own, the sandbox and workers as processes that a test may kill."""

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
LOOK_SECONDS = 0.005
# Short times, in their true order: request < lease, and the grace long enough for three looks.
TIMES = {
    "NUDGE_SENDING__LEASE_SECONDS": "4",
    "NUDGE_SENDING__SWEEP_SECONDS": "0.3",
    "NUDGE_SENDING__RECONCILE_GRACE_SECONDS": "1.5",
    "NUDGE_SENDING__BATCH_SIZE": "50",
    "NUDGE_SENDING__CONCURRENT_BATCHES": "2",
    "NUDGE_POSTMARK__TIMEOUT_SECONDS": "2",
}
# The same, for tests that must find a batch under way: a busy machine may be seconds late to look.
LONGER_TIMES = {"NUDGE_SENDING__LEASE_SECONDS": "12", "NUDGE_POSTMARK__TIMEOUT_SECONDS": "6"}


@dataclass(kw_only=True)
class Stage:
    """The running parts, and what a test does to them."""

    home: Path
    postgres: PostgresServer
    valkey: ValkeyServer
    environment: dict[str, str]
    sandbox_url: str
    runtime: Runtime
    http: aiohttp.ClientSession
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, *, clock_off_seconds: int = 0) -> subprocess.Popen[bytes]:
        """A worker process of its own, perhaps with a wrong idea of the time."""
        environment = self.environment | (wrong_clock(self.home, clock_off_seconds) if clock_off_seconds else {})
        worker = launch("worker", environment, self.home / "worker.log")
        self.workers.append(worker)
        return worker

    def kill_worker(self) -> None:
        """`kill -9` of the worker that started last."""
        worker = self.workers[-1]
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(60)

    async def set_faults(self, **postmark: object) -> None:
        """Switch the sandbox's faults: these, and no others."""
        async with self.http.put(f"{self.sandbox_url}/sandbox/faults", json={"postmark": postmark}) as response:
            assert response.status == 200, await response.text()

    async def summary(self) -> dict[str, Any]:
        """What the sandbox accepted, counted."""
        async with self.http.get(f"{self.sandbox_url}/sandbox/ledger/summary") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def recipients(self) -> list[str]:
        """Every mailbox of the sandbox's ledger, as often as it was accepted."""
        found: list[str] = []
        while True:
            query = f"limit=1000&offset={len(found)}"
            async with self.http.get(f"{self.sandbox_url}/sandbox/ledger?{query}") as response:
                page = await response.json()
            found += [mailbox for message in page["messages"] for mailbox in message["recipients"]]
            if len(found) >= page["total"]:
                return found

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
        """Look until something holds; what did not come is said in the failure, with the workers' last words."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not await holds():  # noqa: ASYNC110 - what is looked at lies in other processes
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            words = (self.home / "worker.log").read_text(errors="replace")[-3000:]
            raise AssertionError(f"not in {WAIT_SECONDS:.0f} s: {what}\n{words}") from None

    async def until_finished(self, actor: Actor, campaign_id: UUID) -> None:
        """Wait until the campaign is sent."""

        async def finished() -> bool:
            await asyncio.sleep(0.1)
            try:
                status = await self.status(actor, campaign_id)
            except (DBAPIError, OSError):
                return False  # the test has PostgreSQL restarted
            return status in {CampaignStatus.SENT, CampaignStatus.SENT_WITH_ISSUES}

        await self.until("the campaign is sent", finished)

    @asynccontextmanager
    async def locked(self, statement: str) -> AsyncIterator[list[Any]]:
        """Hold a lock as the database's administrator, so that whoever needs it stands still there; what it found."""
        connection = await asyncpg.connect(self.postgres.admin_url, database="nudge")
        try:
            async with connection.transaction():
                yield await connection.fetch(statement)
        finally:
            connection.terminate()

    async def somebody_waits(self) -> bool:
        """Whether a lock keeps somebody waiting in the database."""
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


def wrong_clock(home: Path, seconds: int) -> dict[str, str]:
    """Variables that make a Python process believe it is so much later: it shifts its own clocks as it starts."""
    folder = home / f"clock{seconds}"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(CLOCK.format(seconds=seconds))
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def launch(verb: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """`nudge <verb>` as a process of its own, in a folder without a `.env`."""
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
async def open_stage(home: Path, times: dict[str, str] = TIMES) -> AsyncIterator[Stage]:
    """Start the servers and the sandbox; end everything that was started when the block ends."""
    postgres = start_postgres(home)
    valkey = start_valkey(home)
    sandbox: subprocess.Popen[bytes] | None = None
    stage: Stage | None = None
    try:
        await create_roles(
            postgres.admin_url,
            migrator_password=password(postgres.migrator_url),
            app_password=password(postgres.app_url),
        )
        await create_database(postgres.admin_url)
        await migration.upgrade(postgres.migrator_url)
        port = free_port()
        environment = stage_environment(home, postgres, valkey, port) | TIMES | times
        sandbox = launch("sandbox", environment, home / "sandbox.log")
        async with aiohttp.ClientSession() as http, running(settings_from(environment)) as runtime:
            stage = Stage(
                home=home,
                postgres=postgres,
                valkey=valkey,
                environment=environment,
                sandbox_url=f"http://127.0.0.1:{port}",
                runtime=runtime,
                http=http,
            )
            await stage.until("the sandbox answers", lambda: answers(stage))
            yield stage
    finally:
        for process in [*(stage.workers if stage is not None else []), *([] if sandbox is None else [sandbox])]:
            if process.poll() is None:
                process.kill()
            process.wait(60)
        valkey.stop()
        postgres.stop()


async def answers(stage: Stage) -> bool:
    """Whether the sandbox takes requests."""
    try:
        return bool(await stage.summary())
    except aiohttp.ClientError:
        return False


def stage_environment(home: Path, postgres: PostgresServer, valkey: ValkeyServer, port: int) -> dict[str, str]:
    """Every setting of the stage, as variables: nothing of the developer's own environment plays along."""
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
    """The settings that those variables mean."""
    document: dict[str, Any] = {"_env_file": None}
    for name, value in environment.items():
        group, _, leaf = name.removeprefix("NUDGE_").lower().partition("__")
        if leaf:
            document.setdefault(group, {})[leaf] = value
        else:
            document[group] = value
    return Settings.model_validate(document)


@dataclass(frozen=True, kw_only=True)
class Show:
    """A campaign ready to be sent, and an address of its audience that must not be mailed."""

    actor: Actor
    campaign_id: UUID
    audience: int
    suppressed: str


async def rehearse(stage: Stage, *, recipients: int) -> Show:
    """An organisation with contacts and a prepared campaign in `sending`; one of them is suppressed since."""
    runtime = stage.runtime
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, recipients)
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        await lifecycle.move(uow, campaign_id, CampaignStatus.PREPARING, from_header=factories.FROM)
    assert await prepare(runtime.work, actor, campaign_id)
    unlucky = (
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
                organization_id=actor.organization_id, email_norm=unlucky, reason=SuppressionReason.COMPLAINT
            )
        )
    return Show(actor=actor, campaign_id=campaign_id, audience=recipients, suppressed=unlucky)


async def assert_exact(stage: Stage, show: Show) -> None:
    """The promise of sending: everybody terminal, the ledger free of duplicates and of the suppressed address."""
    found = await stage.statuses(show.actor, show.campaign_id)
    assert sum(found.values()) == show.audience
    assert set(found) <= {"accepted", "delivered", "bounced", "complained", "rejected", "skipped", "failed"}, found
    assert found.get("skipped") == 1
    assert await stage.status(show.actor, show.campaign_id) == CampaignStatus.SENT, found
    mailboxes = await stage.recipients()
    assert len(mailboxes) == len(set(mailboxes)) == show.audience - 1
    assert show.suppressed not in mailboxes
