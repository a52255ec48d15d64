"""The websocket: accepted messages, and reasons for closing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport
from structlog.testing import capture_logs

from core.access.actor import Actor, user_actor
from core.access.permissions import Role
from core.ids import new_id
from runtime import Runtime
from tests import factories
from tests.graphql.probe import probe_schema, with_settings
from tests.graphql.sockets import PROTOCOL, Socket, connected, settles
from tests.serving import Served, served
from tests.waiting import WAIT_SECONDS

PATIENT = {
    "ping_seconds": 3600,
    "recheck_seconds": 3600,
    "init_timeout_seconds": WAIT_SECONDS,
    "send_timeout_seconds": WAIT_SECONDS,
}


@asynccontextmanager
async def strict(runtime: Runtime, **quick: float) -> AsyncIterator[Served]:
    """A server whose limits named here apply within a fraction of a second, and no others."""
    async with served(with_settings(runtime, realtime=PATIENT | quick), probe_schema) as server:
        yield server


async def member(runtime: Runtime, role: Role = Role.OWNER) -> tuple[Actor, str]:
    """A member of a new organization, and an access token."""
    actor = await factories.organization(runtime, role=role)
    return actor, factories.token(runtime, actor)


def empty(server: Served) -> bool:
    """Whether the server has no connection and no operation."""
    endpoint = server.application.endpoint
    assert endpoint is not None
    statistics = endpoint.connections.statistics()
    return (statistics.open, statistics.authenticated, statistics.operations) == (0, 0, 0)


async def test_gql_subscribes_queries_and_mutates(probe_server: Served, runtime: Runtime) -> None:
    """The Python client's official transport gets every event, and the stream completes."""
    _, token = await member(runtime)
    transport = WebsocketsTransport(
        url=probe_server.websocket_url,
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        init_payload={"authorization": f"Bearer {token}"},
    )
    async with Client(transport=transport) as session:
        events = [event["count"] async for event in session.subscribe(gql("subscription { count(to: 5) }"))]
        viewer = (await session.execute(gql("{ viewer { role } }")))["viewer"]
        payload = (await session.execute(gql("mutation { logOut(input: {}) { ended } }")))["logOut"]
    assert events == [0, 1, 2, 3, 4]
    assert (viewer, payload) == ({"role": "OWNER"}, {"ended": True})
    await settles(lambda: empty(probe_server))


@pytest.mark.parametrize("protocol", [None, "graphql-ws"])
async def test_only_graphql_transport_ws_is_served(probe_server: Served, protocol: str | None) -> None:
    """A client without it, or with the legacy one, is closed with 4406."""
    async with connected(probe_server, protocol=protocol) as socket:
        assert (await socket.closed())[0] == 4406


async def test_connection_init_times_out(runtime: Runtime) -> None:
    """A silent client is closed with 4408."""
    async with strict(runtime, init_timeout_seconds=0.2) as server, connected(server) as socket:
        assert (await socket.closed())[0] == 4408


@pytest.mark.parametrize(("token", "code"), [(None, 4401), ("nonsense", 4401), ("a.b.c", 4401)])
async def test_connection_init_needs_a_valid_token(probe_server: Served, token: str | None, code: int) -> None:
    """Without a token, or with an invalid one, it is 4401 with a reason."""
    async with connected(probe_server) as socket:
        await socket.init(token)
        close_code, reason = await socket.closed()
        assert close_code == code
        assert "access token" in reason
    await settles(lambda: empty(probe_server))


@pytest.mark.parametrize("authorization", [None, "", 42, ["Bearer x"], {}])
async def test_the_token_must_be_a_string(probe_server: Served, authorization: object) -> None:
    """Anything else is 4401, with a reason that contains an example."""
    async with connected(probe_server) as socket:
        await socket.send({"type": "connection_init", "payload": {"authorization": authorization}})
        code, reason = await socket.closed()
        assert code == 4401
        assert "Bearer <access token>" in reason


