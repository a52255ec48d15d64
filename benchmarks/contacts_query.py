"""`contacts(first: 50)` over HTTP: one API process compared with a bare Starlette route that runs the same SQL.

Run with `python -m benchmarks.contacts_query` from the project's folder. It starts PostgreSQL, Valkey and both
servers itself, on loopback, and takes about a minute. It is meant for two cores: one server works at a time, the load
and PostgreSQL share the other core.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import orjson
import uvicorn
import uvloop
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.environment import add_contacts, start_api, start_environment
from benchmarks.graphql.cases import OURS, SIZE
from benchmarks.load import LoadRound, Target, http_request, load, median
from benchmarks.processes import LOAD_CORE, serving
from benchmarks.tables import markdown
from core.database.tenant import with_tenant
from core.ids import encode_global_id
from core.listing.pages import page_of, page_parameters, page_request, paged
from local.folder import free_port
from services.contacts.listing import CONTACTS as LISTING
from services.contacts.listing import ContactRow

CONTACTS = 10_000
CONNECTIONS = 32
ROUNDS = 5
SECONDS = 4.0
WARM_UP_SECONDS = 2.0
NEWEST = LISTING.order
BARE = "bare Starlette route"


def bare_application(url: str, organization_id: str) -> Starlette:
    """The minimal code for the same response: the SQL of the API, rows to dicts, orjson."""
    request = page_request(first=SIZE)
    statement = with_tenant(paged(LISTING.select, NEWEST, request))
    compiled = statement.compile(dialect=dialect())  # type: ignore[no-untyped-call]
    tenant = {"tenant_organization": organization_id, "tenant_user": "", "tenant_role": "owner"}
    parameters = {**compiled.params, **page_parameters(NEWEST, request), **tenant}
    sql, arguments = str(compiled), [parameters[name] for name in compiled.positiontup or ()]
    pool: asyncpg.Pool[asyncpg.Record] | None = None

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        nonlocal pool
        async with asyncpg.create_pool(url, min_size=10, max_size=10, server_settings={"jit": "off"}) as pool:
            yield

    async def respond(_: HttpRequest) -> Response:
        assert pool is not None
        rows = [ContactRow._make(row) for row in await pool.fetch(sql, *arguments)]
        page = page_of(rows, NEWEST, request)
        cursors = page.cursors
        edges = [{"cursor": c, "node": contact_fields(row)} for c, row in zip(cursors, page.rows, strict=True)]
        info = {
            "hasNextPage": page.has_next,
            "hasPreviousPage": page.has_previous,
            "startCursor": cursors[0],
            "endCursor": cursors[-1],
        }
        body = orjson.dumps({"data": {"contacts": {"edges": edges, "pageInfo": info}}})
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/graphql", respond, methods=["POST"])], lifespan=lifespan)


def contact_fields(row: ContactRow) -> dict[str, object]:
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


async def compare(targets: list[Target]) -> dict[str, LoadRound]:
    """The medians of interleaved rounds, by server."""
    for target in targets:
        await load(target, CONNECTIONS, WARM_UP_SECONDS)
    rounds: dict[str, list[LoadRound]] = {target.name: [] for target in targets}
    for _ in range(ROUNDS):
        for target in targets:
            rounds[target.name].append(await load(target, CONNECTIONS, SECONDS))
    return {name: median(each) for name, each in rounds.items()}


def report(results: dict[str, LoadRound]) -> str:
    """A Markdown table, with ratios to the bare route."""
    bare = results[BARE]
    return markdown(
        ("server", "req/s", "of bare", "CPU µs a request", "times bare", "p50 ms", "p95 ms"),
        [
            (
                name,
                f"{result.per_second:,.0f}",
                f"{result.per_second / bare.per_second:.2f}",
                f"{result.cpu_microseconds:,.0f}",
                f"{result.cpu_microseconds / bare.cpu_microseconds:.1f}",
                f"{result.p50_ms:.1f}",
                f"{result.p95_ms:.1f}",
            )
            for name, result in results.items()
        ],
    )


def main() -> None:
    """Start the servers, run the rounds, print a table."""
    with start_environment() as env, start_api(env) as ours:
        add_contacts(ours, CONTACTS)
        asyncio.run(env.admin("VACUUM ANALYZE contacts"))  # what autovacuum would have done by now
        port = free_port()
        argv = [
            sys.executable,
            "-m",
            "benchmarks.contacts_query",
            env.driver_url,
            str(ours.organization_id),
            str(port),
        ]
        with serving(BARE, argv, {}, port, log=env.log_path("bare")) as bare:
            headers = {"content-type": "application/json", "authorization": f"Bearer {ours.token}"}
            request = http_request("/graphql", headers, orjson.dumps({"query": OURS.list}))
            targets = [
                Target(name="API", port=ours.port, pid=ours.pid, request=request),
                Target(name=BARE, port=port, pid=bare, request=request),
            ]
            os.sched_setaffinity(0, {LOAD_CORE})
            print(report(uvloop.run(compare(targets))))


def serve_bare(url: str, organization_id: str, port: str) -> None:
    """Serve the bare route with the same uvicorn."""
    uvicorn.run(bare_application(url, organization_id), port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case [url, organization_id, port]:
            serve_bare(url, organization_id, port)
        case _:
            sys.exit("usage: python -m benchmarks.contacts_query (it takes no arguments, and prints its results)")
