"""Messages per second of one worker process, compared with a bare loop that does only the necessary work.

    python -m benchmarks.sending [recipients] [rounds]

Both send the same messages to a stub that responds at once, from a PostgreSQL with fsync on, under Row Level
Security. The bare loop reads recipients by keyset, renders and encodes the same JSON, posts it, and writes one UPDATE
per batch to a table with only a primary key. The engine writes its whole ledger: claims, leases, counters, events.
"""

import argparse
import asyncio
import io
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import cast
from uuid import UUID

import aiohttp
import orjson
import uvloop
from sqlalchemy import ARRAY, Text, Uuid, bindparam, column, func, insert, select, table, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.processes import ROOT, cpu_seconds
from core import migration
from core.access.actor import Actor, system_actor
from core.ids import new_id
from core.security import new_signing_key
from integrations.mail import BatchHeader, Message
from integrations.postmark.mailer import encode
from local.folder import free_port
from local.servers import (
    PostgresServer,
    ValkeyServer,
    create_database,
    create_roles,
    start_postgres,
    start_valkey,
)
from models.accounts import Organization
from models.campaigns import Campaign, CampaignRecipient, CampaignStats, CampaignStatus, RecipientKind
from models.contacts import Contact
from models.row_security import OF_ORGANIZATION
from runtime import Runtime, running
from services.campaigns.lifecycle import change_status
from services.campaigns.progress import read_progress
from services.deliveries.preparing import prepare
from services.deliveries.rendering import load_content, unsubscribe_url
from services.rendering.variables import contact_variables
from settings import load

BATCH = 500
SUBJECT = "{{ contact.firstName | default: 'Hello' }}, spring is here"
HTML = (
    "<!doctype html><html><body style='font-family:sans-serif'>"
    "<h1>Hello {{ contact.firstName | default: 'there' }}</h1>"
    + "<p>Our spring collection has arrived, and we kept a few pieces back for our regulars. Have a look before they "
    "are gone: light jackets, linen shirts, and the shoes you asked for.</p>"
    * 5
    + "<p>{% if contact.lastName %}Yours, dear {{ contact.lastName | upcase }}{% else %}Yours{% endif %}</p>"
    "<p><a href='https://shop.example/spring?c={{ contact.email | escape }}'>To the shop</a></p>"
    "<p><a href='{{ unsubscribeUrl }}'>Unsubscribe</a></p></body></html>"
)
WORKER = "import jobs; from settings import load; jobs.run_worker(load())"
BARE_TABLE = (
    "CREATE TABLE bench_done (organization_id uuid, id uuid, message_id text, PRIMARY KEY (organization_id, id)) "
    "WITH (fillfactor = 50)"
)
done = table("bench_done", column("organization_id", Uuid), column("id", Uuid), column("message_id", Text))


class Stub(asyncio.Protocol):
    """An HTTP server that accepts every batch, with a new id for each message."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare the buffer of a new connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = bytearray()
        self.missing = 0

    def data_received(self, data: bytes) -> None:
        """Collect a request and respond when it is complete."""
        self.buffer += data
        if not self.missing:
            head, separator, _ = bytes(self.buffer[:4096]).partition(b"\r\n\r\n")
            if not separator:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            self.missing = len(head) + 4 + length
        if len(self.buffer) >= self.missing:
            self.respond(self.buffer.count(b'"HtmlBody":'))
            self.buffer.clear()
            self.missing = 0

    def respond(self, count: int) -> None:
        """Accept the messages of a batch."""
        digits = os.urandom(16 * count).hex()
        items = ",".join(
            f'{{"To":"x","SubmittedAt":"2026-01-01T00:00:00.0000000Z","MessageID":"{digits[start : start + 32]}",'
            '"ErrorCode":0,"Message":"OK"}'
            for start in range(0, 32 * count, 32)
        )
        body = f"[{items}]".encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


async def serve_stub(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
    await server.serve_forever()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The runtime, account and processes that all rounds use."""

    runtime: Runtime
    actor: Actor
    recipients: int
    url: str
    worker: int


