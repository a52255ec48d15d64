"""Prepared statements run directly through asyncpg and through SQLAlchemy: CPU time and latency.

Run with `python -m benchmarks.reads` from the project's folder. It starts PostgreSQL and Valkey itself, on loopback,
and takes half a minute. CPU time is that of this process, without PostgreSQL's.
"""

import argparse
import asyncio
import gc
import secrets
import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from sqlalchemy import Select, bindparam, insert

from benchmarks.environment import prepare
from core.access.actor import system_actor
from core.access.permissions import Role
from core.access.tenant import Tenant
from core.configuration import Environment
from core.database.prepared import prepare as prepare_select
from core.database.scopes import ReadScope
from core.database.tenant import with_tenant
from core.ids import new_id
from core.listing.pages import page_parameters, page_request
from core.security import new_signing_key
from local.servers import start_postgres, start_valkey
from models.accounts import Organization
from models.contacts import Contact
from runtime import Runtime, running, secret
from services.contacts.listing import CONTACTS
from settings import Settings

ROUNDS = 3
SECONDS = 1.5
CLIENTS = (1, 32, 128)
NOWHERE = "http://127.0.0.1:9"
PAGE = page_request(first=50)
Read = tuple[Select[*tuple[Any, ...]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ReadRound:
    """The results of a round: CPU microseconds per read, and latencies in milliseconds."""

    cpu: float
    p50: float
    p95: float


async def measured(runtime: Runtime, tenant: Tenant, read: Read, *, clients: int, direct: bool) -> ReadRound:
    """Let concurrent clients repeat the read for some time."""
    times: list[float] = []
    until = time.perf_counter() + SECONDS

    async def client() -> None:
        while (started := time.perf_counter()) < until:
            await (direct_read if direct else sqlalchemy_read)(runtime.reads(tenant), read)
            times.append(time.perf_counter() - started)

    cpu = time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    cuts = statistics.quantiles(times, n=20)
    return ReadRound((time.process_time() - cpu) / len(times) * 1e6, cuts[9] * 1000, cuts[18] * 1000)


async def direct_read(scope: ReadScope, read: Read) -> None:
    """Read as the product does: a prepared statement through our pool."""
    await scope.rows(*read)


async def sqlalchemy_read(scope: ReadScope, read: Read) -> None:
    """Run the same statement through SQLAlchemy, with its caches and its pool."""
    async with scope.engine.connect() as connection:
        (await connection.execute(with_tenant_once(read[0]), {**read[1], **scope.tenant.parameters})).all()


@cache
def with_tenant_once(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """The statement with the tenant's settings; always the same object, so that SQLAlchemy's caches apply."""
    return with_tenant(statement)


async def compare(settings: Settings) -> None:
    """Print a Markdown table of medians of interleaved rounds."""
    async with running(settings) as runtime:
        tenant = Tenant(organization_id=new_id(), role=Role.OWNER)
        contact_id = new_id()
        async with runtime.work.begin(system_actor(tenant.organization_id)) as uow:
            await uow.execute(insert(Organization).values(id=tenant.organization_id, name="Bench", slug="bench"))
            rows = [contact(tenant, number, contact_id if number == 0 else None) for number in range(1_000)]
            await uow.execute(insert(Contact), rows)
        owner = await asyncpg.connect(secret(settings.database.migrator_url).replace("+asyncpg", ""))
        await owner.execute("VACUUM ANALYZE contacts")  # what autovacuum would have done by now
        await owner.close()
        reads: dict[str, Read] = {
            "one contact": (
                prepare_select(CONTACTS.select.where(Contact.id == bindparam("contact_id"))),
                {"contact_id": contact_id},
            ),
            "50 contacts": (CONTACTS.page_statement(CONTACTS.order, PAGE), page_parameters(CONTACTS.order, PAGE)),
        }
        gc.collect()
        gc.freeze()  # as the application does
        print("| read | clients | way | CPU µs | p50 ms | p95 ms | p95/p50 |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name, read in reads.items():
            for clients in CLIENTS:
                rounds: dict[bool, list[ReadRound]] = {False: [], True: []}
                for _ in range(ROUNDS):
                    for direct, measurements in rounds.items():
                        measurements.append(await measured(runtime, tenant, read, clients=clients, direct=direct))
                for direct, measurements in rounds.items():
                    report(f"| {name} | {clients} | {'asyncpg' if direct else 'SQLAlchemy'} ", measurements)


def report(start: str, rounds: list[ReadRound]) -> None:
    """Print a line of the table."""
    cpu, p50, p95 = (statistics.median(getattr(each, key) for each in rounds) for key in ReadRound.__slots__)
    print(f"{start}| {cpu:.0f} | {p50:.2f} | {p95:.2f} | {p95 / p50:.1f} |")


def contact(tenant: Tenant, number: int, identifier: object = None) -> dict[str, object]:
    """The values of a contact's row."""
    email = f"person{number}@example.com"
    return {
        "id": identifier or new_id(),
        "organization_id": tenant.organization_id,
        "email": email,
        "email_norm": email,
        "first_name": f"First{number}",
        "last_name": f"Last{number}",
    }


def main() -> None:
    """Start the servers, measure, stop them."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)  # PostgreSQL runs as another user when we are root
        postgres, valkey = start_postgres(home, durable=False), start_valkey(home)
        try:
            asyncio.run(prepare(postgres))
            settings = Settings.model_validate(
                {
                    "_env_file": None,
                    "environment": Environment.TEST,
                    "home": home,
                    "database": {"url": postgres.app_url, "migrator_url": postgres.migrator_url},
                    "redis": {"url": valkey.url},
                    "auth": {"signing_key": new_signing_key()},
                    "security": {"secret_key": secrets.token_hex(32)},
                    "postmark": {
                        "base_url": "http://127.0.0.1:9",
                        "server_token": "none",
                        "webhook_password": secrets.token_hex(16),
                    },
                    "llm": {"base_url": "http://127.0.0.1:9", "api_key": "none"},
                }
            )
            uvloop.run(compare(settings))
        finally:
            valkey.stop()
            postgres.stop()


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m benchmarks.reads", description="It prints its results.").parse_args()
    main()