async def test_operations_need_the_acknowledgement(probe_server: Served) -> None:
    """A subscribe before connection_init is closed with 4401."""
    async with connected(probe_server) as socket:
        await socket.subscribe("{ __typename }")
        assert (await socket.closed())[0] == 4401


@pytest.mark.parametrize(
    "message",
    [
        [],
        1,
        {},
        {"type": 1},
        {"type": "start"},
        {"type": "subscribe"},
        {"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}},
        {"type": "subscribe", "id": "1", "payload": []},
        {"type": "complete"},
    ],
)
async def test_invalid_messages(probe_server: Served, runtime: Runtime, message: object) -> None:
    """Each closes the connection with 4400."""
    _, token = await member(runtime)
    async with connected(probe_server) as socket:
        await socket.ready(token)
        await socket.send(message)
        assert (await socket.closed())[0] == 4400


async def test_frames_that_are_not_json_text(probe_server: Served, runtime: Runtime) -> None:
    """Binary frames and invalid JSON are closed with 4400, too long messages with 1009."""
    _, token = await member(runtime)
    for send, code in (("send_bytes", 4400), ("send_str", 4400)):
        async with connected(probe_server) as socket:
            await socket.ready(token)
            await getattr(socket.raw, send)(b"{}" if send == "send_bytes" else "{")
            assert (await socket.closed())[0] == code
    async with connected(probe_server) as socket:
        await socket.ready(token)
        await socket.raw.send_str('"' + "x" * 70_000 + '"')
        assert (await socket.closed())[0] == 1009


async def test_duplicate_ids_and_inits(probe_server: Served, runtime: Runtime) -> None:
    """A running operation's id again is 4409, a second connection_init 4429."""
    _, token = await member(runtime)
    async with connected(probe_server) as socket:
        await socket.ready(token)
        for _ in range(2):
            await socket.subscribe("subscription { count(to: 100, pause: 1) }")
        assert (await socket.closed())[0] == 4409
    async with connected(probe_server) as socket:
        await socket.ready(token)
        await socket.init(token)
        assert (await socket.closed())[0] == 4429


@pytest.mark.parametrize("identifier", ["i" * 500, "ü" * 100, "😀" * 40])
async def test_a_reason_fits_into_its_frame(probe_server: Served, runtime: Runtime, identifier: str) -> None:
    """A long reason is truncated: a close frame has 123 bytes for it (RFC 6455, 5.5.1)."""
    _, token = await member(runtime)
    async with connected(probe_server) as socket:
        await socket.ready(token)
        for _ in range(2):
            await socket.subscribe("subscription { count(to: 100, pause: 1) }", identifier)
        code, reason = await socket.closed()
    assert code == 4409
    assert reason.startswith(f"Subscriber for {identifier[:20]}")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "BAD_USER_INPUT"),
        ("{ nothing }", "BAD_USER_INPUT"),
        ("query ($id: ID!) { node(id: $id) { id } }", "BAD_USER_INPUT"),
        ("{ viewer " + "{ organization " * 20 + "{ id }" + "}" * 21, "BAD_USER_INPUT"),
        ("{ leaves(first: 9999) { nodes { number } } }", "COST_EXCEEDED"),
        ("subscription { secrets }", "FORBIDDEN"),
    ],
)
async def test_operations_have_the_same_limits_as_over_http(
    probe_server: Served, runtime: Runtime, query: str, code: str
) -> None:
    """A refused operation gets an error message; the connection stays open for others."""
    _, token = await member(runtime, Role.EDITOR)
    async with connected(probe_server) as socket:
        await socket.ready(token)
        await socket.subscribe(query)
        message = await socket.next()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        await socket.subscribe("{ __typename }")
        assert (await socket.next())["payload"]["data"] == {"__typename": "Query"}


