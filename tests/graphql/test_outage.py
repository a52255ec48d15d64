"""During an outage of PostgreSQL clients are asked to retry, and get no internals."""

import socket

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from structlog.testing import capture_logs

from core.database.errors import is_unavailable
from runtime import running
from tests import factories
from tests.client import ApiClient, ApiResponse
from tests.conftest import Servers
from tests.outages import relayed
from tests.serving import served

CAMPAIGNS = "{ campaigns { nodes { id } } }"


def asks_to_retry(reply: ApiResponse) -> bool:
    """Whether a response is the one for an outage."""
    (error,) = reply.body["errors"]
    extensions = error["extensions"]
    response = (reply.status, reply.headers["retry-after"], extensions["code"], extensions["retryAfter"])
    masked = "try again" in error["message"] and "127.0.0.1" not in str(reply.body)
    return response == (503, "5", "INTERNAL", 5) and masked


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
async def test_clients_are_asked_to_retry(servers: Servers, accept: str) -> None:
    """503 with Retry-After, for a cached caller and for one to read; 200 as soon as the database is back."""
    async with relayed(servers) as (relay, settings), running(settings) as runtime, served(runtime) as server:
        actor = await factories.organization(runtime)
        cached = ApiClient(server.url, factories.token(runtime, actor))
        uncached = ApiClient(server.url, factories.token(runtime, await factories.organization(runtime)))
        assert (await cached.send(CAMPAIGNS, accept=accept)).data == {"campaigns": {"nodes": []}}
        relay.disconnect()
        with capture_logs() as logged:
            replies = [await caller.send(CAMPAIGNS, accept=accept) for caller in (cached, uncached)]
            partly = await cached.send("{ __typename viewer { id } }", accept=accept)
        assert all(asks_to_retry(reply) for reply in replies)
        assert (partly.status, partly.codes, partly.body["data"]["__typename"]) == (200, ["INTERNAL"], "Query")
        assert {line["log_level"] for line in logged} == {"warning"}
        await relay.open()
        assert (await uncached.send(CAMPAIGNS, accept=accept)).data == {"campaigns": {"nodes": []}}


def database_error(error: asyncpg.PostgresError, *, invalidated: bool = False) -> DBAPIError:
    """PostgreSQL's error as SQLAlchemy passes it on."""
    return DBAPIError("SELECT 1", {}, error, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(111, "refused"), True),
        (OSError("Multiple exceptions: refused, refused"), True),
        (socket.gaierror(-2, "Name or service not known"), True),
        (TimeoutError(), True),
        (PoolTimeout(), True),
        (asyncpg.CannotConnectNowError("starting up"), True),
        (asyncpg.TooManyConnectionsError("too many"), True),
        (database_error(asyncpg.InternalServerError("gone"), invalidated=True), True),
        (database_error(asyncpg.AdminShutdownError("shutting down")), True),
        (database_error(asyncpg.QueryCanceledError("took too long")), False),
        (database_error(asyncpg.UndefinedTableError("no such table")), False),
        (FileNotFoundError(2, "No such file", "letter.html"), False),
        (ValueError("anything else"), False),
    ],
)
async def test_which_errors_mean_an_outage(error: BaseException, expected: bool) -> None:
    """Errors of the network and of a stopped server do; errors of a statement and bugs do not."""
    assert is_unavailable(error) is expected
