"""`contacts(first: 50)` over HTTP: one API process beside a bare Starlette route with the same SQL, interleaved.

Run with `python -m benchmarks.contacts_query` from the project's folder. It starts PostgreSQL, Valkey and both
servers itself, on loopback, and takes about a minute. Meant for two cores: one server at a time works, the load and
PostgreSQL share the other core.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import asyncpg
import orjson
import uvicorn
import uvloop
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.engine import make_url
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

import cli
from app import Server, build
from core import migration
from core.db import seated
from core.ids import decode_global_id, encode_global_id
from local.servers import create_database, create_roles, start_postgres, start_valkey
from services import pages
from services.contacts import CREATED_AT, ContactRow
from services.contacts.reading import select_contacts

CONTACTS = 10_000
CONNECTIONS = 32
ROUNDS = 5
SECONDS = 4.0
WARM_UP_SECONDS = 2.0
SIZE = 50
NEWEST = replace(CREATED_AT, descending=True)
QUERY = """{ contacts(first: 50) {
  edges { cursor node { id email firstName lastName status createdAt subscribedAt } }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
} }"""
SIGN_UP = """mutation { signUp(input: {organizationName: "Bench", email: "bench@nudge.example",
  password: "only-for-this-benchmark", fullName: "Bench"}) { accessToken viewer { organization { id } } } }"""
UPSERT = "mutation ($rows: [UpsertContactInput!]!) { upsertContacts(input: {contacts: $rows}) { created } }"


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load: what to send, and the process whose CPU time it costs."""

    name: str
    port: int
    request: bytes
    pid: int


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of load saw."""

    per_second: float
    cpu_microseconds: float
    p50_ms: float
    p95_ms: float


def bare_application(url: str, organization_id: str) -> Starlette:
    """The least that answers the query: the SQL of the API, rows to dicts, orjson."""
    statement = seated(pages.paged(select_contacts(), NEWEST, pages.requested(first=SIZE)))
    compiled = statement.compile(dialect=dialect())  # type: ignore[no-untyped-call]
    tenant = {"tenant_organization": organization_id, "tenant_user": "", "tenant_role": "owner"}
    named = {**compiled.params, **tenant}
    sql, arguments = str(compiled), [named[name] for name in compiled.positiontup or ()]
    pool: asyncpg.Pool[asyncpg.Record] | None = None

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        nonlocal pool
        async with asyncpg.create_pool(url, min_size=10, max_size=10, server_settings={"jit": "off"}) as pool:
            yield

    async def answer(_: HttpRequest) -> Response:
        assert pool is not None
        rows = [ContactRow._make(row) for row in await pool.fetch(sql, *arguments)]
        page = pages.page_of(rows, NEWEST, pages.requested(first=SIZE), lambda row: row.id)
        edges = [{"cursor": c, "node": shown(row)} for c, row in zip(page.cursors, page.rows, strict=True)]
        info = {
            "hasNextPage": page.has_next,
            "hasPreviousPage": page.has_previous,
            "startCursor": page.cursors[0],
            "endCursor": page.cursors[-1],
        }
        body = orjson.dumps({"data": {"contacts": {"edges": edges, "pageInfo": info}}})
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/contacts", answer)], lifespan=lifespan)


def shown(row: ContactRow) -> dict[str, object]:
    """A contact's seven fields."""
    return {
        "id": encode_global_id("Contact", row.id),
        "email": row.email,
        "firstName": row.first_name,
        "lastName": row.last_name,
        "status": row.status.upper(),
        "createdAt": row.created_at,
        "subscribedAt": row.subscribed_at,
    }