@asynccontextmanager
async def start_bench(recipients: int) -> AsyncIterator[Bench]:
    """Start servers, a stub and a worker process, and create an organization with contacts."""
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as home:
        postgres = start_postgres(Path(home), durable=True)
        valkey = start_valkey(Path(home))
        stub_port = free_port()
        stub = start("-m", "benchmarks.sending", "--stub", str(stub_port))
        try:
            environment = await environment_of(Path(home), postgres, valkey, stub_port)
            os.environ.update(environment)
            settings = load(_env_file=None)
            async with running(settings) as runtime:
                actor = await populate(runtime, recipients)
                worker = start("-c", WORKER)
                try:
                    await asyncio.sleep(2)
                    yield Bench(
                        runtime=runtime,
                        actor=actor,
                        recipients=recipients,
                        url=f"http://127.0.0.1:{stub_port}/email/batch",
                        worker=worker.pid,
                    )
                finally:
                    worker.terminate()
                    worker.wait(30)
        finally:
            stub.kill()
            stub.wait()
            valkey.stop()
            postgres.stop()


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a Python process."""
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT)  # noqa: S603 - our own code


async def environment_of(
    home: Path, postgres: PostgresServer, valkey: ValkeyServer, stub_port: int
) -> dict[str, str]:
    """Create roles and database; the environment of a process that uses them."""
    await create_roles(
        postgres.admin_url,
        migrator_password=make_url(postgres.migrator_url).password or "",
        app_password=make_url(postgres.app_url).password or "",
    )
    await create_database(postgres.admin_url)
    await migration.upgrade(postgres.migrator_url)
    await make_bare_table(postgres.migrator_url)
    return {
        "NUDGE_ENVIRONMENT": "test",
        "NUDGE_LOG_LEVEL": "WARNING",
        "NUDGE_HOME": str(home),
        "NUDGE_DATABASE__URL": postgres.app_url,
        "NUDGE_REDIS__URL": valkey.url,
        "NUDGE_AUTH__SIGNING_KEY": new_signing_key(),
        "NUDGE_SECURITY__SECRET_KEY": "x" * 32,
        "NUDGE_POSTMARK__BASE_URL": f"http://127.0.0.1:{stub_port}",
        "NUDGE_POSTMARK__SERVER_TOKEN": "bench",
        "NUDGE_POSTMARK__WEBHOOK_PASSWORD": "bench",
        "NUDGE_LLM__BASE_URL": "http://127.0.0.1:9",
        "NUDGE_LLM__API_KEY": "bench",
        **{name: value for name, value in os.environ.items() if name.startswith("NUDGE_SENDING__")},
    }


async def make_bare_table(url: str) -> None:
    """The bare loop's results: a primary key, the policy every tenant table has, and nothing else."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for statement in (
            BARE_TABLE,
            "ALTER TABLE bench_done ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE bench_done FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant ON bench_done TO nudge_app USING ({OF_ORGANIZATION})",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON bench_done TO nudge_app",
        ):
            await connection.execute(text(statement))
    await engine.dispose()


async def populate(runtime: Runtime, recipients: int) -> Actor:
    """Create an organization with contacts."""
    actor = system_actor(new_id())
    async with runtime.work.begin(actor) as uow:
        await uow.execute(insert(Organization).values(id=actor.organization_id, name="Shop", slug="shop"))
    for start in range(0, recipients, 10_000):
        rows = [
            {
                "id": new_id(),
                "organization_id": actor.organization_id,
                "email": f"person-{number}@example.com",
                "email_norm": f"person-{number}@example.com",
                "first_name": f"Ada {number}",
                "last_name": "Lovelace",
            }
            for number in range(start, min(start + 10_000, recipients))
        ]
        async with runtime.work.begin(actor) as uow:
            await uow.execute(insert(Contact), rows)
    return actor


async def draft(bench: Bench) -> UUID:
    """A campaign to all contacts."""
    campaign_id = new_id()
    organization_id = bench.actor.organization_id
    async with bench.runtime.work.begin(bench.actor) as uow:
        await uow.execute(
            insert(Campaign).values(
                id=campaign_id,
                organization_id=organization_id,
                name="Spring",
                subject=SUBJECT,
                html_content=HTML,
                from_header="a@shop.example",
            )
        )
        await uow.execute(insert(CampaignStats).values(organization_id=organization_id, campaign_id=campaign_id))
        await uow.execute(
            insert(CampaignRecipient).values(
                id=new_id(), organization_id=organization_id, campaign_id=campaign_id, kind=RecipientKind.ALL
            )
        )
    return campaign_id


