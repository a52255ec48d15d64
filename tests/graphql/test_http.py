"""GraphQL over HTTP: media types, statuses, bodies."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest

from app import is_plain
from resolvers.context import RequestContext
from runtime import Runtime
from tests import factories
from tests.client import ApiClient
from tests.graphql.probe import probe_schema, with_settings
from tests.serving import Served, served
from tests.waiting import WAIT_SECONDS
from transport.requests import GraphQLRequest

TYPENAME = b'{"query": "{ __typename }"}'
JSON = "application/json"
GRAPHQL = "application/graphql-response+json"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (GRAPHQL, GRAPHQL),
        (JSON, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (f"{GRAPHQL}, {JSON};q=0.9", GRAPHQL),
        (f"{GRAPHQL};q=0.1, {JSON};q=0.9", JSON),
        ("", JSON),
        ("text/html, */*;q=0.5", JSON),
    ],
)
async def test_the_client_chooses_the_media_type(api: ApiClient, accept: str, media_type: str) -> None:
    """The response has the client's preferred media type, in UTF-8."""
    reply = await api.post(TYPENAME, {"accept": accept})
    assert reply.status == 200
    assert reply.headers["content-type"] == f"{media_type}; charset=utf-8"


async def test_a_client_that_accepts_no_media_type_of_ours_gets_406(api: ApiClient) -> None:
    """The error names the available media types."""
    reply = await api.post(TYPENAME, {"accept": "application/xml"})
    assert reply.status == 406
    assert GRAPHQL in reply.body["errors"][0]["message"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""]
)
async def test_only_json_bodies(api: ApiClient, content_type: str) -> None:
    """Anything else is 415: a page of another origin cannot post without a preflight."""
    assert (await api.post(TYPENAME, {"content-type": content_type})).status == 415


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b'"text"', "must be a JSON object"),
        (b"[]", "Batched"),
        (b'[{"query": "{ __typename }"}]', "Batched"),
        (b"{}", "`query`"),
        (b'{"query": ""}', "`query`"),
        (b'{"query": 1}', "`query`"),
        (b'{"query": "{ __typename }", "variables": []}', "`variables`"),
        (b'{"query": "{ __typename }", "operationName": 1}', "`operationName`"),
        (b'{"query": "{ __typename }", "extensions": 1}', "`extensions`"),
    ],
)
async def test_malformed_requests_are_400_in_either_media_type(api: ApiClient, body: bytes, expected: str) -> None:
    """The single error has a message, a code and the request id."""
    for accept in (JSON, GRAPHQL):
        reply = await api.post(body, {"accept": accept})
        assert reply.status == 400
        (error,) = reply.body["errors"]
        assert expected in error["message"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["requestId"] == reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{", {}),
        ("{ nothing }", {}),
        ("query ($id: ID!) { __typename node(id: $id) { id } }", {}),
        ("query ($id: ID!) { __typename node(id: $id) { id } }", {"id": {}}),
        ("query A { __typename } query B { __typename }", {}),
    ],
)
async def test_invalid_documents(api: ApiClient, query: str, variables: dict[str, object]) -> None:
    """400 in the new media type, 200 in the old one; no data in either."""
    for accept, status in ((GRAPHQL, 400), (JSON, 200)):
        reply = await api.send(query, variables, accept=accept)
        assert (reply.status, set(reply.codes), "data" in reply.body) == (status, {"BAD_USER_INPUT"}, False)


async def test_get_is_for_queries(api: ApiClient) -> None:
    """A query by GET is executed, with variables; a mutation is 405 in any media type."""
    query = "query ($id: ID!) { __typename viewer { id } node(id: $id) { id } }"
    parameters = {"query": query, "variables": '{"id": "x"}'}
    reply = await api.request("GET", headers={"accept": GRAPHQL}, params=parameters)
    assert reply.codes == ["UNAUTHENTICATED"]
    mutation = 'mutation { logOut(input: {refreshToken: "x"}) { ended } }'
    for accept in (JSON, GRAPHQL):
        reply = await api.request("GET", headers={"accept": accept}, params={"query": mutation})
        assert (reply.status, reply.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("parameters", [{}, {"query": "{ __typename }", "variables": "{"}, {"query": ""}])
async def test_an_invalid_get_is_400(api: ApiClient, parameters: dict[str, str]) -> None:
    """Missing queries and invalid variables are reported."""
    reply = await api.request("GET", headers={"accept": GRAPHQL}, params=parameters)
    assert (reply.status, reply.codes) == (400, ["BAD_USER_INPUT"])


async def test_other_methods_are_405(api: ApiClient) -> None:
    """PUT and DELETE are refused."""
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await api.request(method, headers={"accept": GRAPHQL})).status == 405