async def test_a_stream_that_fails_is_masked(probe_server: Served, runtime: Runtime) -> None:
    """The client gets a request id, the log the cause."""
    _, token = await member(runtime)
    with capture_logs() as logged:
        async with connected(probe_server) as socket:
            await socket.ready(token)
            await socket.subscribe("subscription { fails }")
            messages = [await socket.next(), await socket.next()]
    assert messages[0]["payload"]["data"] == {"fails": 1}
    assert messages[1]["type"] == "error"
    (error,) = messages[1]["payload"]
    assert (error["extensions"]["code"], "vault" in str(messages)) == ("INTERNAL", False)
    (line,) = [line for line in logged if line["log_level"] == "error"]
    assert (line["request_id"], "vault" in str(line["exc_info"])) == (error["extensions"]["requestId"], True)


async def test_complete_stops_an_operation(probe_server: Served, runtime: Runtime) -> None:
    """After the client's `complete` the stream is released immediately, and its id can be reused."""
    _, token = await member(runtime)
    endpoint = probe_server.application.endpoint
    assert endpoint is not None
    async with connected(probe_server) as socket:
        await socket.ready(token)
        await socket.subscribe("subscription { watched }")
        assert (await socket.next())["payload"]["data"] == {"watched": 1}
        assert endpoint.connections.statistics().operations == 1
        await socket.send({"type": "complete", "id": "1"})
        await settles(lambda: endpoint.connections.statistics().operations == 0)
        await socket.subscribe("{ __typename }")
        assert (await socket.next())["type"] == "next"


async def test_pings_and_pongs(runtime: Runtime) -> None:
    """The server answers pings; a client that misses two pongs is closed, one that replies stays connected."""
    _, token = await member(runtime)
    async with strict(runtime, ping_seconds=0.1) as server:
        async with connected(server) as socket:
            await socket.ready(token)
            await socket.send({"type": "ping"})
            while (message := await socket.next()) != {"type": "pong"}:
                assert message == {"type": "ping"}
                await socket.send({"type": "pong"})
            for _ in range(6):
                assert await socket.next() == {"type": "ping"}
                await socket.send({"type": "pong"})
            code, reason = await socket.closed()
            assert (code, reason) == (4499, "No pong")
        await settles(lambda: empty(server))


async def short_lived(runtime: Runtime, seconds: int) -> str:
    """The token of a new caller, which expires after so many seconds."""
    actor = await factories.organization(runtime)
    lifetime = runtime.tokens.lifetime_seconds
    runtime.tokens.lifetime_seconds = seconds
    try:
        return factories.token(runtime, actor)
    finally:
        runtime.tokens.lifetime_seconds = lifetime


@asynccontextmanager
async def expiring(runtime: Runtime, server: Served) -> AsyncIterator[Socket]:
    """An authenticated connection whose token expires soon; on a busy machine it tries longer-lived ones."""
    for seconds in (2, 20):
        async with connected(server) as socket:
            await socket.init(await short_lived(runtime, seconds))
            if (await socket.raw.receive(WAIT_SECONDS)).type is aiohttp.WSMsgType.TEXT:
                yield socket
                return
    raise AssertionError("no socket is acknowledged while its token lasts")


async def test_unauthenticated_sockets_are_limited(runtime: Runtime) -> None:
    """Silent connections take no more places than the limit; connections that authenticate free theirs."""
    limits = {"unauthenticated": 2, "init_timeout_seconds": 3600}
    _, token = await member(runtime)
    async with served(with_settings(runtime, realtime=limits), probe_schema) as server:
        async with connected(server), connected(server) as second, connected(server) as third:
            assert (await third.closed())[0] == 1013
            await second.ready(token)
            async with connected(server) as fourth:
                await fourth.ready(token)
        await settles(lambda: empty(server))