@contextmanager
def process(arguments: list[str], environment: dict[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that takes connections; ended at the end."""
    started = subprocess.Popen([sys.executable, "-m", *arguments], env={**os.environ, **environment})  # noqa: S603 - our own modules
    try:
        deadline = time.monotonic() + 30
        while not takes_connections(port):
            if started.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{arguments} did not start")
            time.sleep(0.05)
        yield started
    finally:
        started.terminate()
        started.wait(15)


def takes_connections(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def execute(port: int, query: str, variables: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    """The data of a GraphQL operation."""
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    body = orjson.dumps({"query": query, "variables": variables})
    request = Request(f"http://127.0.0.1:{port}/graphql", body, headers)
    with urlopen(request, timeout=30) as response:  # noqa: S310 - loopback
        answer: dict[str, Any] = orjson.loads(response.read())
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def fill(port: int) -> tuple[str, str]:
    """Sign up, and upsert 10,000 contacts, a thousand a call; the token and the organisation's id."""
    account = execute(port, SIGN_UP, {})["signUp"]
    started = time.perf_counter()
    for start in range(0, CONTACTS, 1_000):
        rows = [
            {"email": f"person{n}@example.com", "firstName": f"First{n % 977}", "lastName": f"Last{n % 1_999}"}
            for n in range(start, start + 1_000)
        ]
        done = execute(port, UPSERT, {"rows": rows}, account["accessToken"])
        assert done["upsertContacts"]["created"] == 1_000
    print(
        f"upsertContacts, 1,000 new rows a call: {(time.perf_counter() - started) / CONTACTS * 1e6:.0f} ms a call\n"
    )
    found = decode_global_id(account["viewer"]["organization"]["id"])
    assert found is not None
    return account["accessToken"], str(found[1])


def http_request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A keep-alive request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def one_client(target: Target, until: float, times: list[float]) -> None:
    """Send the request again and again over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        while (started := time.perf_counter()) < until:
            writer.write(target.request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            assert body.count(b'"cursor"') == SIZE
            times.append(time.perf_counter() - started)
    finally:
        writer.close()


async def load(target: Target, seconds: float) -> Round:
    """32 clients at once for some seconds."""
    times: list[float] = []
    cpu = cpu_seconds(target.pid)
    started = time.perf_counter()
    await asyncio.gather(*(one_client(target, started + seconds, times) for _ in range(CONNECTIONS)))
    took = time.perf_counter() - started
    cuts = statistics.quantiles(times, n=20)
    return Round(
        per_second=len(times) / took,
        cpu_microseconds=(cpu_seconds(target.pid) - cpu) / len(times) * 1e6,
        p50_ms=statistics.median(times) * 1000,
        p95_ms=cuts[18] * 1000,
    )


def cpu_seconds(pid: int) -> float:
    """CPU time a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def compare(targets: list[Target]) -> dict[str, Round]:
    """Medians of interleaved rounds."""
    for target in targets:
        await load(target, WARM_UP_SECONDS)
    rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
    for _ in range(ROUNDS):
        for target in targets:
            rounds[target.name].append(await load(target, SECONDS))
    return {name: median(seen) for name, seen in rounds.items()}


def median(rounds: list[Round]) -> Round:
    """The median of each figure."""
    names = Round.__slots__
    return Round(*(statistics.median(getattr(each, name) for each in rounds) for name in names))


def report(results: dict[str, Round]) -> None:
    """A Markdown table, with ratios to the bare route."""
    bare = results["bare Starlette route"]
    print("| server | req/s | of bare | CPU µs a request | times bare | p50 ms | p95 ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, seen in results.items():
        print(
            f"| {name} | {seen.per_second:,.0f} | {seen.per_second / bare.per_second:.2f} "
            f"| {seen.cpu_microseconds:,.0f} | {seen.cpu_microseconds / bare.cpu_microseconds:.1f} "
            f"| {seen.p50_ms:.1f} | {seen.p95_ms:.1f} |"
        )


async def prepare(admin_url: str, migrator_url: str, app_url: str) -> None:
    """Roles, database, tables."""
    await create_roles(
        admin_url,
        migrator_password=make_url(migrator_url).password or "",
        app_password=make_url(app_url).password or "",
    )
    await create_database(admin_url)
    await migration.upgrade(migrator_url)


def main() -> None:
    """Run everything, print the table."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)  # PostgreSQL runs as another user when we are root
        postgres, valkey = start_postgres(home, durable=False), start_valkey(home)
        try:
            asyncio.run(prepare(postgres.admin_url, postgres.migrator_url, postgres.app_url))
            api_port, bare_port = free_port(), free_port()
            environment = {
                "NUDGE_HOME": str(home),
                "NUDGE_DATABASE__URL": postgres.app_url,
                "NUDGE_DATABASE__MIGRATOR_URL": postgres.migrator_url,
                "NUDGE_REDIS__URL": valkey.url,
                "NUDGE_API__PORT": str(api_port),
            }
            with process(["benchmarks.contacts_query", "api"], environment, api_port) as api:
                token, organization_id = fill(api_port)
                bare_url = postgres.app_url.replace("+asyncpg", "")
                bare_arguments = ["benchmarks.contacts_query", "bare", bare_url, organization_id, str(bare_port)]
                with process(bare_arguments, {}, bare_port) as bare:
                    asyncio.run(postgres_analyzed(postgres.migrator_url))
                    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
                    body = orjson.dumps({"query": QUERY})
                    targets = [
                        Target("API", api_port, http_request("POST", "/graphql", headers, body), api.pid),
                        Target("bare Starlette route", bare_port, http_request("GET", "/contacts", {}), bare.pid),
                    ]
                    report(uvloop.run(compare(targets)))
        finally:
            valkey.stop()
            postgres.stop()


async def postgres_analyzed(url: str) -> None:
    """What autovacuum would have done by now."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute("VACUUM ANALYZE contacts")
    await connection.close()


def serve_api() -> None:
    """The API as a process of its own, as `nudge api` runs it."""
    uvloop.run(Server(build(cli.settings())).serve())


def serve_bare(url: str, organization_id: str, port: str) -> None:
    """The bare route as a process of its own, on the same uvicorn."""
    uvicorn.run(bare_application(url, organization_id), port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["api"]:
            serve_api()
        case ["bare", url, organization_id, port]:
            serve_bare(url, organization_id, port)