async def test_a_body_of_ten_megabytes_is_refused(api: ApiClient) -> None:
    """413 with an error that names the limit, whether the size is declared or not."""
    body = b'{"query": "' + b" " * 10_000_000 + b'{ __typename }"}'
    declared = await api.post(body)

    async def chunks() -> object:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    async with (
        aiohttp.ClientSession() as session,
        session.post(api.url, data=chunks(), headers={"content-type": JSON}) as response,
    ):
        streamed = response.status, orjson.loads(await response.read())
    for status, answer in ((declared.status, declared.body), streamed):
        assert status == 413
        assert "1048576 bytes" in answer["errors"][0]["message"]


async def test_an_endless_body_is_cut_off(api_server: Served) -> None:
    """A client that never stops sending gets a response and is disconnected."""
    host, port = api_server.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: 1000000000000\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 60)
    assert answer.startswith(b"HTTP/1.1 413")
    writer.close()


@asynccontextmanager
async def begin_post(server: Served, head: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a POST begins, with these headers in addition; the block has half a minute."""
    host, port = server.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n{head}\r\n\r\n".encode())
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            yield reader, writer
    finally:
        writer.close()


@pytest.mark.parametrize("size", [1_048_577, 1_000_000_000_000])
async def test_a_body_declared_too_large_gets_no_100_continue(api_server: Served, size: int) -> None:
    """A client that waits for 100 Continue (RFC 9110, 10.1.1) gets 413 instead."""
    async with begin_post(api_server, f"Content-Length: {size}\r\nExpect: 100-Continue") as (reader, _):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer
    assert b"100 Continue" not in answer


async def test_a_small_body_gets_one_100_continue(api_server: Served) -> None:
    """It arrives after the head, when the server has found no body yet, and is processed as usual."""
    head = f"Content-Length: {len(TYPENAME)}\r\nExpect: 100-continue\r\nConnection: close"
    async with begin_post(api_server, head) as (reader, writer):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(TYPENAME)
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'{"__typename":"Query"}' in answer
    assert b"100 Continue" not in answer


async def test_a_body_in_pieces_is_processed_as_usual(api_server: Served) -> None:
    """Byte by byte, each on its own."""
    async with begin_post(api_server, f"Content-Length: {len(TYPENAME)}\r\nConnection: close") as (reader, writer):
        for byte in TYPENAME:
            await asyncio.sleep(0.005)  # the server, which is in this process, has its turn
            writer.write(bytes((byte,)))
            await writer.drain()
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'{"__typename":"Query"}' in answer


async def test_an_incomplete_body_times_out(runtime: Runtime) -> None:
    """A client that stops in the middle of its body gets 408, and is disconnected."""
    hasty = with_settings(runtime, api={"body_timeout_seconds": 0.2})
    async with served(hasty, probe_schema) as server:
        host, port = server.base.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b'Content-Length: 100\r\n\r\n{"query":')
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 0.2 seconds" in answer


@pytest.mark.parametrize(("trusted", "believed"), [([], False), (["127.0.0.1"], True), (["10.0.0.0/8"], False)])
async def test_only_trusted_proxies_set_the_client_address(
    runtime: Runtime, trusted: list[str], believed: bool
) -> None:
    """Without a trusted proxy X-Forwarded-For has no effect: a client can't evade a limit by sending it."""
    behind = with_settings(runtime, api={"trusted_proxies": trusted})
    async with served(behind, probe_schema) as server:
        reply = await ApiClient(server.url).send("{ me }", headers={"x-forwarded-for": "192.0.2.7"})
    assert reply.data == {"me": "192.0.2.7" if believed else "127.0.0.1"}


async def test_subscriptions_need_the_websocket(probe: ApiClient) -> None:
    """Over HTTP the error names the WebSocket."""
    reply = await probe.send("subscription { count(to: 1) }")
    assert reply.status == 400
    assert "WebSocket" in reply.body["errors"][0]["message"]


async def test_web_pages_of_allowed_origins_may_call(runtime: Runtime, api: ApiClient) -> None:
    """A preflight is allowed for any origin in development, and in production for the listed ones alone."""
    headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert (await api.request("OPTIONS", headers=headers)).status == 200
    strict = with_settings(runtime, api={"cors_origins": ["https://app.example"]})
    async with served(strict, probe_schema) as server:
        client = ApiClient(server.url)
        response = await client.request("OPTIONS", headers=headers)
        other = await client.request("OPTIONS", headers={**headers, "origin": "https://evil.example"})
    assert response.headers["access-control-allow-origin"] == "https://app.example"
    assert other.status == 400


USUAL_HEADERS = [
    "authorization",
    "content-type",
    "accept",
    "apollographql-client-name",
    "apollographql-client-version",
    "x-apollo-operation-name",
    "x-apollo-operation-id",
    "x-apollo-operation-type",
    "apollo-require-preflight",
    "apollo-query-plan-experimental",
    "graphql-client-name",
    "graphql-client-version",
    "graphql-require-preflight",
    "x-graphql-event-stream-token",
    "x-urql-client",
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-origin",
    "b3",
    "x-b3-traceid",
    "newrelic",
    "x-request-id",
    "x-correlation-id",
    "x-requested-with",
    "cache-control",
    "idempotency-key",
]


@pytest.mark.parametrize("origins", [["https://app.example"], ["*"]])
async def test_web_pages_may_send_the_common_headers(runtime: Runtime, origins: list[str]) -> None:
    """Headers of clients and tracers pass the preflight of an allowed origin, and of no other; never with cookies."""
    async with served(with_settings(runtime, api={"cors_origins": origins}), probe_schema) as server:
        client = ApiClient(server.url)
        headers = {"access-control-request-method": "POST", "access-control-request-headers": ",".join(USUAL_HEADERS)}
        mine = await client.request("OPTIONS", headers={**headers, "origin": "https://app.example"})
        other = await client.request("OPTIONS", headers={**headers, "origin": "https://evil.example"})
        answer = await client.send("{ __typename }", headers={"origin": "https://app.example"})
    allowed_headers = {name.strip().lower() for name in mine.headers["access-control-allow-headers"].split(",")}
    assert mine.status == 200
    assert set(USUAL_HEADERS) <= allowed_headers
    assert (other.headers.get("access-control-allow-origin") == "*") is (origins == ["*"])
    for reply in (mine, other, answer):
        assert "access-control-allow-credentials" not in reply.headers
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed >= {"x-request-id", "retry-after", "ratelimit", "ratelimit-policy"}


async def test_the_root_redirects_to_the_endpoint(api_server: Served) -> None:
    """The bare address opens GraphiQL."""
    async with aiohttp.ClientSession() as session:
        async with session.get(api_server.base + "/", allow_redirects=False) as response:
            assert (response.status, response.headers["location"]) == (307, "/graphql")
        async with session.get(api_server.base + "/", headers={"accept": "text/html"}) as response:
            assert response.status == 200
            assert "GraphiQL" in await response.text()


async def test_a_request_without_origin_bypasses_the_middleware(runtime: Runtime, api: ApiClient) -> None:
    """A POST without an Origin bypasses the middleware; one with an Origin gets the CORS headers."""
    plain = {"type": "http", "method": "POST", "path": "/graphql", "headers": [(b"host", b"nudge.example")]}
    assert is_plain(plain)
    assert not is_plain({**plain, "headers": [(b"origin", b"https://app.example")]})
    assert not is_plain({**plain, "method": "GET"})
    assert not is_plain({**plain, "path": "/graphql/"})
    assert not is_plain({"type": "websocket", "path": "/graphql"})
    replies = [await api.send("{ __typename }", headers=each) for each in ({}, {"origin": "https://app.example"})]
    assert [reply.data for reply in replies] == [{"__typename": "Query"}] * 2
    assert ["access-control-allow-origin" in reply.headers for reply in replies] == [False, True]
    assert runtime.settings.cors_origins


async def test_a_request_leaves_nothing_to_the_garbage_collector(api: ApiClient, runtime: Runtime) -> None:
    """Its objects are freed by reference counting, since none is part of a reference cycle."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 3)
    caller = api.as_(factories.token(runtime, actor))
    queries = ["{ contacts(first: 2) { edges { cursor node { id email } } } }", '{ contact(id: "x") { id } }']
    queries += ["{ rateLimit { remaining } }", '{ node(id: "no id of ours") { id } }']
    failing = 'contacts(after: "no cursor of ours") { edges { cursor } }'
    queries += [f"{{ {failing} }}", f"{{ viewer {{ user {{ id }} }} {failing} }}"]
    queries += [f"{{ campaigns(first: 1) {{ edges {{ cursor }} }} {failing} other: {failing} }}"]
    for query in queries * 3:
        await caller.send(query)
    gc.collect()
    gc.disable()
    try:
        before = contexts()
        for query in queries * 2:
            await caller.send(query)
            await api.send(query)
            await api.as_("no token of ours").send(query)
        await asyncio.sleep(0)
        assert contexts() - before == set()
    finally:
        gc.enable()


def contexts() -> set[int]:
    """The request contexts that are still referenced."""
    return {id(each) for each in gc.get_objects() if isinstance(each, RequestContext | GraphQLRequest)}


async def test_health_readiness_and_keys(api_server: Served) -> None:
    """The plain routes respond beside GraphQL."""
    async with aiohttp.ClientSession() as session:
        for path in ("/healthz", "/readyz"):
            async with session.get(api_server.base + path) as response:
                assert response.status == 200
        async with session.get(f"{api_server.base}/.well-known/jwks.json") as response:
            (key,) = (await response.json())["keys"]
            assert key["kty"] == "EC"
            assert "d" not in key