async def bare(bench: Bench) -> float:
    """Messages per second of the bare loop."""
    campaign_id = await draft(bench)
    organization_id = bench.actor.organization_id
    content = await load_content(bench.runtime.reads(bench.actor.tenant), campaign_id, batch_size=BATCH)
    assert content is not None
    async with bench.runtime.work.begin(bench.actor) as uow:
        await uow.execute(text("DELETE FROM bench_done"))
        await uow.execute(
            text("INSERT INTO bench_done SELECT organization_id, id FROM contacts WHERE organization_id = :o"),
            {"o": organization_id},
        )
    query = (
        select(Contact.id, Contact.email, Contact.first_name, Contact.last_name)
        .where(Contact.organization_id == bindparam("o", type_=Uuid), Contact.id > bindparam("after", type_=Uuid))
        .order_by(Contact.id)
        .limit(BATCH)
    )
    sent_ids = (
        func.unnest(bindparam("ids", type_=ARRAY(Uuid)), bindparam("messages", type_=ARRAY(Text)))
        .table_valued(column("id", Uuid), column("message_id", Text))
        .render_derived(name="sent_ids")
    )
    write = (
        update(done)
        .where(done.c.organization_id == bindparam("o", type_=Uuid), done.c.id == sent_ids.c.id)
        .values(message_id=sent_ids.c.message_id)
    )
    started, after, sent = monotonic(), UUID(int=0), 0
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        while True:
            async with bench.runtime.work.begin(bench.actor) as uow:
                rows = await uow.rows(query, {"o": organization_id, "after": after})
            if not rows:
                return sent / (monotonic() - started)
            header = BatchHeader(sender=content.sender, campaign_id=str(campaign_id), batch_id=str(new_id()), tag="t")
            messages = []
            for row in rows:
                url = unsubscribe_url(
                    bench.runtime.settings.public_url, bench.runtime.unsubscribe_signer, content, row.id, row.id
                )
                contact = contact_variables(first_name=row.first_name, last_name=row.last_name, email=row.email)
                rendered = content.template.render(contact, {**content.variables, "unsubscribeUrl": url})
                messages.append(Message(str(row.id), row.email, rendered.subject, rendered.html, rendered.text, url))
            async with session.post(bench.url, data=io.BytesIO(encode(header, messages, "broadcast"))) as response:
                results = orjson.loads(await response.read())
            async with bench.runtime.work.begin(bench.actor) as uow:
                await uow.execute(
                    write,
                    {
                        "o": organization_id,
                        "ids": [row.id for row in rows],
                        "messages": [result["MessageID"] for result in results],
                    },
                )
            after, sent = rows[-1].id, sent + len(rows)


async def engine(bench: Bench) -> tuple[float, float]:
    """Messages per second of the worker process, and recipients per second of the preparation before it."""
    campaign_id = await draft(bench)
    async with bench.runtime.work.begin(bench.actor) as uow:
        await change_status(uow, campaign_id, CampaignStatus.PREPARING)
    started = monotonic()
    while not await prepare(bench.runtime.work, bench.actor, campaign_id):
        pass
    prepared, cpu = monotonic(), cpu_seconds(bench.worker)
    while True:
        await asyncio.sleep(0.1)
        row = await read_progress(bench.runtime.reads(bench.actor.tenant), campaign_id)
        assert row is not None
        assert not row.counts.rejected + row.counts.unknown + row.counts.failed, row
        if row.counts.accepted == bench.recipients:
            sent = bench.recipients / (monotonic() - prepared)
            print(f"  worker CPU {(cpu_seconds(bench.worker) - cpu) / bench.recipients * 1e6:.1f} µs a message")
            return sent, bench.recipients / (prepared - started)


async def main(recipients: int, rounds: int) -> None:
    """Run interleaved rounds, and print their medians."""
    bares, engines, prepares = [], [], []
    async with start_bench(recipients) as bench:
        for number in range(1, rounds + 1):
            bares.append(await bare(bench))
            sent, prepared = await engine(bench)
            engines.append(sent)
            prepares.append(prepared)
            print(f"round {number}: bare {bares[-1]:9,.0f}/s   engine {sent:9,.0f}/s   prepare {prepared:9,.0f}/s")
    ratio = statistics.median(e / b for e, b in zip(engines, bares, strict=True))
    print(f"{recipients:,} recipients, {rounds} rounds, medians")
    print(f"bare loop {statistics.median(bares):,.0f} messages/s")
    print(f"engine    {statistics.median(engines):,.0f} messages/s")
    print(f"ratio     {ratio:.2f} (goal: at least 0.60)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stub"]:
        uvloop.run(serve_stub(int(sys.argv[2])))
    else:
        parser = argparse.ArgumentParser(prog="python -m benchmarks.sending")
        parser.add_argument("recipients", type=int, nargs="?", default=100_000)
        parser.add_argument("rounds", type=int, nargs="?", default=3)
        arguments = parser.parse_args()
        uvloop.run(main(arguments.recipients, arguments.rounds))