async def test_limits_of_sockets_and_operations(runtime: Runtime) -> None:
    """Too many operations on a connection give an error message, too many connections close code 4429."""
    caps = {"per_socket": 2, "per_user": 2, "per_organization": 3}
    actor, token = await member(runtime)
    colleagues = []
    for _ in range(2):
        colleague = user_actor(actor.organization_id, new_id(), Role.EDITOR)
        await factories.member(runtime, colleague)
        colleagues.append(factories.token(runtime, colleague))
    async with served(with_settings(runtime, realtime=caps), probe_schema) as server:
        async with connected(server) as one, connected(server) as two, connected(server) as three:
            await one.ready(token)
            await two.ready(token)
            await three.init(token)
            assert await three.closed() == (4429, "Too many connections: a user or key may have 2")
            async with connected(server) as four, connected(server) as five:
                await four.ready(colleagues[0])
                await five.init(colleagues[1])
                assert await five.closed() == (4429, "Too many connections: an organization may have 3")
            for identifier in ("a", "b", "c"):
                await one.subscribe("subscription { count(to: 2, pause: 600) }", identifier)
            messages = [await one.next() for _ in range(3)]
            (error,) = [message for message in messages if message["type"] == "error"]
            assert error["id"] == "c"
            assert error["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        await settles(lambda: empty(server))


async def test_a_client_that_does_not_read_is_closed(runtime: Runtime) -> None:
    """After the send timeout the connection is closed with 1013, and everything it used is released."""
    _, token = await member(runtime)
    async with strict(runtime, send_timeout_seconds=0.3) as server, connected(server) as socket:
        await socket.ready(token)
        reading = socket.raw._reader._protocol.transport
        assert reading is not None
        reading.pause_reading()
        await socket.subscribe("subscription { floods(size: 1000000) }")
        await settles(lambda: empty(server))
        reading.resume_reading()
        assert (await socket.closed())[0] == 1013


async def test_a_slow_client_with_many_operations_is_closed_once(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many operations wait to send, 1013 is sent once, and no error is logged."""
    _, token = await member(runtime)
    with capture_logs() as logged:
        async with strict(runtime, send_timeout_seconds=0.3) as server, connected(server) as socket:
            await socket.ready(token)
            reading = socket.raw._reader._protocol.transport
            assert reading is not None
            reading.pause_reading()
            for number in range(20):
                await socket.subscribe("subscription { floods(size: 1000000) }", str(number))
            for _ in range(20):
                await socket.send({"type": "ping"})
            await settles(lambda: empty(server))
            reading.resume_reading()
            assert (await socket.closed())[0] == 1013
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert [line for line in logged if line["log_level"] in {"error", "critical"}] == []


async def test_a_socket_closed_while_operations_wait_to_send(runtime: Runtime) -> None:
    """A token that expires while a slow client delays messages closes the connection, and nothing fails."""
    with capture_logs() as logged:
        async with strict(runtime) as server, expiring(runtime, server) as socket:
            reading = socket.raw._reader._protocol.transport
            assert reading is not None
            reading.pause_reading()
            for number in range(5):
                await socket.subscribe("subscription { floods(size: 1000000) }", str(number))
            await settles(lambda: empty(server))
            reading.resume_reading()
            assert await socket.closed() == (4403, "The access token has expired")
    assert [line for line in logged if line["log_level"] in {"error", "critical"}] == []


async def test_shutdown_closes_every_socket(runtime: Runtime) -> None:
    """At shutdown every client is closed with 1001, and the server stops without waiting for them."""
    _, token = await member(runtime)
    async with served(runtime, probe_schema) as server:
        session = aiohttp.ClientSession()
        raw = await session.ws_connect(server.websocket_url, protocols=[PROTOCOL])
        socket = Socket(raw)
        await socket.ready(token)
        await socket.subscribe("subscription { watched }")
        await socket.next()
        waiting = asyncio.create_task(socket.closed())
    assert (await waiting)[0] == 1001
    await session.close()
    assert empty(server)
